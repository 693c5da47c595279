"""What both games take for consent, and where each takes more."""

from __future__ import annotations

import pytest

from sotopia_env.families.bargain.moves import read_move
from sotopia_env.families.divide.items import read_items
from sotopia_env.families.divide.moves import read_division

ITEMS = read_items("3 books, 2 hats and 1 ball") or ()


@pytest.mark.parametrize(
    ("text", "price", "division"),
    [
        ("Deal.", "accept", "accept"),
        ("Alright, you have a deal.", "accept", "accept"),
        ("Yes, that sounds good.", "accept", "accept"),
        ("That sounds reasonable to me.", "accept", "accept"),
        ("Deal. Let me think about it.", "none", "none"),
        ("Deal, but not yet.", "none", "none"),
        ("Deal if you carry it.", "none", "none"),
        ("He said deal.", "none", "none"),
        ("Sorry, no deal.", "reject", "reject"),
        ("The deal is off.", "reject", "reject"),
        ("Forget it.", "reject", "reject"),
        # What one game adds.
        ("Okay.", "none", "accept"),
        ("That sounds nice.", "none", "accept"),
        ("I'll consider it, deal.", "accept", "none"),
        ("Unfortunately no deal.", "none", "reject"),
        ("Never mind that.", "none", "reject"),
    ],
)
def test_words_of_consent(text: str, price: str, division: str) -> None:
    assert (read_move("speak", text).kind, read_division("speak", text, ITEMS).kind) == (price, division)


@pytest.mark.parametrize(
    ("act", "price", "division"),
    [
        ("accepts the offer", "accept", "accept"),
        ("declines", "reject", "reject"),
        ("accepts if we meet", "none", "none"),
        ("accepts the split", "none", "accept"),
    ],
)
def test_formal_acts(act: str, price: str, division: str) -> None:
    assert (read_move("action", act).kind, read_division("action", act, ITEMS).kind) == (price, division)
