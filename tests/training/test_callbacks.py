from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from sotopia_env.training.callbacks import EvaluateEvery, MetricsFile, Processes, Progress, read_metrics


def test_a_run_that_goes_on_drops_the_lines_it_repeats(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = [json.dumps({"step": step, "loss": 1 / step}) for step in range(1, 6)]
    path.write_text("\n".join(lines) + '\n{"step": 6, "lo', encoding="utf-8")
    assert [line["step"] for line in read_metrics(path)] == [1, 2, 3, 4, 5]
    callback = MetricsFile(path)
    args, control = TrainingArguments(str(tmp_path), use_cpu=True), TrainerControl()
    callback.on_train_begin(args, TrainerState(global_step=3), control)
    callback.on_log(args, TrainerState(global_step=4), control, {"loss": float("nan"), "reward": 0.25})
    found = read_metrics(path)
    assert [line["step"] for line in found] == [1, 2, 3, 4]
    assert found[-1] == {"step": 4, "loss": None, "reward": 0.25}


def test_there_may_be_no_metrics_yet(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / "metrics.jsonl") == []


def test_an_evaluation_is_logged_every_so_many_steps(tmp_path: Path) -> None:
    logged: list[dict[str, Any]] = []
    callback = EvaluateEvery(3, lambda step: {"goal": 2.0 * step}, logged.append)
    args, control = TrainingArguments(str(tmp_path), use_cpu=True), TrainerControl()
    for step in range(1, 8):
        callback.on_step_end(args, TrainerState(global_step=step), control)
    assert logged == [{"evaluation/goal": 6.0}, {"evaluation/goal": 12.0}]


def test_the_bar_shows_steps_and_metrics_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    callback, args, control = Progress(("loss",)), TrainingArguments(str(tmp_path), use_cpu=True), TrainerControl()
    callback.on_train_begin(args, TrainerState(global_step=1, max_steps=3), control)
    callback.on_log(args, TrainerState(global_step=2), control, {"loss": 0.5, "entropy": 2.0})
    callback.on_step_end(args, TrainerState(global_step=3), control)
    callback.on_train_end(args, TrainerState(global_step=3), control)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "training" in printed.err and "3/3" in printed.err and "loss=0.5" in printed.err
    assert "entropy" not in printed.err


def test_every_training_says_in_how_many_processes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    args, control = TrainingArguments(str(tmp_path), use_cpu=True), TrainerControl()
    Processes().on_train_begin(args, TrainerState(), control)
    assert capsys.readouterr().err == "training in 1 process on cpu\n"
    monkeypatch.setattr(TrainingArguments, "world_size", 2)
    Processes().on_train_begin(args, TrainerState(), control)
    Processes().on_train_begin(args, TrainerState(is_world_process_zero=False), control)
    assert capsys.readouterr().err == "training in 2 processes on cpu\n"
