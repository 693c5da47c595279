from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def experts(done: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("experts") / "e.jsonl"
    done("rollout", "bargain", "scripted:mixed", "-n", 6, "--max-cycles", 6, "--out", path)
    return path


def test_settings_of_training_are_checked_before_anything_is_done(refused: Run, experts: Path, tmp_path: Path) -> None:
    pytest.importorskip("trl")
    out = tmp_path / "out"
    clone = ("train", "bc", experts, "--out", out)
    assert "--max_stepz: CloningConfig has no setting of that name; did you mean max_steps" in refused(
        *clone, "--max_stepz", 2
    )
    assert "--max_steps: 'many' does not fit" in refused(*clone, "--max_steps", "many")
    assert "'stray' belongs to no option" in refused(*clone, "stray")
    assert "there is no file" in refused(*clone, "--config", tmp_path / "none.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("learning_rate: [1", encoding="utf-8")
    assert f"{broken} is no YAML" in refused(*clone, "--config", broken)
    broken.write_text("learning_rates: 0.1", encoding="utf-8")
    assert f"{broken}: learning_rates: CloningConfig has no setting" in refused(*clone, "--config", broken)
    broken.write_text("seed: 3", encoding="utf-8")
    assert f"{broken}: seed: --seed says that" in refused(*clone, "--config", broken)
    assert "--output_dir: --out says that" in refused(*clone, "--output_dir", out)
    assert "max_length = 100: rows are prepared" in refused(*clone, "--max_length", 100)
    grpo = ("train", "grpo", "nowhere", "--out", out)
    told = "--model is no option here: the model to start from comes without one: train grpo MODEL"
    assert told in refused("train", "grpo", "--model", "nowhere", "--out", out)
    assert "min_p = 0.1: turns are drawn by temperature, top_k and top_p alone" in refused(*grpo, "--min_p", 0.1)
    assert "none.jsonl" in refused("train", "bc", tmp_path / "none.jsonl", "--out", out)
    nothing = tmp_path / "nothing.jsonl"
    nothing.write_text("", encoding="utf-8")
    assert f"{nothing} holds no episode" in refused("train", "bc", nothing, "--out", out)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert f"the directory {empty} is empty" in refused("train", "grpo", empty, "--out", out, "--max_steps", 1)
    assert "huge' is none of default, small" in refused("quickstart", "--preset", "huge", "--out", out)
    assert not out.exists()


def test_a_run_that_nothing_can_be_learnt_from_ends_in_one_line(
    call: Run, refused: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("trl")
    from sotopia_env.agents.embedded import build_embedded_model
    from sotopia_env.agents.loading import LoadedModel

    start, out = tmp_path / "start", tmp_path / "out"
    LoadedModel(*build_embedded_model(["Hello."], seed=0, hidden_size=16, layers=1, heads=1)).save(start)
    command = ("train", "grpo", start, "--out", out)
    told = refused(*command, "--tasks", "mini")
    assert "the judge 'rule' never knows goal in tasks of 'mini'" in told
    assert "Give another judge, such as 'llm:MODEL@URL'" in told

    lines = [
        "def nobody_knows(episodes):",
        "    return [{a: [None] * len(e.own_turns(a)) for a in e.agents} for e in episodes]",
    ]
    (tmp_path / "my_reward.py").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    sizes = ("--max_steps", 50, "--per_device_train_batch_size", 32, "--max_turn_tokens", 2, "--bf16", "false")
    ended = call(*command, *sizes, "--reward", "my_reward:nobody_knows")
    assert ended.exit_code == 2
    line = ended.stderr.strip().splitlines()[-1]
    assert line.startswith("error: the reward 'nobody_knows' is unknown in all of the last 32 dialogues")
    assert not (out / "complete.json").exists()


def test_an_adapter_learns_by_the_rank_that_is_given(call: Run, tmp_path: Path) -> None:
    pytest.importorskip("trl")
    from sotopia_env.agents.embedded import build_embedded_model
    from sotopia_env.agents.loading import LoadedModel

    start, out = tmp_path / "start", tmp_path / "out"
    LoadedModel(*build_embedded_model(["Hello."], seed=0, hidden_size=16, layers=1, heads=1)).save(start)
    sizes = ("--max_steps", 1, "--per_device_train_batch_size", 2, "--num_generations", 2, "--max_turn_tokens", 2)
    learnt = call("train", "grpo", start, "--out", out, "--lora", 3, *sizes, "--bf16", "false")
    assert learnt.exit_code == 0, learnt.stderr
    assert json.loads((out / "adapter_config.json").read_text(encoding="utf-8"))["r"] == 3


@pytest.mark.slow
def test_a_clone_and_a_learner_are_trained_and_evaluated(
    call: Run, done: Run, refused: Run, experts: Path, tmp_path: Path
) -> None:
    config = tmp_path / "bc.yaml"
    config.write_text("learning_rate: 3e-3\nmax_steps: 9\nlogging_steps: 1\n", encoding="utf-8")
    clone, learner = tmp_path / "bc", tmp_path / "grpo"
    command = ("train", "bc", experts, "--out", clone, "--config", config, "--per_device_train_batch_size", 4)
    first = call(*command, "--max_steps", 2)
    assert first.exit_code == 0, first.stderr
    assert f"use it as local:{clone}" in first.stderr
    assert json.loads((clone / "complete.json").read_text(encoding="utf-8"))["steps"] == 2
    weights = (clone / "model.safetensors").read_bytes()
    done(*command, "--max_steps", 2)
    assert (clone / "model.safetensors").read_bytes() == weights
    assert "written by a run with other settings.max_steps (2, not 3)" in refused(*command, "--max_steps", 3)

    sizes = ("--max_steps", 2, "--per_device_train_batch_size", 4, "--num_generations", 2, "--max_turn_tokens", 4)
    trained = call("train", "grpo", clone, "--out", learner, "--tasks", "bargain:train", *sizes, "--seats", "[0]")
    assert trained.exit_code == 0, trained.stderr
    assert "model shards" not in trained.stderr
    assert "Loading weights" not in trained.stderr
    assert len((learner / "metrics.jsonl").read_text(encoding="utf-8").splitlines()) >= 2
    rows = json.loads(done("evaluate", f"local:{learner}", "-n", 2, "--partner", "scripted:firm", "--json"))["rows"]
    assert rows[0]["episodes"] == 4


def test_a_reward_model_is_trained_and_relabels(done: Run, refused: Run, experts: Path, tmp_path: Path) -> None:
    pytest.importorskip("trl")
    model = tmp_path / "rm"
    command = ("train", "rm", experts, "--out", model, "--max_steps", 2, "--per_device_train_batch_size", 4)
    assert "dimensions: 'goal=much' is no NAME=WEIGHT" in refused(*command, "--dimensions", "goal=much")
    assert "design: 'oracle' is none of episode" in refused(*command, "--design", "oracle")
    assert "the range of 'charm' is unknown" in refused(*command, "--dimensions", "charm")
    assert "target: 'value' is none of labels, outcome, episode" in refused(*command, "--target", "value")
    printed = done(*command, "--dimensions", "goal=2,knowledge", "--target", "outcome")
    assert "held-out scenarios; target: outcome" in printed
    assert json.loads((model / "reward_model.json").read_text(encoding="utf-8"))["dimensions"] == {
        "goal": 2.0,
        "knowledge": 1.0,
    }
    done("relabel", experts, "--reward", f"model:{model}", "--out", tmp_path / "labelled.jsonl")


@pytest.mark.parametrize(
    ("command", "module", "name", "setting"),
    [
        ("bc", "behaviour_cloning", "CloningConfig", "--muon (False): train hidden matrices with Muon"),
        ("rm", "reward_modelling.config", "RewardModelConfig", "--held_out (0.1): share of the scenarios"),
        ("grpo", "grpo_config", "GRPOConfig", "--max_turn_tokens (48): length limit of one turn"),
    ],
)
def test_the_help_lists_the_settings_that_are_our_own(
    done: Run, command: str, module: str, name: str, setting: str
) -> None:
    pytest.importorskip("trl")
    kind = getattr(importlib.import_module(f"sotopia_env.training.{module}"), name)
    told = " ".join(done("train", command, "--help").split())
    assert setting in told
    inherited = {field.name for base in kind.__mro__[1:] if is_dataclass(base) for field in fields(base)}
    for field in fields(kind):
        if field.name not in inherited:
            assert f"--{field.name} (" in told
