"""Amounts in words and in other currencies become figures."""

from __future__ import annotations

import pytest

from sotopia_env.families.bargain.figures import OTHER_MONEY, has_amounts_in_words, in_figures
from sotopia_env.families.plain_text import plain


@pytest.mark.parametrize(
    ("text", "figures"),
    [
        ("eighty dollars", "$80"),
        ("Seventy-five even", "75 even"),
        ("a hundred and twenty", "120"),
        ("one fifty", "150"),
        ("two twenty five", "225"),
        ("twelve hundred dollars", "$1200"),
        ("two hundred and fifty bucks", "$250"),
        ("one hundred and five thousand", "105000"),
        ("two grand", "$2000"),
        ("2.5 grand", "$2500"),
        ("$3 thousand", "$3000"),
        ("$1.2 million", "$1200000"),
        ("a couple of hundred bucks", "about $200"),
        ("eighty dollars and fifty cents", "$80.50"),
        ("twelve fifty", "12-50"),
        ("85 USD", "$85"),
        ("usd 85", "$85"),
        ("85$", "$85"),
        ("a ten-dollar discount", "a $10 discount"),
        ("80k dollars", "$80k"),
        ("\u20ac85", f"{OTHER_MONEY}85"),
        ("85 euros", f"{OTHER_MONEY}85"),
        ("85 Canadian dollars", f"{OTHER_MONEY}85"),
        ("9,000 yen", f"{OTHER_MONEY}9,000"),
    ],
)
def test_amounts_are_written_alike(text: str, figures: str) -> None:
    assert in_figures(plain(text)).strip() == figures
    assert has_amounts_in_words(plain(text), any(map(str.isdigit, text)), True)


@pytest.mark.parametrize("text", ["this one is mine", "2 $50 bills", "$85", "I could do $85.", "no one else"])
def test_what_is_no_amount_in_words_stays(text: str) -> None:
    assert in_figures(plain(text)).strip() == text.lower()
