from __future__ import annotations

import pytest

from sotopia_env.families.divide.items import complement, divisions, listed, read_items
from sotopia_env.families.divide.moves import read_division
from sotopia_env.families.mutual_friends.mentions import read_mentions
from sotopia_env.menu import phrases
from sotopia_env.menu.offers import in_all_manners

ITEMS = read_items("They divide 3 lamps, 1 rug and 2 boxes.")


@pytest.mark.parametrize("turn", range(8))
def test_every_division_is_read_as_asked_for_in_every_manner(turn: int) -> None:
    assert ITEMS is not None
    courtesy, question = phrases.COURTESIES[turn % 7], phrases.DIVISION_QUESTIONS[turn % 4]
    for mine in divisions(ITEMS):
        left = complement(mine, ITEMS)
        wordings = phrases.ALL_MINE if not any(left) else phrases.ALL_YOURS if not any(mine) else phrases.DIVISIONS
        words = {"mine": listed(ITEMS, mine) if any(mine) else "", "theirs": listed(ITEMS, left) if any(left) else ""}
        sentence = phrases.rotated(wordings, turn).format(**words)
        for text in in_all_manners(0, sentence, courtesy, question).values():
            move = read_division("speak", str(text), ITEMS)
            assert move.kind == "offer", text
            assert move.proposal is not None
            assert move.proposal.share(ITEMS) == mine, text
            assert move.proposal.sure, text


def test_refusals_refuse_and_nothing_else_moves_a_division() -> None:
    assert ITEMS is not None
    kinds = {read_division("speak", text, ITEMS).kind for text in phrases.REFUSED_DIVISIONS}
    assert kinds <= {"reject", "none"}
    for text in (*phrases.COURTESIES, *phrases.DIVISION_QUESTIONS, *phrases.FAREWELLS):
        assert read_division("speak", text, ITEMS).kind == "none", text


def test_guesses_ask_for_a_friend_confirmations_claim_and_denials_do_neither() -> None:
    names, players = ("Alma", "Piotr"), frozenset({"Mara", "Luca"})
    for text in phrases.GUESSES:
        assert read_mentions("speak", text.format(name="Alma"), names, players).asked == {"Alma"}
    for text in phrases.CONFIRMATIONS:
        assert read_mentions("speak", text.format(name="Alma"), names, players).claimed == {"Alma"}
    for text in (*phrases.DENIALS, *phrases.COURTESIES, *phrases.FRIEND_QUESTIONS):
        found = read_mentions("speak", text, names, players)
        assert not found.asked | found.claimed
