"""One chat: what a seat is shown in play is what its stored episode gives, and nothing that it could not have read."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sotopia_env import rendering, views
from sotopia_env.actions import NONE, Action
from sotopia_env.environment import SotopiaParallelEnv
from sotopia_env.episodes import Episode, seat_of
from sotopia_env.published.pairs import training_pairs
from sotopia_env.rendering import Message, chat, chat_text
from sotopia_env.turns import ACTION_ORDERS
from sotopia_env.views import view
from sotopia_env.wrappers.text import PRIVATE_INSTRUCTION, TextWrapper

MakeEnv = Callable[..., SotopiaParallelEnv]

MARK = re.compile(r"@(\d+)@")
WORDS = (
    "",
    "hi\nagent_1: no",
    "[leave]",
    "said: x",
    "#3 agent_0: I agree",
    "{",
    "a\n\n#1 agent_1: b\n    c",
    "[to all]",
)


class Play:
    """An episode in which each turn carries a mark, with its own books of who had read which mark when it spoke."""

    def __init__(self, env: SotopiaParallelEnv, seed: int, leaving: float = 0.1) -> None:
        """Play to the end with random acts: marked words, silence, leaving, and private ones where they may be."""
        rng = np.random.default_rng(seed)
        self.text_env = TextWrapper(env)
        self.known: dict[tuple[str, int], list[int]] = {}
        self.shown: dict[tuple[str, int], tuple[list[Message], str, str]] = {}
        read: dict[str, list[int]] = {agent: [] for agent in env.possible_agents}
        observations, mark = {a: self.text_env.observe(a) for a in env.possible_agents}, 0
        while env.agents:
            actions, heard = {}, []
            for agent in env.acting:
                moment = (agent, env.own_turns_played(agent))
                self.known[moment] = sorted(read[agent])
                seen = env.observe(agent)
                self.shown[moment] = (env.messages(agent), rendering.as_text(seen), observations[agent]["prompt"])
                to = tuple(int(s) for s in np.flatnonzero(rng.random(len(read)) < 0.4)) if rng.random() < 0.5 else ()
                to = to if env.rules.private_messages else ()
                draw = rng.random()
                kind = "leave" if draw < leaving else ("speak", "action", "non-verbal communication")[rng.integers(3)]
                actions[agent] = Action(kind, f"@{mark}@{rng.choice(WORDS)}", to)
                if draw > 0.85:
                    actions[agent] = NONE
                elif to and kind != "leave":
                    heard += [(other, mark) for other in read if seat_of(other) in to or other == agent]
                else:
                    heard += [(other, mark) for other in read]
                mark += 1
            observations = self.text_env.step(actions)[0]
            for agent, number in heard:
                read[agent].append(number)
        self.episode: Episode = env.episode


plays = {
    "seats": st.integers(2, 5),
    "order": st.sampled_from(ACTION_ORDERS),
    "private": st.booleans(),
    "seed": st.integers(0, 2**32 - 1),
}
each = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def played(open_env: MakeEnv, seats: int, order: str, private: bool, seed: int) -> Play:
    env = open_env(seats, action_order=order, private_messages=private, max_cycles=12, max_stale=3)
    env.reset(seed=seed)
    return Play(env, seed)


def marks(*texts: str) -> list[int]:
    return sorted(int(number) for text in texts for number in MARK.findall(text))


@each
@given(**plays)
def test_no_turn_stands_before_one_whose_speaker_had_not_read_it(
    open_env: MakeEnv, seats: int, order: str, private: bool, seed: int
) -> None:
    play = played(open_env, seats, order, private, seed)
    for agent in play.episode.agents:
        whole = chat(view(play.episode, agent))
        own = [place for place, message in enumerate(whole) if message["role"] == "assistant"]
        assert len(own) == len(play.episode.own_turns(agent))
        for turn, place in zip(play.episode.own_turns(agent), own, strict=True):
            # All that it had read, and nothing else.
            before = [message["content"] for message in whole[:place]]
            assert marks(*before) == play.known[agent, turn.own_index]
            assert marks(whole[place]["content"]) == marks(turn.text)


@each
@given(**plays)
def test_the_stored_chat_is_the_one_that_was_shown_in_play(
    open_env: MakeEnv, seats: int, order: str, private: bool, seed: int
) -> None:
    play = played(open_env, seats, order, private, seed)
    for agent in play.episode.agents:
        whole = chat(view(play.episode, agent))
        own = [place for place, message in enumerate(whole) if message["role"] == "assistant"]
        for turn, place in zip(play.episode.own_turns(agent), own, strict=True):
            messages, text, prompt = play.shown[agent, turn.own_index]
            assert messages == whole[:place]
            assert messages == chat(view(play.episode, agent, turn.global_index), to_act=True)
            assert text == chat_text(messages)
            told = f"\n{PRIVATE_INSTRUCTION}" if private else ""
            assert prompt == text.replace(messages[0]["content"], messages[0]["content"] + told, 1)
        assert whole == rendering.messages({**view(play.episode, agent).observation()})


@each
@given(**plays)
def test_training_pairs_ask_what_was_shown_and_answer_as_the_chat_does(
    open_env: MakeEnv, seats: int, order: str, private: bool, seed: int
) -> None:
    play = played(open_env, seats, order, private, seed)
    pairs = iter(training_pairs([play.episode], "native"))
    for turn in play.episode.turns:
        if turn.type == "none":
            continue
        pair = next(pairs)
        assert pair.input == play.shown[turn.agent, turn.own_index][1]
        answers = [m["content"] for m in chat(view(play.episode, turn.agent)) if m["role"] == "assistant"]
        assert pair.output == answers[turn.own_index]
    assert next(pairs, None) is None


@pytest.mark.parametrize("private", [False, True])
def test_the_seat_that_speaks_second_in_a_cycle_reads_the_others_behind_its_own_turn(
    open_env: MakeEnv, private: bool
) -> None:
    env = open_env(action_order="simultaneous", private_messages=private)
    env.step({"agent_0": "My first.", "agent_1": "Yours, at once."})
    env.step({"agent_0": "Second.", "agent_1": "Third."})
    said = {agent: [message["content"] for message in env.messages(agent)[1:]] for agent in env.agents}
    assert said["agent_0"] == ["Begin.", "My first.", "First1: Yours, at once.", "Second.", "First1: Third."]
    assert said["agent_1"] == ["Begin.", "Yours, at once.", "First0: My first.", "Third.", "First0: Second."]
    assert env.observe("agent_1")["transcript"].split("\n") == [
        "#1 agent_1: Yours, at once.",
        "#0 agent_0: My first.",
        "#3 agent_1: Third.",
        "#2 agent_0: Second.",
    ]


@pytest.mark.parametrize("order", ACTION_ORDERS)
def test_a_view_is_cut_where_the_transcript_of_an_observation_is(open_env: MakeEnv, order: str) -> None:
    env = open_env(action_order=order, max_cycles=400)
    for _ in range(40):
        assert view(env.episode, "agent_1").window() == view(env.episode, "agent_1")
        env.step(dict.fromkeys(env.acting, "word " * 90))
    infos: Any = {}
    while env.agents:
        infos = env.step(dict.fromkeys(env.acting, "word " * 90))[4]
    seen = view(env.episode, "agent_1")
    assert infos["agent_1"]["transcript_cut"]
    assert 20 < len(seen.window().turns) < len(seen.turns)
    assert views.transcript(seen.window().turns) == env.observe("agent_1")["transcript"]
    assert chat(seen.window()) == env.messages("agent_1")
