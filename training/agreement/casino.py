"""The dialogues of CaSiNo (Chawla et al., 2021).

Two campers divide packages of food, water and firewood, three of each. They talk, and enter deals, which are accepted
or rejected, until one is accepted or somebody walks away.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from sotopia_env.errors import RecordError
from sotopia_env.families.divide.agreement import Division
from sotopia_env.families.divide.items import ItemKind, totals
from sotopia_env.published.json_records import read_records
from sotopia_env.published.report import Report
from sotopia_env.schema import check_record
from sotopia_env.training.agreement.dialogues import Act, LabelledDialogue, LabelledTurn, outcome_of

ITEMS = (
    ItemKind("food", "food", 3, ("food", "meal")),
    ItemKind("water", "water", 3, ("water",)),
    ItemKind("firewood", "firewood", 3, ("firewood", "fire wood", "wood")),
)
"""What is divided. An alias makes a regular plural too: people say "two waters"."""

_ACTS = {"Submit-Deal": "offer", "Accept-Deal": "accept", "Reject-Deal": "reject", "Walk-Away": "leave"}
_SEATS = ("mturk_agent_1", "mturk_agent_2")
_Counts = dict[Literal["Food", "Water", "Firewood"], Annotated[int, Field(ge=0)]]


class _Entered(BaseModel):
    issue2youget: _Counts
    issue2theyget: _Counts


class _Said(BaseModel):
    text: str
    id: Literal["mturk_agent_1", "mturk_agent_2"]
    task_data: dict[str, Any]


class _Record(BaseModel):
    dialogue_id: int
    chat_logs: list[_Said] = Field(min_length=1)


def files_of(path: Path) -> list[Path]:
    """The file itself, or of a folder ``casino_train.json`` and its like, there or in ``casino/``."""
    if not path.is_dir():
        return [path]
    return sorted(path.glob("casino_*.json")) or sorted(path.glob("casino/casino_*.json"))


def load(path: Path) -> list[LabelledDialogue]:
    """The dialogues of a file.

    Args:
        path: such as ``casino_train.json``.

    Raises:
        RecordError: a dialogue lacks a field, or a deal does not divide the items; the message names it.
    """
    return [
        _dialogue(check_record(_Record, record, where), where, path.stem)
        for where, record in read_records(path, Report(str(path), "raise"))
    ]


def _dialogue(record: _Record, where: str, file: str) -> LabelledDialogue:
    turns = tuple(_turn(said, f"{where}, chat_logs {place}") for place, said in enumerate(record.chat_logs))
    outcome, terms = outcome_of(turns)
    role = _role(file, record.dialogue_id)
    return LabelledDialogue(str(record.dialogue_id), "divide", turns, outcome, terms, ITEMS, role=role)


def _turn(said: _Said, where: str) -> LabelledTurn:
    seat, kind = _SEATS.index(said.id), _ACTS.get(said.text)
    if kind is None:
        return LabelledTurn(seat, said.text)
    return LabelledTurn(seat, act=Act(kind, _division(said.task_data, seat, where) if kind == "offer" else None))


def _division(task_data: Mapping[str, Any], seat: int, where: str) -> Division:
    entered = check_record(_Entered, task_data, where)
    own, other = (
        tuple(counts.get(kind, 0) for kind in ("Food", "Water", "Firewood"))
        for counts in (entered.issue2youget, entered.issue2theyget)
    )
    if tuple(map(sum, zip(own, other, strict=True))) != totals(ITEMS):
        raise RecordError(where, f"field 'task_data': {own} and {other} do not divide three of each")
    return (other, own) if seat else (own, other)


def _role(file: str, dialogue: int) -> str | None:
    """Two thirds of the training split were developed on, by a hash; the other splits are held out."""
    if file in ("casino_valid", "casino_test"):
        return "held out"
    if file != "casino_train":
        return None
    developed = int(hashlib.sha256(str(dialogue).encode()).hexdigest(), 16) % 3 != 0
    return "development" if developed else "held out"
