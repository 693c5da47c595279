"""The published text: acts, biographies and openings are written in its form and read back from it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sotopia_env.actions import ACTION_TYPES, Action
from sotopia_env.episodes import Turn
from sotopia_env.sotopia_style import (
    Opening,
    act_text,
    acts_text,
    biography,
    opening_text,
    read_act,
    read_biography,
    read_opening,
    read_recipients,
    turn_act,
    turn_text,
)
from sotopia_env.tasks import Character

ADA = Character(
    id="a",
    first_name="Ada",
    last_name="O'Neil",
    age=30,
    occupation="Bee Keeper",
    gender="Woman",
    pronouns="She/her",
    public_info="Ada keeps bees.",
    personality="Ada is patient.",
    secret="She fears bees",
)
WHOLE = (
    "Ada O'Neil is a 30-year-old female bee keeper. She/her pronouns. Ada keeps bees. "
    "Personality and values description: Ada is patient."
)


@pytest.mark.parametrize(
    ("action", "text"),
    [
        (Action("none"), "did nothing"),
        (Action("speak", 'Say "hi"'), 'said: "Say "hi""'),
        (Action("non-verbal communication", "nods"), "[non-verbal communication] nods"),
        (Action("action", "sits"), "[action] sits"),
        (Action("leave", "bye"), "left the conversation"),
    ],
)
def test_acts_have_their_published_text(action: Action, text: str) -> None:
    assert act_text(action) == text


@given(st.sampled_from(ACTION_TYPES), st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_an_act_is_read_back(kind: str, text: str) -> None:
    text = "" if kind in ("none", "leave") else text.strip()
    assert read_act(act_text(Action(kind, text))) == Action(kind, text)


@pytest.mark.parametrize("text", ["", "hello", 'said: "cut', "[dance] waltz", "left"])
def test_what_is_no_act_is_none(text: str) -> None:
    assert read_act(text) is None


def test_several_acts_stand_in_one_turn() -> None:
    acts = [("Ada", 'said: "Hi"'), ("Bo", "did nothing"), ("Cy", "left the conversation")]
    assert acts_text(acts) == 'Ada said: "Hi";Cy left the conversation'
    assert turn_text(3, acts) == 'Turn #3: Ada said: "Hi";Cy left the conversation\n'
    assert turn_text(4, [("Ada", "did nothing")]) == "Turn #4: \n"


@pytest.mark.parametrize(
    ("recipients", "text"),
    [
        (None, 'said: "Hi"'),
        ((1,), '[private to Bo] said: "Hi"'),
        ((1, 2), '[private to Bo, Cy] said: "Hi"'),
        ((), '[private to nobody] said: "Hi"'),
    ],
)
def test_a_private_act_carries_its_mark(recipients: tuple[int, ...] | None, text: str) -> None:
    names = ("Ada", "Bo", "Cy")
    assert turn_act(Turn(0, 0, 0, "speak", "Hi", recipients=recipients), names) == text
    assert read_recipients(text, names) == (recipients, 'said: "Hi"')


def test_recipients_are_read_however_they_are_listed() -> None:
    assert read_recipients("[private to ['Cy', 'Bo']] [action] nods", ("Ada", "Bo", "Cy")) == ((1, 2), "[action] nods")
    names = ("Ann", "Anna", "Lee, Jr.")
    whispered = Turn(0, 0, 0, "speak", "Hi", recipients=(1, 2))
    assert read_recipients(turn_act(whispered, names), names) == ((1, 2), 'said: "Hi"')
    with pytest.raises(ValueError, match="private to 'Di', who is none of Ada, Bo"):
        read_recipients("[private to Di] left the conversation", ("Ada", "Bo"))


def test_a_biography_shows_the_secret_to_its_owner_alone() -> None:
    assert biography(ADA, own=True) == f"{WHOLE} Ada's secrets: She fears bees"
    assert biography(ADA, own=False) == f"{WHOLE} "


def test_a_biography_leaves_out_what_is_not_known() -> None:
    assert biography(Character("a", "Ada", "O'Neil"), own=False) == "Ada O'Neil "
    assert biography(Character("a", "Ada", occupation="Baker"), own=True) == "Ada is a baker."
    assert biography(Character("a", "Ada", public_info="Likes tea."), own=True) == "Ada. Likes tea."
    assert biography(Character("a", "Ada", public_info="Ada likes tea."), own=True) == "Ada likes tea."


def test_a_biography_is_read_back() -> None:
    fields = read_biography(biography(ADA, own=True), ADA.name)
    assert Character(id="a", **{**fields, "occupation": "Bee Keeper"}) == ADA
    assert read_biography(WHOLE, ADA.name)["secret"] == ""


@pytest.mark.parametrize("text", ["", "Ada O'Neil ", "Somebody else."])
def test_a_biography_in_another_form_is_public_info(text: str) -> None:
    fields = read_biography(text, ADA.name)
    assert (fields["first_name"], fields["last_name"]) == ("Ada", "O'Neil")
    assert fields["public_info"] == ("" if text.strip() == ADA.name else text)
    assert biography(Character(id="a", **fields), own=True)


def test_an_opening_is_read_back_with_goals_of_several_lines() -> None:
    opening = Opening("At a fence.", ("Ada O'Neil", "Bo"), ("A baker.", ""), ("Get it:\n  now\nor later", "Unknown"))
    text = opening_text(opening)
    assert text == (
        "\nHere is the context of this interaction:\nScenario: At a fence.\nParticipants: Ada O'Neil and Bo\n"
        "Ada O'Neil's background: A baker.\nBo's background: \nAda O'Neil's goal: Get it:\nnow\nor later\n"
        "Bo's goal: Unknown\nConversation Starts:\n"
    )
    found = read_opening(text, opening.names)
    assert found is not None
    assert (found.scenario, found.names, found.backgrounds) == ("At a fence.", opening.names, opening.backgrounds)
    assert found.goals == ("Get it:\nnow\nor later", "Unknown")


def test_three_take_part_and_two_may_share_a_name() -> None:
    names = ("Ada", "Ada", "Bo")
    opening = Opening("S", names, ("x", "y", "z"), ("1", "Unknown", "Unknown"))
    text = opening_text(opening)
    assert "Participants: Ada, Ada, and Bo\n" in text
    assert read_opening(text, names) == opening


@pytest.mark.parametrize("text", ["", "Hello", "Scenario: a\nParticipants: Ada and Bo\nBo's background: x"])
def test_another_text_is_no_opening(text: str) -> None:
    assert read_opening(text, ("Ada", "Bo")) is None


def test_an_age_of_zero_is_none_that_anybody_told() -> None:
    text = "Ada Stone is a 0-year-old female cook. She/her pronouns. Ada cooks."
    fields = read_biography(text, "Ada Stone")
    assert "age" not in fields
    assert (fields["gender"], fields["occupation"]) == ("Woman", "cook")
