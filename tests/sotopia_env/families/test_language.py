from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sotopia_env.agents.scripted import phrases
from sotopia_env.families import language
from sotopia_env.families.bargain import catalogue, transfer

BANKS = {
    "moving": phrases.MOVING,
    "offending": phrases.OFFENDING,
    **{f"positive {name}": bank for name, bank in language.POSITIVE.items()},
    **{f"negative {name}": bank for name, bank in language.NEGATIVE.items()},
}


STATEMENTS = tuple(
    statement
    for module in (catalogue, transfer)
    for statement in (*module.SELLER_FACTS, *module.BUYER_FACTS, *module.SECRETS)
)


@pytest.mark.parametrize(("one", "other"), list(combinations(BANKS, 2)))
def test_no_two_banks_share_a_word(one: str, other: str) -> None:
    assert not BANKS[one] & BANKS[other]


def test_facts_and_secrets_hold_no_word_of_a_bank() -> None:
    """Or telling one would be courteous or rude by accident."""
    counted = frozenset().union(*BANKS.values())
    for statement in STATEMENTS:
        assert not language.words(statement) & counted, statement


@pytest.mark.parametrize("bank", language.POSITIVE)
def test_courtesies_and_insults_draw_on_every_bank(bank: str) -> None:
    assert any(language.words(text) & language.POSITIVE[bank] for text in phrases.COURTESIES)
    assert any(language.words(text) & language.NEGATIVE[bank] for text in phrases.INSULTS)


@pytest.mark.parametrize(
    ("utterance", "told"),
    [
        ("Well, I move out of my flat on Friday.", True),
        ("MOVE OUT, FLAT, FRIDAY!", True),
        ("I have a flat.", False),
        ("", False),
    ],
)
def test_a_statement_is_told_in_the_first_person_too(utterance: str, told: bool) -> None:
    assert language.tells("you move out of your flat on Friday", utterance) is told


def test_nobody_tells_an_empty_statement() -> None:
    assert not language.tells("", "anything")
    assert not language.tells("you are", "you are")


@pytest.mark.parametrize(("text", "threat"), [
    ("You will regret this.", True), ("Pay, or else!", True), ("I will ruin you", True), ("I regret that.", False),
])  # fmt: skip
def test_threats_are_seen(text: str, threat: bool) -> None:
    assert bool(language.THREATS.search(text)) is threat


@given(st.text(), st.text())
def test_any_text_is_read(statement: str, utterance: str) -> None:
    assert 0 <= language.told_share(statement, utterance) <= 1
    language.has_price(utterance)


def test_facts_are_told_apart() -> None:
    """No fact or secret is told by telling another."""
    for one in STATEMENTS:
        assert [other for other in STATEMENTS if language.tells(other, one)] == [one]


def test_what_scripted_policies_say_of_their_manner_is_read_as_meant() -> None:
    for text in phrases.COURTESIES:
        assert [language.courtesies(text, bank) for bank in language.POSITIVE] == [
            sorted(language.words(text) & words) for words in language.POSITIVE.values()
        ]
    for text in phrases.INSULTS:
        assert [language.insults(text, bank) for bank in language.NEGATIVE] == [
            sorted(language.words(text) & words) for words in language.NEGATIVE.values()
        ]
    for text in (*phrases.COURTESIES, *phrases.INSULTS, *phrases.SMALL_TALK):
        for words in (phrases.MOVING, phrases.OFFENDING):
            if "?" not in text:
                assert language.meant(text) & words == language.words(text) & words
