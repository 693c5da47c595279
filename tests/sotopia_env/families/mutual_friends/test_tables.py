"""Tables are read from goals in the package's own and in the published spelling."""

from __future__ import annotations

import pytest

from sotopia_env.families.mutual_friends.tables import Friend, read_table, table_text

FRIENDS = (
    Friend("Alma", (("company", "Bright, Inc."), ("hobby", "kite flying"))),
    Friend("Zoë", (("company", "Marlow Glass"), ("hobby", "chess"))),
)


def test_a_table_is_read_back_as_written() -> None:
    goal = f"Find the friend. Your friends:\n{table_text(FRIENDS)}\nSway: 1."
    assert read_table(goal) == FRIENDS


def test_the_published_spelling_is_read() -> None:
    goal = (
        "You look for a friend.\n You know these: \n Alma: Hobby: Kite flying  Time Preference: morning \n"
        " Zoë: Hobby: Chess, mostly  Time Preference: evening  \n"
    )
    table = read_table(goal)
    assert [friend.name for friend in table] == ["Alma", "Zoë"]
    assert table[1].attributes == (("hobby", "Chess, mostly"), ("time preference", "evening"))


@pytest.mark.parametrize(
    "goal",
    ["", "Sell the bike: 60 at least.", "Note: one thing: only.", "A: b: c.\nB: d: e.", "A: b: c.\nA: b: d."],
)
def test_what_is_no_table_is_none(goal: str) -> None:
    assert read_table(goal) == ()
