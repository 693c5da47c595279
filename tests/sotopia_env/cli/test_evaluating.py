from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sotopia_env.dimensions import DIMENSIONS
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
    assert f"{found['mean']:+.2f}" in done(*command).partition("Differences")[2]


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
    assert result.stdout.partition("Differences")[2].split().count("–") == 1
    assert "the judge never knows the goal of none of these episodes" in result.stderr
    # What the judge does know is shown, and columns of a game that is not played are not.
    assert "relationship" in result.stdout
    assert "deal" not in result.stdout
    assert sum(len(load_episodes(path)) for path in out.glob("*.jsonl")) == 4


def test_all_that_a_model_was_paid_to_judge_is_shown(call: Run, chat_server: Any) -> None:
    marks = {name: {"reason": "", "score": 0 if high == 0 else 3} for name, (_, high) in DIMENSIONS.items()}
    chat_server.answer(lambda _: json.dumps(dict.fromkeys(("agent_0", "agent_1"), marks)))
    judged = ("--on", "mini:test", "-n", 1, "--judge", f"llm:m@{chat_server.url}")
    shown = call("evaluate", "scripted:soft", *judged).stdout.partition("What they did")[0]
    assert all(name.replace("_", " ") in " ".join(shown.split()) for name in DIMENSIONS)
    assert shown.count("3.00") + shown.count("0.00") >= len(DIMENSIONS)
    assert "–" not in shown and "deal" not in shown
    # Who has asked a model already is not told to ask one.
    chat_server.answer(lambda _: "no idea")
    told = call("evaluate", "scripted:soft", *judged).stderr
    assert "unknown since it could not be had: unreadable 28" in told
    assert "knows the goal of none of these episodes" in told and "asks a model" not in told


def test_any_two_rows_are_compared(done: Run) -> None:
    command = ("evaluate", "scripted:soft", "scripted:firm", "scripted:warm", "-n", 4)
    data = json.loads(done(*command, "--against", "scripted:firm", "--json"))
    assert data["against"] == "scripted:firm"
    assert set(data["differences"]) == {"scripted:soft", "scripted:warm"}
    pairs = {(one["row"], one["against"]): one["goal"]["mean"] for one in data["pairwise"]}
    assert len(pairs) == 3
    found = data["differences"]["scripted:soft"]["goal"]["mean"]
    assert found == pytest.approx(-pairs["scripted:firm", "scripted:soft"])
    shown = done(*command, "--against", "all")
    assert "scripted:warm" in shown.partition("Differences")[2]


def test_a_row_to_differ_from_must_be_one(refused: Run) -> None:
    said = refused("evaluate", "random", "--against", "scripted:firm")
    assert said == "error: --against 'scripted:firm' is none of the rows: all, random"


def test_seeds_are_pooled(done: Run, tmp_path: Path) -> None:
    command = ("evaluate", "scripted:soft", "scripted:firm", "-n", 3, "--json")
    one, two = (json.loads(done(*command, "--seed", seed)) for seed in (0, 1))
    both = json.loads(done(*command, "--seed", 0, "--seed", 1, "--out", tmp_path))
    assert both["rows"][0]["seeds"] == [0, 1]
    assert both["rows"][0]["episodes"] == 12
    for key in ("known", "of"):
        sums = [found["differences"]["scripted:firm"]["goal"][key] for found in (one, two, both)]
        assert sums[0] + sums[1] == sums[2]
    parts = [found["rows"][0]["goal"] for found in (one, two)]
    mean = sum(part["mean"] * part["known"] for part in parts) / sum(part["known"] for part in parts)
    assert both["rows"][0]["goal"]["mean"] == pytest.approx(mean)
    assert sorted(path.parent.name for path in tmp_path.rglob("*.jsonl")) == ["seed-0"] * 2 + ["seed-1"] * 2


def test_training_runs_of_one_name_are_one_row_with_an_interval_over_runs(done: Run) -> None:
    runs = ["kind=scripted:soft", "kind=scripted:warm", "kind=scripted:curious"]
    alone = json.loads(done("evaluate", "scripted:soft", "scripted:warm", "scripted:curious", "-n", 4, "--json"))
    found = json.loads(done("evaluate", "scripted:firm", *runs, "-n", 4, "--json"))
    row = found["rows"][1]
    means = [one["goal"]["mean"] for one in alone["rows"]]
    spread = (sum((value - sum(means) / 3) ** 2 for value in means) / 2) ** 0.5
    assert (row["name"], row["runs"], row["episodes"]) == ("kind", 3, 24)
    assert row["goal"]["mean"] == pytest.approx(sum(means) / 3)
    # Student's t with two degrees of freedom.
    assert row["goal"]["high"] - row["goal"]["mean"] == pytest.approx(4.3027 * spread / 3**0.5, rel=1e-3)
    assert len(found["differences"]["kind"]["by_run"]) == 3


def test_rows_of_unlike_numbers_of_runs_are_refused(refused: Run) -> None:
    rows = ["a=random", "a=scripted:soft", "b=random", "b=scripted:soft", "b=scripted:firm"]
    assert "give as many of each, not a 2, b 3" in refused("evaluate", *rows)


def test_all_that_was_scored_is_shown_in_eighty_columns(done: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = done("evaluate", "scripted:soft", "scripted:firm", "-n", 2)
    assert max(map(len, shown.splitlines())) <= 80
    for dimension in ("goal", "relationship", "knowledge", "secret", "social rules"):
        assert dimension in " ".join(shown.split())
