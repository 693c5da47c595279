from __future__ import annotations

import os

import numpy as np
import pytest

from sotopia_env.families.divide.deal_or_no_deal import DealOrNoDeal, read_division_task
from sotopia_env.published import load_tasks
from sotopia_env.rollouts.rollout import rollout

SITUATION = "They divide 3 books, 2 hats and 1 ball."
GOAL = "Each book is worth 2 points, each hat 3 and the ball 5."


def test_values_are_read_from_the_goals() -> None:
    first, second = read_division_task(SITUATION, (GOAL, "1 book = 1 point, 1 hat = 0 points, 1 ball = 9 points"))
    assert [item["count"] for item in first["items"]] == [3, 2, 1]
    assert first["values"] == [2, 3, 5]
    assert second["values"] == [1, 0, 9]


@pytest.mark.parametrize(
    ("situation", "goals", "message"),
    [
        ("They divide things.", (GOAL, GOAL), "lists no items"),
        (SITUATION, (GOAL, "Get the most."), "goal 1 must say how many points"),
        (SITUATION, (GOAL,), "two seats divide, not 1"),
    ],
)
def test_what_cannot_be_read_is_said(situation: str, goals: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_division_task(situation, goals)


def test_its_tasks_are_loaded() -> None:
    with pytest.raises(NotImplementedError, match="loaded"):
        DealOrNoDeal().generate(np.random.default_rng(0))


@pytest.mark.skipif("SOTOPIA_ENV_DATA" not in os.environ, reason="SOTOPIA_ENV_DATA names no folder of published files")
def test_scripted_policies_play_the_ten_published_scenarios() -> None:
    tasks = [
        task
        for task in load_tasks(os.path.join(os.environ["SOTOPIA_ENV_DATA"], "sotopia"))
        if task.family == "deal-or-no-deal"
    ]
    assert len({task.scenario.id for task in tasks}) == 10
    assert len(tasks) == 50
    one_each = list({task.scenario.id: task for task in tasks}.values())
    for episode in rollout(one_each, ["scripted:warm", "scripted:firm"], num_episodes=10, seed=0):
        assert episode.ending is not None
        assert episode.ending.reason == "agreement"
        scores = episode.judgements[-1].scores
        assert all(2 <= goal <= 10 for goal in scores["goal"])
        assert scores["knowledge"] == [None, None]
        assert None not in scores["financial_and_material_benefits"]
