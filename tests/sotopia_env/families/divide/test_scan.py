from __future__ import annotations

import pytest

from sotopia_env.families.divide.items import ItemKind
from sotopia_env.families.divide.phrases import mark_items
from sotopia_env.families.divide.proposals import Proposal
from sotopia_env.families.divide.scan import scan
from sotopia_env.families.plain_text import plain

ITEMS = (ItemKind("book", "books", 3), ItemKind("hat", "hats", 2), ItemKind("ball", "balls", 1))


def read(text: str) -> Proposal | None:
    return scan(mark_items(plain(text), ITEMS), ITEMS)


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("I take the ball and two books, you get the hats and a book.", (2, 0, 1)),
        ("You can have everything.", (0, 0, 0)),
        ("Everything for me!", (3, 2, 1)),
        ("I want the ball. You can have the rest.", (0, 0, 1)),
        ("balls to me, else to you", (0, 0, 1)),
        ("everything but the ball for me", (3, 2, 0)),
        ("I would give you 2 books and keep the rest", (1, 2, 1)),
        ("1 book and both hats for you, the rest for me", (2, 0, 1)),
        ("2 hats, 1 book and the ball for you", (2, 0, 0)),
        ("take all the hats i get everything else", (3, 0, 1)),
        ("Let me have 2 books and you take what is left", (2, 0, 0)),
        ("How about you take 2 books and I take 1 book, the hats and the ball?", (1, 2, 1)),
        ("The hats are yours, the books and the ball are mine.", (3, 0, 1)),
        ("I keep all 3 books and you the rest", (3, 0, 0)),
        ("Give me all the books, and keep the hats and ball.", (3, 0, 0)),
        ("I need 2 books, rest for you", (2, 0, 0)),
        ("I cannot give up the ball; you get the rest.", (0, 0, 1)),
        ("One hat each, all the books for you, the ball for me.", (0, 1, 1)),
        ("Split the hats, I take the ball and you take the books.", (0, 1, 1)),
        ("All but the ball to you", (0, 0, 1)),
    ],
)
def test_who_gets_what(text: str, share: tuple[int, ...]) -> None:
    proposal = read(text)
    assert proposal is not None
    assert proposal.share(ITEMS) == share


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("You can have the hats.", (None, 0, None)),
        ("I'd like the ball.", (None, None, 1)),
        ("I'll give you both hats", (None, 0, None)),
        ("the ball and two books", (2, None, 1)),
        ("I give you all the hats for the ball", (None, 0, 1)),
        ("You can have the hats if I get the ball", (None, 0, 1)),
        ("I take the books, you the ball", (3, None, 0)),
    ],
)
def test_what_is_not_named_stays_open(text: str, share: tuple[int | None, ...]) -> None:
    proposal = read(text)
    assert proposal is not None
    assert proposal.share(ITEMS) == share


@pytest.mark.parametrize(
    "text",
    [
        "The hats are worth nothing to me.",
        "My late aunt painted the hats.",
        "My daughter dreams about the books.",
        "I repaired the ball myself.",
        "I don't need the hats.",
        "No hats!",
        "I'd rather not talk about books.",
        "She wants the ball.",
        "I already own plenty of books.",
        "The ball looks old to me.",
        "",
        "Hello there.",
    ],
)
def test_what_is_told_valued_or_refused_is_given_to_nobody(text: str) -> None:
    assert read(text) is None


def test_doubt_is_marked() -> None:
    assert not read("the hats or the ball for me").clear  # type: ignore[union-attr]
    assert not read("I take 4 books").clear  # type: ignore[union-attr]
    assert not read("you want the ball").sure  # type: ignore[union-attr]
    assert read("I take the ball").sure  # type: ignore[union-attr]
    assert read("I take the ball").clear  # type: ignore[union-attr]


def test_wishes_are_no_dispositions() -> None:
    assert not read("I need the ball").firm  # type: ignore[union-attr]
    assert read("I take the ball").firm  # type: ignore[union-attr]
    assert read("the ball and two hats?").bare  # type: ignore[union-attr]
    assert not read("the ball for me").bare  # type: ignore[union-attr]


def test_marks_of_items_in_a_text_name_no_items() -> None:
    assert read("I take \ue000 and \ue001") is None
