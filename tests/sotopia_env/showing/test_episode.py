from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sotopia_env.actions import do, leave, speak
from sotopia_env.episodes import Ending, Episode
from sotopia_env.make import parallel_env
from sotopia_env.showing.episode import ending_text, seat_names, shown, standing_offers
from sotopia_env.tasks import Character


def played(tasks: Any, *actions: Any, **options: Any) -> Episode:
    """An episode of these actions, taken in turn."""
    env = parallel_env(tasks, **options)
    _, infos = env.reset(seed=5)
    for action in actions:
        active = next(agent for agent, info in infos.items() if info["active"])
        *_, infos = env.step(action if isinstance(action, dict) else {active: action})
    return env.episode


FORMAL = "bargain:test?agreement=formal"


def test_offers_stand_after_each_turn() -> None:
    episode = played(FORMAL, do("offer $100"), speak("Hm."), do("offer $90"), do("reject"), do("offer $95"))
    assert standing_offers(episode) == [
        ("$100", None),
        ("$100", None),
        ("$90", None),
        (None, None),
        ("$95", None),
    ]


def test_words_make_offers_where_agreements_are_plain() -> None:
    episode = played("bargain:test", speak("I could do $100."), speak("I would take $120."))
    assert standing_offers(episode) == [("$100", None), ("$100", "$120")]


def test_offers_of_a_cycle_are_known_when_it_is_over() -> None:
    both = {"agent_0": do("offer $100"), "agent_1": do("offer $120")}
    episode = played(FORMAL, both, action_order="simultaneous")
    assert standing_offers(episode) == [None, ("$100", "$120")]


def test_offers_are_unknown_where_the_family_is() -> None:
    episode = played(FORMAL, do("offer $100"))
    own = replace(episode, task=replace(episode.task, family="my:Family"))
    unfit = replace(episode, task=replace(episode.task, scenario=replace(episode.task.scenario, hidden=())))
    assert standing_offers(own) == standing_offers(unfit) == [None]
    assert [turn.offers for turn in shown(own).turns] == [None]


def test_a_turn_stands_beside_what_it_is_paid() -> None:
    episode = played(FORMAL, do("offer $100"), do("offer $120"), do("accept"))
    paid = episode.with_rewards("half", {"agent_0": [0.5, None], "agent_1": [-0.25]})
    paid = paid.with_rewards("other", {"agent_1": [1.0]})
    assert [turn.rewards for turn in shown(paid).turns] == [
        {"half": 0.5},
        {"half": -0.25, "other": 1.0},
        {"half": None},
    ]


def test_who_wants_and_hides_what() -> None:
    episode = played(FORMAL, leave())
    hidden = episode.task.scenario.hidden
    seat = shown(episode).seats[0]
    assert (seat.agent, seat.goal) == ("agent_0", episode.task.scenario.goals[0])
    assert seat.secret == hidden[0]["secret"]
    assert dict(seat.hidden)["limit"] == str(hidden[0]["limit"])
    assert dict(seat.hidden)["facts"] == "; ".join(hidden[0]["facts"])
    assert "secret" not in dict(seat.hidden)


def test_recipients_are_told_by_name() -> None:
    episode = played(FORMAL, speak("To myself.", to="agent_0"), speak("To you.", to="agent_0"), private_messages=True)
    name = episode.task.characters[0].name
    assert [turn.to for turn in shown(episode).turns] == [(), (name,)]


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        (None, "still running"),
        (Ending("agreement", seat=1, detail={"price": 85.0}), "agreement by Bo at $85"),
        (Ending("left", seat=0), "Al left"),
        (Ending("max_cycles", truncated=True), "turn limit"),
        (Ending("of one's own", seat=7), "of one's own"),
    ],
)
def test_endings_are_told_in_words(ending: Ending | None, text: str) -> None:
    assert ending_text(ending, ["Al", "Bo"]) == text


def test_two_of_one_name_are_told_apart() -> None:
    task = played(FORMAL).task
    same = replace(task, characters=(Character("a", "Al"), Character("b", "Al")))
    assert seat_names(same) == ["Al (agent_0)", "Al (agent_1)"]
