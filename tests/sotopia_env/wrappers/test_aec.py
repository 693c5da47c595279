"""The AEC API: who is selected, what it reads, and what it is paid."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from pettingzoo.utils import aec_to_parallel
from pettingzoo.utils.wrappers import OrderEnforcingWrapper

import sotopia_env
from sotopia_env import leave, speak
from sotopia_env import rewards as R
from sotopia_env.families.base import OpenEnded
from sotopia_env.tasks import Task
from sotopia_env.wrappers.aec import SotopiaAECEnv

ORDERS = ["round-robin", "simultaneous", "random"]
MakeTask = Callable[..., Task]


def made(task: Task, **options: Any) -> Any:
    env = sotopia_env.env([task], **options)
    env.reset(seed=0)
    return env


def transcript(env: Any) -> str:
    return str(env.last()[0]["transcript"])


@pytest.mark.parametrize("ask_all", [False, True])
@pytest.mark.parametrize("seats", [2, 3, 5])
def test_the_next_agent_reads_what_the_one_before_it_just_said(make_task: MakeTask, seats: int, ask_all: bool) -> None:
    env = made(make_task(seats), ask_all=ask_all)
    said: list[str] = []
    while len(said) < 3 * seats:
        if env.last()[4]["active"]:
            assert env.agent_selection == f"agent_{len(said) % seats}"
            assert [line.split(": ")[1] for line in transcript(env).splitlines()] == said
            said.append(f"word {len(said)}")
            env.step(said[-1])
        else:
            env.step(None)


@pytest.mark.parametrize("order", ["round-robin", "random"])
def test_one_after_the_other_everybody_reads_everything_before(make_task: MakeTask, order: str) -> None:
    env = made(make_task(3), action_order=order)
    for number in range(12):
        assert [line.split(": ")[1] for line in transcript(env).splitlines()] == [f"word {i}" for i in range(number)]
        env.step(f"word {number}")


def test_in_simultaneous_order_nobody_reads_a_cycle_before_it_is_over(make_task: MakeTask) -> None:
    env = made(make_task(3), action_order="simultaneous")
    for cycle in range(3):
        for seat in range(3):
            assert env.agent_selection == f"agent_{seat}"
            assert transcript(env).count("#") == 3 * cycle
            env.step(f"word {cycle} of {seat}")
    assert "#8 agent_2: word 2 of 2" in transcript(env)


def test_agents_that_may_only_pass_are_not_selected_unless_asked_for(make_task: MakeTask) -> None:
    env = made(make_task(2), max_cycles=6)
    selected = []
    for agent in env.agent_iter():
        selected.append(agent)
        env.step(None if env.truncations[agent] else "word")
    assert selected == ["agent_0", "agent_1"] * 4
    env = made(make_task(2), max_cycles=6, ask_all=True)
    selected = []
    for agent in env.agent_iter():
        selected.append(agent)
        env.step("word" if env.infos[agent]["active"] else None)
    assert selected == ["agent_0", "agent_1"] * 7
    assert [turn.seat for turn in env.episode.turns] == [0, 1] * 3


def test_with_three_agents_a_leaver_is_not_selected_again(make_task: MakeTask) -> None:
    env = made(make_task(3))
    selected = []
    for action in ("a", leave(), "c", "d", "e", leave()):
        selected.append(env.agent_selection)
        env.step(action)
    assert selected == [f"agent_{seat}" for seat in (0, 1, 2, 0, 2, 0)]
    assert env.terminations == {"agent_0": True, "agent_1": True, "agent_2": True}
    for agent in env.agent_iter():
        assert env.last()[2]
        env.step(None)
        assert agent not in env.agents


def test_a_malformed_action_is_reported_and_not_raised(make_task: MakeTask) -> None:
    env = made(make_task(2))
    for given in ({"action_type": 9}, None, 3.5):
        env.step(given)
    env.step("fine")
    reasons = [turn.invalid for turn in env.episode.turns]
    assert reasons[3] is None
    assert None not in reasons[:3]
    assert env.infos["agent_1"]["invalid_action"] is None


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("ask_all", [False, True])
def test_what_a_reward_wrapper_pays_arrives_once(order: str, ask_all: bool) -> None:
    family = sotopia_env.Bargain(zones={"wide": 1.0})
    options = {"reward": R.Outcome("uniform") + R.LengthPenalty(target_words=2, weight=0.5), "action_order": order}
    parallel = sotopia_env.parallel_env(family, **options)
    aec = sotopia_env.env(family, ask_all=ask_all, **options)
    parallel.reset(seed=3)
    aec.reset(seed=3)
    paid = dict.fromkeys(parallel.possible_agents, 0.0)
    received = dict(paid)
    while parallel.agents:
        actions = dict.fromkeys(parallel.unwrapped.acting, "I would like to have it for $70.")
        paid = {agent: paid[agent] + amount for agent, amount in parallel.step(actions)[1].items()}
    for agent in aec.agent_iter():
        _, reward, terminated, truncated, info = aec.last()
        received[agent] += reward
        passes = terminated or truncated or not info["active"]
        aec.step(None if passes else "I would like to have it for $70.")
    assert received == pytest.approx(paid)
    assert all(paid.values())
    assert aec.episode.rewards == parallel.episode.rewards


def test_any_parallel_environment_of_the_package_has_an_aec_api() -> None:
    parallel = R.ClipReward(R.EpisodeReward(sotopia_env.parallel_env("bargain")), -1, 1)
    env = sotopia_env.env(parallel)
    assert env.unwrapped.parallel is parallel
    assert isinstance(env, OrderEnforcingWrapper)
    assert isinstance(sotopia_env.raw_env(parallel), SotopiaAECEnv)
    assert str(env) == "sotopia_v0"
    with pytest.raises(TypeError, match="max_cycles: an environment that is made already takes no options"):
        sotopia_env.env(parallel, max_cycles=3)
    with pytest.raises(TypeError, match="parallel environments of this package"):
        SotopiaAECEnv(object())


def test_calls_out_of_order_are_told() -> None:
    env = sotopia_env.env("bargain")
    with pytest.raises(AttributeError, match="before reset"):
        env.agents  # noqa: B018
    env.reset(seed=0)
    env.step(speak("hi"))
    assert env.max_cycles is None
    env.unwrapped.max_cycles = 2
    env.step(speak("ho"))
    assert all(env.truncations.values())


@pytest.mark.parametrize("order", ORDERS)
def test_forks_and_copies_in_the_middle_of_a_cycle_go_their_own_way(make_task: MakeTask, order: str) -> None:
    env = made(make_task(3), action_order=order, reward=R.LengthPenalty(target_words=1), max_cycles=9)
    for number in range(4):
        env.step(f"word {number}")
    twins = [*env.fork(2), copy.deepcopy(env)]
    assert [type(twin) for twin in twins] == [type(env)] * 3
    for number, twin in enumerate(twins):
        while not any(twin.truncations.values()):
            twin.step("the same" if number else "another")
    while not any(env.truncations.values()):
        env.step("the same")
    one, two, three = (twin.episode.turns for twin in twins)
    assert two == three == env.episode.turns
    assert one != two
    assert len({id(twin.unwrapped.parallel.unwrapped) for twin in [*twins, env]}) == 4


def test_a_reset_in_the_middle_of_the_last_round_starts_anew(make_task: MakeTask) -> None:
    env = made(make_task(3), max_cycles=1)
    env.step("word")
    env.step(None)
    env.reset(seed=1)
    assert env.agents == ["agent_0", "agent_1", "agent_2"]
    env.step("word")
    for _ in range(3):
        env.step(None)
    assert env.agents == []


def test_observations_are_new_objects(make_task: MakeTask) -> None:
    env = made(make_task(2))
    env.observe("agent_0")["action_types"][:] = 0
    env.observe("agent_0")["goal"] = ""
    assert env.observe("agent_0")["action_types"].sum() == 5
    assert env.observe("agent_0")["goal"] == "GOAL-0"
    assert env.last(observe=False)[0] is None


def test_messages_and_families_of_ones_own() -> None:
    class Quiet(OpenEnded):
        name = "quiet"

        def generate(self, rng: Any, split: str = "train") -> Task:
            return sotopia_env.Bargain().generate(rng, split)

    env = sotopia_env.env(Quiet(), max_cycles=4)
    env.reset(seed=0)
    env.step("hello")
    assert env.messages("agent_1")[-1]["content"].endswith(": hello")


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("ask_all", [False, True])
@pytest.mark.parametrize("seats", [2, 3])
@pytest.mark.parametrize("leaving", [False, True])
def test_what_says_that_it_is_parallelizable_plays_through_pettingzoos_own_conversion(
    make_task: MakeTask, order: str, ask_all: bool, seats: int, leaving: bool
) -> None:
    types = ("none", "speak", "leave") if leaving else ("none", "speak")
    options = {"action_order": order, "action_types": types, "max_cycles": 7}
    env = sotopia_env.env([make_task(seats)], ask_all=ask_all, **options)
    together = ask_all or (order == "simultaneous" and (seats == 2 or not leaving))
    assert env.metadata["is_parallelizable"] is together
    assert SotopiaAECEnv.metadata["is_parallelizable"] is True
    if not together:
        with pytest.raises(AssertionError, match="is_parallelizable"):
            aec_to_parallel(env)
        return
    for leaver in range(seats if leaving else 1):
        parallel = aec_to_parallel(env)
        parallel.reset(seed=3)
        cycles = 0
        while parallel.agents:
            said = {agent: speak("word") for agent in parallel.agents}
            if leaving and cycles >= 2:
                said[f"agent_{leaver}"] = leave()
            parallel.step(said)
            cycles += 1
        assert 3 <= cycles <= 7
        assert env.unwrapped.episode.ending is not None
