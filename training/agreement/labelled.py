"""Labels of one's own: JSON lines, one dialogue a line, described in docs/agreement.md."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, StringConstraints, model_validator

from sotopia_env.errors import RecordError
from sotopia_env.families.divide.agreement import Division
from sotopia_env.families.divide.items import ItemKind, Items, singular_of
from sotopia_env.published.json_records import read_lines
from sotopia_env.published.report import Report
from sotopia_env.schema import check_record
from sotopia_env.training.agreement.dialogues import LabelledDialogue, LabelledTurn

SHIPPED = Path(__file__).with_name("labelled.jsonl")
"""The 200 dialogues that come with the package, written in the manner of language models."""

_Name = Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z]+(?:[ '-][a-z]+)*$", max_length=40)]
_Price = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
_Seat = Annotated[int, Field(strict=True, ge=0, le=1)]
_Label = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=40)]


class _Own(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Truth(_Own):
    agreed: StrictBool
    price: _Price | None = None
    division: (
        Annotated[list[dict[_Name, Annotated[StrictInt, Field(ge=0)]]], Field(min_length=2, max_length=2)] | None
    ) = None
    outcome: _Label | None = None


class _Record(_Own):
    id: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=200)]
    family: Literal["bargain", "divide"]
    turns: Annotated[list[tuple[_Seat, StrictStr]], Field(min_length=1)]
    truth: _Truth
    role: _Label | None = None
    item: StrictStr = ""
    list_price: _Price | None = None
    items: Annotated[dict[_Name, Annotated[StrictInt, Field(ge=1)]], Field(min_length=1)] | None = None
    aliases: dict[_Name, list[_Name]] = {}

    @model_validator(mode="after")
    def _fits(self) -> _Record:
        divides, agreed = self.family == "divide", self.truth.agreed
        if divides != (self.items is not None):
            raise ValueError(
                f"field 'items': {'a division needs' if divides else 'a bargain has'} {'them' if divides else 'none'}"
            )
        needed, other = ("division", "price") if divides else ("price", "division")
        if agreed != (getattr(self.truth, needed) is not None):
            raise ValueError(f"field 'truth.{needed}': give it where, and only where, 'agreed' is true")
        if getattr(self.truth, other) is not None:
            raise ValueError(f"field 'truth.{other}': a dialogue of {self.family} has {needed!r} instead")
        if agreed and self.truth.outcome not in (None, "agreed"):
            raise ValueError("field 'truth.outcome': it says why there was no agreement, and 'agreed' is true")
        items = self.items or {}
        if unknown := sorted(set(self.aliases) - set(items)):
            raise ValueError(f"field 'aliases.{unknown[0]}': it is none of the items")
        for share in self.truth.division or ():
            if set(share) != set(items):
                raise ValueError(f"field 'truth.division': each seat's share counts {', '.join(items)}, and no others")
        for name, count in items.items() if self.truth.division else ():
            given = sum(share[name] for share in self.truth.division or ())
            if given != count:
                raise ValueError(f"field 'truth.division': {given} {name} are given out of {count}")
        return self


def files_of(path: Path) -> list[Path]:
    """The file itself; a folder has no names to go by."""
    return [] if path.is_dir() else [path]


def load(path: Path) -> list[LabelledDialogue]:
    """The dialogues of a file.

    Raises:
        RecordError: a line is no JSON, a field is missing, unknown or wrong, or two dialogues have one id.
    """
    found: dict[str, tuple[str, LabelledDialogue]] = {}
    for where, line in read_lines(path, Report(str(path), "raise")):
        record = check_record(_Record, line, where)
        if record.id in found:
            raise RecordError(where, f"field 'id': {record.id!r} is that of {found[record.id][0]}; give each its own")
        found[record.id] = where, _dialogue(record)
    return [dialogue for _, dialogue in found.values()]


def _dialogue(record: _Record) -> LabelledDialogue:
    truth = record.truth
    return LabelledDialogue(
        record.id,
        record.family,
        tuple(LabelledTurn(seat, text) for seat, text in record.turns),
        truth.outcome or ("agreed" if truth.agreed else "no deal"),
        truth.price if truth.division is None else _division(truth.division, record.items or {}),
        None if record.items is None else _items(record.items, record.aliases),
        record.list_price,
        record.role,
    )


def _items(counts: dict[str, int], aliases: dict[str, list[str]]) -> Items:
    def kind(name: str, count: int) -> ItemKind:
        singular = singular_of(name)
        # An alias brings its regular plural: of what has none people say "two waters" all the same.
        uncounted = (name,) if singular == name else ()
        return ItemKind(singular, name, count, (*aliases.get(name, ()), *uncounted))

    return tuple(kind(name, count) for name, count in counts.items())


def _division(shares: list[dict[str, int]], items: dict[str, int]) -> Division:
    own, other = (tuple(share[name] for name in items) for share in shares)
    return own, other
