from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sotopia_env.cli import app
from sotopia_env.families.divide.human_dialogues import (
    agreement_report,
    load_human_dialogues,
    measure_agreement,
)

AGREED = "item0=1 item1=0 item2=1 item0=0 item1=2 item2=0"


def line(spoken: str, output: str = AGREED, own: str = "1 4 2 1 1 4", other: str = "1 2 2 3 1 2") -> str:
    return (
        f"<input> {own} </input> <dialogue> {spoken} <eos> THEM: <selection> </dialogue> "
        f"<output> {output} </output> <partner_input> {other} </partner_input>"
    )


DEAL = "YOU: I take the book and the ball , you get the hats . <eos> THEM: deal"
OTHER_SIDE = line(
    "THEM: I take the book and the ball , you get the hats . <eos> YOU: deal",
    output="item0=0 item1=2 item2=0 item0=1 item1=0 item2=1",
    own="1 2 2 3 1 2",
    other="1 4 2 1 1 4",
).replace("THEM: <selection>", "YOU: <selection>")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "val.txt"
    path.write_text(
        "\n".join(
            (
                line(DEAL),
                line(DEAL.replace("deal", "ok"), output="item0=0 item1=2 item2=0 item0=1 item1=0 item2=1"),
                line("YOU: I want the ball . <eos> THEM: no way", output="<no_agreement> " * 6),
                line("YOU: You can have the hats , rest for me . <eos> THEM: okay !", output="<disagree> " * 6),
                line("YOU: hi <eos> THEM: hello"),
            )
        ),
        encoding="utf-8",
    )
    return path


def test_dialogues_are_read_with_their_outcome(file: Path) -> None:
    first, second, third, *_ = load_human_dialogues(file)
    assert [item.count for item in first.items] == [1, 2, 1]
    assert first.turns[0] == (0, "I take the book and the ball , you get the hats .")
    assert len(first.turns) == 2
    assert first.division == ((1, 0, 1), (0, 2, 0))
    assert second.division == ((0, 2, 0), (1, 0, 1))
    assert (third.outcome, third.division) == ("no deal", None)


def test_a_dialogue_from_both_sides_counts_once(tmp_path: Path) -> None:
    (tmp_path / "val.txt").write_text(f"{line(DEAL)}\n{OTHER_SIDE}\n", encoding="utf-8")
    (dialogue,) = load_human_dialogues(tmp_path)
    assert dialogue.division == ((1, 0, 1), (0, 2, 0))


def test_figures_are_counted(file: Path) -> None:
    figures = measure_agreement(load_human_dialogues(file))
    assert (figures["precision"].hits, figures["precision"].of) == (2, 3)
    assert (figures["precision, misunderstood left out"].hits, figures["precision, misunderstood left out"].of) == (
        2,
        2,
    )
    assert (figures["recall"].hits, figures["recall"].of) == (2, 3)
    assert (figures["exact division"].hits, figures["exact division"].of) == (1, 2)
    assert (figures["abstention"].hits, figures["abstention"].of) == (2, 3)
    assert (figures["precision, certain"].hits, figures["precision, certain"].of) == (1, 1)


def test_a_broken_line_is_named(file: Path) -> None:
    file.write_text(line(DEAL) + "\n<input> 1 2 3 </input>\n", encoding="utf-8")
    with pytest.raises(ValueError, match="line 2: field 'dialogue' is missing"):
        load_human_dialogues(file)
    file.write_text(line(DEAL, own="1 2 x") + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match="line 1: .*six numbers a side"):
        load_human_dialogues(file)
    with pytest.raises(FileNotFoundError, match="Deal or No Deal"):
        load_human_dialogues(file.parent / "absent.txt")


def test_the_command_prints_the_figures(file: Path) -> None:
    result = CliRunner().invoke(app, ["measure-agreement", str(file)])
    assert result.exit_code == 0
    assert "66.7%" in result.stdout
    assert "misunderstood: 1 dialogues, an agreement found in 1" in result.stdout
    assert CliRunner().invoke(app, ["measure-agreement", str(file), "--json"]).stdout.startswith("{")


@pytest.mark.skipif("SOTOPIA_ENV_DATA" not in os.environ, reason="SOTOPIA_ENV_DATA names no folder with dealornodeal")
def test_human_dialogues_are_read_as_well_as_stated() -> None:
    report = agreement_report(load_human_dialogues(os.environ["SOTOPIA_ENV_DATA"]))
    assert report["dialogues"]["all"] == 562
    assert report["outcomes"]["agreed"]["dialogues"] == 422
    held_out = report["figures"]["held out"]
    assert held_out["precision"].hits / held_out["precision"].of > 0.90
    assert held_out["recall"].hits / held_out["recall"].of > 0.45
    assert held_out["exact division"].hits / held_out["exact division"].of > 0.94
    assert held_out["exact division, certain"].hits / held_out["exact division, certain"].of > 0.94
