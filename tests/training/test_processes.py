"""Real processes: killed without warning, and two that train together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sotopia_env.agents.loading import load_model
from sotopia_env.training.callbacks import read_metrics

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

CLONE = """
import sys, torch, sotopia_env
from sotopia_env.training import CloningConfig, clone
torch.set_num_threads(1)
episodes = sotopia_env.rollout("bargain", "scripted:mixed", num_episodes=40, seed=3, max_cycles=8)
args = CloningConfig(per_device_train_batch_size=4, num_train_epochs=4, save_steps=5, logging_steps=1, bf16=False)
clone(episodes, sys.argv[1], out=sys.argv[2], args=args)
"""

GRPO = """
import os, sys, torch, sotopia_env
from sotopia_env.training import GRPOConfig, GRPOTrainer
torch.set_num_threads(1)
env = sotopia_env.parallel_env("bargain", reward=sotopia_env.rewards.LengthPenalty(target_words=1), max_cycles=4)
rows = 8 // int(os.environ.get("WORLD_SIZE", "1"))
args = GRPOConfig(
    sys.argv[2], per_device_train_batch_size=rows, num_generations=4, max_steps=int(sys.argv[3]), max_turn_tokens=8,
    learning_rate=1.0, optim="sgd", save_steps=2, beta=0.1, bf16=False,
)
GRPOTrainer(sys.argv[1], env=env, partner="scripted:firm", args=args).train()
"""


def start(script: str, *arguments: object, launcher: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *(launcher or ("-c", script)), *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes]) -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()[-3000:]


def kill_when(process: subprocess.Popen[bytes], ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 200
    while not ready():
        assert process.poll() is None, "the run was over before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def weights(directory: Path) -> torch.Tensor:
    return torch.cat([value.flatten() for value in load_model(directory).model.state_dict().values()])


@pytest.mark.parametrize(("script", "checkpoints", "steps"), [(CLONE, "checkpoints", 80), (GRPO, "", 12)])
def test_a_run_killed_twice_ends_as_one_that_was_not(
    script: str, checkpoints: str, steps: int, tiny_directory: Path, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(start(script, tiny_directory, whole, steps))
    for saved in (1, 2):
        process = start(script, tiny_directory, killed, steps)
        folder = killed / checkpoints
        before = {path.name for path in folder.glob("checkpoint-*")} if saved == 2 else set()
        kill_when(process, lambda: bool({p.name for p in folder.glob("checkpoint-*")} - before))  # noqa: B023
    finish(start(script, tiny_directory, killed, steps))
    assert torch.equal(weights(whole), weights(killed))
    logged = [
        [(line["step"], line["loss"]) for line in read_metrics(folder / "metrics.jsonl") if "loss" in line]
        for folder in (whole, killed)
    ]
    assert logged[0] == logged[1]
    assert len(logged[0]) == steps


def test_two_processes_learn_what_one_learns(tiny_directory: Path, tmp_path: Path) -> None:
    script = tmp_path / "grpo.py"
    script.write_text(GRPO)
    finish(start(GRPO, tiny_directory, tmp_path / "one", 2))
    launcher = ("-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", "29573", str(script))
    finish(start(GRPO, tiny_directory, tmp_path / "two", 2, launcher=launcher))
    assert torch.allclose(weights(tmp_path / "one"), weights(tmp_path / "two"), atol=1e-6)
    one, two = (read_metrics(tmp_path / name / "metrics.jsonl") for name in ("one", "two"))
    for name in ("reward", "deal_rate", "words_per_turn", "kl", "kl_to_reference", "grad_norm"):
        logged = [[line[name] for line in lines if name in line] for lines in (one, two)]
        assert len(logged[0]) == 2
        assert logged[0] == pytest.approx(logged[1], rel=1e-4, abs=1e-6)
