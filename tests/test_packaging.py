"""What is shipped: one top-level name, every source, and an import that stays light."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHIPPED = ["pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md"]
FOLDERS = ["sotopia_env", "agents", "rewards", "training"]


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], list[str]]:
    """Names inside the sdist, and inside the wheel that was built from that sdist."""
    for needed in ("build", "setuptools"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed")
    tree = tmp_path_factory.mktemp("tree")
    for name in SHIPPED:
        shutil.copy(ROOT / name, tree / name)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tree / "dist"), str(tree)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (sdist,) = (tree / "dist").glob("*.tar.gz")
    (wheel,) = (tree / "dist").glob("*.whl")
    with tarfile.open(sdist) as archive:
        in_sdist = [name.partition("/")[2] for name in archive.getnames()]
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = archive.namelist()
    return in_sdist, in_wheel


def sources() -> set[str]:
    """Every module of the four folders, every template, recipe and labelled talk, by its path inside the package."""
    patterns = ("**/*.py", "**/*.jsonl", "templates/*.*", "recipes/*.yaml")
    paths = {path.relative_to(ROOT) for name in FOLDERS for kind in patterns for path in (ROOT / name).glob(kind)}
    return {str(path if path.parts[0] == "sotopia_env" else Path("sotopia_env") / path) for path in paths}


def test_wheel_has_one_top_level_name(distributions: tuple[list[str], list[str]]) -> None:
    _, in_wheel = distributions
    tops = {name.partition("/")[0] for name in in_wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"sotopia_env"}


def test_wheel_and_sdist_hold_every_module(distributions: tuple[list[str], list[str]]) -> None:
    in_sdist, in_wheel = distributions
    assert sources() <= set(in_wheel)
    assert sources() <= set(in_sdist)
    assert "sotopia_env/py.typed" in in_wheel
    assert any(name.endswith("licenses/LICENSE") for name in in_wheel)


@pytest.fixture(scope="module")
def imported() -> dict[str, object]:
    """What a fresh interpreter says after the import: modules, and resident memory in MB before and after."""
    script = (
        "import json, pathlib, sys\n"
        # The peak in getrusage is inherited from the parent process; this one is not.
        "status = pathlib.Path('/proc/self/status')\n"
        "lines = lambda: status.read_text().splitlines() if status.exists() else ['VmHWM: 0 kB']\n"
        "peak = lambda: next(int(line.split()[1]) for line in lines() if line.startswith('VmHWM'))\n"
        "before = peak()\n"
        "import sotopia_env\n"
        "print(json.dumps({'modules': sorted(sys.modules), 'megabytes': (peak() - before) / 2**10}))\n"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def test_import_loads_no_model_library(imported: dict[str, object]) -> None:
    heavy = {"torch", "transformers", "trl", "peft", "accelerate", "datasets", "openai", "matplotlib", "pandas"}
    heavy |= {"rich", "jinja2"}
    modules = imported["modules"]
    assert isinstance(modules, list)
    assert heavy.isdisjoint(modules)


def test_import_waits_with_what_not_every_program_needs(imported: dict[str, object]) -> None:
    modules = imported["modules"]
    assert isinstance(modules, list)
    later = {"pydantic", "typer", "rich", "sotopia_env.published.loading", "sotopia_env.families.bargain"}
    assert later.isdisjoint(modules)


def test_import_costs_at_most_50_megabytes(imported: dict[str, object]) -> None:
    assert imported["megabytes"] <= 50  # type: ignore[operator]


def test_upper_folders_are_links_into_the_package() -> None:
    for name in ("agents", "rewards", "training"):
        link = ROOT / "sotopia_env" / name
        assert link.is_symlink()
        assert link.resolve() == ROOT / name
