from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pettingzoo.test import parallel_api_test

import sotopia_env
from sotopia_env import leave
from sotopia_env.menu import MenuWrapper
from sotopia_env.tasks import Task
from sotopia_env.wrappers.base import SelectInfos
from sotopia_env.wrappers.partners import WithPartners

FEASIBLE = sotopia_env.Bargain(zones={"wide": 1.0})


def made(learner: str = "agent_0", partner: Any = "scripted:firm", **options: Any) -> WithPartners:
    other = {"agent_0": "agent_1", "agent_1": "agent_0"}[learner]
    return WithPartners(sotopia_env.parallel_env(FEASIBLE, reward="episode", **options), {other: partner})


def test_the_partner_answers_within_the_step_and_opens_within_reset() -> None:
    env = made("agent_0")
    observations, infos = env.reset(seed=0)
    assert list(observations) == list(infos) == env.agents == ["agent_0"]
    assert observations["agent_0"]["transcript"] == ""
    observations, rewards, *_ = env.step({"agent_0": "Hello there."})
    assert observations["agent_0"]["transcript"].count("\n#") == 1
    assert rewards == {"agent_0": 0.0}
    env = made("agent_1")
    observations, _ = env.reset(seed=0)
    assert observations["agent_1"]["transcript"].startswith("#0 agent_0: ")
    assert observations["agent_1"]["action_types"].tolist() == [1, 1, 1, 1, 1]


def test_rewards_of_the_partners_cycles_are_paid_too() -> None:
    env = made("agent_0", lambda observation, rng: sotopia_env.do("accept"))
    env.reset(seed=0)
    limit = env.unwrapped.episode.task.scenario.hidden[0]["limit"]
    _, rewards, terminations, _, infos = env.step({"agent_0": f"My price is ${limit}."})
    assert terminations == {"agent_0": True}
    assert env.agents == []
    assert rewards["agent_0"] == pytest.approx(infos["agent_0"]["scores"]["goal"] / 10)
    assert rewards["agent_0"] > 0


def test_a_partner_that_ends_the_talk_at_once_is_reported_by_the_first_step() -> None:
    env = made("agent_1", lambda observation, rng: leave())
    _, infos = env.reset(seed=0)
    assert env.agents == ["agent_1"]
    _, _, terminations, _, infos = env.step({"agent_1": "Hello?"})
    assert terminations == {"agent_1": True}
    assert infos["agent_1"]["ending"] == "left"
    assert env.agents == []


def test_an_episode_that_ended_at_once_comes_back_into_its_own_environment_alone() -> None:
    env = made("agent_1", lambda observation, rng: leave())
    env.reset(seed=0)
    (twin,), snapshot = env.fork(), env.snapshot()
    env.restore(snapshot)
    assert env.step({})[2] == twin.step({})[2] == {"agent_1": True}
    env.reset(seed=5)
    with pytest.raises(ValueError, match="the partners ended before anyone else had acted"):
        env.restore(snapshot)


def test_partners_play_over_wrappers_that_leave_infos_out() -> None:
    bare = SelectInfos(sotopia_env.parallel_env(FEASIBLE, reward="episode"), ["active"])
    env = WithPartners(bare, {"agent_1": "scripted:firm"})
    env.reset(seed=0)
    assert env.step({"agent_0": "Hello there."})[4] == {"agent_0": {"active": True}}


def test_snapshots_and_forks_meet_the_same_partner() -> None:
    env = made("agent_1", "scripted:mixed")
    env.reset(seed=4)
    env.step({"agent_1": "My offer is $40."})
    other = made("agent_1", "scripted:mixed")
    other.reset(seed=1)
    other.restore(json.loads(json.dumps(env.snapshot())))
    courses = []
    for one in (env, other, *env.fork(2)):
        while one.agents:
            result = one.step({"agent_1": f"My offer is ${45 + len(one.unwrapped.episode.turns)}."})
        courses.append((one.unwrapped.episode.turns, result[1]))
    assert courses[0] == courses[1] == courses[2] == courses[3]


def test_pettingzoos_test_passes_under_the_menu(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(MenuWrapper(made("agent_1")), num_cycles=30)


def test_three_seats_and_two_partners(make_task: Callable[..., Task]) -> None:
    env = WithPartners(
        sotopia_env.parallel_env([make_task(3)]), {"agent_0": "scripted:warm", "agent_2": "scripted:warm"}
    )
    env.reset(seed=0)
    env.step({"agent_1": "Good evening."})
    assert [turn.agent for turn in env.unwrapped.episode.turns] == ["agent_0", "agent_1", "agent_2", "agent_0"]


def test_seats_are_checked() -> None:
    env = sotopia_env.parallel_env(FEASIBLE)
    with pytest.raises(ValueError, match="'agent_7' is none of agent_0, agent_1"):
        WithPartners(env, {"agent_7": "random"})
    with pytest.raises(ValueError, match="at least one"):
        WithPartners(env, {})
    with pytest.raises(ValueError, match="nobody is left to learn"):
        WithPartners(env, {"agent_0": "random", "agent_1": "random"})
    learner = made("agent_0")
    learner.reset(seed=0)
    with pytest.raises(KeyError, match="'agent_1' is played by scripted:firm"):
        learner.step({"agent_1": "Hello."})


def test_partners_draw_by_a_seed_of_their_own_where_one_is_given() -> None:
    def replies(seed: int, partner_seed: int | None, how: str = "") -> list[str]:
        env = made("agent_0", "scripted:mixed")
        task = FEASIBLE.generate(np.random.default_rng(0))
        env.reset(seed=seed, options={"task": task, "partner_seed": partner_seed})
        env.step({"agent_0": "Tell me about it."})
        if how == "restored":
            other = made("agent_0", "scripted:mixed")
            other.reset(seed=9)
            other.restore(json.loads(json.dumps(env.snapshot())))
            env = other
        env.step({"agent_0": "And what more?"})
        return [turn.text for turn in env.episode.turns if turn.seat == 1]

    assert replies(1, 7) == replies(2, 7) == replies(1, 7, "restored")
    assert replies(1, 7) != replies(1, 8)
    assert replies(1, None) == replies(1, None) != replies(2, None)
