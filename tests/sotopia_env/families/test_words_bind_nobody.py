"""Where agreements are made by acts alone, no words close a table or move it, be they all numbers and consent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from sotopia_env.episodes import Turn
from sotopia_env.families import Bargain, Divide, Family, MutualFriends
from sotopia_env.tasks import Task

CONSENT = (
    "Deal!", "Deal", "It's a deal at", "Agreed.", "I agree to", "I accept", "I accept your offer of",
    "accept", "Accepted:", "Yes.", "Yes, I know", "Sure, sounds good", "You have a deal,", "We are agreed on",
    "Done.", "OK,", "Fine, take", "Sold!", "I'll take it for", "[action] accept", "[action] offer",
    "[action]: accept", "*accepts*", "(accepts the offer)", "#3 agent_1 [action]: accept", "offer", "I offer",
    "My final offer is", "How about", "I reject", "reject", "No deal", "I take that back",
    "I withdraw my offer,", '{"action_type": "action", "argument": "accept"}', "/accept", "No,",
)  # fmt: skip
NUMBERS = ("$80", "$85", "85", "90 dollars", "$95", "ninety", "€85", "1", "2", "$85.", "80-85", "85 or 90", "all of it")
LINKS = (" ", " ", ". ", ", ", "; ", "\n", "! ", "? ", " if ", " but ", " and ", " - ", " then ")
SHARES = ("I get", "you get", "the rest", "everything", "nothing for me", "I take", "you keep", "half of the")

FORMAL: tuple[Family, ...] = tuple(family(agreement="formal") for family in (Bargain, Divide, MutualFriends))


def utterances(task: Task, number: int, seed: int) -> Iterator[str]:
    """Words full of what closes and moves a table elsewhere."""
    rng = np.random.default_rng(seed)
    hidden = task.scenario.hidden
    nouns = [kind[form] for kind in hidden[0].get("items", ()) for form in ("singular", "plural")]
    nouns += [friend["name"] for own in hidden for friend in own.get("friends", ())]
    pool = (*CONSENT, *CONSENT, *NUMBERS, *NUMBERS, *SHARES, *nouns, *nouns)
    for _ in range(number):
        parts = rng.integers(len(pool), size=int(rng.integers(1, 9)))
        yield "".join(pool[part] + LINKS[int(rng.integers(len(LINKS)))] for part in parts).strip()


def acts_of(task: Task) -> tuple[str, str]:
    """What the two sides offer at the beginning."""
    hidden = task.scenario.hidden
    if "friends" in hidden[0]:
        first, second = ({friend["name"] for friend in own["friends"]} for own in hidden)
        return f"offer {min(first - second)}", f"offer {hidden[0]['common']}"
    if "items" in hidden[0]:
        plural = hidden[0]["items"][0]["plural"]
        return f"offer 1 {plural}", f"offer 0 {plural}"
    return "offer $85", "offer $95"


def moved(family: Family, number: int, seed: int = 0) -> list[str]:
    """The utterances, of so many, that closed a table or moved it: of one with both offers, and of an empty one."""
    task = family.generate(np.random.default_rng(seed), "test")

    def table(progress: Any) -> Any:
        return family.offers(progress), family.ending(progress)

    empty = standing = family.begin(task)
    for seat, act in enumerate(acts_of(task)):
        standing = family.advance(standing, Turn(seat, 0, seat, "action", act))
    before = table(empty), table(standing)
    assert None not in before[1][0]
    found = []
    for place, text in enumerate(utterances(task, number, seed)):
        turn = Turn(place % 2, 1 + place // 2, 2 + place, "speak", text)
        # Some words change what is known of friends; none may change the table, however many came before.
        empty, standing = family.advance(empty, turn), family.advance(standing, turn)
        if (table(empty), table(standing)) != before:
            found.append(text)
    return found


@pytest.mark.parametrize("family", FORMAL, ids=lambda family: family.name)
def test_no_words_close_or_move_a_table(family: Family) -> None:
    assert moved(family, 700) == []


@pytest.mark.parametrize("refusing", [0, 1])
@pytest.mark.parametrize("family", FORMAL, ids=lambda family: family.name)
def test_a_refusal_is_of_what_was_seen_not_of_an_offer_made_meanwhile(family: Family, refusing: int) -> None:
    task = family.generate(np.random.default_rng(1), "test")
    older, newer = acts_of(task)
    other = 1 - refusing
    table = family.advance(family.begin(task), Turn(other, 0, 0, "action", older))
    cycle = [Turn(seat, 1, 1 + seat, "action", "reject" if seat == refusing else newer) for seat in range(2)]
    meant = family.advance(family.begin(task), Turn(other, 0, 0, "action", newer))
    assert family.offers(family.advance_cycle(table, cycle)) == family.offers(meant)


@pytest.mark.parametrize("family", FORMAL, ids=lambda family: family.name)
def test_words_behind_an_act_change_nothing_of_it(family: Family) -> None:
    task = family.generate(np.random.default_rng(1), "test")
    first, second = acts_of(task)
    alone = family.advance(family.begin(task), Turn(0, 0, 0, "action", first))
    for text in utterances(task, 200, 1):
        said = family.advance(family.begin(task), Turn(0, 0, 0, "action", f"{first}\n{text}"))
        assert family.offers(said) == family.offers(alone)
        assert family.ending(family.advance(said, Turn(1, 0, 1, "action", f"{second}\n{text}"))) is None
