"""A task has the hidden values that its family needs, or is refused with the record and the field."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sotopia_env
from sotopia_env.errors import RecordError
from sotopia_env.families import FAMILIES
from sotopia_env.published import save_tasks
from sotopia_env.tasks import Task

DRAWN = ["bargain", "divide", "mutual-friends", "mini"]


def drawn(family: str) -> Task:
    return FAMILIES[family]().generate(np.random.default_rng(0), "test")


def written(path: Path, task: Task, hidden: list[Any]) -> Path:
    record = json.loads(json.dumps(task.to_dict()))
    record["scenario"]["hidden"] = hidden
    path.write_text(json.dumps(record) + "\n")
    return path


@pytest.mark.parametrize("family", DRAWN)
def test_drawn_tasks_come_back_from_a_task_file(family: str, tmp_path: Path) -> None:
    tasks = [drawn(family)]
    assert save_tasks(tasks, tmp_path / "tasks.jsonl") == 1
    assert sotopia_env.load_tasks(tmp_path / "tasks.jsonl", on_error="raise") == tasks


@pytest.mark.parametrize("family", ["bargain", "craigslist", "divide", "deal-or-no-deal", "mutual-friends"])
def test_a_task_file_without_hidden_values_is_refused(family: str, tmp_path: Path) -> None:
    path = written(tmp_path / "tasks.jsonl", replace(drawn("divide"), family=family), [])
    with pytest.raises(
        RecordError, match=rf"line 1.*'scenario\.hidden': a {family} task needs the values of each seat"
    ):
        sotopia_env.load_tasks(path, on_error="raise")


@pytest.mark.parametrize(
    ("family", "field", "value", "said"),
    [
        ("bargain", "limit", None, "field 'limit' is missing"),
        ("bargain", "limit", -3, "field 'limit': Input should be greater than 0 (got -3)"),
        ("bargain", "role", "thief", "field 'role': Input should be 'buyer' or 'seller' (got 'thief')"),
        ("divide", "items", None, "field 'items' is missing"),
        ("divide", "values", [1, 2], "values: 2 numbers for 3 kinds of items; give one for each kind"),
        ("divide", "items", [{"singular": "hat"}], "field 'items.0.plural' is missing"),
        (
            "divide",
            "items",
            [{"singular": kind, "plural": f"{kind}s", "count": 3 * (kind != "cap")} for kind in ("hat", "cap", "mug")],
            "items: there are no caps; give a count of 1 or more",
        ),
        ("mutual-friends", "friends", [], "field 'friends'"),
        ("mutual-friends", "common", "Nobody", "common: 'Nobody' is none of the friends"),
    ],
)
def test_a_wrong_hidden_value_is_named(family: str, field: str, value: Any, said: str, tmp_path: Path) -> None:
    task = drawn(family)
    hidden = [dict(values) for values in task.scenario.hidden]
    hidden[1][field] = value
    if value is None:
        del hidden[1][field]
    with pytest.raises(RecordError) as caught:
        sotopia_env.load_tasks(written(tmp_path / "tasks.jsonl", task, hidden), on_error="raise")
    assert "scenario.hidden.1: " in str(caught.value)
    assert said in str(caught.value)


def test_a_family_of_ones_own_says_what_it_needs(tmp_path: Path, make_task: Callable[..., Task]) -> None:
    @dataclass(frozen=True)
    class Hidden:
        word: str

    class Mine:
        name = "mine"
        hidden_fields = Hidden

        def generate(self, rng: np.random.Generator) -> Task:
            return make_task(family="mine")

        def score(self, episode: sotopia_env.Episode) -> dict[str, list[float | None]]:
            return {"goal": [1.0, 1.0]}

    task = make_task(family="mine")
    path = written(tmp_path / "tasks.jsonl", task, [{"word": "hat"}, {"word": "ball", "colour": "red"}])
    assert sotopia_env.parallel_env(path, family=Mine()).unwrapped.tasks is not None
    path = written(tmp_path / "wrong.jsonl", task, [{"word": "hat"}, {"word": 3}])
    with pytest.raises(RecordError, match=r"hidden\.1: field 'word': Input should be a valid string \(got 3\)"):
        sotopia_env.parallel_env(path, family=Mine())
