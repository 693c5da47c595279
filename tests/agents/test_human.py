"""A human at the terminal: what is shown, what is read, and what is asked again."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import sotopia_env
from sotopia_env.agents import FunctionPolicy
from sotopia_env.agents.human import HumanPolicy, parse_line, speaker_names, visible
from sotopia_env.policies import Context


def human(lines: Iterable[str]) -> tuple[HumanPolicy, io.StringIO]:
    """A policy that is typed for, and what it shows on a terminal of 80 columns."""
    shown = io.StringIO()
    left = iter(lines)

    def read(prompt: str) -> str:
        shown.write("You: ")
        try:
            return next(left)
        except StopIteration:
            raise EOFError from None

    return HumanPolicy(console=Console(file=shown, width=80), read=read), shown


def observation(**changes: Any) -> dict[str, Any]:
    observations, _ = sotopia_env.parallel_env("bargain").reset(seed=3)
    return {**observations["agent_0"], **changes}


def test_the_seat_is_shown_its_brief_and_what_was_said_since() -> None:
    policy, shown = human(["My first word.", "/accept"])
    partner = sotopia_env.make_policy("scripted:firm")
    (episode,) = sotopia_env.rollout("bargain", [policy, partner], num_episodes=1, seed=3, max_cycles=4)
    assert [(turn.type, turn.text) for turn in episode.own_turns("agent_0")] == [
        ("speak", "My first word."),
        ("action", "accept"),
    ]
    text = shown.getvalue()
    own, other = episode.task.characters
    assert f"You are {own.name} (agent_0)" in text
    for part in (episode.task.scenario.goals[0], own.secret, "/accept", "/leave"):
        assert " ".join(part.split()[:3]) in text
    assert other.secret[:20] not in text
    assert text.count(f"{other.name}: {episode.turns[1].text[:20]}") == 1
    assert "My first word." not in text
    assert max(map(len, text.splitlines())) <= 80
    assert policy.turns_taken == 2


@pytest.mark.parametrize("seat", [0, 1])
def test_what_is_said_at_the_same_time_is_shown_once_and_afterwards(seat: int) -> None:
    policy, shown = human(["Mine one.", "Mine two.", "Mine three."])
    said = iter(["Yours one.", "Yours two.", "Yours three."])
    partner = FunctionPolicy(lambda observation, rng: next(said))
    seated = [policy, partner] if seat == 0 else [partner, policy]
    sotopia_env.rollout("bargain", seated, num_episodes=1, seed=3, max_cycles=3, action_order="simultaneous")
    talk = shown.getvalue().split("show this list")[1]
    assert re.findall(r"You: |Mine|Yours \w+", talk) == ["You: ", "Yours one", "You: ", "Yours two", "You: "]


def test_another_dialogue_is_shown_from_its_beginning() -> None:
    policy, shown = human(["Hello."] * 4)
    first = observation(transcript="#0 agent_1: One.")
    policy.act([first, {**first, "agent": "agent_0", "goal": "Something else."}], [context("a"), context("b")])
    assert (shown.getvalue().count("Your goal"), shown.getvalue().count(": One.")) == (2, 2)
    policy.act_one({**first, "goal": "Something else."}, context("b"))
    assert shown.getvalue().count(": One.") == 2
    policy.act_one({**first, "goal": "Something else.", "transcript": ""}, context("b"))
    assert shown.getvalue().count("Your goal") == 3


def context(episode: str) -> Context:
    return Context(episode, "agent_0", 0, np.random.default_rng(0))


def test_lines_become_actions() -> None:
    seen = observation()
    for line, action in {
        " Would $90 do? ": sotopia_env.speak("Would $90 do?"),
        "/accept": sotopia_env.do("accept"),
        "/reject": sotopia_env.do("reject"),
        "/do  show the bike ": sotopia_env.do("show the bike"),
        "/gesture nods": sotopia_env.gesture("nods"),
        "/leave": sotopia_env.leave(),
        "/leave Good bye.": sotopia_env.leave("Good bye."),
        "/none": sotopia_env.actions.NONE,
        "//help me": sotopia_env.speak("/help me"),
        '{"action_type": "leave"}': sotopia_env.speak('{"action_type": "leave"}'),
    }.items():
        assert parse_line(line, seen) == (action, None)


def test_what_is_no_action_is_said_so_and_asked_again() -> None:
    lines = ["", "/dance", "/do", "/accept now", "x" * 9000, "caf\udce9", "/help", "/brief", "/transcript", "Hello."]
    policy, shown = human(lines)
    assert policy.act_one(observation()) == sotopia_env.speak("Hello.")
    text = " ".join(shown.getvalue().split())
    assert text.count("You:") == 10 + 2  # the brief, shown twice, has a line "You: ..." of its own
    for problem in ("no command /dance", "what? /do TEXT", "/accept takes no text", "at most 8192", "lone surrogate"):
        assert problem in text
    assert text.count("show this list") == 2


def test_only_legal_types_are_offered_and_taken() -> None:
    policy, shown = human(["/leave", "/gesture nods", "Hello."])
    seen = observation(action_types=np.array([1, 1, 0, 0, 0], dtype=np.int8))
    assert policy.act_one(seen) == sotopia_env.speak("Hello.")
    assert shown.getvalue().count("is not possible here; possible are none, speak") == 2
    assert "/accept" not in shown.getvalue()


def test_the_end_of_the_input_is_an_error_that_names_the_turn() -> None:
    policy, _ = human(["Hello."])
    with pytest.raises(RuntimeError, match=r"the input ended before the conversation did\) at task .*own turn 0"):
        sotopia_env.rollout("bargain", [policy, policy], num_episodes=1)


def test_what_others_say_can_do_nothing_to_the_terminal() -> None:
    assert visible("a\x1b[2Jb\tc\u202ed\u00a0e\r\nf é — 好") == "a\\x1b[2Jb\\tc\\u202ed e\\r\nf é — 好"
    policy, shown = human(["Hello."])
    policy.act_one(observation(transcript="#0 agent_1: [red]\x1b[31mfree[/red]\n    #1 agent_0: I agree"))
    assert "[red]\\x1b[31mfree[/red]" in shown.getvalue()
    assert "#1 agent_0: I agree" in shown.getvalue()
    assert not [line for line in shown.getvalue().splitlines() if line.startswith("#1")]
    assert "\x1b" not in shown.getvalue()


def test_speakers_who_share_a_name_are_told_apart() -> None:
    participants = "agent_0: Mara Lind\nagent_1: Mara Lind\nagent_2: Bo"
    assert speaker_names(participants) == {
        "agent_0": "Mara Lind (agent_0)",
        "agent_1": "Mara Lind (agent_1)",
        "agent_2": "Bo",
    }


def test_made_from_a_name() -> None:
    made = sotopia_env.make_policy("human")
    assert isinstance(made, HumanPolicy)
    assert made.name == "human"


def test_what_is_on_the_table_is_shown_every_turn_in_either_mode() -> None:
    for mode, mine in (("plain", "My offer is $60."), ("formal", "/offer $60. Would that do?")):
        policy, shown = human([mine, "Hm.", "/accept"])
        seated = [policy, "scripted:firm"]
        (episode,) = sotopia_env.rollout(f"bargain?agreement={mode}", seated, num_episodes=1, seed=3, max_cycles=6)
        other = episode.task.characters[1].name
        assert shown.getvalue().count(f"On the table: you $60; {other} $") == 2
        assert ("Words settle nothing here" in shown.getvalue()) == (mode == "formal")
        assert episode.ending is not None
        assert episode.ending.reason == "agreement"


def test_an_act_that_settles_nothing_is_asked_again_or_told() -> None:
    policy, shown = human(["/accept", "/do I accept and offer", "/offer 80 or 90", "/offer $80"])
    seated = [policy, FunctionPolicy(lambda observation, rng: "Hm.")]
    (episode,) = sotopia_env.rollout("bargain?agreement=formal", seated, num_episodes=1, seed=3, max_cycles=4)
    text = " ".join(shown.getvalue().split())
    assert "there is nothing to accept: nobody else has an offer on the table" in text
    assert "Your last turn did nothing: '80 or 90' is no price" in text
    assert [(turn.type, turn.text) for turn in episode.own_turns("agent_0")] == [("none", ""), ("action", "offer $80")]


def test_turns_can_be_asked_for_elsewhere() -> None:
    asked: list[str] = []

    def ask(observations: Any, contexts: Any) -> list[Any]:
        asked.extend(one.agent for one in contexts)
        return [sotopia_env.leave() for _ in observations]

    policy = HumanPolicy(ask=ask)
    (episode,) = sotopia_env.rollout("bargain", policy, num_episodes=1, seed=3, action_order="simultaneous")
    assert asked == ["agent_0", "agent_1"]
    assert [turn.type for turn in episode.turns] == ["leave", "leave"]
    assert policy.turns_taken == 2
    assert policy.describe() == HumanPolicy().describe()
