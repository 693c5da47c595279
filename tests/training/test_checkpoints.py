from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from sotopia_env.training.checkpoints import (
    BEGUN,
    COMPLETE,
    MarkComplete,
    finished_run,
    latest_checkpoint,
    remove_checkpoints,
    write_json,
)

A: dict[str, Any] = {"settings": {"learning_rate": 0.1}, "start": {"weights": "a"}}
B: dict[str, Any] = {"settings": {"learning_rate": 0.1}, "start": {"weights": "b"}}


def checkpoint(folder: Path, step: int, run: dict[str, Any] | None, *, begun: bool = True) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    if begun:
        write_json(path / BEGUN, {"step": step})
    (path / "model.safetensors").write_bytes(b"weights")
    if run is not None:
        write_json(path / COMPLETE, {"run": run, "step": step})
    return path


def test_the_newest_complete_checkpoint_counts_and_half_written_ones_go(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path / "nowhere", A) is None
    checkpoint(tmp_path, 9, A)
    newest = checkpoint(tmp_path, 10, A)
    half = checkpoint(tmp_path, 11, None)
    assert latest_checkpoint(tmp_path, A) == newest
    assert not half.exists()


def test_a_checkpoint_of_another_run_is_an_error(tmp_path: Path) -> None:
    checkpoint(tmp_path, 3, B)
    with pytest.raises(
        ValueError, match=r'checkpoint-3 was written by a run with other start.weights \("b", not "a"\)'
    ):
        latest_checkpoint(tmp_path, A)


def test_the_checkpoint_of_another_trainer_is_left_alone_and_named(tmp_path: Path) -> None:
    theirs = checkpoint(tmp_path, 500, None, begun=False)
    with pytest.raises(ValueError, match="checkpoint-500 is no checkpoint that this package has written"):
        latest_checkpoint(tmp_path, A)
    assert (theirs / "model.safetensors").read_bytes() == b"weights"


def test_a_checkpoint_of_an_earlier_version_is_refused_in_words(tmp_path: Path) -> None:
    write_json(checkpoint(tmp_path, 3, None) / COMPLETE, {"run": "0123456789abcdef", "step": 3})
    with pytest.raises(ValueError, match="checkpoint-3 was written by an earlier version"):
        latest_checkpoint(tmp_path, A)


def test_a_finished_run_says_what_it_wrote(tmp_path: Path) -> None:
    assert finished_run(tmp_path, A) is None
    write_json(tmp_path / COMPLETE, {"run": A, "loss": 0.5})
    assert finished_run(tmp_path, A) == {"run": A, "loss": 0.5}
    assert json.loads((tmp_path / COMPLETE).read_text())["loss"] == 0.5
    assert [path.name for path in tmp_path.iterdir()] == [COMPLETE]
    with pytest.raises(ValueError, match="other start.weights"):
        finished_run(tmp_path, B)


def test_a_checkpoint_is_marked_before_and_after_it_is_written(tmp_path: Path) -> None:
    args = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    state, control = TrainerState(), TrainerControl()
    state.global_step = 4
    mark = MarkComplete(A)
    mark.on_step_end(args, state, control)
    assert not (tmp_path / "checkpoint-4").exists()
    control.should_save = True
    mark.on_step_end(args, state, control)
    assert [path.name for path in (tmp_path / "checkpoint-4").iterdir()] == [BEGUN]
    mark.on_save(args, state, control)
    assert latest_checkpoint(tmp_path, A) == tmp_path / "checkpoint-4"


def test_of_a_finished_run_its_checkpoints_alone_are_removed(tmp_path: Path) -> None:
    checkpoint(tmp_path / "logged", 9, A)
    checkpoint(tmp_path / "bare", 9, A)
    log = tmp_path / "logged" / "runs" / "events"
    log.parent.mkdir()
    log.write_bytes(b"curves")
    for name in ("logged", "bare"):
        remove_checkpoints(tmp_path / name)
    assert log.read_bytes() == b"curves"
    assert [path.name for path in (tmp_path / "logged").iterdir()] == ["runs"]
    assert not (tmp_path / "bare").exists()


def test_a_checkpoint_that_was_killed_while_it_came_into_being_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".checkpoint-4").mkdir()
    assert latest_checkpoint(tmp_path, {}) is None
    assert not list(tmp_path.iterdir())
