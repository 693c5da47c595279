from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sotopia_env.storage.episodes import load_episodes
from sotopia_env.training.evaluation import draw_tasks

Run = Callable[..., Any]


def test_policies_are_evaluated_and_compared(done: Run, tmp_path: Path) -> None:
    command = ("evaluate", "scripted:soft", "scripted:firm", "-n", 6, "--partner", "scripted:warm", "--out", tmp_path)
    data = json.loads(done(*command, "--json"))
    assert [row["name"] for row in data["rows"]] == ["scripted:soft", "scripted:firm"]
    assert [row["episodes"] for row in data["rows"]] == [12, 12]
    found = data["differences"]["scripted:firm"]["goal"]
    assert set(found) >= {"mean", "low", "high"}
    assert found["low"] <= found["mean"] <= found["high"]
    assert len(list(tmp_path.glob("*.jsonl"))) == 2
    assert f"goal of scripted:firm - scripted:soft: {found['mean']:+.2f}" in done(*command)


def test_a_model_that_learnt_in_another_mode_is_told(call: Run, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from sotopia_env.agents.embedded import build_embedded_model
    from sotopia_env.agents.loading import LoadedModel

    model, tokenizer = build_embedded_model(["a b"] * 2, seed=0, hidden_size=32, layers=1, heads=1)
    LoadedModel(model, tokenizer, "tiny").save(tmp_path)
    (tmp_path / "README.md").write_text("| agreements | plain |\n", encoding="utf-8")
    command = ("evaluate", f"local:{tmp_path}", "-n", 1, "--partner", "scripted:firm")
    assert "learnt with plain agreements and plays with formal ones" in call(*command).stderr
    assert "learnt with" not in call(*command, "--agreement", "plain").stderr


@pytest.fixture
def judges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``some:third`` does not know the goal of about a third of the tasks, ``some:never`` of none."""
    (tmp_path / "some.py").write_text(
        "def third(episode, agent):\n"
        "    return {'goal': None if sum(map(ord, episode.task.id)) % 3 == 0 else 5.0}\n"
        "def never(episode, agent):\n"
        "    return {'goal': None, 'relationship': 2.0}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "some", raising=False)


def test_a_mean_over_scores_that_are_partly_unknown_says_of_how_many(done: Run, judges: None) -> None:
    command = ("evaluate", "scripted:warm", "scripted:firm", "-n", 12, "--judge", "some:third")
    data = json.loads(done(*command, "--json"))
    unknown = 2 * sum(sum(map(ord, task.id)) % 3 == 0 for task in draw_tasks("bargain:test", 12, 0))
    assert 0 < unknown < 24
    for found in (data["rows"][0]["goal"], data["differences"]["scripted:firm"]["goal"]):
        assert (found["known"], found["of"]) == (24 - unknown, 24)
    shown = done(*command)
    assert shown.count(f"({24 - unknown} of 24)") == 5
    assert "the others are unknown" in shown


def test_policies_whose_goal_nobody_knows_are_compared_all_the_same(call: Run, judges: None, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ("evaluate", "scripted:soft", "scripted:firm", "--on", "mini:test", "-n", 1, "--judge", "some:never")
    result = call(*command, "--out", out)
    assert result.exit_code == 0, result.exception
    assert "goal of scripted:firm - scripted:soft: unknown in all 2 episodes" in result.stdout
    assert "the judge never knows the goal of none of these episodes" in result.stderr
    # What the judge does know is shown, and columns of a game that is not played are not.
    assert "relationship" in result.stdout
    assert "deal" not in result.stdout
    assert sum(len(load_episodes(path)) for path in out.glob("*.jsonl")) == 4
