"""The table of a recipe: each set of tasks is there, with what was unknown in it alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sotopia_env.agents.endpoint import Endpoint
from sotopia_env.resolve import make_policy
from sotopia_env.rewards.judges.base import as_judge
from sotopia_env.training.evaluation import draw_tasks
from sotopia_env.training.recipes.results import evaluated
from sotopia_env.training.recipes.schema import Evaluated, TasksFrom
from sotopia_env.training.recipes.tasks import evaluation_tasks


def test_each_set_has_its_own_failures_and_seats(chat_server: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(Endpoint, "_wait", lambda *_: 0.0)
    chat_server.answer(lambda sent: "no idea")
    tasks = draw_tasks("bargain:test", 2, 0)
    given = TasksFrom(name="bargain:test", number=2)
    sets = [
        (Evaluated(tasks=given), tasks),
        (Evaluated(tasks=given, seats="listed"), [replace(task, evaluated_seat=1) for task in tasks]),
        (Evaluated(tasks=TasksFrom(name="bargain:test", number=1)), tasks[:1]),
    ]
    record = evaluated(
        {"clone": make_policy("scripted:soft"), "learner": make_policy("scripted:firm")},
        make_policy("scripted:warm"),
        as_judge({"judge": f"llm:m@{chat_server.url}"}),
        sets,
        out=tmp_path,
        console=Console(quiet=True),
        max_cycles=4,
    )
    titles = [f"bargain:test, number 2, seats {seats}" for seats in ("both", "listed")] + ["bargain:test, number 1"]
    written = json.loads((tmp_path / "table.json").read_text(encoding="utf-8"))["sets"]
    assert list(written) == list(record["sets"]) == titles
    assert [[row["unjudged"] for row in one["rows"]] for one in written.values()] == [[4, 4], [2, 2], [2, 2]]
    # Two rows of seven scores of both seats.
    assert [one["failures"]["unreadable"] for one in written.values()] == [2 * 4 * 14, 2 * 2 * 14, 2 * 2 * 14]


def test_seats_that_no_task_lists_are_refused_before_anything_is_played() -> None:
    given = Evaluated(tasks=TasksFrom(name="bargain:test", number=1), seats="listed")
    with pytest.raises(ValueError, match="the tasks of 'bargain:test' list no seat; give seats: both"):
        evaluation_tasks(given, None, 0)
