from __future__ import annotations

import math
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sotopia_env.episodes import Ending, Episode, Judgement, Turn
from sotopia_env.families import FAMILIES, Bargain, Family, OpenEnded
from sotopia_env.families.base import Move
from sotopia_env.published import load_tasks
from sotopia_env.tasks import Character, Scenario, Task
from sotopia_env.testing import check_family
from sotopia_env.testing.material import open_ended_task

Broken = Callable[..., Any]

COMPLETE = "tasks are complete"
ALONE = "tasks follow from the generator alone"
IDS = "an id names one task"
SPLITS = "splits share no scenario"
PLAYED = "episodes can be played"
SCORES = "scores are one number or None per seat"
PURE = "scores are the same for the same dialogue"
FOLD = "progress follows from the turns"
MOVES = "moves follow from turns alone"
FORKS = "forks and restored snapshots end alike"
ANY_TEXT = "any text is coped with"
PETTINGZOO = "PettingZoo's own tests pass"


def draws_tasks(family: Family) -> bool:
    try:
        family.generate(np.random.default_rng(0))
    except NotImplementedError:
        return False
    return True


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if draws_tasks(family())])
def test_shipped_families_keep_the_rules(name: str) -> None:
    assert check_family(FAMILIES[name]()).passed


def test_other_settings_keep_the_rules() -> None:
    assert check_family(Bargain(-0.5, zones={"empty": 1.0}, facts=0, judge_bank="training")).passed


def test_open_ended_tasks_keep_the_rules() -> None:
    report = check_family(OpenEnded(), tasks=[open_ended_task(2), open_ended_task(3), open_ended_task(5)])
    assert report.passed
    skipped = [finding.rule for finding in report.findings if finding.status == "skipped"]
    formal = "in formal tasks words settle nothing"
    assert skipped == [ALONE, IDS, SPLITS, MOVES, formal, "every process says the same"]


def test_published_tasks_keep_the_rules() -> None:
    folder = os.environ.get("SOTOPIA_ENV_DATA")
    if folder is None:
        pytest.skip("set SOTOPIA_ENV_DATA to a folder with Sotopia's published files")
    by_family: dict[str, list[Task]] = {}
    for task in load_tasks(Path(folder)):
        by_family.setdefault(task.family, []).append(task)
    assert {"sotopia", "craigslist"} <= set(by_family)
    for name, tasks in by_family.items():
        assert check_family(name, tasks=tasks[:: max(1, len(tasks) // 12)]).passed


class Template(Family):
    """Whoever says the number of the task first ends it; each split has numbers of its own."""

    name = "template"
    version = "3"

    def generate(self, rng: np.random.Generator, split: str = "train") -> Task:
        number = 3 * int(rng.integers(1000)) + ("train", "validation", "test").index(split)
        people = (Character("a", "Ada", secret="I cannot count."), Character("b", "Ben"))
        scenario = Scenario(f"number-{number}", "They count.", (f"Say {number}.", f"Do not say {number}."))
        return Task(f"template-{number}", self.name, self.version, split, scenario, people, max_cycles=6)

    def score(self, episode: Episode) -> Judgement:
        return Judgement("rule", self.version, {"goal": [float(len(episode.turns)), None]})

    def begin(self, task: Task) -> Any:
        return {"number": task.scenario.id.removeprefix("number-"), "said": False}

    def advance(self, progress: Any, turn: Turn) -> Any:
        return {**progress, "said": progress["said"] or progress["number"] in turn.text}

    def ending(self, progress: Any) -> Ending | None:
        return Ending("said") if progress["said"] else None


def test_the_template_keeps_all_rules() -> None:
    assert check_family(Template()).passed


def test_a_family_that_draws_nothing_asks_for_tasks(broken: Broken) -> None:
    found = broken(check_family, OpenEnded(), [COMPLETE])[COMPLETE]
    assert "check_family(family, tasks=[...])" in found.remedy


def test_names_that_would_be_taken_for_a_split(broken: Broken) -> None:
    class Colon(Template):
        name = "my:family"

    rule = "it has a name"
    assert broken(check_family, Colon(), [rule])[rule].what == "the name 'my:family' holds a colon"


def test_a_family_without_a_version(broken: Broken) -> None:
    class Unversioned(Template):
        version = ""

    assert broken(check_family, Unversioned(), ["it has a version"])


def changed(**changes: Any) -> Template:
    """The template with other values in its tasks."""

    class Changed(Template):
        def generate(self, rng: np.random.Generator, split: str = "train") -> Task:
            task = super().generate(rng, split)
            in_scenario = {name: value for name, value in changes.items() if name not in Task.__dataclass_fields__}
            in_task = {name: value for name, value in changes.items() if name in Task.__dataclass_fields__}
            return replace(task, **in_task, scenario=replace(task.scenario, **in_scenario))

    return Changed()


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"id": ""}, "its id is empty"),
        ({"family": "bargain"}, "it says it is of family 'bargain', not 'template'"),
        ({"version": "1"}, "it says it is of version '1', not '3'"),
        ({"split": "train"}, "it says it is of split 'train', but was drawn from 'validation'"),
        ({"goals": ("Win.",)}, "1 goals for 2 seats"),
        ({"hidden": ({},)}, "1 sets of hidden values for 2 seats"),
        ({"relationship": "rivals"}, "the relationship is 'rivals'"),
        ({"characters": (Character("a", "Ada"),)}, "it has 1 characters"),
        ({"tags": {"rng": object()}}, "is no plain JSON-able data"),
        ({"tags": {"price": math.nan}}, "is no plain JSON-able data"),
        ({"tags": {"pair": (1, 2)}}, "it comes back from JSON as another task"),
        ({"situation": "x" * 40_000}, "situation of agent_0 is too long (40000 characters)"),
        ({"situation": "\ud800"}, "cannot be encoded"),
        ({"situation": "Ada: I cannot count."}, "the secret of agent_0 stands where another agent reads it"),
    ],
)
def test_incomplete_tasks(broken: Broken, changes: Any, what: str) -> None:
    found = broken(check_family, changed(**changes), [COMPLETE])[COMPLETE]
    assert what in found.what
    assert found.where.startswith("task ") or found.what.startswith("task ")


def test_something_else_than_a_task(broken: Broken) -> None:
    class Wrong(Template):
        def generate(self, rng: np.random.Generator, split: str = "train") -> Any:
            return {"id": "x"}

    assert broken(check_family, Wrong(), [COMPLETE])[COMPLETE].what == "generate returned a dict"


def test_tasks_of_a_global_generator(broken: Broken) -> None:
    class Global(Template):
        def generate(self, rng: np.random.Generator, split: str = "train") -> Task:
            return super().generate(np.random.default_rng(random.getrandbits(40)), split)

    found = broken(check_family, Global(), [ALONE, PETTINGZOO])
    assert found[ALONE].what.startswith("generate depends on a global generator")


def test_two_tasks_of_one_id(broken: Broken) -> None:
    found = broken(check_family, changed(id="same"), [IDS])[IDS]
    assert found.what.startswith("two different tasks have this id: ")
    assert found.where == "task 'same'"


def test_splits_that_overlap(broken: Broken) -> None:
    class Overlap(Template):
        def generate(self, rng: np.random.Generator, split: str = "train") -> Task:
            return replace(super().generate(rng, "train"), split=split)

    found = broken(check_family, Overlap(), [SPLITS], draws=80)[SPLITS]
    assert found.what.startswith("splits train and ")


@pytest.mark.parametrize(
    ("judgement", "what"),
    [
        (Judgement("rule", "3", {"goal": [1.0]}), "is not one value for each of 2 seats"),
        (Judgement("rule", "3", {"goal": [math.nan, 1.0]}), "nan is no number"),
        (Judgement("rule", "3", {"goal": [-1.0, 1.0]}), "-1 is out of range"),
        (Judgement("rule", "2", {"goal": [1.0, 1.0]}), "the judgement says version '2', the family '3'"),
        ({"goal": [1.0, 1.0]}, "a dict is no Judgement"),
    ],
)
def test_wrong_scores(broken: Broken, judgement: Any, what: str) -> None:
    class Wrong(Template):
        def score(self, episode: Episode) -> Any:
            return judgement

    assert what in broken(check_family, Wrong(), [SCORES])[SCORES].what


def test_scores_of_the_policies_name(broken: Broken) -> None:
    class Partial(Template):
        def score(self, episode: Episode) -> Any:
            return Judgement("rule", self.version, {"goal": [1.0 if episode.key == "anonymous" else 2.0, None]})

    found = broken(check_family, Partial(), [PURE])[PURE]
    assert "goal depends on key, seed or policies of the episode" in found.what


def test_scores_that_differ_from_call_to_call(broken: Broken) -> None:
    class Dice(Template):
        def score(self, episode: Episode) -> Any:
            return Judgement("rule", self.version, {"goal": [10 * random.random(), None]})

    assert "score depends on a global generator" in broken(check_family, Dice(), [PURE])[PURE].what


def test_an_advance_that_changes_what_it_was_given(broken: Broken) -> None:
    class InPlace(Template):
        def advance(self, progress: Any, turn: Turn) -> Any:
            progress["turns"] = progress.get("turns", 0) + 1
            return progress

        def ending(self, progress: Any) -> Ending | None:
            return Ending("enough") if progress.get("turns", 0) >= 5 else None

    found = broken(check_family, InPlace(), [FOLD, FORKS])
    assert found[FOLD].what.startswith("advance changed what it was given: ")
    assert found[FORKS].what.startswith("a fork ended differently: ")


def test_an_ending_before_the_first_turn(broken: Broken) -> None:
    class Over(Template):
        def ending(self, progress: Any) -> Ending | None:
            return Ending("said")

    assert broken(check_family, Over(), [FOLD])[FOLD].what == "it is over before its first turn"


def test_endings_that_are_none(broken: Broken) -> None:
    class Wrong(Template):
        def ending(self, progress: Any) -> Any:
            return Ending("said", detail={"by": {1}}) if progress["said"] else None

        def advance(self, progress: Any, turn: Turn) -> Any:
            return {**progress, "said": turn.global_index >= 2}

    found = broken(check_family, Wrong(), [FOLD])
    assert "is no plain JSON-able data" in found[FOLD].what


@pytest.mark.parametrize(
    ("moves", "what"),
    [
        (lambda turn: Move("offer", turn.text), "to say nothing is Move(kind='offer', content='')"),
        (lambda turn: None, "to say nothing is None"),
        (lambda turn: "offer" if turn.text else Move("none"), "'offer' is no move"),
        (lambda turn: Move("bid") if turn.text else Move("none"), "Move(kind='bid', content=None) is no move"),
        (lambda turn: Move("none", random.random()), "move depends on a global generator"),
    ],
)
def test_moves_that_are_none(broken: Broken, moves: Callable[[Turn], Any], what: str) -> None:
    class Moving(Template):
        def move(self, task: Task, turn: Turn) -> Any:
            return moves(turn)

    assert what in broken(check_family, Moving(), [MOVES, ANY_TEXT])[MOVES].what


def test_tasks_without_the_hidden_values_that_the_family_needs(broken: Broken) -> None:
    @dataclass(frozen=True)
    class Hidden:
        number: int

    class Hiding(Template):
        hidden_fields = Hidden

    found = broken(check_family, Hiding(), [COMPLETE])[COMPLETE]
    assert found.what.startswith("field 'scenario.hidden': a template task needs the values of each seat")


def test_a_family_that_a_speaker_can_break(broken: Broken) -> None:
    class Strict(Template):
        def advance(self, progress: Any, turn: Turn) -> Any:
            turn.text.encode("latin-1")
            return super().advance(progress, turn)

    found = broken(check_family, Strict(), [ANY_TEXT])[ANY_TEXT]
    assert found.what.startswith("raised UnicodeEncodeError")
    assert found.where.endswith("in advance")
