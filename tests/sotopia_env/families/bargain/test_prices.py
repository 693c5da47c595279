"""Prices are read from the text of a sale, or the text is refused."""

from __future__ import annotations

import pytest

from sotopia_env.families.bargain.craigslist import read_prices

BUYER = "You are the buyer and hope for $80.5."
SELLER = "As the Seller your target is $1,100.00!"


def test_roles_and_prices_are_read_in_either_order() -> None:
    assert read_prices("A van for $1,250, worth $2,000 once.", [SELLER, BUYER]) == (
        {"role": "seller", "target": 1100.0, "list_price": 1250.0},
        {"role": "buyer", "target": 80.5, "list_price": 1250.0},
    )


@pytest.mark.parametrize(
    ("situation", "goals", "said"),
    [
        ("A van for sale.", [BUYER, SELLER], "no list price"),
        ("A van for $0.", [BUYER, SELLER], "must be positive"),
        ("A van for $90.", [BUYER, BUYER], "one buyer and one seller"),
        ("A van for $90.", ["You are the buyer.", SELLER], "goal 0"),
        ("A van for $90.", [BUYER, "You are the seller: $80 or $85."], "goal 1"),
        ("A van for $90.", [BUYER, "The seller and the buyer want $80."], "goal 1"),
    ],
)
def test_what_cannot_be_read_is_refused(situation: str, goals: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_prices(situation, goals)
