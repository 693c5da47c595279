from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from sotopia_env.training.checkpoints import COMPLETE, fingerprint, finished_run, latest_checkpoint, write_json


def checkpoint(folder: Path, step: int, run: str | None) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "model.safetensors").write_bytes(b"weights")
    if run is not None:
        write_json(path / COMPLETE, {"run": run, "step": step})
    return path


def test_the_newest_complete_checkpoint_counts_and_half_written_ones_go(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path / "nowhere", "a") is None
    checkpoint(tmp_path, 9, "a")
    newest = checkpoint(tmp_path, 10, "a")
    half = checkpoint(tmp_path, 11, None)
    assert latest_checkpoint(tmp_path, "a") == newest
    assert not half.exists()


def test_a_checkpoint_of_another_run_is_an_error(tmp_path: Path) -> None:
    checkpoint(tmp_path, 3, "b")
    with pytest.raises(ValueError, match="checkpoint-3 was written by a run with other data or settings"):
        latest_checkpoint(tmp_path, "a")


def test_a_finished_run_says_what_it_wrote(tmp_path: Path) -> None:
    assert finished_run(tmp_path, "a") is None
    write_json(tmp_path / COMPLETE, {"run": "a", "loss": 0.5})
    assert finished_run(tmp_path, "a") == {"run": "a", "loss": 0.5}
    assert json.loads((tmp_path / COMPLETE).read_text())["loss"] == 0.5
    assert [path.name for path in tmp_path.iterdir()] == [COMPLETE]
    with pytest.raises(ValueError, match="other data or settings"):
        finished_run(tmp_path, "b")


def test_fingerprints_know_data_and_functions_by_name() -> None:
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
    assert fingerprint(checkpoint) == fingerprint(checkpoint) != fingerprint(fingerprint)
    assert fingerprint(partial(checkpoint, step=1)) == fingerprint(partial(checkpoint, step=1))
