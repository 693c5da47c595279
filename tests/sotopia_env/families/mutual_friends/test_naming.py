"""The talk ends when both have committed themselves to the common friend, and not before."""

from __future__ import annotations

import pytest

from sotopia_env.families.mutual_friends.naming import Naming, update

OWN = (frozenset({"Alma", "Bruno", "Celeste"}), frozenset({"Alma", "Dario", "Edda"}))
NAMES = ("Alma", "Bruno", "Celeste", "Dario", "Edda")


def follow(*said: str | tuple[str, str]) -> Naming:
    """Turns of the two seats in turn, from seat 0; a pair is an action type with its text."""
    naming = Naming(NAMES, OWN, "Alma", frozenset({"Mara", "Omar"}))
    for turn, given in enumerate(said):
        kind, text = ("speak", given) if isinstance(given, str) else given
        naming = update(naming, turn % 2, turn, kind, text)
    return naming


@pytest.mark.parametrize(
    "said",
    [
        ("Do you know Alma?", "Yes, I know Alma too!"),
        ("Do you know Alma?", "Yes!"),
        ("Do you know Alma?", "Thanks for asking. Yes, I do know her."),
        ("My friend Alma is into chess.", "Me too! That is a friend of mine too."),
        ("My friend Alma is into chess.", "Alma is my friend as well."),
        ("I know Alma.", "Who else?", "Nobody much.", "I have it: Alma is our common friend."),
        ("I know Bruno, Alma and Celeste.", "Alma! I know Alma too."),
        ("Is it Alma?", "Alma? From Dingle?", "Yes, Alma from Dingle.", "Then it is alma!"),
        ("Is it Alma?", ("action", "accept")),
    ],
)
def test_found(said: tuple[str, ...]) -> None:
    found = follow(*said).found
    assert found is not None
    assert (found.friend, found.turn) == ("Alma", len(said) - 1)


@pytest.mark.parametrize(
    "said",
    [
        ("Do you know Alma?", "Do you know Alma?"),
        ("Do you know Alma?", "Alma? No, I am afraid not."),
        ("Do you know Alma?", "I do not know Alma."),
        ("Do you know Alma?", "Perhaps Alma."),
        ("My friend Alma is into chess.", "Right. Do you have other friends?"),
        ("My friend Alma is into chess.", "Yes."),
        ("I know Alma and Bruno.", "Yes!"),
        ("Do you know Bruno?", "Yes, I know Bruno too!"),
        ("Alma", ("non-verbal communication", "points at Alma and nods")),
        ("Do you know Alma?", ("leave", "Yes, I know Alma!")),
        ("I know Alma.", "Hello.", "I know Alma."),
        ("Do you know Alma?", "Let me think.", "Well?", "Yes."),
        ("I know Alma.", "Tell me more about Alma."),
        ("I know Alma.", "I want to hear more about Alma."),
        ("I know Alma.", "You said Alma. Who else?"),
        ("I know Alma.", "Your friend Alma sounds nice."),
    ],
)
def test_not_found(said: tuple[str, ...]) -> None:
    assert follow(*said).found is None


def test_what_counts_as_put_forward() -> None:
    naming = follow("Do you know Bruno or Celeste?", "I do not know Bruno. Dario sounds alike.")
    assert naming.put == (frozenset({"Bruno", "Celeste"}), frozenset())
    assert naming.spoken == (frozenset(), frozenset({"Dario"}))
    assert follow("Your friend Dario?", "Which one?").put == (frozenset(), frozenset())


def test_nothing_changes_once_the_friend_is_found() -> None:
    naming = follow("Do you know Alma?", "Yes, I know Alma too!")
    assert update(naming, 0, 2, "speak", "I know Bruno.") is naming
