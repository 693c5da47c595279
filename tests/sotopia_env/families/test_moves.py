"""Each family says what a turn does in its game."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import sotopia_env
from sotopia_env.episodes import Episode, Turn
from sotopia_env.families import FAMILIES, MixedFamily, UserFamily
from sotopia_env.families.base import Family, Move
from sotopia_env.families.mutual_friends.catalogue import phrase
from sotopia_env.families.placebo import PlaceboFamily
from sotopia_env.menu import read_scene
from sotopia_env.tasks import Task


def drawn(name: str) -> Task:
    return FAMILIES[name]().generate(np.random.default_rng(0), "train")


def move(name: str, text: str, kind: str = "speak", task: Task | None = None) -> Move:
    found = FAMILIES[name]().move(task or drawn(name), Turn(0, 0, 0, kind, text))
    assert found is not None
    return found


def test_bargains_name_prices() -> None:
    assert move("bargain", "How about $85?") == Move("offer", 85.0)
    assert move("bargain", "Deal at $85.") == Move("accept", 85.0)
    assert move("bargain", "accept", "action") == Move("accept")
    assert move("craigslist", "$40 is too low.", task=drawn("bargain")) == Move("reject", 40.0)
    assert move("bargain", "Lovely weather.") == move("bargain", "", "none") == Move("none")


def test_divisions_name_items() -> None:
    task = drawn("divide")
    item = task.scenario.hidden[0]["items"][0]["plural"]
    offer = move("divide", f"I take all the {item} and you get the rest.", task=task)
    assert offer.kind == "offer"
    assert offer.content.proposal.mine[0] == task.scenario.hidden[0]["items"][0]["count"]
    assert offer == move("divide", f"So I take all the {item}, and you get the rest.", task=task)
    assert offer != move("divide", f"You take all the {item} and I get the rest.", task=task)
    assert move("divide", "Deal!", task=task).kind == "accept"
    assert move("divide", "No deal.", task=task).kind == "reject"
    assert move("divide", "I like the sea.", task=task).kind == "none"


def test_mutual_friends_are_guessed_confirmed_denied_told_and_asked_for() -> None:
    task = drawn("mutual-friends")
    common = task.scenario.hidden[0]["common"]
    kind, value = next(iter(task.scenario.hidden[0]["friends"][0]["attributes"].items()))
    for text, expected in {
        f"Is it {common}?": "offer",
        f"It is {common}!": "offer",
        f"Yes, I know {common} too!": "accept",
        "Yes!": "accept",
        f"I do not know {common}.": "reject",
        f"A friend of mine {phrase(kind, value)}.": "tell",
        f"Yes, I know someone who {phrase(kind, value)}.": "tell",
        f"Do you know someone who {phrase(kind, value)}?": "ask",
        f"A friend of mine {phrase(kind, value)}. Is it {common}?": "offer",
        "Nice party.": "none",
    }.items():
        assert (text, move("mutual-friends", text, task=task).kind) == (text, expected)
    family = FAMILIES["mutual-friends"]()
    assert family.told(task, Turn(0, 0, 0, "speak", f"A friend of mine {phrase(kind, value)}.")) == [value]
    assert family.told(task, Turn(0, 0, 0, "speak", f"Do you know someone who {phrase(kind, value)}?")) == []


def test_families_without_a_game_know_of_no_move(make_task: Callable[..., Task]) -> None:
    turn = Turn(0, 0, 0, "speak", "How about $85?")
    for name in ("mini", "sotopia"):
        family = FAMILIES[name]()
        assert not family.has_moves
        assert family.move(make_task(), turn) is None
    assert all(FAMILIES[name]().has_moves for name in FAMILIES if name not in ("mini", "sotopia"))


def test_families_around_families_ask_them(make_task: Callable[..., Task]) -> None:
    bargain, mini = FAMILIES["bargain"](), FAMILIES["mini"]()
    task, turn = drawn("bargain"), Turn(0, 0, 0, "speak", "How about $85?")
    mixed = MixedFamily({"bargain": bargain, "mini": mini})
    fact = Turn(0, 0, 0, "speak", task.scenario.hidden[0]["facts"][0])
    for family in (mixed, PlaceboFamily(bargain, [])):
        assert family.has_moves
        assert family.move(task, turn) == Move("offer", 85.0)
        assert family.told(task, fact) == [fact.text]
    assert mixed.move(drawn("mini"), turn) is None
    assert not MixedFamily({"mini": mini}).has_moves
    assert not PlaceboFamily(mini, []).has_moves


class Tosses:
    """A user's family that knows all of its game, and one that knows nothing of it."""

    name = "toss"

    def generate(self, rng: np.random.Generator) -> Task:
        raise NotImplementedError

    def score(self, episode: Episode) -> dict[str, list[float | None]]:
        return {"goal": [None, None]}


class KnownTosses(Tosses):
    def move(self, task: Task, turn: Turn) -> Move:
        return Move("offer", turn.text)

    def told(self, task: Task, turn: Turn) -> list[str]:
        return [turn.text]

    def menu(self, observation: Any) -> dict[str, str]:
        return {"propose-0": "heads", "propose-47": "tails", "tell": str(observation["goal"])}


def test_what_a_users_family_knows_is_taken_over(make_task: Callable[..., Task]) -> None:
    turn, task = Turn(0, 0, 0, "speak", "heads"), make_task(family="toss")
    known, unknown = UserFamily(KnownTosses()), UserFamily(Tosses())
    assert (known.has_moves, unknown.has_moves) == (True, False)
    assert (known.move(task, turn), unknown.move(task, turn)) == (Move("offer", "heads"), None)
    assert (known.told(task, turn), unknown.told(task, turn)) == (["heads"], [])


def test_acts_of_a_family_stand_on_the_menu(make_task: Callable[..., Task]) -> None:
    class Wrong(Family):
        def menu(self, observation: Any) -> dict[str, str]:
            return {"propose-48": "heads"}

    env = sotopia_env.parallel_env([make_task(family="toss")], family=KnownTosses(), interface="menu", reward=None)
    env.reset(seed=0)
    acts = env.scene("agent_0").acts
    assert (acts["propose-0"], acts["propose-47"], acts["tell"]) == (
        "heads",
        "tails",
        env.unwrapped.observe("agent_0")["goal"],
    )
    assert "propose-1" not in acts
    assert "courtesy" in acts
    assert set(env.scene("agent_1").acts) == {"wait"}
    assert "propose-1" in read_scene(env.unwrapped.observe("agent_0")).acts
    with pytest.raises(ValueError, match="family 'family': menu names 'propose-48'; the acts are wait, accept"):
        read_scene(env.unwrapped.observe("agent_0"), Wrong())
