"""Labelled talk of every format: what is read, and what is refused in words."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sotopia_env.errors import RecordError
from sotopia_env.training.agreement import SHIPPED, Act, LabelledTurn, guess_format, load_dialogues

AGREED = "item0=1 item1=0 item2=1 item0=0 item1=2 item2=0"
DEAL = "YOU: I take the book and the ball , you get the hats . <eos> THEM: deal"


def line(spoken: str, output: str = AGREED, own: str = "1 4 2 1 1 4", other: str = "1 2 2 3 1 2") -> str:
    return (
        f"<input> {own} </input> <dialogue> {spoken} <eos> THEM: <selection> </dialogue> "
        f"<output> {output} </output> <partner_input> {other} </partner_input>"
    )


OTHER_SIDE = line(
    "THEM: I take the book and the ball , you get the hats . <eos> YOU: deal",
    output="item0=0 item1=2 item2=0 item0=1 item1=0 item2=1",
    own="1 2 2 3 1 2",
    other="1 4 2 1 1 4",
).replace("THEM: <selection>", "YOU: <selection>")


class TestDealOrNoDeal:
    def test_dialogues_are_read_with_their_outcome(self, tmp_path: Path) -> None:
        (tmp_path / "val.txt").write_text(
            f"{line(DEAL)}\n{line('YOU: I want the ball . <eos> THEM: no way', output='<no_agreement> ' * 6)}\n"
        )
        first, second = load_dialogues(tmp_path)
        assert first.items is not None and [item.count for item in first.items] == [1, 2, 1]
        assert first.turns == (
            LabelledTurn(0, "I take the book and the ball , you get the hats ."),
            LabelledTurn(1, "deal"),
        )
        assert (first.outcome, first.terms) == ("agreed", ((1, 0, 1), (0, 2, 0)))
        assert (second.outcome, second.terms) == ("no deal", None)

    def test_a_dialogue_from_both_sides_is_read_once(self, tmp_path: Path) -> None:
        (tmp_path / "val.txt").write_text(f"{line(DEAL)}\n{OTHER_SIDE}\n")
        (dialogue,) = load_dialogues(tmp_path)
        assert dialogue.terms == ((1, 0, 1), (0, 2, 0))

    def test_only_the_file_that_was_developed_on_has_roles(self, tmp_path: Path) -> None:
        texts = [line(DEAL.replace("deal", f"deal {number}")) for number in range(8)]
        for name, roles in (("val.txt", {"held out", "development"}), ("train.txt", {None})):
            (tmp_path / name).write_text("\n".join(texts))
            assert {dialogue.role for dialogue in load_dialogues(tmp_path / name)} == roles

    def test_a_broken_line_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "val.txt"
        path.write_text(f"{line(DEAL)}\n<input> 1 2 3 </input>\n")
        with pytest.raises(RecordError, match="line 2: field 'dialogue' is missing"):
            load_dialogues(path)
        path.write_text(line(DEAL, own="1 2 x"))
        with pytest.raises(RecordError, match="line 1: .*six numbers a side"):
            load_dialogues(path)


def said(seat: int, text: str, **data: Any) -> dict[str, Any]:
    return {"id": f"mturk_agent_{seat + 1}", "text": text, "task_data": data}


def entered(seat: int, own: str, other: str) -> dict[str, Any]:
    kinds = ("Food", "Water", "Firewood")
    shares = [dict(zip(kinds, given, strict=True)) for given in (own, other)]
    return said(seat, "Submit-Deal", issue2youget=shares[0], issue2theyget=shares[1])


def casino(path: Path, *chats: list[dict[str, Any]]) -> Path:
    records = [{"dialogue_id": number, "chat_logs": chat, "participant_info": {}} for number, chat in enumerate(chats)]
    path.write_text(json.dumps(records))
    return path


class TestCasino:
    WORDS = (said(0, "Two foods for me?"), said(1, "Fine by me."))

    def test_the_first_deal_entered_is_the_truth_if_it_is_accepted(self, tmp_path: Path) -> None:
        path = casino(
            tmp_path / "casino_train.json",
            [*self.WORDS, entered(1, "123", "210"), said(0, "Accept-Deal", data="accept_deal")],
            [*self.WORDS, entered(0, "300", "033"), said(1, "Reject-Deal"), said(1, "Why?"), said(0, "Walk-Away")],
            [*self.WORDS, said(0, "Walk-Away")],
            list(self.WORDS),
        )
        agreed, rejected, left, open_ended = load_dialogues(path)
        assert (agreed.outcome, agreed.terms) == ("agreed", ((2, 1, 0), (1, 2, 3)))
        assert agreed.turns[2] == LabelledTurn(1, act=Act("offer", ((2, 1, 0), (1, 2, 3))))
        assert [turn.text for turn in agreed.words] == ["Two foods for me?", "Fine by me."]
        assert [dialogue.outcome for dialogue in (rejected, left, open_ended)] == ["rejected", "walked away", "no deal"]
        assert rejected.terms is rejected.entered is None
        assert [len(dialogue.words) for dialogue in (rejected, left, open_ended)] == [2, 2, 2]

    def test_what_the_acts_come_to_is_the_deal_that_was_accepted_in_the_end(self, tmp_path: Path) -> None:
        chat = [*self.WORDS, entered(0, "300", "033"), said(1, "Reject-Deal")]
        path = casino(tmp_path / "c.json", [*chat, entered(1, "111", "222"), said(0, "Accept-Deal")])
        (dialogue,) = load_dialogues(path)
        assert (dialogue.outcome, dialogue.terms) == ("rejected", None)
        assert dialogue.entered == ((2, 2, 2), (1, 1, 1))

    def test_two_thirds_of_the_training_split_were_developed_on(self, tmp_path: Path) -> None:
        chats = [list(self.WORDS)] * 300
        casino(tmp_path / "casino_train.json", *chats)
        casino(tmp_path / "casino_valid.json", list(self.WORDS))
        assert Counter(d.role for d in load_dialogues(tmp_path)) == {"development": 198, "held out": 103}
        assert {d.role for d in load_dialogues(casino(tmp_path / "mine.json", *chats))} == {None}

    def test_a_deal_that_does_not_divide_the_items_is_named(self, tmp_path: Path) -> None:
        path = casino(tmp_path / "casino_train.json", [*self.WORDS, entered(0, "300", "133")])
        with pytest.raises(RecordError, match="record 0, chat_logs 2: .* do not divide three of each"):
            load_dialogues(path)
        path.write_text('[{"dialogue_id": 3}]')
        with pytest.raises(RecordError, match="record 0: field 'chat_logs' is missing"):
            load_dialogues(path, "casino")


def bargain(path: Path, *events: tuple[int, str, Any], **outcome: Any) -> Path:
    item = {"Title": "Old bike", "Price": 80, "Category": "bike"}
    kbs = [{"personal": {"Role": role, "Target": 60, "Bottomline": None}, "item": item} for role in ("buyer", "seller")]
    record = {
        "uuid": "C_1",
        "scenario": {"kbs": kbs, "category": "bike"},
        "events": [{"agent": agent, "action": action, "data": data, "time": None} for agent, action, data in events],
        "outcome": {"reward": 1, "offer": {"price": 75.0, "sides": ""}, **outcome},
    }
    path.write_text(json.dumps([record]))
    return path


class TestCraigslist:
    TALK = ((0, "message", "Would you do 75?"), (1, "message", "Sure, 75."))
    OFFER = (0, "offer", {"price": 75.0, "sides": ""})

    def test_words_and_acts_are_read(self, tmp_path: Path) -> None:
        joined = (1, "join", None)
        (dialogue,) = load_dialogues(bargain(tmp_path / "c.json", joined, *self.TALK, self.OFFER, (1, "accept", None)))
        assert (dialogue.id, dialogue.family, dialogue.list_price, dialogue.role) == ("C_1", "bargain", 80.0, None)
        assert dialogue.words == (LabelledTurn(0, "Would you do 75?"), LabelledTurn(1, "Sure, 75."))
        assert dialogue.turns[2:] == (LabelledTurn(0, act=Act("offer", 75.0)), LabelledTurn(1, act=Act("accept")))
        assert (dialogue.outcome, dialogue.terms, dialogue.entered) == ("agreed", 75.0, 75.0)

    @pytest.mark.parametrize(
        ("acts", "outcome"),
        [
            ((OFFER, (1, "reject", None)), "rejected"),
            ((OFFER, (1, "quit", None)), "rejected"),
            (((1, "quit", None),), "walked away"),
            ((), "no deal"),
        ],
    )
    def test_an_offer_that_was_not_accepted_is_no_deal_whatever_the_outcome_holds(
        self, tmp_path: Path, acts: tuple[tuple[int, str, Any], ...], outcome: str
    ) -> None:
        (dialogue,) = load_dialogues(bargain(tmp_path / "c.json", *self.TALK, *acts))
        assert (dialogue.outcome, dialogue.terms, dialogue.entered) == (outcome, None, None)

    def test_what_is_missing_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(RecordError, match="record 0, events 0: field 'price' is missing"):
            load_dialogues(bargain(tmp_path / "c.json", (0, "offer", {"sides": ""})))
        with pytest.raises(RecordError, match="record 0, events 0: field 'data': a message needs a text"):
            load_dialogues(bargain(tmp_path / "c.json", (0, "message", None)))
        with pytest.raises(RecordError, match=r"record 0: field 'events.0.agent'"):
            load_dialogues(bargain(tmp_path / "c.json", (2, "message", "Hi")))


PRICE = {"id": "a", "family": "bargain", "turns": [[0, "$85?"], [1, "Deal."]], "truth": {"agreed": True, "price": 85}}
DIVISION: dict[str, Any] = {
    "id": "b",
    "family": "divide",
    "items": {"knives": 2, "boxes": 1},
    "turns": [[0, "Take a knife."], [1, "I will."]],
    "truth": {"agreed": True, "division": [{"knives": 1, "boxes": 1}, {"knives": 1, "boxes": 0}]},
    "role": "test",
}


def lines(path: Path, *records: Mapping[str, Any]) -> Path:
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return path


class TestLabelled:
    def test_lines_are_read(self, tmp_path: Path) -> None:
        no_deal = {**PRICE, "id": "c", "list_price": 90.5, "truth": {"agreed": False, "outcome": "walked away"}}
        named = {**DIVISION, "aliases": {"knives": ["knife"]}}
        price, division, none = load_dialogues(lines(tmp_path / "own.txt", PRICE, named, no_deal), "labelled")
        assert (price.family, price.outcome, price.terms, price.items, price.role) == (
            "bargain",
            "agreed",
            85,
            None,
            None,
        )
        assert division.items is not None
        assert [(item.singular, item.plural, item.count, item.aliases) for item in division.items] == [
            ("knive", "knives", 2, ("knife",)),
            ("box", "boxes", 1, ()),
        ]
        assert (division.terms, division.role) == (((1, 1), (1, 0)), "test")
        assert (none.outcome, none.terms, none.list_price) == ("walked away", None, 90.5)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"prize": 3}, "field 'prize' is unknown"),
            ({"family": "mini"}, "field 'family': Input should be 'bargain' or 'divide'"),
            ({"turns": []}, "field 'turns'"),
            ({"turns": [[2, "Hi"]]}, "field 'turns.0.0'"),
            ({"turns": [["0", "Hi"]]}, "field 'turns.0.0'"),
            ({"turns": [[0, None]]}, "field 'turns.0.1'"),
            ({"truth": {"agreed": "yes"}}, "field 'truth.agreed'"),
            ({"truth": {"agreed": True}}, "field 'truth.price': give it where, and only where, 'agreed' is true"),
            ({"truth": {"agreed": False, "price": 85}}, "field 'truth.price': give it where, and only where"),
            ({"truth": {"agreed": True, "price": -1}}, "field 'truth.price'"),
            ({"truth": {"agreed": True, "price": True}}, "field 'truth.price'"),
            ({"truth": {"agreed": True, "price": 85, "outcome": "none"}}, "field 'truth.outcome'"),
            ({"items": {"knives": 2}}, "field 'items': a bargain has none"),
            ({"aliases": {"knives": ["knife"]}}, "field 'aliases.knives': it is none of the items"),
        ],
    )
    def test_a_wrong_bargain_is_named_with_its_line_and_field(
        self, tmp_path: Path, change: dict[str, Any], said: str
    ) -> None:
        path = lines(tmp_path / "own.jsonl", DIVISION, {**PRICE, **change})
        with pytest.raises(RecordError, match=r"own.jsonl line 2 \(a\): ") as raised:
            load_dialogues(path)
        assert said in str(raised.value)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"items": None}, "field 'items': a division needs them"),
            ({"items": {"Knives!": 2}}, "field 'items.Knives!"),
            ({"items": {"knives": 0, "boxes": 1}}, "field 'items.knives'"),
            ({"truth": {"agreed": True, "price": 3}}, "field 'truth.division': give it where, and only where"),
            ({"truth": {"agreed": True, "division": [{"knives": 2}, {"knives": 0}]}}, "counts knives, boxes, and no"),
            (
                {"truth": {"agreed": True, "division": [{"knives": 2, "boxes": 1}, {"knives": 1, "boxes": 0}]}},
                "field 'truth.division': 3 knives are given out of 2",
            ),
        ],
    )
    def test_a_wrong_division_is_named_with_its_field(self, tmp_path: Path, change: dict[str, Any], said: str) -> None:
        with pytest.raises(RecordError) as raised:
            load_dialogues(lines(tmp_path / "own.jsonl", {**DIVISION, **change}))
        assert said in str(raised.value)

    def test_two_dialogues_of_one_id_and_what_is_no_record_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(RecordError, match=r"line 2 \(a\): field 'id': 'a' is that of own.jsonl line 1 \(a\)"):
            load_dialogues(lines(tmp_path / "own.jsonl", PRICE, PRICE))
        (tmp_path / "own.jsonl").write_text(f"{json.dumps(PRICE)}\n\n[1]\n")
        with pytest.raises(RecordError, match="line 3: a JSON object is needed, not a list"):
            load_dialogues(tmp_path / "own.jsonl")
        (tmp_path / "own.jsonl").write_text(f"{json.dumps(PRICE)}\n{{")
        with pytest.raises(RecordError, match="line 2: not JSON at column 2"):
            load_dialogues(tmp_path / "own.jsonl")

    def test_what_is_shipped_is_half_agreed_and_no_two_roles_share_a_scenario(self) -> None:
        records = [json.loads(text) for text in SHIPPED.read_text("utf-8").splitlines()]
        dialogues = load_dialogues(SHIPPED)
        assert len(dialogues) == 200
        assert Counter(dialogue.family for dialogue in dialogues) == {"bargain": 120, "divide": 80}
        assert sum(dialogue.terms is not None for dialogue in dialogues) == 99
        assert Counter(dialogue.role for dialogue in dialogues) == {"held out": 102, "development": 98}
        roles = {(record.get("item") or " ".join(record["items"]), record["role"]) for record in records}
        assert len(roles) == len({scenario for scenario, _ in roles})
        assert {len(dialogue.turns) for dialogue in dialogues} <= {2, 3, 4, 5, 6}


class TestGuess:
    def test_the_format_is_told_by_the_file(self, tmp_path: Path) -> None:
        (tmp_path / "val.txt").write_text(line(DEAL))
        made = {
            "deal-or-no-deal": tmp_path / "val.txt",
            "casino": casino(tmp_path / "c.json", [said(0, "Hi")]),
            "craigslist": bargain(tmp_path / "b.json", (0, "message", "Hi")),
            "labelled": lines(tmp_path / "own.jsonl", PRICE),
        }
        assert {name: guess_format(path) for name, path in made.items()} == {name: name for name in made}
        assert guess_format(tmp_path) == "deal-or-no-deal"

    def test_a_folder_of_several_formats_needs_one_named(self, tmp_path: Path) -> None:
        for folder in ("dealornodeal", "casino"):
            (tmp_path / folder).mkdir()
        (tmp_path / "dealornodeal" / "val.txt").write_text(line(DEAL))
        casino(tmp_path / "casino" / "casino_valid.json", [said(0, "Hi")])
        with pytest.raises(ValueError, match="holds deal-or-no-deal and casino; name a file, or say which .*--format"):
            load_dialogues(tmp_path)
        assert [load_dialogues(tmp_path, form)[0].family for form in ("deal-or-no-deal", "casino")] == ["divide"] * 2
        with pytest.raises(ValueError, match="no file of the format 'labelled' is in this folder; name the file"):
            load_dialogues(tmp_path, "labelled")

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("", "there is no dialogue in it"),
            (" \n\n", "there is no dialogue in it"),
            ("[]", "its format cannot be told; give one of deal-or-no-deal, casino, craigslist, labelled"),
            ("hello", "its format cannot be told"),
            ('[{"a": 1}]', "its format cannot be told"),
            ("[{", "not JSON at line 1"),
        ],
    )
    def test_what_is_none_is_said(self, tmp_path: Path, text: str, told: str) -> None:
        (tmp_path / "file").write_text(text)
        with pytest.raises(ValueError, match=told):
            load_dialogues(tmp_path / "file")

    @pytest.mark.parametrize("form", ["deal-or-no-deal", "casino", "craigslist", "labelled"])
    def test_bytes_that_are_no_text_are_said_in_every_format(self, tmp_path: Path, form: str) -> None:
        (tmp_path / "file").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(ValueError, match="not UTF-8 at byte 0; save it as UTF-8"):
            load_dialogues(tmp_path / "file", form)

    @pytest.mark.parametrize("form", ["deal-or-no-deal", "casino", "craigslist", "labelled"])
    def test_a_file_without_a_dialogue_is_refused_in_every_format(self, tmp_path: Path, form: str) -> None:
        (tmp_path / "file").write_text("[]" if form in ("casino", "craigslist") else "")
        with pytest.raises(ValueError, match="there is no dialogue in it"):
            load_dialogues(tmp_path / "file", form)
        with pytest.raises(FileNotFoundError, match="give a file of labelled talk"):
            load_dialogues(tmp_path / "absent", form)

    def test_an_unknown_format_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="format 'parquet' is none of deal-or-no-deal"):
            load_dialogues(tmp_path, "parquet")
