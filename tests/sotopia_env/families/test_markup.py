"""What the players read of published texts, and what stays with the judge."""

from __future__ import annotations

import pytest

from sotopia_env.families.markup import split_markup


def test_hints_are_shown_without_their_tags() -> None:
    text = "Win (<extra_info>Late. <strategy_hint>Hurry!</strategy_hint></extra_info>)"
    assert split_markup(text) == ("Win (Late. Hurry!)", "")
    assert split_markup("<clarification_hint>Ask.</clarification_hint>") == ("Ask.", "")


def test_what_the_environment_views_is_hidden() -> None:
    assert split_markup('Two meet. <p viewer="environment">It is Max.</p>') == ("Two meet.", "It is Max.")


def test_hints_inside_a_hidden_part_are_hidden_too() -> None:
    text = "a <p viewer='environment'>b <extra_info>c</extra_info> d</p> e"
    assert split_markup(text) == ("a  e", "b c d")


def test_other_angle_brackets_are_text() -> None:
    assert split_markup("I <3 you & 2 < 3 > 1, <b>really</b>") == ("I <3 you & 2 < 3 > 1, <b>really</b>", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('Two meet. <p viewer="environment">It is Max.', "never closed"),
        ("late</extra_info>", "does not close"),
        ("<extra_info><p>late</extra_info></p>", "does not close"),
        ('<p viewer="agent_1">psst</p>', "only 'environment'"),
    ],
)
def test_markup_that_could_leak_an_answer_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        split_markup(text)
