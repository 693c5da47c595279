"""Data sets of the hub by their id, and clear words where there is no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sotopia_env.published import load_published, load_tasks
from sotopia_env.published.files import local_path

hub = pytest.importorskip("huggingface_hub")


def test_a_path_that_exists_is_never_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "name").mkdir(parents=True)
    monkeypatch.setattr(hub, "snapshot_download", None)
    assert local_path("owner/name") == Path("owner/name")


def test_what_can_be_no_id_is_not_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "snapshot_download", None)
    for given in (tmp_path / "nowhere", str(tmp_path / "nowhere"), "nowhere", "./a/b"):
        with pytest.raises(FileNotFoundError, match="no file or folder"):
            local_path(given)


def test_a_data_set_or_one_of_its_files_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def snapshot(repository: str, **options: Any) -> str:
        asked.append((repository, options))
        return str(tmp_path)

    def single(repository: str, file: str, **options: Any) -> str:
        asked.append((repository, file, options))
        return str(tmp_path / file)

    monkeypatch.setattr(hub, "snapshot_download", snapshot)
    monkeypatch.setattr(hub, "hf_hub_download", single)
    assert local_path("owner/name") == tmp_path
    assert local_path("owner/name:data/a.jsonl") == tmp_path / "data" / "a.jsonl"
    assert asked == [
        ("owner/name", {"repo_type": "dataset", "allow_patterns": ["*.json", "*.jsonl"]}),
        ("owner/name", "data/a.jsonl", {"repo_type": "dataset"}),
    ]


@pytest.mark.parametrize("load", [load_tasks, load_published])
def test_without_a_network_the_remedy_is_said(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*arguments: Any, **options: Any) -> str:
        raise hub.errors.LocalEntryNotFoundError("nothing cached")

    monkeypatch.setattr(hub, "snapshot_download", offline)
    with pytest.raises(FileNotFoundError, match="'owner/name' here.* no network; download it elsewhere"):
        load("owner/name")


def test_a_name_the_hub_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*arguments: Any, **options: Any) -> str:
        raise hub.errors.HFValidationError("bad\nname")

    monkeypatch.setattr(hub, "snapshot_download", unknown)
    with pytest.raises(FileNotFoundError, match="cannot be had: HFValidationError: bad name"):
        load_tasks("owner/na--me")
