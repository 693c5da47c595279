"""A dry run counts what a run would do, by hand and against the paper; what nobody knows stays unknown."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from sotopia_env.training.recipes.cost import Asked, Computed, parameters_of
from sotopia_env.training.recipes.counts import DryRun
from sotopia_env.training.recipes.schema import Machine, Price, Recipe, read_recipe, recipe_text

ROOT = Path(__file__).parents[3]
DATA = os.environ.get("SOTOPIA_ENV_DATA", "")
needs_data = pytest.mark.skipif(not DATA, reason="SOTOPIA_ENV_DATA names no folder of Sotopia's published files")


def dry(name: str, data: str | None = None, **options: Any) -> dict[str, Any]:
    """``{stage: its record}``."""
    found = read_recipe(name, **options)
    assert isinstance(found, Recipe)
    return {one["stage"]: one for one in DryRun(found, None if data is None else Path(data)).record["stages"]}


def on_bargain(folder: Path, **sections: Any) -> str:
    """The small recipe in a world that needs no data."""
    given = yaml.safe_load(recipe_text("small")[1])
    for section, number in (("experts", 8), ("self_play", 4), ("grpo", 2)):
        given[section] = {**given[section], "tasks": {"name": "bargain:train", "number": number}}
    given["evaluation"] = {"sets": [{"tasks": {"name": "bargain:test", "number": 3}}]}
    path = folder / "bargain.yaml"
    path.write_text(yaml.safe_dump({**given, **sections}), encoding="utf-8")
    return str(path)


def test_sets_of_one_name_add_up(tmp_path: Path) -> None:
    sets = [{"tasks": {"name": "bargain:test", "number": number}} for number in (3, 5)]
    counts = dry(on_bargain(tmp_path, evaluation={"sets": sets}))["evaluation"]["counts"]
    assert counts["bargain:test.dialogues"] == 2 * (3 + 5)
    assert counts["dialogues"] == 2 * 2 * (3 + 5)


@needs_data
def test_the_papers_recipe_counts_what_the_paper_counts() -> None:
    found = read_recipe("sotopia-rl")
    assert isinstance(found, Recipe)
    rows = {row["count"]: row for row in DryRun(found, Path(DATA)).against_published}
    equal = (
        *("cloning.steps", "cloning.rows_per_step", "reward-model.epochs", "reward-model.rows_per_device"),
        *("grpo.generations_per_group", "grpo.steps", "grpo.rows_per_step", "evaluation.turns"),
        *("evaluation.sotopia:hard.dialogues", "evaluation.sotopia:all.dialogues"),
    )
    assert {name: rows[name]["ratio"] for name in equal} == dict.fromkeys(equal, 1.0)
    # 3,000 steps of 32 turns in groups of 16, over the states of 100 x 2 dialogues of 14.4 turns.
    assert rows["grpo.epochs"]["ours"] == pytest.approx(3000 * 32 / 16 / (100 * 2 * 14.4))
    # 100 scenarios x 5 pairs x 2 sides, 5 % held out, 8 rows a step, 60 epochs.
    assert rows["reward-model.steps"]["ours"] == 119 * 60
    assert all(row["note"] for row in rows.values() if abs(row["ratio"] - 1) > 0.01)


@needs_data
def test_calls_of_the_papers_recipe() -> None:
    stages = dry("sotopia-rl", DATA)
    calls = {(name, ask["role"]): ask["calls"] for name, one in stages.items() for ask in one["calls"]}
    assert calls == {
        ("experts", "policy"): 500 * 14.4,
        ("filtering", "judge"): 500,
        # Three dimensions of two sides; the scores are those of filtering.
        ("labels", "attributor"): 500 * 2 * 3,
        ("evaluation", "judge"): 2 * (140 + 180),
    }
    written = stages["experts"]["calls"][0]["written"]
    assert written == pytest.approx(500 * 14.4 * 37.2 * 1.35)
    assert {ask["money"] for one in stages.values() for ask in one["calls"]} == {None}
    price = {"read": 2.5, "written": 10.0}
    asked = dry("sotopia-rl", DATA, prices={"judge": price})["evaluation"]["calls"][0]
    assert asked["money"] == pytest.approx((asked["read"] * 2.5 + asked["written"] * 10) / 1e6)


def test_counts_of_a_recipe_without_data(tmp_path: Path) -> None:
    stages = dry(on_bargain(tmp_path))
    counts = {name: one["counts"] for name, one in stages.items()}
    assert counts["experts"]["dialogues"] == 8
    # Each task is a scenario of its own, and has both sides.
    assert (counts["filtering"]["rows"], counts["cloning"]["rows"], counts["cloning"]["steps"]) == (16, 16, 4)
    assert counts["self-play"]["dialogues"] == counts["labels"]["dialogues"] == 4
    assert counts["reward-model"]["rows"] == 4 * 2 * 0.75
    assert counts["grpo"]["generations"] == counts["grpo"]["dialogues"] == 2 * 4
    assert counts["evaluation"]["dialogues"] == 2 * 3 * 2
    # The judge is not named yet: it counts as one that is asked.
    calls = {name: {ask["role"]: ask["calls"] for ask in one["calls"]} for name, one in stages.items()}
    assert calls["labels"] == {"judge": 4, "attributor": 4 * 2 * 3}
    assert {name for name, one in calls.items() if one} == {"labels", "evaluation"}
    assert all(one["gpu_hours"] is None for one in stages.values())
    # 135M, by the name: two bytes each, an adapter being trained.
    assert stages["cloning"]["least_gpu_memory"] == 135e6 * 2


def test_a_rule_judge_asks_nobody(tmp_path: Path) -> None:
    stages = dry(on_bargain(tmp_path), judge="rule")
    assert not any(one["calls"] for one in stages.values())


def test_single_turns_are_counted_as_turns(tmp_path: Path) -> None:
    settings = {
        "max_steps": 5,
        "per_device_train_batch_size": 16,
        "num_generations": 4,
        "gradient_accumulation_steps": 2,
    }
    grpo = {"tasks": {"name": "bargain:train", "number": 2}, "rollouts": "single-turn"}
    counts = dry(on_bargain(tmp_path, grpo={**grpo, "settings": settings}))["grpo"]["counts"]
    assert (counts["generations"], counts["groups"], counts["rows_per_step"]) == (5 * 32, 40, 32)
    # A state a dialogue; epochs over 2 tasks x 2 dialogues x 4 turns.
    assert (counts["dialogues"], counts["epochs"]) == (40, 40 / 16)
    found = read_recipe(str(tmp_path / "bargain.yaml"))
    assert isinstance(found, Recipe)
    branched = found.grpo.settings.model_copy(update={"states_per_dialogue": 4, "continuations": 2})
    found = found.model_copy(update={"grpo": found.grpo.model_copy(update={"settings": branched})})
    (counted,) = DryRun(found, stages=["grpo"]).found
    # 160 turns in 40 groups: the first of each has the dialogue itself as one of its two.
    assert counted.counts["dialogues"] == 10 + 160 * 2 - 40


def test_what_nobody_knows_is_unknown(tmp_path: Path) -> None:
    tasks = {"name": "sotopia:train", "scenarios": "SFT-round-1", "pairings": 5}
    stages = dry(on_bargain(tmp_path, experts={"policy": "openai:m", "tasks": tasks}), model="org/model")
    assert stages["experts"]["counts"]["dialogues"] is None
    (asked,) = stages["experts"]["calls"]
    assert (asked["calls"], asked["read"], asked["money"]) == (None, None, None)
    assert "give the folder of Sotopia's files with --data" in stages["experts"]["notes"][0]
    assert stages["cloning"]["counts"]["rows"] is None
    assert stages["cloning"]["counts"]["steps"] == 4
    assert stages["cloning"]["least_gpu_memory"] is None


def test_formulas_by_hand() -> None:
    asked = Asked("judge", 10, 2e6, 1e6)
    assert asked.money(Price(read=3, written=5)) == 11
    assert asked.money(None) is None
    machine = Machine(name="m", tflops=100, utilisation=0.5, bandwidth=1, bandwidth_use=0.5, in_flight=10)
    # 1e9 parameters: 4e9 operations a token trained on, 2e9 one read, at 5e13 a second; 2e9 bytes at 5e11 a second.
    hours = Computed(read=5e6, written=2500, trained=5e6).gpu_hours(1e9, machine)
    assert hours == pytest.approx((4e9 * 5e6 / 5e13 + 2e9 * 5e6 / 5e13 + 2500 / 2500) / 3600)
    assert Computed(trained=None).gpu_hours(1e9, machine) is None
    assert Computed(trained=1, whole=True).least_memory(1e9) == 16e9
    assert Computed(trained=1).least_memory(1e9) == 2e9


def test_parameters_are_read_from_the_files_or_the_name(tmp_path: Path) -> None:
    save_file(
        {"a": np.zeros((3, 4), dtype=np.float32), "b": np.zeros(5, dtype=np.float16)}, tmp_path / "model.safetensors"
    )
    assert parameters_of(str(tmp_path)) == 17
    assert parameters_of("Qwen/Qwen2.5-7B-Instruct") == 7e9
    assert parameters_of("Qwen/Qwen2.5-7B-Instruct", 7.6e9) == 7.6e9
    assert parameters_of("HuggingFaceTB/SmolLM2-135M-Instruct") == 135e6
    assert parameters_of("Qwen/Qwen2.5-1.5B") == 1.5e9
    assert parameters_of("gpt2") is None


def test_a_dry_run_loads_no_model_library(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom sotopia_env.cli import app\n"
        f"command = ['recipe', {on_bargain(tmp_path)!r}, '--dry-run', '--out', {str(tmp_path / 'out')!r}]\n"
        "app(command, standalone_mode=False)\n"
        "print(sorted({'torch', 'transformers', 'trl', 'peft', 'accelerate', 'openai'} & set(sys.modules)))\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "SOTOPIA_ENV_DATA"}
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.splitlines()[-1] == "[]"
    assert not (tmp_path / "out").exists()
