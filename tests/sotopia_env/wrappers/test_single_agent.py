from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence

import sotopia_env
from sotopia_env import SotopiaEnv, leave, speak
from sotopia_env.rendering import as_text
from sotopia_env.tasks import Task
from sotopia_env.wrappers.text import MAX_PROMPT


def test_text_in_text_out() -> None:
    env = SotopiaEnv(partner="scripted:firm")
    prompt, info = env.reset(seed=0)
    assert info["active"]
    assert "You are" in prompt
    assert prompt.endswith("You:")
    prompt, reward, terminated, truncated, info = env.step("I would pay $1 for it.")
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert info["invalid_action"] is None
    assert "You: I would pay $1 for it." in prompt
    _, _, _, _, info = env.step('{"action_type": "speak"')
    assert "not valid JSON" in info["invalid_action"]
    assert env.episode.own_turns("agent_0")[1].raw == '{"action_type": "speak"'
    _, _, terminated, _, info = env.step("[leave]")
    assert terminated
    assert info["ending"] == "left"


@pytest.mark.parametrize("given", [3, {"action_type": 1, "argument": "x"}])
def test_the_text_interface_counts_what_is_no_text(given: Any) -> None:
    env = SotopiaEnv()
    env.reset(seed=0)
    assert "takes a str" in env.step(given)[4]["invalid_action"]


def test_the_dict_interface_takes_what_the_parallel_step_takes() -> None:
    env = SotopiaEnv(interface="dict", agent="agent_1")
    observation, _ = env.reset(seed=0)
    assert observation["agent"] == "agent_1"
    assert observation["transcript"].startswith("#0 agent_0: ")
    for given in ("hello", speak("again"), {"action_type": 1, "argument": "once more"}):
        observation, *_, info = env.step(given)
        assert observation in env.observation_space
        assert info["invalid_action"] is None


def test_a_step_is_the_agents_turn_and_the_partners_reply() -> None:
    env = SotopiaEnv()
    env.reset(seed=0)
    for turn in range(1, 4):
        *_, info = env.step(f"word {turn}")
        assert info["turn"] == turn
        assert len(env.episode.turns) == 2 * turn


def test_in_simultaneous_order_the_partner_acts_in_the_same_cycle() -> None:
    env = SotopiaEnv(action_order="simultaneous")
    env.reset(seed=0)
    env.step("I like it.")
    first, second = env.episode.turns
    assert (first.seat, second.seat) == (0, 1)
    assert second.invalid is None
    assert second.type == "speak"


@pytest.mark.parametrize("order", ["round-robin", "simultaneous", "random"])
def test_the_rewards_of_a_step_add_up_to_what_the_agent_was_paid(order: str) -> None:
    for seed in range(6):
        env = SotopiaEnv(agent="agent_1", partner="scripted:soft", reward="uniform", action_order=order)
        observation, info = env.reset(seed=seed)
        total, over = 0.0, False
        policy = sotopia_env.make_policy("scripted:soft")
        while not over:
            given = policy.act_one(env.parallel.unwrapped.observe("agent_1"))
            text = given.text if given.type == "speak" else f"[{given.type}] {given.text}"
            observation, reward, terminated, truncated, info = env.step(text)
            total, over = total + reward, terminated or truncated
        known = [reward for reward in info["utterance_rewards"] if reward is not None]
        if len(known) == len(info["utterance_rewards"]):
            assert total == pytest.approx(sum(known))
        else:
            assert np.isnan(total)
        assert observation in env.observation_space


@pytest.mark.parametrize("order", ["round-robin", "simultaneous", "random"])
def test_the_other_seats_of_a_larger_table_are_all_partners(make_task: Callable[..., Task], order: str) -> None:
    env = SotopiaEnv([make_task(4)], agent="agent_2", partner="random", reward=None, interface="dict",
                     action_order=order, action_types=("none", "speak"), max_cycles=40, max_stale=40)  # fmt: skip
    env.reset(seed=0)
    over = False
    while not over:
        *_, over, truncated, _ = env.step("It is mine.")
        over = over or truncated
    own = env.episode.own_turns("agent_2")
    assert len(own) > 4
    assert {turn.text for turn in own} <= {"It is mine.", ""}
    assert all(len(env.episode.own_turns(f"agent_{seat}")) > 4 for seat in range(4))


def test_who_leaves_a_larger_table_sees_it_end(make_task: Callable[..., Task]) -> None:
    env = SotopiaEnv([make_task(3)], partner=lambda observation, rng: "word", reward=None, max_cycles=9)
    env.reset(seed=0)
    *_, terminated, truncated, info = env.step("[leave]")
    assert (terminated, truncated, info["ending"]) == (False, True, "max_cycles")
    assert len(env.episode.own_turns("agent_0")) == 1


def quitter(observation: Any, rng: np.random.Generator) -> Any:
    return leave()


def test_a_partner_that_leaves_before_the_first_turn_ends_the_first_step() -> None:
    env = SotopiaEnv(agent="agent_1", partner=quitter, interface="dict")
    observation, info = env.reset(seed=0)
    assert info["ending"] == "left"
    later, reward, terminated, truncated, info = env.step("hello?")
    assert (terminated, truncated) == (True, False)
    assert later == {**observation, "action_types": later["action_types"]}
    assert later is not observation
    assert type(reward) is float
    assert info["turn"] == 0
    with pytest.raises(RuntimeError, match="the episode is over"):
        env.step("hello?")
    assert env.reset(seed=1)[1]["ending"] == "left"


def test_the_same_seed_and_actions_give_the_same_course() -> None:
    def course(partner: str) -> list[Any]:
        env = SotopiaEnv(agent="agent_1", partner=partner)
        seen: list[Any] = [env.reset(seed=9)[0]]
        for number in range(4):
            seen.append(env.step(f"I could do ${60 + number}."))
            if seen[-1][2] or seen[-1][3]:
                break
        return seen

    assert course("random") == course("random")
    assert course("random") != course("scripted:firm")


def test_a_copy_in_mid_episode_goes_on_identically() -> None:
    env = SotopiaEnv(partner="random")
    env.reset(seed=2)
    env.step("hello")
    twin = copy.deepcopy(env)
    assert [env.step(f"{i}") for i in range(2)] == [twin.step(f"{i}") for i in range(2)]
    assert env.reset()[0] == twin.reset()[0]


def test_long_names_and_long_talks_stay_in_the_space(make_task: Callable[..., Task]) -> None:
    from dataclasses import replace

    task = make_task()
    people = tuple(replace(c, first_name="N" * 110, last_name="x") for c in task.characters)
    env = sotopia_env.parallel_env([replace(task, characters=people)], max_cycles=8_000)
    env.reset(seed=0)
    longest = 0
    while env.agents:
        env.step({env.acting[0]: "z"})
        if env.observe("agent_0")["turn"] % 500 == 0:
            longest = max(longest, len(as_text(env.observe("agent_0"))))
    assert 65_536 < longest < MAX_PROMPT


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"interface": "tokens"}, "interface: 'tokens' is none of dict, text, menu"),
        ({"agent": "agent_5"}, "agent: 'agent_5' is none of agent_0, agent_1"),
        ({"partner": "scripted:nobody"}, "unknown scripted policy 'nobody'"),
        ({"family": "haggle"}, "unknown family 'haggle'"),
        ({"max_cycles": -1}, "max_cycles"),
    ],
)
def test_arguments_are_checked(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SotopiaEnv(**arguments)


@pytest.mark.parametrize("how", ["fork", "snapshot"])
@pytest.mark.parametrize("interface", ["text", "dict"])
def test_forks_and_snapshots_go_on_alike_and_meet_the_same_partner(how: str, interface: str) -> None:
    def made() -> SotopiaEnv:
        return SotopiaEnv(partner="scripted:mixed", agent="agent_1", reward="uniform", interface=interface)

    env = made()
    env.reset(seed=3)
    env.step("Tell me about it.")
    if how == "fork":
        (twin,) = env.fork()
    else:
        twin = made()
        twin.reset(seed=8)
        twin.restore(json.loads(json.dumps(env.snapshot())))
    courses = [[one.step(f"Tell me more of it, part {i}.") for i in range(2)] + [one.reset()] for one in (env, twin)]
    assert data_equivalence(courses[0], courses[1])
    with pytest.raises(ValueError, match="the snapshot is not of a SotopiaEnv"):
        env.restore({})


def test_each_other_seat_may_have_a_partner_of_its_own(make_task: Callable[..., Task]) -> None:
    def says(word: str) -> Any:
        return lambda observation, rng: word

    def texts(partner: Any) -> list[str]:
        env = SotopiaEnv([make_task(4)], agent="agent_1", partner=partner, reward=None)
        env.reset(seed=0)
        env.step("own")
        return [turn.text for turn in env.episode.turns[:4]]

    assert texts(says("all")) == ["all", "own", "all", "all"]
    assert texts([says("a"), says("b"), says("c")]) == ["a", "own", "b", "c"]
    assert texts({"agent_3": says("z"), "agent_0": says("x"), "agent_2": says("y")}) == ["x", "own", "y", "z"]
    for wrong in ([says("a")], {"agent_0": says("a")}, {f"agent_{seat}": says("a") for seat in range(4)}):
        with pytest.raises(ValueError, match="one for all, or one for each of agent_0, agent_2, agent_3"):
            texts(wrong)


def test_the_finished_episode_holds_judgements_and_rewards_and_infos_the_scores() -> None:
    env = SotopiaEnv(sotopia_env.Bargain(zones={"wide": 1.0}), partner="scripted:soft", reward="episode + 0.1 * length")
    env.reset(seed=0)
    over = False
    while not over:
        *_, terminated, truncated, info = env.step("How about $50?")
        over = terminated or truncated
    (judgement,) = env.episode.judgements
    assert info["scores"]["goal"] == judgement.scores["goal"][0]
    assert env.episode.rewards["episode"]["agent_0"][-1] == pytest.approx(info["scores"]["goal"] / 10)


def test_the_parts_of_a_step_add_up_over_its_cycles() -> None:
    for seed in range(4):
        env = SotopiaEnv(agent="agent_1", partner="scripted:soft", reward="uniform + 0.5 * length", interface="dict")
        env.reset(seed=seed)
        over = False
        while not over:
            _, reward, terminated, truncated, info = env.step("I would like to pay a good deal less than that for it.")
            assert sum(info["reward_parts"].values()) == pytest.approx(reward, nan_ok=True)
            over = terminated or truncated
