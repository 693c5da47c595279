"""The dialogues of CraigslistBargain (He et al., 2018): a buyer and a seller talk about the price of a listed item.

They talk, then one makes an offer, which the other accepts or rejects, or somebody quits.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from sotopia_env.errors import RecordError
from sotopia_env.published.json_records import read_records
from sotopia_env.published.report import Report
from sotopia_env.schema import check_record
from sotopia_env.training.agreement.dialogues import Act, LabelledDialogue, LabelledTurn, outcome_of

_ACTS = {"offer": "offer", "accept": "accept", "reject": "reject", "quit": "leave"}


class _Item(BaseModel):
    Price: float


class _KnowledgeBase(BaseModel):
    item: _Item


class _Scenario(BaseModel):
    kbs: list[_KnowledgeBase] = Field(min_length=2, max_length=2)


class _Event(BaseModel):
    agent: int = Field(ge=0, le=1)
    action: str
    data: Any = None


class _Record(BaseModel):
    uuid: str = ""
    scenario: _Scenario
    events: list[_Event]


class _Offered(BaseModel):
    price: float


def files_of(path: Path) -> list[Path]:
    """The file itself; a folder has no names to go by."""
    return [] if path.is_dir() else [path]


def load(path: Path) -> list[LabelledDialogue]:
    """The dialogues of a file.

    The acts are the truth: ``outcome`` holds an offer also where it was rejected, and is not read. Events that are
    neither words nor one of the acts (somebody joins, or types) are left out.

    Args:
        path: such as ``train.json``.

    Raises:
        RecordError: a dialogue lacks a field; the message names it.
    """
    return [
        _dialogue(check_record(_Record, record, where), where)
        for where, record in read_records(path, Report(str(path), "raise"))
    ]


def _dialogue(record: _Record, where: str) -> LabelledDialogue:
    turns = tuple(
        _turn(event, f"{where}, events {place}")
        for place, event in enumerate(record.events)
        if event.action == "message" or event.action in _ACTS
    )
    outcome, terms = outcome_of(turns)
    price = record.scenario.kbs[0].item.Price
    return LabelledDialogue(record.uuid or where, "bargain", turns, outcome, terms, list_price=price)


def _turn(event: _Event, where: str) -> LabelledTurn:
    if event.action != "message":
        price = check_record(_Offered, event.data, where).price if event.action == "offer" else None
        return LabelledTurn(event.agent, act=Act(_ACTS[event.action], price))
    if not isinstance(event.data, str):
        raise RecordError(where, "field 'data': a message needs a text")
    return LabelledTurn(event.agent, event.data)
