from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import pytest

import sotopia_env
from sotopia_env import views
from sotopia_env.families import SPLITS
from sotopia_env.families.bargain import Bargain, Coupling, catalogue
from sotopia_env.families.bargain.family import ZONES
from sotopia_env.tasks import Task


def drawn(number: int = 200, split: str = "train", seed: int = 0, **options: Any) -> list[Task]:
    rng = np.random.default_rng(seed)
    family = Bargain(**options)
    return [family.generate(rng, split) for _ in range(number)]


def test_tasks_follow_the_seed() -> None:
    assert drawn(20) == drawn(20)
    assert drawn(20) != drawn(20, seed=1)
    assert len({task.id for task in drawn(500)}) == 500


def test_splits_never_share_an_item_or_a_scenario() -> None:
    items = [set(catalogue.ITEMS[split]) for split in SPLITS]
    assert sum(map(len, items)) == len(set().union(*items))
    scenarios = [{task.scenario.id for task in drawn(300, split)} for split in SPLITS]
    assert sum(map(len, scenarios)) == len(set().union(*scenarios))
    for split in SPLITS:
        for task in drawn(50, split):
            assert task.split == split
            assert [
                other for other in SPLITS if any(item in task.scenario.situation for item in catalogue.ITEMS[other])
            ] == [split]


@pytest.mark.parametrize("zone", ZONES)
def test_the_width_of_the_zone_is_as_configured(zone: str) -> None:
    low, high = ZONES[zone]
    for task in drawn(300, zones={zone: 1.0}):
        values = {hidden["role"]: hidden for hidden in task.scenario.hidden}
        width = values["buyer"]["limit"] - values["seller"]["limit"]
        price = values["seller"]["list_price"]
        assert task.tags["zone"] == zone
        assert (width < 0) == (zone == "empty")
        # Limits stand in steps, so a zone may be wider or narrower by one.
        assert low * price - 5 <= width <= high * price + 5
        assert 0 < values["seller"]["limit"] <= 1.1 * price
        assert values["seller"]["list_price"] == values["buyer"]["list_price"]


def test_zones_are_drawn_with_their_probabilities() -> None:
    counted = Counter(task.tags["zone"] for task in drawn(1_000, zones={"wide": 0.5, "narrow": 0.2, "empty": 0.3}))
    assert abs(counted["wide"] - 500) < 70
    assert abs(counted["narrow"] - 200) < 60
    assert abs(counted["empty"] - 300) < 60


def test_unless_asked_for_no_zone_is_empty() -> None:
    assert {task.tags["zone"] for task in drawn(600)} == {"wide", "narrow"}
    assert {task.tags["zone"] for task in drawn(50, zones="empty")} == {"empty"}


def test_each_seat_sells_half_of_the_time() -> None:
    sells = [task.scenario.hidden[0]["role"] == "seller" for task in drawn(600)]
    assert abs(sum(sells) - 300) < 60
    for task in drawn(50):
        assert {hidden["role"] for hidden in task.scenario.hidden} == {"seller", "buyer"}


def test_a_seat_reads_its_own_limit_facts_and_secret_and_nothing_of_the_others() -> None:
    for task in drawn(200):
        for seat in (0, 1):
            own, other = task.scenario.hidden[seat], task.scenario.hidden[1 - seat]
            text = "\n".join(views.static_observation(task, seat).values())
            assert f"${own['limit']}" in text
            assert f"${own['list_price']}" in text
            assert all(fact in text for fact in (*own["facts"], own["secret"]))
            assert not any(fact in text for fact in (*other["facts"], other["secret"]))
            assert {int(price) for price in re.findall(r"\$(\d+)", text)} == {own["limit"], own["list_price"]}
            assert task.characters[seat].name in text


def test_what_the_other_side_is_told_changes_nothing_in_an_observation() -> None:
    from dataclasses import replace

    for task in drawn(20):
        goals = (task.scenario.goals[0], "another goal")
        hidden = (task.scenario.hidden[0], {**task.scenario.hidden[1], "limit": 1, "facts": [], "secret": "x"})
        person = replace(task.characters[1], secret="x")
        scenario = replace(task.scenario, goals=goals, hidden=hidden)
        changed = replace(task, scenario=scenario, characters=(task.characters[0], person))
        assert views.static_observation(changed, 0) == views.static_observation(task, 0)


@pytest.mark.parametrize("facts", [0, 1, 4])
def test_as_many_facts_as_configured(facts: int) -> None:
    for task in drawn(30, facts=facts):
        for hidden in task.scenario.hidden:
            assert len(set(hidden["facts"])) == facts


@pytest.mark.parametrize(
    ("coupling", "sentence"),
    [
        (1.0, "Sway: 1."),
        (0, "Sway: 0."),
        (-0.5, "Sway: -0.5."),
        (Coupling(manners=0.5, questions=0, leaks=1), "Sway: manners 0.5, questions 0, leaks 1."),
    ],
)
def test_the_coupling_stands_in_every_goal(coupling: Any, sentence: str) -> None:
    for task in drawn(5, coupling=coupling):
        assert all(goal.endswith(sentence) for goal in task.scenario.goals)


def test_the_coupling_changes_nothing_else() -> None:
    for one, other in zip(drawn(30, coupling=1.0), drawn(30, coupling=-0.5), strict=True):
        assert one.scenario.hidden == other.scenario.hidden
        assert one.scenario.situation == other.scenario.situation
        assert one.characters == other.characters


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"coupling": 1.5}, "manners is 1.5"),
        ({"coupling": -0.6}, "lies in"),
        ({"zones": {"wide": 0.5}}, "add up to 1"),
        ({"zones": {"huge": 1.0}}, "zones"),
        ({"zones": {"wide": 1.5, "narrow": -0.5}}, "zones"),
        ({"zones": {}}, "zones"),
        ({"facts": 5}, "facts: 5"),
        ({"judge_bank": "mine"}, "judge_bank: 'mine' is none of training, evaluation"),
    ],
)
def test_arguments_are_checked(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Bargain(**arguments)


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(ValueError, match="split 'exam' is none of train, validation, test"):
        Bargain().generate(np.random.default_rng(0), "exam")


def test_tasks_are_plain_data() -> None:
    import json

    for task in drawn(20):
        assert Task.from_dict(json.loads(json.dumps(task.to_dict()))) == task


@pytest.mark.parametrize("family", ["bargain", Bargain(facts=0), Bargain(coupling=Coupling(0, 1, -0.5))])
@pytest.mark.parametrize("policy", ["scripted:mixed", "random"])
def test_whole_episodes_are_played_and_judged(family: Any, policy: str) -> None:
    for episode in sotopia_env.rollout(family, policy, num_episodes=20, seed=6):
        assert episode.ending is not None
        (judgement,) = episode.judgements
        assert all(len(values) == 2 for values in judgement.scores.values())
        assert len(judgement.scores) == 7
