from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from sotopia_env import views
from sotopia_env.families import SPLITS
from sotopia_env.families.divide import Divide, catalogue
from sotopia_env.families.divide.family import COUNT, GAINS, POINTS, TOTAL_COUNT
from sotopia_env.families.divide.items import items_of, read_items, read_values, totals, worth
from sotopia_env.families.divide.scoring import best_even_split
from sotopia_env.families.generated import Coupling
from sotopia_env.tasks import Task


def drawn(number: int = 100, split: str = "train", seed: int = 0, **options: Any) -> list[Task]:
    rng = np.random.default_rng(seed)
    family = Divide(**options)
    return [family.generate(rng, split) for _ in range(number)]


def test_tasks_follow_the_seed() -> None:
    assert drawn(20) == drawn(20)
    assert drawn(20) != drawn(20, seed=1)
    assert len({task.id for task in drawn(300)}) == 300
    assert Task.from_dict(drawn(1)[0].to_dict()) == drawn(1)[0]


def test_splits_never_share_an_item_or_a_scenario() -> None:
    items = [set(catalogue.ITEMS[split]) for split in SPLITS]
    assert sum(map(len, items)) == len(set().union(*items))
    scenarios = [{task.scenario.id for task in drawn(100, split)} for split in SPLITS]
    assert sum(map(len, scenarios)) == len(set().union(*scenarios))


def test_everything_is_worth_the_same_to_both_and_each_has_a_favourite() -> None:
    for task in drawn():
        items = items_of(task)
        assert TOTAL_COUNT[0] <= sum(totals(items)) <= TOTAL_COUNT[1]
        assert all(COUNT[0] <= item.count <= COUNT[1] for item in items)
        for hidden in task.scenario.hidden:
            assert worth(totals(items), tuple(hidden["values"])) == POINTS
            assert len(set(hidden["values"])) == 3


@pytest.mark.parametrize("gains", GAINS)
def test_what_both_can_have_is_as_configured(gains: str) -> None:
    low, high = GAINS[gains]
    for task in drawn(40, gains={gains: 1.0}):
        first, second = (tuple(hidden["values"]) for hidden in task.scenario.hidden)
        assert low <= best_even_split(first, second, items_of(task)) < high
        assert task.tags["gains"] == gains


def test_gains_are_drawn_with_their_probabilities() -> None:
    counted = Counter(task.tags["gains"] for task in drawn(400, gains={"large": 0.5, "small": 0.2, "none": 0.3}))
    assert abs(counted["large"] - 200) < 45
    assert abs(counted["small"] - 80) < 40


def test_a_seat_reads_its_own_points_facts_and_secret_and_nothing_of_the_others() -> None:
    for task in drawn():
        for seat in (0, 1):
            own, other = task.scenario.hidden[seat], task.scenario.hidden[1 - seat]
            text = "\n".join(views.static_observation(task, seat).values())
            assert all(fact in text for fact in (*own["facts"], own["secret"]))
            assert not any(fact in text for fact in (*other["facts"], other["secret"]) if fact not in own["facts"])
            items = read_items(task.scenario.situation)
            assert items == items_of(task)
            assert read_values(task.scenario.goals[seat], items) == tuple(own["values"])


def test_facts_hint_at_what_matters() -> None:
    for task in drawn(50, facts=3):
        items = items_of(task)
        for hidden in task.scenario.hidden:
            best, worst = (items[int(choose(hidden["values"]))].plural for choose in (np.argmax, np.argmin))
            first, second, third = hidden["facts"]
            assert best in first
            assert best in third
            assert worst in second
            assert first != third


@pytest.mark.parametrize("facts", [0, 1, 3])
def test_as_many_facts_as_configured(facts: int) -> None:
    assert all(len(hidden["facts"]) == facts for task in drawn(20, facts=facts) for hidden in task.scenario.hidden)


@pytest.mark.parametrize(
    ("coupling", "sentence"),
    [(1.0, "Sway: 1."), (-0.5, "Sway: -0.5."), (Coupling(0.5, 0, 1), "Sway: manners 0.5, questions 0, leaks 1.")],
)
def test_the_coupling_stands_in_every_goal_and_changes_nothing_else(coupling: Any, sentence: str) -> None:
    for task, other in zip(drawn(5, coupling=coupling), drawn(5, coupling=0.25), strict=True):
        assert all(goal.endswith(sentence) for goal in task.scenario.goals)
        assert task.scenario.hidden == other.scenario.hidden


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"coupling": 1.5}, "manners is 1.5"),
        ({"gains": {"huge": 1.0}}, "large, small, none"),
        ({"gains": {"large": 0.5}}, "add up to 1"),
        ({"facts": 4}, "not between 0 and 3"),
        ({"judge_bank": "x"}, "judge_bank"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Divide(**arguments)


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(ValueError, match="train, validation, test"):
        Divide().generate(np.random.default_rng(0), "dev")
