from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import sotopia_env
from sotopia_env import do, gesture, leave, speak
from sotopia_env.actions import ACTION_TYPES, MAX_UTTERANCE, NONE
from sotopia_env.environment import SotopiaParallelEnv
from sotopia_env.families.base import OpenEnded
from sotopia_env.policies import Decision
from sotopia_env.tasks import Task

MakeEnv = Callable[..., SotopiaParallelEnv]
ORDERS = ["round-robin", "simultaneous", "random"]


def say(env: Any, *given: Any) -> list[Any]:
    """One cycle for each action, by whoever acts."""
    return [env.step(dict.fromkeys(env.unwrapped.acting, action)) for action in given]


# Endings


def test_leaving_terminates_for_all_at_once(open_env: MakeEnv) -> None:
    env = open_env()
    _, _, terminations, truncations, infos = say(env, "hi", leave("bye"))[-1]
    assert terminations == {"agent_0": True, "agent_1": True}
    assert truncations == {"agent_0": False, "agent_1": False}
    assert env.agents == []
    assert env.acting == ()
    assert env.ending is not None
    assert (env.ending.reason, env.ending.seat) == ("left", 1)
    assert {info["ending"] for info in infos.values()} == {"left"}


@pytest.mark.parametrize("silent", [0, 1])
@pytest.mark.parametrize("max_stale", [0, 2])
def test_the_talk_goes_stale_alike_for_every_agent(open_env: MakeEnv, silent: int, max_stale: int) -> None:
    env = open_env(max_stale=max_stale, max_cycles=50)
    while env.agents:
        env.step({env.acting[0]: NONE if env.acting[0] == f"agent_{silent}" else "word"})
    assert env.ending is not None
    assert (env.ending.reason, env.ending.seat, env.ending.truncated) == ("stale", silent, False)
    assert env.own_turns_played(f"agent_{silent}") == max_stale + 1


def test_an_invalid_action_counts_as_silence_and_a_word_begins_anew(open_env: MakeEnv) -> None:
    env = open_env(max_stale=1, max_cycles=50)
    say(env, NONE, "a", "word", "b", {"action_type": 9}, "c")
    assert env.ending is None
    say(env, NONE)
    assert env.ending is not None
    assert env.ending.reason == "stale"


def test_a_deal_ends_the_episode(bargain_task: Callable[..., Task]) -> None:
    env = sotopia_env.parallel_env([bargain_task()])
    env.reset(seed=0)
    results = say(env, "I am asking $80 for it.", do("accept"))
    assert results[0][2] == {"agent_0": False, "agent_1": False}
    assert results[1][2] == {"agent_0": True, "agent_1": True}
    assert env.ending.reason == "agreement"
    assert env.ending.detail == {"price": 80.0, "formal": True}


def test_max_cycles_truncates(open_env: MakeEnv) -> None:
    env = open_env(max_cycles=3)
    _, _, terminations, truncations, _ = say(env, "a", "b", "c")[-1]
    assert not any(terminations.values())
    assert all(truncations.values())
    assert env.ending is not None
    assert (env.ending.reason, env.ending.truncated) == ("max_cycles", True)


def test_the_turn_limit_is_the_environments_or_the_tasks_or_20(make_task: Callable[..., Task]) -> None:
    for own, of_task, expected in [(4, 7, 4), (None, 7, 7), (None, None, 20)]:
        env = SotopiaParallelEnv(OpenEnded(), tasks=[make_task(max_cycles=of_task)], max_cycles=own)
        env.reset(seed=0)
        cycles = 0
        while env.agents:
            say(env, f"word {cycles}")
            cycles += 1
        assert cycles == expected


def test_an_ending_in_the_last_cycle_terminates_and_does_not_truncate(open_env: MakeEnv) -> None:
    env = open_env(max_cycles=2)
    say(env, "a", leave())
    assert env.ending is not None
    assert (env.ending.reason, env.ending.truncated) == ("left", False)


def test_with_three_agents_a_leaver_takes_no_further_turn(open_env: MakeEnv) -> None:
    env = open_env(3, max_cycles=20)
    order = []
    for action in ["a", leave(), "c", "d", "e", "f", leave()]:
        order.append(env.acting[0])
        say(env, action)
    assert order == [f"agent_{seat}" for seat in (0, 1, 2, 0, 2, 0, 2)]
    assert env.ending is not None
    assert env.ending.reason == "left"
    assert env.agents == []


# Orders


@pytest.mark.parametrize("seats", [2, 3, 4, 5])
def test_round_robin_asks_one_seat_a_cycle_and_all_in_turn(open_env: MakeEnv, seats: int) -> None:
    env = open_env(seats, max_cycles=3 * seats)
    while env.agents:
        say(env, "word")
    assert [turn.seat for turn in env.episode.turns] == list(range(seats)) * 3
    assert [turn.own_index for turn in env.episode.turns] == [i for i in range(3) for _ in range(seats)]


@pytest.mark.parametrize("seats", [2, 3, 4, 5])
def test_simultaneous_asks_every_seat_in_each_cycle(open_env: MakeEnv, seats: int) -> None:
    env = open_env(seats, action_order="simultaneous", max_cycles=3)
    cycles = 0
    while env.agents:
        observations = say(env, "word")[0][0]
        cycles += 1
        assert all(seen["turn"] == cycles for seen in observations.values())
        assert len(env.last_turns) == seats
    assert cycles == 3
    assert [turn.seat for turn in env.episode.turns] == list(range(seats)) * 3
    assert all(env.own_turns_played(agent) == 3 for agent in env.possible_agents)


@pytest.mark.parametrize("seats", [2, 3, 4, 5])
def test_random_asks_one_seat_a_cycle_and_all_alike(open_env: MakeEnv, seats: int) -> None:
    env = open_env(seats, action_order="random", max_cycles=1_000)
    while env.agents:
        say(env, "word")
    asked = [turn.seat for turn in env.episode.turns]
    assert len(asked) == 1_000
    for seat in range(seats):
        assert abs(asked.count(seat) - 1_000 / seats) < 80
    assert any(one == other for one, other in itertools.pairwise(asked))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("seats", [3, 4, 5])
def test_who_has_left_is_never_asked_again_until_one_remains(open_env: MakeEnv, order: str, seats: int) -> None:
    env = open_env(seats, action_order=order, max_cycles=200)
    gone: set[str] = set()
    while env.agents:
        assert env.agents == env.possible_agents
        assert not gone & set(env.acting)
        first = env.acting[0]
        infos = env.step({**dict.fromkeys(env.acting, "word"), first: leave()})[4]
        gone.add(first)
        assert {agent for agent in infos if infos[agent]["active"]} == set(env.acting)
        # Who has left may say nothing more, and still reads on.
        if env.agents:
            assert (
                "not this agent's turn"
                in env.step({first: "more", **dict.fromkeys(env.acting, "word")})[4][first]["invalid_action"]
            )
            assert env.observe(first)["action_types"].tolist() == [1, 0, 0, 0, 0]
    assert env.ending is not None
    assert env.ending.reason == "left"
    assert len(gone) == seats - 1
    assert sum(turn.type == "leave" for turn in env.episode.turns) == seats - 1


def test_all_may_leave_in_one_cycle(open_env: MakeEnv) -> None:
    env = open_env(3, action_order="simultaneous")
    _, _, terminations, _, _ = say(env, leave())[0]
    assert all(terminations.values())
    assert env.ending is not None
    assert (env.ending.reason, env.ending.seat) == ("left", 1)
    again = SotopiaParallelEnv.from_episode(env.episode, env.family)
    assert again.ending == env.ending


# Actions


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (None, "no action was given"),
        (7, "a int is not an action"),
        ({"action_type": 9, "argument": ""}, "no number from 0 to 4"),
        ({"action_type": float("inf"), "argument": ""}, "action_type (float)"),
        ("", "nothing was said"),
        ("x" * (MAX_UTTERANCE + 1), "at most"),
        ("\ud800", "surrogate"),
        (Decision(NONE, raw="{", invalid="not JSON"), "not JSON"),
    ],
)
def test_an_invalid_action_is_none_and_reported_never_raised(open_env: MakeEnv, given: Any, reason: str) -> None:
    env = open_env()
    _, _, _, _, infos = say(env, given)[0]
    assert reason in infos["agent_0"]["invalid_action"]
    assert infos["agent_1"]["invalid_action"] is None
    (turn,) = env.episode.turns
    assert (turn.type, turn.text, turn.seat) == ("none", "", 0)
    assert reason in (turn.invalid or "")
    assert say(env, "fine")[0][4]["agent_0"]["invalid_action"] is None


def test_a_missing_action_is_reported(open_env: MakeEnv) -> None:
    assert open_env().step({})[4]["agent_0"]["invalid_action"] == "no action was given"


@pytest.mark.parametrize("given", ["hello", do("accept"), leave(), {"action_type": 99}, Decision(speak("x"))])
def test_out_of_turn_an_action_is_reported_and_no_turn_is_counted(open_env: MakeEnv, given: Any) -> None:
    env = open_env()
    infos = env.step({"agent_0": "hi", "agent_1": given})[4]
    assert "not this agent's turn" in infos["agent_1"]["invalid_action"]
    assert [turn.seat for turn in env.episode.turns] == [0]
    assert env.own_turns_played("agent_1") == 0


@pytest.mark.parametrize("given", [None, NONE, {"action_type": 0, "argument": ""}, Decision(NONE)])
def test_out_of_turn_none_is_legal(open_env: MakeEnv, given: Any) -> None:
    env = open_env()
    assert env.step({"agent_0": "hi", "agent_1": given})[4]["agent_1"]["invalid_action"] is None


def test_every_type_of_action_takes_its_turn(open_env: MakeEnv) -> None:
    env = open_env()
    say(env, "hi", gesture("nods"), do("sits"), {"action_type": np.int64(1), "argument": "ok"}, NONE, leave())
    kinds = ["speak", "non-verbal communication", "action", "speak", "none", "leave"]
    assert [turn.type for turn in env.episode.turns] == kinds
    assert [turn.own_index for turn in env.episode.turns] == [0, 0, 1, 1, 2, 2]
    assert [turn.global_index for turn in env.episode.turns] == list(range(6))
    assert all(turn.invalid is None for turn in env.episode.turns)


def test_types_that_are_switched_off_are_illegal(open_env: MakeEnv) -> None:
    env = open_env(action_types=("none", "speak"))
    observations, infos = env.reset(seed=0)
    assert observations["agent_0"]["action_types"].tolist() == [1, 1, 0, 0, 0]
    assert observations["agent_1"]["action_types"].tolist() == [1, 0, 0, 0, 0]
    infos = say(env, leave())[0][4]
    assert "leave is not among" in infos["agent_0"]["invalid_action"]
    assert env.ending is None


def test_raw_output_is_kept_where_it_differs_and_always_encodable(open_env: MakeEnv) -> None:
    env = open_env()
    say(env, Decision(do("accept"), raw="[action] accept"), Decision(speak("hi"), raw="hi"),
        Decision(NONE, raw="bad \udcff", invalid="garbage"))  # fmt: skip
    assert [turn.raw for turn in env.episode.turns] == ["[action] accept", None, "bad \\udcff"]
    json.dumps(env.episode.to_dict(), ensure_ascii=False).encode()


def test_utterances_are_passed_on_verbatim(open_env: MakeEnv) -> None:
    env = open_env()
    text = "<b>bold</b> <extra_info viewer='agent_0'>psst</extra_info>\n#9 agent_0: {x}  "
    observations = say(env, text)[0][0]
    from sotopia_env.views import parse_transcript

    assert parse_transcript(observations["agent_1"]["transcript"])[0].text == text


# Errors


def test_an_unknown_agent_raises(open_env: MakeEnv) -> None:
    env = open_env()
    with pytest.raises(KeyError, match="unknown agent 'agent_7'; the agents are agent_0, agent_1"):
        env.step({"agent_0": "hi", "agent_7": "hi"})
    assert env.episode.turns == ()
    with pytest.raises(KeyError, match="agent_7"):
        env.observe("agent_7")


def test_a_step_before_reset_or_after_the_end_raises(make_task: Callable[..., Task], open_env: MakeEnv) -> None:
    fresh = SotopiaParallelEnv(OpenEnded(), tasks=[make_task()])
    for call in (
        lambda: fresh.step({}),
        lambda: fresh.episode,
        fresh.snapshot,
        fresh.state,
        lambda: fresh.observe("agent_0"),
    ):
        with pytest.raises(RuntimeError, match="call reset"):
            call()
    env = open_env(max_cycles=1)
    say(env, "hi")
    with pytest.raises(RuntimeError, match=r"the episode is over \(max_cycles\); call reset"):
        env.step({"agent_0": "hi"})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tasks": []}, "the list is empty"),
        ({"render_mode": "rgb_array"}, "render_mode"),
        ({"max_cycles": 0}, "max_cycles"),
        ({"action_order": "x"}, "action_order"),
        ({"action_types": ["speak"]}, "action_types"),
    ],
)
def test_constructor_arguments_are_checked(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SotopiaParallelEnv(sotopia_env.Bargain(), **arguments)


def test_tasks_must_share_their_number_of_seats(make_task: Callable[..., Task]) -> None:
    with pytest.raises(ValueError, match="same number of seats"):
        SotopiaParallelEnv(OpenEnded(), tasks=[make_task(2), make_task(3)])
    env = SotopiaParallelEnv(OpenEnded(), tasks=[make_task(2)])
    with pytest.raises(ValueError, match="has 3 seats, this environment 2"):
        env.reset(options={"task": make_task(3)})


def test_a_task_that_does_not_fit_the_spaces_is_refused_by_name(make_task: Callable[..., Task]) -> None:
    task = make_task()
    env = SotopiaParallelEnv(OpenEnded(), tasks=[task])
    for text in ("x" * 40_000, "\ud800"):
        scenario = replace(task.scenario, goals=(text, "b"))
        with pytest.raises(ValueError, match="task 'open-2': goal of agent_0"):
            env.reset(options={"task": replace(task, scenario=scenario)})


# Tasks and options


def test_a_task_is_chosen_by_id_or_given(make_task: Callable[..., Task]) -> None:
    tasks = [make_task(id=f"t{i}") for i in range(5)]
    env = SotopiaParallelEnv(OpenEnded(), tasks=tasks)
    for task in tasks:
        assert env.reset(seed=0, options={"task": task.id})[1]["agent_0"]["task"] == task.id
    assert env.reset(options={"task": make_task(id="other")})[1]["agent_1"]["task"] == "other"
    assert {env.reset(seed=seed)[1]["agent_0"]["task"] for seed in range(40)} == {f"t{i}" for i in range(5)}
    with pytest.raises(KeyError, match="no task 'nonsense' among the 5 tasks"):
        env.reset(options={"task": "nonsense"})
    with pytest.raises(KeyError, match="drawn by the family"):
        sotopia_env.parallel_env("bargain").reset(options={"task": "t0"})


def test_unknown_options_are_ignored() -> None:
    env = sotopia_env.parallel_env("bargain")
    assert env.reset(seed=3, options={"options": 1})[1] == env.reset(seed=3)[1]


def test_nothing_survives_a_reset(open_env: MakeEnv) -> None:
    env = open_env()
    say(env, "a", "b", leave())
    observations, infos = env.reset(seed=0)
    assert observations["agent_0"]["transcript"] == ""
    assert observations["agent_0"]["turn"] == 0
    info = {"active": True, "turn": 0, "task": "open-2", "ending": None, "invalid_action": None}
    assert infos["agent_0"] == {**info, "offers": None, "transcript_cut": False}
    assert env.agents == ["agent_0", "agent_1"]
    assert env.last_turns == ()


# Seeds


def transcripts(env: Any, play_out: Callable[..., Any], seeds: list[int | None]) -> list[str]:
    played = []
    for seed in seeds:
        env.reset(seed=seed)
        play_out(env, "random", 7)
        played.append(json.dumps([turn.text for turn in env.episode.turns]) + env.episode.task.id)
    return played


@pytest.mark.parametrize("order", ORDERS)
def test_equal_seeds_and_actions_give_equal_episodes(play_out: Callable[..., Any], order: str) -> None:
    one, other = (sotopia_env.parallel_env("bargain", action_order=order) for _ in range(2))
    seeds: list[int | None] = [0, None, None, 5, 0]
    first = transcripts(one, play_out, seeds)
    assert first == transcripts(other, play_out, seeds)
    assert first[0] == first[4]
    assert len(set(first)) == 4


def test_zero_is_a_seed_and_no_seed_does_not_reseed() -> None:
    env = sotopia_env.parallel_env("bargain")
    first = env.reset(seed=0)[1]["agent_0"]["task"]
    drawn = [env.reset()[1]["agent_0"]["task"] for _ in range(5)]
    assert len({first, *drawn}) == 6
    assert env.reset(seed=0)[1]["agent_0"]["task"] == first
    assert [env.reset()[1]["agent_0"]["task"] for _ in range(5)] == drawn


def test_an_episode_knows_the_seed_it_was_seeded_with() -> None:
    env = sotopia_env.parallel_env("bargain")
    env.reset(seed=0)
    assert env.episode.seed == 0
    env.reset()
    assert env.episode.seed is None


def test_the_global_generator_is_left_alone(play_out: Callable[..., Any]) -> None:
    np.random.seed(3)  # noqa: NPY002
    before = np.random.get_state()[1].tolist()  # type: ignore[index,union-attr]  # noqa: NPY002
    env = sotopia_env.parallel_env("bargain", action_order="random")
    env.reset(seed=1)
    play_out(env, "random")
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index,union-attr]  # noqa: NPY002


SCRIPT = """
import json, sys, sotopia_env
episodes = sotopia_env.rollout("bargain", ["scripted:warm", "random"], num_episodes=6, seed=4, action_order=sys.argv[1])
for episode in episodes:
    print(json.dumps(episode.to_dict(), ensure_ascii=False))
"""


@pytest.mark.parametrize("order", ["random"])
def test_episodes_are_equal_byte_for_byte_in_processes_with_other_hashes(order: str) -> None:
    printed = set()
    for salt in ("1", "12345"):
        run = subprocess.run(
            [sys.executable, "-c", SCRIPT, order],
            capture_output=True,
            check=True,
            env={**environment(), "PYTHONHASHSEED": salt},
        )
        printed.add(run.stdout)
    assert len(printed) == 1
    assert len(printed.pop().splitlines()) == 6


def environment() -> dict[str, str]:
    import os
    from pathlib import Path

    return {**os.environ, "PYTHONPATH": str(Path(sotopia_env.__file__).parents[1])}


# What step returns


@pytest.mark.parametrize("policy", ["scripted:mixed", "random"])
@pytest.mark.parametrize("order", ORDERS)
def test_types_keys_and_spaces_hold_at_every_step(play_out: Callable[..., Any], policy: str, order: str) -> None:
    env = sotopia_env.parallel_env("bargain", action_order=order)
    keys = {"active", "invalid_action", "turn", "task", "ending", "offers", "transcript_cut"}
    for seed in range(4):
        observations, infos = env.reset(seed=seed)
        assert all(set(info) == keys for info in infos.values())
        assert all(observations[a] in env.observation_space(a) for a in env.possible_agents)
        for steps, result in enumerate(play_out(env, policy, seed), start=1):
            observations, rewards, terminations, truncations, infos = result
            for agent in env.possible_agents:
                assert observations[agent] in env.observation_space(agent)
                assert type(rewards[agent]) is float
                assert type(terminations[agent]) is bool
                assert type(truncations[agent]) is bool
                assert set(infos[agent]) - {"final"} == keys
                assert ("final" in infos[agent]) is (terminations[agent] or truncations[agent])
                assert type(infos[agent]["active"]) is bool
                assert observations[agent]["turn"] == steps
            assert {a for a in infos if infos[a]["active"]} == {
                a for a, seen in observations.items() if seen["action_types"].sum() > 1
            }
        assert env.state() in env.state_space


def test_every_call_returns_fresh_objects(open_env: MakeEnv) -> None:
    env = open_env()
    one, two = say(env, "a", "b")
    again = env.observe("agent_0")
    for earlier, later in zip(one, two, strict=True):
        assert earlier is not later
    assert one[0]["agent_0"] is not two[0]["agent_0"]
    assert one[0]["agent_0"]["action_types"] is not two[0]["agent_0"]["action_types"]
    again["goal"] = "changed"
    again["action_types"][:] = 0
    assert env.observe("agent_0")["goal"] == "GOAL-0"
    assert env.observe("agent_0")["action_types"].sum() == 5


def test_the_second_agent_reads_what_the_first_just_said(open_env: MakeEnv) -> None:
    env = open_env()
    observations = say(env, "hello")[0][0]
    assert observations["agent_1"]["transcript"] == "#0 agent_0: hello"


def test_spaces_are_the_same_objects_every_call() -> None:
    env = sotopia_env.parallel_env("bargain")
    assert env.observation_space("agent_0") is env.observation_space("agent_0")
    assert env.action_space("agent_1") is env.action_space("agent_1")


def test_a_long_talk_stays_in_its_space(open_env: MakeEnv) -> None:
    env = open_env(max_cycles=400)
    cut = []
    while env.agents:
        infos = say(env, "—" * 300 + "\n" * 300)[0][4]
        cut.append(infos["agent_0"]["transcript_cut"])
    assert cut == sorted(cut)
    assert (cut[0], cut[-1]) == (False, True)
    assert env.observe("agent_0") in env.observation_space("agent_0")
    assert env.state() in env.state_space
    assert len(env.episode.turns) == 400


# Rendering


def test_ansi_renders_a_string_and_human_prints(open_env: MakeEnv, capsys: pytest.CaptureFixture[str]) -> None:
    ansi = open_env(render_mode="ansi")
    assert ansi.render() == ""
    say(ansi, "hello")
    assert ansi.render() == "#0 agent_0: hello"
    human = open_env(render_mode="human", max_cycles=1)
    say(human, "good day")
    assert human.render() is None
    assert capsys.readouterr().out.splitlines() == ["They meet.", "#0 agent_0: good day", "-- max_cycles --"]


def test_messages_are_built_for_one_seat(open_env: MakeEnv) -> None:
    env = open_env()
    say(env, "hello")
    assert [m["role"] for m in env.messages("agent_0")] == ["system", "user", "assistant"]
    assert env.messages("agent_1")[-1] == {"role": "user", "content": "First0: hello"}


def test_the_legal_types_are_in_sotopias_order(open_env: MakeEnv) -> None:
    env = open_env(action_types=["leave", "speak", "none"])
    legal = env.observe("agent_0")["action_types"]
    assert [kind for kind, allowed in zip(ACTION_TYPES, legal, strict=True) if allowed] == ["none", "speak", "leave"]


def test_an_act_can_be_asked_about_before_it_is_taken() -> None:
    env = sotopia_env.parallel_env("bargain", agreement="formal")
    env.reset(seed=3)
    assert env.refusal("agent_0", "offer $80") is None
    assert "is no price" in env.refusal("agent_0", "offer 80 or 90")
    assert "nothing to accept" in env.refusal("agent_0", "accept")
    env.step({"agent_0": do("offer $80")})
    assert env.refusal("agent_1", "accept") is None
    with pytest.raises(KeyError, match="unknown agent"):
        env.refusal("agent_7", "accept")
