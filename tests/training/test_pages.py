from __future__ import annotations

import re

import pytest
from jinja2 import UndefinedError

from sotopia_env.training.checks import Check, checks_table
from sotopia_env.training.pages import duration, page, typeset


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("-0.50", "−0.50"),
        ("-0.00", "0.00"),
        ("+0.0%", "0.0%"),
        ("+1.5", "+1.5"),
        ("1e-05", "1e−05"),
        ("-1,200", "−1,200"),
        ("–", "–"),
        ("[-0.10, +0.00]", "[−0.10, 0.00]"),
    ],
)
def test_numbers_are_typeset(number: str, shown: str) -> None:
    assert typeset(number) == shown


def test_durations_are_told_in_seconds_or_minutes() -> None:
    assert (duration(12.4), duration(240.5)) == ("12 s", "4 min 0 s")


def test_checks_are_drawn_with_their_verdict() -> None:
    checks = [
        Check("a <b>", "≥ 1", "0.5", False),
        Check("c", "above 0", {"mean": 0.5, "low": 0.25, "high": 0.75}, True),
        Check("d", "deterministic", None, None),
    ]
    assert checks[0].to_dict() == {"name": "a <b>", "bar": "≥ 1", "value": "0.5", "met": False}
    rows = checks_table([check.to_dict() for check in checks]).cells
    assert [[str(cell) for cell in row[2:]] for row in rows] == [
        ["0.5", "not met"],
        ["+0.50 [+0.25, +0.75]", "met"],
        ["–", "unknown"],
    ]
    assert [row[3].stressed for row in rows] == [True, False, False]


def test_a_template_escapes_what_it_is_given_and_misses_what_it_is_not() -> None:
    html = page("page.html.j2", title="<b>bold</b>", subtitle="<i>", sections={})
    assert "<title>&lt;b&gt;bold&lt;/b&gt;</title>" in html
    assert "&lt;i&gt;" in html
    assert not {"<b>", "<i>"} & set(re.findall("<[bi]>", html))
    with pytest.raises(UndefinedError, match="'rows' is undefined"):
        page("report.html.j2", title="", sections={})
