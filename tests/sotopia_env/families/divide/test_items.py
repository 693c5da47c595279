from __future__ import annotations

import pytest

from sotopia_env.families.divide.items import (
    ItemKind,
    complement,
    divisions,
    listed,
    plural_of,
    read_items,
    read_values,
    singular_of,
    totals,
    worth,
)

ITEMS = (ItemKind("book", "books", 3), ItemKind("hat", "hats", 2), ItemKind("ball", "balls", 1))


@pytest.mark.parametrize(
    "text",
    [
        "They share 3 books, 2 hats, and 1 ball.",
        "They share 3 books, 2 hats and 1 ball that are left.",
        "Three books, two hats and one ball are on the table.",
    ],
)
def test_a_list_of_items_is_read(text: str) -> None:
    assert read_items(text) == ITEMS


def test_a_text_without_a_list_holds_no_items() -> None:
    assert read_items("A bike is listed at $120.") is None
    assert read_items("Meet me at 3 o'clock.") is None


@pytest.mark.parametrize(
    "text",
    [
        "To you each book is worth 5 points, each hat is worth 0 points, each ball is worth 12 points.",
        "Books bring you 5 points each, hats 0, and the ball brings 12 points.",
        "1 book = 5 points, 1 hat = 0 points, 1 ball = 12 points",
        "You value the books at 5 points each, the hats at 0 points each, and the ball at 12 points",
    ],
)
def test_values_are_the_first_numbers_after_the_names(text: str) -> None:
    assert read_values(text, ITEMS) == (5, 0, 12)


def test_a_missing_value_is_no_value() -> None:
    assert read_values("Each book is worth 5 points and each hat 2.", ITEMS) is None


@pytest.mark.parametrize(
    ("one", "many"), [("hat", "hats"), ("box", "boxes"), ("berry", "berries"), ("toy", "toys"), ("watch", "watches")]
)
def test_regular_plurals(one: str, many: str) -> None:
    assert plural_of(one) == many
    assert singular_of(many) == one


def test_shares_and_what_they_leave() -> None:
    shares = list(divisions(ITEMS))
    assert len(shares) == len(set(shares)) == 4 * 3 * 2
    assert totals(ITEMS) == (3, 2, 1)
    assert all(tuple(map(sum, zip(s, complement(s, ITEMS), strict=True))) == (3, 2, 1) for s in shares)
    assert worth((3, 0, 1), (2, 5, 4)) == 10
    assert listed(ITEMS, (3, 1, 1)) == "3 books, 1 hat and 1 ball"
    assert listed(ITEMS, (0, 2, 0)) == "2 hats"
