"""The hand-written scenarios: every category and relationship, disjoint splits, nothing shown that must not be."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import sotopia_env
from sotopia_env import views
from sotopia_env.families.generated import PEOPLE
from sotopia_env.families.mini import CATEGORIES, Mini
from sotopia_env.families.mini.loading import load_mini
from sotopia_env.tasks import RELATIONSHIPS, Task

SPLITS = ("train", "validation", "test")
TASKS = load_mini("mini", Mini.version)
SCENARIOS: dict[str, Task] = {task.scenario.id: task for task in TASKS}


def test_there_are_enough_of_everything() -> None:
    assert len(SCENARIOS) == 30
    assert len(TASKS) == 89
    people = {character.id: character for task in TASKS for character in task.characters}
    assert len(people) == 17
    assert all(c.age and c.occupation and c.public_info and c.personality and c.values for c in people.values())
    assert all(c.pronouns and c.gender and c.decision_making_style and c.secret for c in people.values())
    assert sum(not character.name.isascii() for character in people.values()) >= 8
    assert not {c.name for c in people.values()} & {f"{first} {last}" for first, last, _ in PEOPLE}


def test_every_split_holds_every_category_and_no_scenario_of_another() -> None:
    by_split = {split: {t.scenario.id for t in Mini().tasks(split)} for split in SPLITS}
    assert [len(found) for found in by_split.values()] == [18, 6, 6]
    assert sum(map(len, by_split.values())) == len(set().union(*by_split.values()))
    for split, each in (("train", 3), ("validation", 1), ("test", 1)):
        counted = Counter(SCENARIOS[scenario].tags["category"] for scenario in by_split[split])
        assert counted == dict.fromkeys(CATEGORIES, each)


def test_every_relationship_occurs_in_training_and_decides_what_is_seen() -> None:
    assert {task.scenario.relationship for task in Mini().tasks("train")} == set(RELATIONSHIPS)
    for task in TASKS:
        shown = views.static_observation(task, 0)
        other = task.characters[1]
        relationship = task.scenario.relationship
        assert (other.public_info in shown["partners"]) == (relationship not in ("stranger", "know_by_name"))
        assert (other.personality in shown["partners"]) == (RELATIONSHIPS.index(relationship) >= 3)
        assert other.secret not in "\n".join(shown.values())
        if relationship == "stranger":
            assert shown["partners"] == ""
            assert not any(c.first_name in task.scenario.situation for c in task.characters)


def test_markup_is_parsed_and_what_is_for_the_judge_stays_with_it() -> None:
    marked = [task for task in SCENARIOS.values() if "markup" in task.tags]
    judged = [task for task in SCENARIOS.values() if task.scenario.notes]
    assert len(marked) >= 10
    assert len(judged) >= 4
    for task in TASKS:
        shown = "\n".join(text for seat in (0, 1) for text in views.static_observation(task, seat).values())
        assert "<" not in shown
        assert "{" not in shown
        assert not task.scenario.notes or task.scenario.notes not in shown


def test_all_seats_have_goals_of_their_own() -> None:
    for task in SCENARIOS.values():
        first, second = task.scenario.goals
        assert first != second
        assert min(len(first.split()), len(second.split())) >= 20


@pytest.mark.parametrize("split", SPLITS)
def test_drawing_reaches_every_task_of_the_split_and_no_other(split: str) -> None:
    rng = np.random.default_rng(0)
    family = Mini()
    assert {family.generate(rng, split).id for _ in range(700)} == {task.id for task in family.tasks(split)}


def test_what_rules_cannot_tell_is_unknown() -> None:
    env = sotopia_env.parallel_env([Mini().tasks("train")[0]])
    env.reset(seed=0)
    secret = env.episode.task.characters[0].secret.replace("you ", "I ", 1)
    for text in (f"Between us: {secret}.", "You greedy fool!", "Oh.", "You greedy fool!"):
        env.step({env.acting[0]: text})
    scores = Mini().score(env.episode).scores
    for dimension in ("goal", "relationship", "knowledge", "financial_and_material_benefits"):
        assert scores[dimension] == [None, None]
    assert scores["secret"] == [-10.0, 0.0]
    assert scores["social_rules"] == [0.0, -5.0]
    assert scores["believability"] == [10.0, 7.5]


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(ValueError, match="'dev' is none of train, validation, test"):
        Mini().tasks("dev")
