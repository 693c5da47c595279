"""The oldest PettingZoo and Gymnasium that the package admits: the same tests in an environment of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

import sotopia_env

OLDEST = ("pettingzoo==1.25.0", "gymnasium==1.0.0")
TESTS = (
    "test_conformance.py", "test_registration.py", "test_private_messages.py", "test_spaces.py", "test_make.py",
    "wrappers/test_aec.py", "wrappers/test_text.py", "wrappers/test_single_agent.py",
)  # fmt: skip
VERSIONS = "import gymnasium, pettingzoo; print(pettingzoo.__version__, gymnasium.__version__)"


@pytest.mark.slow
def test_every_api_conforms_to_the_oldest_libraries(tmp_path: Path) -> None:
    """Only two packages are installed; all else is looked up where this interpreter finds it."""
    folder = tmp_path / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", *OLDEST]
    installed = subprocess.run(install, capture_output=True, text=True)
    if installed.returncode:
        pytest.skip(f"pip could not install {' '.join(OLDEST)}: {installed.stderr.strip()[-300:]}")
    own = next(folder.glob("lib/python*/site-packages"))
    (own / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    root = Path(sotopia_env.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    run = {"cwd": root, "env": environment, "capture_output": True, "text": True}
    found = subprocess.run([python, "-c", VERSIONS], check=True, **run)  # type: ignore[call-overload]
    assert found.stdout.split() == [package.partition("==")[2] for package in OLDEST]
    files = [str(Path(__file__).parent / name) for name in TESTS]
    tests = subprocess.run([python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files], **run)  # type: ignore[call-overload]
    assert tests.returncode == 0, tests.stdout[-6_000:]
