"""The figures of the readers, counted by hand, and what the command prints."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sotopia_env.cli import app
from sotopia_env.families.divide.items import ItemKind
from sotopia_env.training.agreement import (
    SHIPPED,
    Act,
    LabelledDialogue,
    LabelledTurn,
    agreement_report,
    load_dialogues,
    measure,
    read_acts,
    read_words,
)
from sotopia_env.training.protocol import Protocol
from sotopia_env.training.protocol.reading import draw_human, make_human

ITEMS = (ItemKind("book", "books", 1), ItemKind("hat", "hats", 2), ItemKind("ball", "balls", 1))
OFFER = "I take the book and the ball, you get the hats."
MINE, YOURS = (1, 0, 1), (0, 2, 0)


def divided(answer: str, outcome: str, terms: Any = None, role: str | None = None) -> LabelledDialogue:
    turns = (LabelledTurn(0, OFFER), LabelledTurn(1, answer))
    return LabelledDialogue(answer, "divide", turns, outcome, terms, ITEMS, role=role)


def priced(answer: str, outcome: str, terms: float | None = None, role: str | None = None) -> LabelledDialogue:
    turns = (LabelledTurn(0, "I offer $85."), LabelledTurn(1, answer))
    return LabelledDialogue(answer, "bargain", turns, outcome, terms, role=role)


DIVIDED = (
    divided("Deal.", "agreed", (MINE, YOURS), "held out"),
    divided("ok", "agreed", (YOURS, MINE), "development"),
    divided("No way.", "agreed", (MINE, YOURS), "held out"),
    divided("Deal!", "misunderstood", role="development"),
    divided("No.", "no deal", role="held out"),
)
PRICED = (
    priced("Deal.", "agreed", 85),
    priced("Deal!", "agreed", 80),
    priced("No deal.", "no deal"),
    priced("Okay, deal.", "rejected"),
)


def counts(dialogues: Any) -> dict[str, tuple[int, int]]:
    return {name: (share.hits, share.of) for name, share in measure(dialogues).items()}


def test_figures_of_divisions_are_counted() -> None:
    assert counts(DIVIDED) == {
        "precision": (2, 3),
        "precision, misunderstood left out": (2, 2),
        "recall": (2, 3),
        "exact terms": (1, 2),
        "found on the true terms": (1, 3),
        "abstention": (1, 3),
        "precision, certain": (1, 2),
        "exact terms, certain": (1, 1),
        "closed on other terms": (1, 3),
        "ends too early": (2, 5),
        "unread": (0, 5),
    }


def test_figures_of_prices_are_counted() -> None:
    assert counts(PRICED) == {
        "precision": (2, 3),
        "recall": (2, 2),
        "exact terms": (1, 2),
        "found on the true terms": (1, 2),
        "abstention": (0, 3),
        "precision, certain": (2, 3),
        "exact terms, certain": (1, 2),
        "closed on other terms": (1, 2),
        "ends too early": (2, 4),
        "unread": (0, 4),
    }


def test_only_the_words_before_the_first_act_are_read() -> None:
    turns = (LabelledTurn(0, "I offer $85."), LabelledTurn(1, act=Act("offer", 90.0)), LabelledTurn(1, "Deal."))
    assert read_words(LabelledDialogue("a", "bargain", turns, "rejected")).terms is None
    found = read_words(LabelledDialogue("a", "bargain", turns[::2], "agreed", 85.0))
    assert (found.terms, found.certain) == (85.0, True)


def test_acts_alone_come_to_what_was_entered_whatever_was_said() -> None:
    accept, leave = LabelledTurn(0, act=Act("accept")), LabelledTurn(0, act=Act("leave"))
    price = (LabelledTurn(0, "I offer $85."), LabelledTurn(1, "Deal."), LabelledTurn(1, act=Act("offer", 90.0)))
    shares = LabelledTurn(1, act=Act("offer", ((0, 1, 0), (1, 1, 1))))
    for turns, items, terms in (
        ((*price, accept), None, 90.0),
        ((*price, leave), None, None),
        ((LabelledTurn(0, OFFER), LabelledTurn(1, "Deal."), shares, accept), ITEMS, ((0, 1, 0), (1, 1, 1))),
    ):
        dialogue = LabelledDialogue("a", "divide" if items else "bargain", turns, "rejected", items=items)
        assert dialogue.entered == read_acts(dialogue).terms == terms
        share = measure([dialogue])["by acts alone, exact"]
        assert (share.hits, share.of) == (1, 1)


def test_dialogues_with_an_utterance_that_cannot_be_read_are_counted() -> None:
    share = measure([priced("Take $10 off.", "no deal"), priced("No deal.", "no deal")])["unread"]
    assert (share.hits, share.of) == (1, 2)


def test_a_report_has_a_part_for_each_family_and_a_column_for_each_role() -> None:
    report = agreement_report([*DIVIDED, *PRICED])
    assert list(report) == ["divide", "bargain"]
    assert report["divide"]["dialogues"] == {"held out": 3, "development": 2, "all": 5}
    assert report["bargain"]["dialogues"] == {"all": 4}
    assert report["divide"]["outcomes"]["agreed"] == {"dialogues": 3, "found": 2, "exact": 1}
    recall = report["divide"]["figures"]["held out"]["recall"]
    assert (recall["hits"], recall["of"]) == (1, 2)
    assert 0.09 < recall["low"] < 0.1 and 0.9 < recall["high"] < 0.91


def call(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["measure-agreement", *arguments])


def test_the_command_prints_the_figures_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    record = {"family": "bargain", "turns": [[0, "I offer $85."], [1, "Deal."]]}
    truths = ({"agreed": True, "price": 85}, {"agreed": True, "price": 80}, {"agreed": False})
    path.write_text("".join(json.dumps({**record, "id": str(n), "truth": t}) + "\n" for n, t in enumerate(truths)))
    result = call(str(path))
    assert result.exit_code == 0
    assert "all (3)" in result.stdout and "66.7%" in result.stdout and "(2/3)" in result.stdout
    assert "held out" not in result.stdout
    data = json.loads(call(str(path), "--format", "labelled", "--json").stdout)
    assert data["bargain"]["figures"]["all"]["exact terms"]["hits"] == 1


def test_without_a_file_the_command_measures_what_comes_with_the_package() -> None:
    data = json.loads(call("--json").stdout)
    assert data == json.loads(json.dumps(agreement_report(load_dialogues(SHIPPED))))
    assert {name: family["dialogues"]["all"] for name, family in data.items()} == {"bargain": 120, "divide": 80}


@pytest.mark.parametrize(
    ("text", "arguments", "told"),
    [
        ("", (), "there is no dialogue in it"),
        ("{}", (), "own line 1: field 'id' is missing"),
        ("{", (), "own line 1: not JSON"),
        ("words", (), "its format cannot be told; give one of"),
        ("words", ("--format", "casino"), "not JSON at line 1"),
        ("words", ("--format", "no-such-thing"), "format 'no-such-thing' is none of"),
        ("words", ("--format", "deal-or-no-deal"), "line 1: field 'input' is missing"),
    ],
)
def test_a_file_that_cannot_be_measured_is_one_line_and_exit_code_2(
    tmp_path: Path, text: str, arguments: tuple[str, ...], told: str
) -> None:
    (tmp_path / "own").write_text(text)
    result = call(str(tmp_path / "own"), *arguments)
    assert result.exit_code == 2
    assert told in result.stderr and "Traceback" not in result.stderr
    assert result.stderr.count("\n") == 1 and not result.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("no-such-file",), "there is no no-such-file; give a file of labelled talk"),
        (("--format", "casino"), "--format casino needs a file"),
        (("--format", "parquet"), "format 'parquet' is none of"),
    ],
)
def test_a_file_that_is_not_there_is_said(arguments: tuple[str, ...], told: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert told in result.stderr


def test_published_figures_are_made_of_the_data_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds neither Deal or No Deal nor CaSiNo"):
        make_human(Protocol(tmp_path, data=tmp_path), tmp_path)
    chat = [{"id": "mturk_agent_1", "text": "Hi", "task_data": {}}]
    (tmp_path / "casino_valid.json").write_text(json.dumps([{"dialogue_id": 1, "chat_logs": chat}]))
    data = make_human(Protocol(tmp_path, data=tmp_path), tmp_path)
    assert data["agreement-casino"]["divide"]["dialogues"] == {"held out": 1, "all": 1}
    assert list(draw_human(data)) == ["agreement-casino"]


@pytest.mark.skipif("SOTOPIA_ENV_DATA" not in os.environ, reason="SOTOPIA_ENV_DATA names no folder with dealornodeal")
def test_deal_or_no_deal_is_read_as_well_as_stated() -> None:
    report = agreement_report(load_dialogues(os.environ["SOTOPIA_ENV_DATA"], "deal-or-no-deal"))["divide"]
    assert report["dialogues"]["all"] == 562
    assert report["outcomes"]["agreed"]["dialogues"] == 422
    share = {name: found["hits"] / found["of"] for name, found in report["figures"]["held out"].items()}
    assert share["precision"] > 0.90
    # Nothing is given away by inference: who asks for some kinds and hears "deal" has not said who gets the rest.
    assert share["recall"] > 0.45
    assert share["exact terms"] > 0.89
    assert share["exact terms, certain"] > 0.94


@pytest.mark.skipif("SOTOPIA_ENV_DATA" not in os.environ, reason="SOTOPIA_ENV_DATA names no folder with casino")
def test_casino_is_read_with_its_outcomes() -> None:
    dialogues = load_dialogues(os.environ["SOTOPIA_ENV_DATA"], "casino")
    outcomes = [dialogue.outcome for dialogue in dialogues]
    assert {name: outcomes.count(name) for name in set(outcomes)} == {"agreed": 834, "rejected": 83, "walked away": 13}
    assert sum(dialogue.role == "development" for dialogue in dialogues) == 585
    assert sum(dialogue.entered is not None for dialogue in dialogues) == 906
    by_acts = measure(dialogues)["by acts alone, exact"]
    assert (by_acts.hits, by_acts.of) == (930, 930)
