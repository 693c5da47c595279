"""The examples in docstrings run, and print what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SKIPPED = "# doctest: +SKIP"
"""What needs a trained model or a server."""


def with_examples() -> list[str]:
    """The modules that have an example to run."""
    found = []
    for folder in ("sotopia_env", "agents", "rewards", "training"):
        for path in sorted((ROOT / folder).glob("**/*.py")):
            lines = path.read_text(encoding="utf-8").splitlines()
            if any(line.lstrip().startswith(">>>") and SKIPPED not in line for line in lines):
                parts = path.relative_to(ROOT).with_suffix("").parts
                found.append(".".join(parts if folder == "sotopia_env" else ("sotopia_env", *parts)))
    return found


@pytest.mark.parametrize("name", with_examples())
def test_examples_of_a_module_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert results.attempted
    assert not results.failed
