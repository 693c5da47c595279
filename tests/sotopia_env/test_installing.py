"""Remedies that name a command which works where the package was not taken from an index."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sotopia_env import installing

GIT = {"url": "https://example.org/p.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}


@pytest.mark.parametrize(
    ("told", "command"),
    [
        (None, "pip install 'sotopia-env[train]'"),
        ({"url": "file:///home/a%20b/p", "dir_info": {"editable": True}}, "pip install -e '/home/a b/p[train]'"),
        ({"url": "file:///home/p", "dir_info": {}}, "pip install '/home/p[train]'"),
        (GIT, "pip install 'sotopia-env[train] @ git+https://example.org/p.git@abc'"),
        (
            {"url": "https://example.org/p.whl", "archive_info": {}},
            "pip install 'sotopia-env[train] @ https://example.org/p.whl'",
        ),
    ],
    ids=["index", "editable", "folder", "git", "file"],
)
def test_the_remedy_follows_from_how_the_package_was_installed(
    told: dict[str, Any] | None, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = None if told is None else json.dumps(told)
    monkeypatch.setattr(installing, "distribution", lambda name: SimpleNamespace(read_text=lambda file: record))
    assert installing.install_command("train") == command


def test_a_checkout_that_was_never_installed_is_installed_in_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(installing, "distribution", missing)
    monkeypatch.setattr(installing, "_CHECKOUT", tmp_path)
    assert installing.install_command("ray") == "pip install 'sotopia-env[ray]'"
    (tmp_path / "pyproject.toml").touch()
    assert installing.install_command("ray") == f"pip install -e '{tmp_path}[ray]'"
    monkeypatch.chdir(tmp_path)
    assert installing.install_command("ray") == "pip install -e '.[ray]'"
