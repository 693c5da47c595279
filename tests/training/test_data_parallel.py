"""Several processes train one model, each on a share of every batch, and it comes out as from one."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from sotopia_env.episodes import Episode
from sotopia_env.rewards import Attribution
from sotopia_env.training import CloningConfig, RewardModelConfig, clone, train_reward_model
from sotopia_env.training.callbacks import read_metrics
from sotopia_env.training.data_parallel import call_wrapped, launch, wait_for_everyone, world


def summed(factor: int, folder: str) -> tuple[float, tuple[int, int], str]:
    """What is added up over the processes, the world, and the threads of each."""
    total = torch.tensor([float(world()[0] + factor)])
    dist.all_reduce(total)
    (Path(folder) / str(world()[0])).touch()
    wait_for_everyone()
    assert len(list(Path(folder).iterdir())) == world()[1]
    return float(total), world(), os.environ["OMP_NUM_THREADS"]


def fails() -> None:
    if world()[0] == 1:
        raise ValueError("record 7: the field is empty")
    wait_for_everyone()


def dies() -> None:
    if world()[0] == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    wait_for_everyone()


def gradient() -> tuple[bool, list[float]]:
    """The gradient that two processes share of a function that is not the model's own forward pass."""
    bare = torch.nn.Linear(2, 1, bias=False)
    torch.nn.init.ones_(bare.weight)
    model = DistributedDataParallel(bare)
    rank = float(world()[0])
    call_wrapped(model, lambda linear, x: 3.0 * x @ linear.weight.T, torch.tensor([[1.0, rank]])).backward()
    assert bare.weight.grad is not None
    return "forward" in vars(bare), bare.weight.grad.flatten().tolist()


def learn(model: str, episodes: list[Episode], out: str) -> None:
    """A clone and a reward model, of 8 rows a step whatever the number of processes."""
    torch.set_num_threads(1)
    size, settings = 8 // world()[1], {"bf16": False, "logging_steps": 1, "save_steps": 4}
    cloning = CloningConfig(per_device_train_batch_size=size, learning_rate=1e-2, muon=True, **settings)
    clone(episodes, model, out=f"{out}/clone", args=cloning)
    modelling = RewardModelConfig(
        f"{out}/rm", per_device_train_batch_size=size, held_out=0.0, between=0.5, muon=True, **settings
    )
    labels = {"goal": Attribution("direct", dimensions={"goal": 1})}
    train_reward_model(episodes, f"{out}/clone", labels=labels, target="episode", out=f"{out}/rm", args=modelling)


def test_one_process_is_a_world_of_its_own() -> None:
    assert world() == (0, 1)
    wait_for_everyone()
    assert call_wrapped(3, lambda model, other: model - other, 1) == 2


@pytest.mark.slow
def test_what_the_first_process_returns_comes_back(tmp_path: Path) -> None:
    threads = str(max(1, (os.cpu_count() or 1) // 2))
    assert launch(2, summed, 10, str(tmp_path)) == (21.0, (0, 2), os.environ.get("OMP_NUM_THREADS", threads))
    assert not dist.is_initialized()
    assert "WORLD_SIZE" not in os.environ


@pytest.mark.slow
def test_what_one_process_raises_is_raised_and_a_death_is_told() -> None:
    with pytest.raises(ValueError, match="record 7: the field is empty"):
        launch(2, fails)
    with pytest.raises(RuntimeError, match=r"1 of 2 processes died \(signal 9\)"):
        launch(2, dies)


@pytest.mark.slow
def test_processes_share_the_gradient_of_any_function_of_the_model() -> None:
    changed, shared = launch(2, gradient)
    assert not changed
    assert shared == [3.0, 1.5]


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(tiny_directory: Path, episodes: list[Episode], tmp_path: Path) -> None:
    learn(str(tiny_directory), episodes[:8], str(tmp_path / "one"))
    launch(2, learn, str(tiny_directory), episodes[:8], str(tmp_path / "two"))
    for model in ("clone", "rm"):
        one, two = (read_metrics(tmp_path / folder / model / "metrics.jsonl") for folder in ("one", "two"))
        losses: list[Any] = [[line["loss"] for line in lines if "loss" in line] for lines in (one, two)]
        assert len(losses[0]) >= 2
        assert losses[1] == pytest.approx(losses[0], rel=1e-3)
