from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from sotopia_env import training
from sotopia_env.episodes import Episode
from sotopia_env.rewards import FunctionReward
from sotopia_env.training import memory

SETTINGS: dict[str, Any] = {
    "max_steps": 2,
    "optim": "sgd",
    "learning_rate": 1.0,
    "max_grad_norm": 0.0,
    "lr_scheduler_type": "constant",
    "warmup_steps": 0,
    "per_device_train_batch_size": 6,
    "gradient_accumulation_steps": 2,
    "logging_steps": 1,
    "bf16": False,
    "save_strategy": "no",
    "disable_tqdm": True,
}


@pytest.mark.parametrize("kind", ["cloning", "reward model"])
def test_a_step_in_pieces_is_that_of_the_whole_batch(
    kind: str,
    episodes: list[Episode],
    brevity: FunctionReward,
    tiny_directory: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def clone(out: Path) -> Path:
        return training.clone(episodes, tiny_directory, out=out, args=training.CloningConfig(str(out), **SETTINGS))

    def reward_model(out: Path) -> Path:
        args = training.RewardModelConfig(str(out), held_out=0.0, normalizer="z-score", **SETTINGS)
        return training.train_reward_model(episodes, tiny_directory, labels={"brevity": brevity}, out=out, args=args)

    train: Callable[[Path], Path] = clone if kind == "cloning" else reward_model
    together: list[list[list[int]]] = []
    groups = memory.rows_at_a_time

    def noted(lengths: list[int], tokens: int) -> list[list[int]]:
        together.append(groups(lengths, tokens))
        return together[-1]

    monkeypatch.setattr("sotopia_env.training.pieces.rows_at_a_time", noted)
    weights, losses = [], []
    for numbers in (2**30, 1):
        monkeypatch.setattr(memory, "NUMBERS_AT_A_TIME", numbers)
        folder = train(tmp_path / str(numbers))
        weights.append({k: v for file in folder.glob("*.safetensors") for k, v in load_file(file).items()})
        losses.append([line["loss"] for line in training.read_metrics(folder / "metrics.jsonl") if "loss" in line])
    assert [len(found) for found in together] == [1] * 4 + [6] * 4
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    start = load_file(tiny_directory / "model.safetensors")
    moved = 0.0
    for name, whole in weights[0].items():
        assert (whole - weights[1][name]).norm() < 1e-3 * (whole - start.get(name, torch.zeros(()))).norm() + 1e-6
        moved = max(moved, float((whole - start.get(name, torch.zeros(()))).norm()))
    assert moved > 0.1
