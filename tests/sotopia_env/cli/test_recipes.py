from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

MINE = """
model: org/Tiny-2M
judge: llm:m@http://127.0.0.1:9/v1
play: {max_cycles: 4}
experts: {policy: "openai:m@http://127.0.0.1:9/v1", tasks: {name: "bargain:train", number: 3}}
cloning: {settings: {per_device_train_batch_size: 2}}
reward_model: {settings: {per_device_train_batch_size: 2}}
grpo:
  tasks: {name: "bargain:train", number: 2}
  settings: {max_steps: 2, per_device_train_batch_size: 4, num_generations: 2}
evaluation: {sets: [{tasks: {name: "bargain:test", number: 2}}]}
prices: {judge: {read: 2, written: 8}}
estimates: {experts: {turns: 4, words: 9}, clone: {turns: 4, words: 9}, learner: {turns: 4, words: 9}}
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("SOTOPIA_ENV_DATA", raising=False)
    path = tmp_path / "mine.yaml"
    path.write_text(MINE, encoding="utf-8")
    return path


def test_a_recipe_is_copied_and_runs_from_its_copy(done: Run, refused: Run, tmp_path: Path) -> None:
    copy = tmp_path / "copy.yaml"
    done("recipe", "quickstart", "--copy", copy)
    assert copy.read_text(encoding="utf-8") == done("recipe", "quickstart", "--copy", "-")
    changed = copy.read_text(encoding="utf-8").replace("learning: {steps: 48,", "learning: {steps: 7,")
    copy.write_text(changed, encoding="utf-8")
    table = done("recipe", copy, "--dry-run")
    assert "448" in table  # 7 steps of 64 dialogues
    assert f"{copy} is there already" in refused("recipe", "quickstart", "--copy", copy)
    assert "give a name that ends in .yaml" in refused("recipe", "quickstart", "--copy", tmp_path / "copy.txt")


def test_a_dry_run_tells_calls_and_money(done: Run, mine: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = json.loads(done("recipe", mine, "--dry-run", "--out", out, "--json"))
    stages = {one["stage"]: one for one in found["stages"]}
    assert found["parameters"] == 2e6
    calls = {(name, ask["role"]): ask for name, one in stages.items() for ask in one["calls"]}
    assert calls["experts", "policy"]["calls"] == 3 * 4
    assert calls["experts", "policy"]["money"] is None
    judge = calls["filtering", "judge"]
    assert judge["calls"] == 3
    assert judge["money"] == pytest.approx((judge["read"] * 2 + judge["written"] * 8) / 1e6)
    assert stages["cloning"]["counts"]["steps"] == 3
    priced = json.loads(done("recipe", mine, "--dry-run", "--price-in", 1, "--price-out", 1, "--json"))
    asked = [ask for one in priced["stages"] for ask in one["calls"]]
    assert all(ask["money"] == pytest.approx((ask["read"] + ask["written"]) / 1e6) for ask in asked)
    assert "Calls of servers" in done("recipe", mine, "--dry-run", "--stage", "labels")
    assert not out.exists()


def test_what_has_to_be_mended_is_one_line(refused: Run, mine: Path, tmp_path: Path) -> None:
    assert "'sotopia' is no recipe" in refused("recipe", "sotopia", "--dry-run")
    assert "--stage 'clonin' is none of experts, filtering" in refused("recipe", mine, "--stage", "clonin")
    assert "give both" in refused("recipe", mine, "--price-in", 1)
    assert "--model: quickstart.yaml makes its own" in refused("recipe", "quickstart", "--model", "m")
    assert "--stage: the quickstart goes on" in refused("recipe", "quickstart", "--stage", "grpo")
    mine.write_text(MINE.replace("max_cycles: 4", "max_cycels: 4"), encoding="utf-8")
    told = refused("recipe", mine, "--dry-run")
    assert f"{mine}: play: there is no key 'max_cycels'; did you mean max_cycles?" in told
    pytest.importorskip("trl")
    mine.write_text(MINE, encoding="utf-8")
    told = refused("recipe", mine, "--stage", "grpo", "--out", tmp_path / "out")
    assert "the stage cloning that makes it is not finished; run it first: --stage cloning" in told
    assert not (tmp_path / "out").exists()
