from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import sotopia_env
from sotopia_env.rewards import FunctionReward
from sotopia_env.training import command_line
from sotopia_env.training.behaviour_cloning import CloningConfig, clone
from sotopia_env.training.callbacks import read_metrics
from sotopia_env.training.grpo import GRPOTrainer
from sotopia_env.training.grpo_config import GRPOConfig
from sotopia_env.training.rollout_func import GroupMember
from sotopia_env.training.sample_dialogues import SAMPLE, dialogue_table


def learnt(out: Path, model: Path, reward: Any, **changes: Any) -> None:
    """Two steps of GRPO."""
    args = GRPOConfig(
        str(out),
        **{
            "per_device_train_batch_size": 4,
            "num_generations": 2,
            "max_steps": 2,
            "save_steps": 2,
            "log_dialogue_steps": 2,
            "max_turn_tokens": 6,
            "bf16": False,
            "disable_tqdm": True,
            **changes,
        },
    )
    env = sotopia_env.parallel_env("bargain", reward=reward, max_cycles=4)
    GRPOTrainer(model, env=env, partner="scripted:firm", args=args).train()


def events_of(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    # Of each run its own folder.
    (run,) = folder.rglob("events.out.tfevents.*")
    found = EventAccumulator(str(run.parent), size_guidance={"tensors": 0})
    found.Reload()
    return found


def test_tensorboard_keeps_metrics_and_a_dialogue(
    tiny_directory: Path, tmp_path: Path, brevity: FunctionReward
) -> None:
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    learnt(tmp_path, tiny_directory, brevity, report_to="tensorboard")
    found = events_of(tmp_path)
    rewards = [event.value for event in found.Scalars("train/reward")]
    assert rewards == pytest.approx([line["reward"] for line in read_metrics(tmp_path / "metrics.jsonl")[:2]])
    (shown,) = found.Tensors(f"{SAMPLE}/text_summary")
    text = shown.tensor_proto.string_val[0].decode()
    assert shown.step == 2 and "| agent | type | text | brevity |" in text
    assert text.count("\n| agent&#95;0 |") + text.count("\n| agent&#95;1 |") >= 2


def test_logs_of_cloning_outlive_the_run(tiny_directory: Path, tmp_path: Path, episodes: Any) -> None:
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    args = CloningConfig("", max_steps=2, logging_steps=1, bf16=False, disable_tqdm=True, report_to="tensorboard")
    clone(episodes, tiny_directory, out=tmp_path, args=args)
    losses = [line["loss"] for line in read_metrics(tmp_path / "metrics.jsonl") if "loss" in line]
    assert [event.value for event in events_of(tmp_path).Scalars("train/loss")] == pytest.approx(losses)
    assert len(losses) == 2


def test_what_was_said_is_no_markup(played: Callable[..., list[GroupMember]], brevity: FunctionReward) -> None:
    member = played(brevity, groups=1, size=2)[0]
    first = replace(member.episode.turns[0], text="a | b\n<script>x</script> ![i](u) \u202e**now**")
    member = replace(member, episode=replace(member.episode, turns=(first, *member.episode.turns[1:])))
    table = dialogue_table(member)
    paid = [row[3] for row in table.rows if row[0] == member.agent]
    assert paid == pytest.approx(list(member.parts["brevity"].rewards))
    assert {row[3] for row in table.rows if row[0] != member.agent} == {None}
    text = table.markdown()
    assert len(text.splitlines()) == 4 + len(table.rows)
    assert not any(mark in text for mark in ("<", "\u202e", "**", "]("))
    assert all(line.count("|") == 5 for line in text.splitlines()[2:])


def test_trackio_keeps_metrics_and_a_dialogue(
    tiny_directory: Path, tmp_path: Path, brevity: FunctionReward, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("trackio", reason="the extra trackio is not installed")
    import trackio.sqlite_storage
    import trackio.utils

    for module in (trackio, trackio.utils, trackio.sqlite_storage):
        monkeypatch.setattr(module, "TRACKIO_DIR", tmp_path / "trackio", raising=False)
    learnt(tmp_path / "out", tiny_directory, brevity, report_to="trackio", project="haggle")
    (file,) = (tmp_path / "trackio").glob("haggle*.db")
    with sqlite3.connect(file) as database:
        lines = [json.loads(row[0]) for row in database.execute("select metrics from metrics order by id")]
    rewards = [line["train/reward"] for line in lines if "train/reward" in line]
    assert rewards == pytest.approx([line["reward"] for line in read_metrics(tmp_path / "out/metrics.jsonl")[:2]])
    (shown,) = [line for line in lines if SAMPLE in line]
    assert shown["train/global_step"] == 2 and "brevity" in json.dumps(shown[SAMPLE])


def test_wandb_keeps_metrics_and_a_dialogue_offline(
    tiny_directory: Path, tmp_path: Path, brevity: FunctionReward, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb", reason="the extra wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    learnt(tmp_path / "out", tiny_directory, brevity, report_to="wandb")
    summary = dict(wandb.run.summary)
    wandb.finish()
    rewards = [line["reward"] for line in read_metrics(tmp_path / "out/metrics.jsonl") if "reward" in line]
    assert summary["train/reward"] == pytest.approx(rewards[-1])
    (table,) = tmp_path.rglob("*.table.json")
    shown = json.loads(table.read_text(encoding="utf-8"))
    assert shown["columns"] == ["dialogue", "agent", "type", "text", "brevity"] and len(shown["data"]) >= 2
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))


@pytest.mark.parametrize("name", ["tensorboard", "trackio", "wandb"])
def test_a_tracker_that_is_not_installed_is_refused_in_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_line, "get_available_reporting_integrations", list)
    with pytest.raises(ValueError, match=f"--report_to: {name} is not installed here: pip install {name}, or leave"):
        command_line.read_settings(GRPOConfig, tmp_path, None, ["--report_to", name], 0)


def test_the_page_names_all_that_is_logged(tiny_directory: Path, tmp_path: Path, brevity: FunctionReward) -> None:
    page = Path(__file__).parents[2].joinpath("docs/tracking.md").read_text(encoding="utf-8")
    learnt(tmp_path, tiny_directory, brevity)
    names = {name for line in read_metrics(tmp_path / "metrics.jsonl") for name in line}
    families = ("parts/", "scores/partner/", "scores/", "latent/", "known/", "endings/", "rewards/", "reward/seat_")
    told = {next((f"{family}..." for family in families if name.startswith(family)), name) for name in names}
    assert sorted(name for name in told if f"`{name}`" not in page) == []
