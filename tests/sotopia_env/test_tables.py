from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from sotopia_env.tables import Cell, Table, estimate, markdown, mean, show

FOUND = {"mean": 0.612, "low": 0.5, "high": -0.734}
WIDE = Table(
    ["policy", *(f"figure {n}" for n in range(9))],
    [[name, *(Cell(n + 0.25, "+.2f", n, n + 0.5) for n in range(9))] for name in ("scripted:firm", "clone, greedy")],
    title="Wide",
    note="‡: few",
)


def drawn(*parts: str | Table, width: int = 80) -> str:
    text = io.StringIO()
    show(*parts, console=Console(file=text, width=width, color_system=None))
    return text.getvalue()


def test_values_are_written_in_their_form_and_unknown_ones_as_a_dash() -> None:
    assert str(estimate(FOUND)) == "+0.61 [+0.50, -0.73]"
    assert str(estimate(FOUND, ".1%", note="†")) == "61.2% [50.0%, -73.4%] †"
    assert str(Cell(3)) == "3"
    assert str(estimate({"mean": None, "low": 0.0, "high": 1.0})) == str(estimate(None)) == "–"
    assert str(Cell(0.0, ".2f", None, 1.0)) == "0.00"


def test_markdown_is_padded_and_escaped() -> None:
    table = Table(["a", "bc"], [["1", Cell(2)], ["x|y", Cell(None, ".2f")]])
    assert table.markdown() == "| a    | bc |\n|------|----|\n| 1    | 2  |\n| x\\|y | –  |"
    stressed = Table(["a"], [[Cell(1.0, ".1f", kind="bad")]], title="T", note="N")
    assert markdown("## H", stressed) == "## H\n\n**T**\n\n| a       |\n|---------|\n| **1.0** |\n\nN\n"


def test_rows_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"table 'T': 1 cells under 2 headings"):
        Table(["a", "b"], [["1"]], "T")


def test_numbers_stand_to_the_right() -> None:
    assert Table(["a", "b", "c"], [["x", 1, None], ["", Cell(2.0), ""]]).numeric == [False, True, True]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal_and_no_number_is_lost_or_broken(width: int) -> None:
    text = drawn("## Heading", "A paragraph that is longer than forty characters.", WIDE, width=width)
    assert max(map(len, text.splitlines())) <= width
    for n in range(9):
        assert text.count(f"+{n}.25") == 2
        assert text.count(f"[+{n}.00, +{n}.50]") == 2
    assert "Wide" in text and "‡: few" in text


def test_columns_that_do_not_fit_follow_under_the_first_one() -> None:
    text = drawn(WIDE, width=60)
    blocks = len(re.findall("^policy", text, re.MULTILINE))
    assert blocks > 1
    assert text.count("scripted:firm") == text.count("clone, greedy") == blocks
    assert drawn(WIDE, width=250).count("scripted:firm") == 1


def test_intervals_stand_beside_their_values_where_there_is_room() -> None:
    table = Table(["", "goal"], [["clone", estimate(FOUND)]])
    assert "clone  +0.61 [+0.50, -0.73]" in drawn(table, width=40)
    assert "+0.61 [" not in drawn(table, width=24)


def test_markup_in_a_name_is_no_markup() -> None:
    assert "[bold]x[/bold]" in drawn(Table(["[red]a[/red]"], [["[bold]x[/bold]"]]))


def test_a_mean_that_leaves_values_out_says_of_how_many() -> None:
    partly, whole = {**FOUND, "known": 45, "of": 100}, {**FOUND, "known": 100, "of": 100}
    table = Table(["", "goal", "deals"], [["clone", estimate(partly), mean(partly)], ["learner", estimate(whole), 1]])
    written = table.markdown()
    assert "+0.61 [+0.50, -0.73] (45 of 100) | 0.61 (45 of 100) |" in written
    assert "(100 of 100)" not in written
    assert written.endswith("\n\n(a of b): over a of b values; the others are unknown.")
    for width in (24, 40, 100):
        shown = drawn(table, width=width)
        assert shown.count("(45 of 100)") == 2
        assert "the others are unknown" in " ".join(shown.split())
    assert "unknown" not in Table(["goal"], [[estimate(whole)], [estimate(None)]]).markdown()
