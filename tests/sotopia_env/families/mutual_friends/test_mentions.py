"""Names and attributes are read from plain text, and a name that is only a word is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sotopia_env.families.mutual_friends.mentions import NOTHING, read_mentions
from sotopia_env.families.mutual_friends.tellings import read_tellings

NAMES = ("Alma", "Zoë", "Don", "Mark", "Tomás", "Bruno")
VALUES = ("chess", "Norvik Mills", "Go", "morning", "Sewanee, University of the South")


def read(text: str, kind: str = "speak", players: frozenset[str] = frozenset()) -> dict[str, set[str]]:
    mentions = read_mentions(kind, text, NAMES, players)
    found = {name: set(getattr(mentions, name)) for name in ("claimed", "asked", "spoken", "denied")}
    return {name: names for name, names in found.items() if names}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Is it Alma?", {"asked": {"Alma"}}),
        ("Alma!", {"claimed": {"Alma"}}),
        ("No, I know Alma.", {"claimed": {"Alma"}}),
        ("perhaps it is zoe", {"asked": {"Zoë"}}),
        ("I wonder if it is Alma", {"asked": {"Alma"}}),
        ("Does the name \u201cTomas\u201d ring a bell?", {"asked": {"Tomás"}}),
        ("I think our mutual friend is **Alma**!", {"claimed": {"Alma"}}),
        ("I don't know Alma or Bruno, sorry.", {"denied": {"Alma", "Bruno"}}),
        ("I do not know Alma and Bruno", {"denied": {"Alma", "Bruno"}}),
        ("It's not Alma but Bruno", {"claimed": {"Bruno"}, "denied": {"Alma"}}),
        ("Bruno does not play chess", {"claimed": {"Bruno"}}),
        ("Alma's brother and Don are here", {"claimed": {"Alma", "Don"}}),
        ("I don't like it, mark my words.", {}),
        ("Almaty is a town, and so is Brunoville", {}),
        ('She said "I met Alma at the market yesterday".', {}),
        ("Nothing of the kind.", {}),
        ("Tell me more about Alma.", {"spoken": {"Alma"}}),
        ("Please describe Alma", {"spoken": {"Alma"}}),
        ("Let us talk about Alma.", {"spoken": {"Alma"}}),
        ("I want to hear more about Alma.", {"spoken": {"Alma"}}),
        ("You said Alma.", {"spoken": {"Alma"}}),
        ("Your friend Alma sounds nice.", {"spoken": {"Alma"}}),
        ("I can tell you more about Alma.", {"claimed": {"Alma"}}),
        ("You and I know Alma.", {"claimed": {"Alma"}}),
    ],
)
def test_how_a_friend_is_named(text: str, expected: dict[str, set[str]]) -> None:
    assert read(text) == expected


@pytest.mark.parametrize("kind", ["none", "leave", "non-verbal communication"])
def test_gestures_and_leaving_name_nobody(kind: str) -> None:
    assert read_mentions(kind, "I know Alma", NAMES, frozenset()) is NOTHING


def test_who_is_addressed_is_not_named() -> None:
    players = frozenset({"Bruno"})
    assert read("Nice to meet you, Bruno. Thanks, Bruno!", players=players) == {}
    assert read("Do you know Bruno?", players=players) == {"asked": {"Bruno"}}


@pytest.mark.parametrize(
    ("text", "vouched"),
    [
        ("Yes, I know Alma too!", {"Alma"}),
        ("Our common friend is Alma.", {"Alma"}),
        ("Alma, yes, that is our common friend!", {"Alma"}),
        ("Alma, Bruno and Mark are my friends.", {"Alma", "Bruno", "Mark"}),
        ("Your friend Alma sounds nice.", set()),
        ("Alma works there.", set()),
        ("Do you know Alma?", set()),
    ],
)
def test_vouching_is_more_than_speaking_of_somebody(text: str, vouched: set[str]) -> None:
    assert read_mentions("speak", text, NAMES, frozenset()).vouched == vouched


@pytest.mark.parametrize(
    ("text", "agrees", "same"),
    [
        ("Yes!", True, False),
        ("Yes, I know somebody there.", False, False),
        ("Thanks, that is kind. Yes, I know her too!", True, True),
        ("me too", False, False),
        ("That is a friend of mine as well!", False, True),
        ("Yes?", False, False),
        ("No. Yes, the weather is nice.", False, False),
        ("Yes, but I do not know her.", False, False),
        ("Yesterday it rained.", False, False),
    ],
)
def test_a_yes_is_heard_anywhere_but_not_beside_a_no(text: str, agrees: bool, same: bool) -> None:
    mentions = read_mentions("speak", text, NAMES, frozenset())
    assert (mentions.agrees, mentions.same) == (agrees, same)


def test_a_formal_accept_says_yes() -> None:
    assert read_mentions("action", "accept", NAMES, frozenset()).same
    assert not read_mentions("speak", "I can not accept that", NAMES, frozenset()).same


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Do you know someone who is into chess and works at Norvik Mills?", [("asks", {"chess", "Norvik Mills"})]),
        (
            "No, none of my friends works at Norvik Mills, but one is into chess.",
            [("lacks", {"Norvik Mills"}), ("has", {"chess"})],
        ),
        (
            "No, I know someone who went to Sewanee, University of the South.",
            [("has", {"Sewanee, University of the South"})],
        ),
        ("Good morning! Let's go.", []),
        ("She is a morning person and plays Go", [("has", {"morning", "Go"})]),
        ("Nobody I know is into CHESS", [("lacks", {"chess"})]),
    ],
)
def test_what_is_told_of_friends(text: str, expected: list[tuple[str, set[str]]]) -> None:
    assert [(telling.kind, set(telling.values)) for telling in read_tellings(text, VALUES)] == expected


@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    mentions = read_mentions("speak", text, NAMES, frozenset({"Don"}))
    assert mentions.vouched <= mentions.claimed
    assert not mentions.asked & mentions.claimed
    read_tellings(text, VALUES, NAMES)
