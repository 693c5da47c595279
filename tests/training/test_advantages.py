"""Advantages of a batch of dialogues, of scripted policies that claim to have written tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from accelerate import Accelerator
from accelerate.utils import gather_object

from sotopia_env.rewards import Outcome
from sotopia_env.rewards.learning import RewardPart, turn_values
from sotopia_env.training.advantages import group_advantages
from sotopia_env.training.data_parallel import launch, world
from sotopia_env.training.estimators import RunningBaseline, trajectory
from sotopia_env.training.rollout_func import Group, GroupMember, dialogue_return

NAN = np.nan
Played = Callable[..., list[GroupMember]]


def paid(dialogues: Sequence[GroupMember], totals: Sequence[float]) -> list[GroupMember]:
    """The same dialogues, each paid a total at its last own turn."""
    return [
        replace(d, parts={"paid": RewardPart("return", [0.0] * (d.row.num_turns - 1) + [total])})
        for d, total in zip(dialogues, totals, strict=True)
    ]


@pytest.fixture(scope="module")
def dialogues(played: Played) -> list[GroupMember]:
    return [dialogue for dialogue in played("episode", 12) if dialogue.row.num_turns][:8]


def test_hindsight_credit_does_not_pay_for_staying(played: Played) -> None:
    found = {}
    for reward in ("episode", "broadcast", "discounted", "direct", Outcome("uniform", kind="credit")):
        known = [d for d in played(reward, 20, 2) if d.total is not None]
        turns = [d.row.num_turns for d in known]
        totals = dialogue_return([None] * len(known), [d.total for d in known])
        found[str(reward)] = (totals, float(np.corrcoef(totals, turns)[0, 1]))
    outcome, correlation = found["episode"]
    assert all(totals == pytest.approx(outcome) for totals, _ in found.values())
    assert all(one == pytest.approx(correlation) for _, one in found.values())


@pytest.mark.parametrize("scale", ["group", "batch"])
@pytest.mark.parametrize("totals", [[0.4, NAN, NAN, NAN], [0.4] * 4, [NAN] * 4])
def test_a_spread_of_nothing_divides_nothing(dialogues: list[GroupMember], scale: str, totals: list[float]) -> None:
    one = [replace(d, group=Group(0, 0, 0)) for d in dialogues[:4]]
    advantages, flat = group_advantages(paid(one, totals), 4, scale_rewards=scale, running=RunningBaseline())
    assert not np.any(advantages)
    plain, _ = group_advantages(paid(one, totals), 4)
    assert np.isfinite(plain).all()
    assert flat == float(not np.any(plain))


@pytest.mark.parametrize("baseline", ["leave_one_out", "group"])
def test_the_trajectory_of_a_group_without_a_spread_says_nothing(baseline: Any) -> None:
    rewards = np.array([[[0.4], [NAN], [NAN]], [[0.4], [0.4], [0.4]], [[0.0], [1.0], [NAN]]])
    advantages = trajectory(rewards, np.ones((3, 3, 1), dtype=bool), baseline=baseline, scale="group")[..., 0]
    assert not advantages[:2].any()
    size = (1.0 if baseline == "leave_one_out" else 0.5) / (np.sqrt(0.5) + 1e-4)
    assert advantages[2] == pytest.approx([-size, size, 0])


def test_processes_share_baselines_and_the_spread_of_a_batch(played: Played) -> None:
    groups = [played("episode", 2, 4, seed) for seed in (5, 6)]
    running = RunningBaseline()
    steps = [group_advantages([*groups[0], *groups[1]], 4, scale_rewards="batch", running=running)[0] for _ in range(2)]
    (theirs, states) = launch(2, learn, groups)
    for mine, other in zip(steps, theirs, strict=True):
        # Each process pads to its own longest dialogue.
        assert other == pytest.approx(mine[:8, : other.shape[1]])
    assert states[0] == states[1] == running.state()
    assert steps[0] != pytest.approx(steps[1]), "the second batch is held against the first"


def learn(groups: list[list[GroupMember]]) -> tuple[list[Any], list[Any]]:
    """Two steps of one process, and the baselines of all."""
    # As a trainer does.
    Accelerator(cpu=True)
    running = RunningBaseline()
    mine = groups[world()[0]]
    steps = [
        group_advantages(mine, 4, scale_rewards="batch", running=running, gather=gather_object)[0] for _ in range(2)
    ]
    return steps, gather_object([running.state()])


def test_turns_whose_worth_is_unknown_are_counted(dialogues: list[GroupMember]) -> None:
    causal = replace(dialogues[0], parts={"paid": RewardPart("return", [1.0, NAN, 1.0])})
    assert causal.unknown_turns == [True, True, False]
    assert causal.total is None and not causal.unpaid, "of its last turn enough is known"
    label = replace(dialogues[0], parts={"paid": RewardPart("credit", [1.0, NAN, 1.0], "hindsight", 0.3)})
    assert label.unknown_turns == [False, True, False]
    assert label.total == 0.3 and not label.unpaid
    mixed = {"episode": RewardPart("return", [NAN] * 3, "hindsight"), "length": RewardPart("return", [0.0] * 3)}
    assert replace(dialogues[0], parts=mixed).unpaid, "a penalty alone is no reason to go on"
    assert turn_values(mixed["length"]).tolist() == [0.0] * 3
