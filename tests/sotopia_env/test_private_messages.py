"""What is said in private is seen by its speaker, its recipients, judges and spectators alone."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sotopia_env
from sotopia_env import do, gesture, leave, rendering, speak, views
from sotopia_env.actions import NONE, Action, read_action
from sotopia_env.environment import SotopiaParallelEnv
from sotopia_env.episodes import Episode, Turn

MakeEnv = Callable[..., SotopiaParallelEnv]
ORDERS = ["round-robin", "simultaneous", "random"]


def to(*seats: int, text: str = "PSST", kind: int = 1, of: int = 3) -> dict[str, Any]:
    return {"action_type": kind, "argument": text, "to": np.array([s in seats for s in range(of)], dtype=np.int8)}


def private(open_env: MakeEnv, seats: int = 3, **options: Any) -> SotopiaParallelEnv:
    return open_env(seats, private_messages=True, **options)


def readers(env: SotopiaParallelEnv, text: str = "PSST") -> list[int]:
    """The seats that find a text anywhere in what they are shown."""
    found = []
    for seat, agent in enumerate(env.possible_agents):
        shown = [env.observe(agent), env.messages(agent), env.view(agent), rendering.render(env.view(agent))]
        seen = [text in str(part) for part in shown]
        assert all(seen) or not any(seen)
        found += [seat] * any(seen)
    return found


@pytest.mark.parametrize(
    ("given_", "recipients", "seen_by"),
    [
        (to(), None, [0, 1, 2]),
        (to(1), (1,), [0, 1]),
        (to(0, 2), (2,), [0, 2]),
        (to(1, 2), (1, 2), [0, 1, 2]),
        (to(0), (), [0]),
        (to(2, kind=2), (2,), [0, 2]),
        (to(2, kind=3), (2,), [0, 2]),
        (to(2, kind=4), None, [0, 1, 2]),
        ("PSST", None, [0, 1, 2]),
        (speak("PSST", to=["agent_2"]), (2,), [0, 2]),
        (do("PSST", to=["agent_1"]), (1,), [0, 1]),
        (gesture("PSST", to=["agent_1", "agent_2"]), (1, 2), [0, 1, 2]),
    ],
)
def test_only_speaker_and_recipients_read_it(
    open_env: MakeEnv, given_: Any, recipients: tuple[int, ...] | None, seen_by: list[int]
) -> None:
    env = private(open_env)
    infos = env.step({"agent_0": given_})[4]
    assert infos["agent_0"]["invalid_action"] is None
    (turn,) = env.episode.turns
    assert turn.recipients == recipients
    assert readers(env) == seen_by
    assert "PSST" in env.state()["transcript"]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("seats", [2, 5])
def test_nobody_reads_more_than_is_for_it_in_any_order(open_env: MakeEnv, order: str, seats: int) -> None:
    env = private(open_env, seats, action_order=order, max_cycles=30)
    rng = np.random.default_rng(0)
    number = 0
    while env.agents:
        actions = {}
        for agent in env.acting:
            chosen = [seat for seat in range(seats) if rng.random() < 0.4]
            actions[agent] = to(*chosen, text=f"TEXT-{number}.", of=seats)
            number += 1
        env.step(actions)
    at_once = seats if order == "simultaneous" else 1
    for seat, agent in enumerate(env.possible_agents):
        turns = [t for t in env.episode.turns if t.recipients is None or seat in (t.seat, *t.recipients)]
        # What was said at the same time as an own turn comes after it.
        turns.sort(key=lambda turn: (turn.global_index // at_once, turn.seat != seat, turn.global_index))
        seen = [turn.text for turn in turns]
        assert [entry.text for entry in views.parse_transcript(env.observe(agent)["transcript"])] == seen
        assert [turn.text for turn in env.view(agent).turns] == seen
        assert views.transcript(turns) == env.observe(agent)["transcript"]
        assert env.observe(agent) in env.observation_space(agent)
    assert len(views.parse_transcript(env.state()["transcript"])) == number


def test_off_by_default_and_then_not_in_the_space(open_env: MakeEnv) -> None:
    env = open_env(3)
    assert set(env.action_space("agent_0").spaces) == {"action_type", "argument"}
    assert "recipients" not in env.observe("agent_0")
    assert "private_messages" not in env.config
    # To tell everyone what was meant for one would be the worse mistake.
    for given_ in (to(1), speak("PSST", to=["agent_1"])):
        env.reset(seed=0)
        assert env.step({"agent_0": given_})[4]["agent_0"]["invalid_action"] is not None
        assert readers(env) == []


def test_the_spaces_hold_the_seats(open_env: MakeEnv) -> None:
    env = private(open_env)
    space = env.action_space("agent_0")
    assert to(1) in space
    assert speak("hi", to=["agent_2"]).to_space(3) in space
    assert speak("hi").to_space() not in space
    observation = env.observe("agent_0")
    assert observation in env.observation_space("agent_0")
    assert observation["recipients"].tolist() == [0, 1, 1]
    assert env.observe("agent_1")["recipients"].tolist() == [0, 0, 0]
    for action in ("hi", leave(), "ho", "hum"):
        env.step({env.acting[0]: action})
    assert env.observe("agent_2")["recipients"].tolist() == [1, 0, 0]


@pytest.mark.parametrize("vector", [[0, 1], [0, 1, 2], [0, 1, 0.5], [0, 1, None], "010", 1, None, [[0], [1], [0]], {}])
def test_a_malformed_vector_is_none_and_reported(open_env: MakeEnv, vector: Any) -> None:
    env = private(open_env)
    infos = env.step({"agent_0": {"action_type": 1, "argument": "PSST", "to": vector}})[4]
    assert "no vector of 3 numbers" in infos["agent_0"]["invalid_action"]
    assert readers(env) == []


@pytest.mark.parametrize("seats", [(7,), (-1,), ("agent_1",), [1], 1])
def test_seats_that_do_not_exist_are_reported(open_env: MakeEnv, seats: Any) -> None:
    env = private(open_env)
    infos = env.step({"agent_0": Action("speak", "PSST", seats)})[4]
    assert infos["agent_0"]["invalid_action"] is not None
    assert readers(env) == []


def test_silence_and_leaving_are_for_everyone() -> None:
    assert read_action(Action("none", "", (1,))) == (NONE, None)
    assert read_action({**to(1, kind=0), "argument": ""}, num_seats=3) == (NONE, None)


@pytest.mark.parametrize("order", ORDERS)
def test_copies_snapshots_and_files_keep_it(open_env: MakeEnv, order: str, tmp_path: Path) -> None:
    env = private(open_env, action_order=order)
    for number in range(2):
        env.step({agent: to((int(agent[-1]) + 1) % 3, text=f"PSST {number}") for agent in env.acting})
    fresh = open_env(3)
    fresh.restore(json.loads(json.dumps(env.snapshot())))
    sotopia_env.save_episodes([env.episode], tmp_path / "e.jsonl")
    (loaded,) = sotopia_env.load_episodes(tmp_path / "e.jsonl")
    assert loaded == env.episode
    again = SotopiaParallelEnv.from_episode(loaded, env.family)
    twins = [fresh, again, env.fork()[0], copy.deepcopy(env), pickle.loads(pickle.dumps(env))]  # noqa: S301
    for twin in twins:
        assert twin.config["private_messages"] is True
        assert to(1) in twin.action_space("agent_0")
        for agent in env.possible_agents:
            assert twin.observe(agent)["transcript"] == env.observe(agent)["transcript"]
            assert views.view(loaded, agent).turns == env.view(agent).turns


def test_a_view_before_a_turn_holds_nothing_of_it_and_no_raw_text_of_others(open_env: MakeEnv) -> None:
    env = private(open_env, action_order="simultaneous")
    decision = sotopia_env.Decision(speak("hi"), raw="(I think of a trap) hi")
    env.step({"agent_0": decision, "agent_1": to(0), "agent_2": "ho"})
    env.step(dict.fromkeys(env.acting, "later"))
    episode = env.episode
    assert views.view(episode, "agent_0", 0).turns == views.view(episode, "agent_0", 2).turns == ()
    known = views.view(episode, "agent_2", 3)
    assert [[turn.text for turn in cycle] for cycle in known.cycles] == [["hi", "ho"]]
    assert [turn.text for turn in known.turns] == ["ho", "hi"]
    assert [turn.raw for turn in views.view(episode, "agent_0", 3).turns] == ["(I think of a trap) hi", None, None]
    assert "trap" not in str(views.view(episode, "agent_1"))


def test_a_rule_judge_reads_what_was_said_in_private(bargain_task: Callable[..., Any]) -> None:
    env = sotopia_env.parallel_env([bargain_task()], private_messages=True, reward="episode")
    env.reset(seed=0)
    env.step({"agent_0": speak("I am asking $80 for it.", to=["agent_1"])})
    _, rewards, *_ = env.step({"agent_1": do("accept", to=["agent_0"])})
    assert env.episode.ending is not None
    assert env.episode.ending.detail["price"] == 80.0
    assert all(rewards.values())


# Texts


NAMES = "agent_0: Mara Lind\nagent_1: Leo Ash\nagent_2: Leo Oak"
seats = st.none() | st.lists(st.integers(0, 4), unique=True, max_size=3).map(sorted).map(tuple)
texts = st.text(max_size=12) | st.sampled_from(["to agent_1: hi", ", agent_2: hi", "x\n#1 agent_0 to nobody: y"])


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["speak", "action"]), texts, seats), max_size=5))
def test_transcripts_tell_to_whom_and_are_parsed_back(said: list[tuple[int, str, str, Any]]) -> None:
    turns = [Turn(s, i, i, kind, text, recipients=to_) for i, (s, kind, text, to_) in enumerate(said)]
    entries = views.parse_transcript(views.transcript(turns))
    assert [(e.agent, e.type, e.text) for e in entries] == [(t.agent, t.type, t.text) for t in turns]
    named = [None if e.to is None else tuple(int(agent[-1]) for agent in e.to) for e in entries]
    assert named == [t.recipients for t in turns]


@pytest.mark.parametrize(
    ("raw", "action"),
    [
        ("[to Mara] psst", Action("speak", "psst", (0,))),
        ("[TO mara lind, agent_2] psst", Action("speak", "psst", (0, 2))),
        ("[to Leo Oak][action] nods", Action("action", "nods", (2,))),
        ('[to agent_1] {"action_type": "speak", "argument": "x"}', Action("speak", "x", (1,))),
        ("[to nobody] hm", Action("speak", "hm", (1,))),
        ("said: [to Mara] is how it begins", Action("speak", "[to Mara] is how it begins")),
        ("hello", Action("speak", "hello")),
    ],
)
def test_a_model_addresses_its_words(raw: str, action: Action) -> None:
    observation = {"agent": "agent_1", "participants": NAMES, "recipients": [1, 0, 1]}
    assert rendering.read_output(raw, observation) == (action, None)


@pytest.mark.parametrize("raw", ["[to Leo] which one?", "[to Eve] hi", "[to ] hi", "[to Mara]", "[to Mara] [action"])
def test_a_name_that_nobody_or_two_have_is_reported(raw: str) -> None:
    action, reason = rendering.read_output(raw, {"agent": "agent_1", "participants": NAMES, "recipients": [1, 0, 1]})
    if raw == "[to Mara] [action":
        assert (action, reason) == (Action("speak", "[action", (0,)), None)
    else:
        assert action == NONE
        assert reason is not None


def test_the_text_interface_tells_how_and_shows_to_whom(open_env: MakeEnv) -> None:
    env = sotopia_env.make.with_interface(private(open_env), "text")
    env.reset(seed=0)
    observations = env.step({"agent_0": "[to First2] psst"})[0]
    assert "[to NAME]" in observations["agent_1"]["prompt"]
    assert "psst" not in observations["agent_1"]["prompt"]
    assert "First0 [to First2]: psst" in observations["agent_2"]["prompt"]
    assert "You: [to First2] psst" in observations["agent_0"]["prompt"]
    episode: Episode = env.episode
    assert (episode.turns[0].text, episode.turns[0].raw, episode.turns[0].recipients) == (
        "psst",
        "[to First2] psst",
        (2,),
    )
