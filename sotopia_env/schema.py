"""The border: records from files of others, checked field by field before they become plain data.

Nothing inside the package uses these models. A record that does not fit raises :class:`RecordError`, which names the
record, the field and the remedy.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)

from sotopia_env.actions import ACTION_TYPES
from sotopia_env.episodes import FORMAT_VERSION, Episode
from sotopia_env.errors import RecordError
from sotopia_env.spaces import MAX_PROFILE
from sotopia_env.tasks import RELATIONSHIPS, Task

MAX_SEATS = 5
"""Most agents of one task."""


def _relationship(given: Any) -> Any:
    """The name behind ``3``, ``"3"``, ``3.0`` or ``"friend"``."""
    if isinstance(given, str) and given.strip() in RELATIONSHIPS:
        return given.strip()
    try:
        number = float(given)
        if not isinstance(given, bool) and number.is_integer() and 0 <= number < len(RELATIONSHIPS):
            return RELATIONSHIPS[int(number)]
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"no relationship; give a number from 0 to {len(RELATIONSHIPS) - 1} or one of {RELATIONSHIPS}")


def _absent(given: Any) -> Any:
    """``None`` for the ways in which tables spell that there is no value."""
    if given is None or (isinstance(given, float) and math.isnan(given)):
        return None
    if isinstance(given, str) and given.strip().lower() in ("", "nan", "none", "null"):
        return None
    return given


def _text(given: Any) -> Any:
    present = _absent(given)
    return "" if present is None else present


def _texts(given: Any) -> Any:
    present = _absent(given)
    return [] if present is None else [present] if isinstance(present, str) else present


Id = Annotated[str, StringConstraints(min_length=1, max_length=200, strict=True)]
Name = Annotated[str, StringConstraints(max_length=200, strict=True, strip_whitespace=True)]
Text = Annotated[str, StringConstraints(max_length=MAX_PROFILE, strict=True)]
Relationship = Annotated[str, BeforeValidator(_relationship)]
OptionalText = Annotated[Text, BeforeValidator(_text)]
OptionalTexts = Annotated[list[Text], BeforeValidator(_texts)]
OptionalAge = Annotated[Annotated[int, Field(ge=0, le=1000)] | None, BeforeValidator(_absent)]


class _Own(BaseModel):
    """A record in the package's own format: an unknown field is a mistake."""

    model_config = ConfigDict(extra="forbid", strict=True)


class _CharacterRecord(_Own):
    id: Id
    first_name: Annotated[Name, Field(min_length=1)]
    last_name: Name = ""
    age: Annotated[int | None, Field(ge=0, le=1000)] = None
    occupation: Text = ""
    gender: Text = ""
    pronouns: Text = ""
    public_info: Text = ""
    personality: Text = ""
    values: Text = ""
    decision_making_style: Text = ""
    secret: Text = ""

    @model_validator(mode="after")
    def _fits(self) -> _CharacterRecord:
        _check_length(self)
        return self


def _check_length(profile: BaseModel) -> None:
    """An observation has room for the profiles of a full table, and its spaces are constants of the package."""
    length = sum(len(str(getattr(profile, name))) for name in type(profile).model_fields)
    if length > MAX_PROFILE // MAX_SEATS:
        raise ValueError(f"the profile has {length} characters; at most {MAX_PROFILE // MAX_SEATS} are allowed")


def _plain_json(given: Any) -> Any:
    try:
        json.dumps(given, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"not plain JSON data ({error})") from None
    return given


class _ScenarioRecord(_Own):
    id: Id
    situation: Text
    goals: Annotated[list[Text], Field(min_length=2, max_length=MAX_SEATS)]
    relationship: Relationship = "stranger"
    hidden: Annotated[list[dict[str, Any]], BeforeValidator(_plain_json)] = []
    notes: Text = ""


class _TaskRecord(_Own):
    id: Id
    family: Id
    version: Id
    split: Text
    scenario: _ScenarioRecord
    characters: Annotated[list[_CharacterRecord], Field(min_length=2, max_length=MAX_SEATS)]
    evaluated_seat: int | None = None
    max_cycles: Annotated[int | None, Field(ge=1)] = None
    tags: Annotated[dict[str, Any], BeforeValidator(_plain_json)] = {}

    @field_validator("split")
    @classmethod
    def _known_split(cls, split: str) -> str:
        if split not in ("", "train", "validation", "test", "transfer"):
            raise ValueError("no split; give train, validation, test, transfer or an empty text")
        return split

    @model_validator(mode="after")
    def _one_of_each_per_seat(self) -> _TaskRecord:
        seats = len(self.characters)
        if len(self.scenario.goals) != seats:
            raise ValueError(f"scenario.goals: {len(self.scenario.goals)} goals for {seats} characters; give one each")
        if self.scenario.hidden and len(self.scenario.hidden) != seats:
            raise ValueError(
                f"scenario.hidden: {len(self.scenario.hidden)} mappings for {seats} characters; give one each or none"
            )
        if self.evaluated_seat is not None and not 0 <= self.evaluated_seat < seats:
            raise ValueError(f"evaluated_seat: {self.evaluated_seat} is no seat; the seats are 0 to {seats - 1}")
        return self


def _shape(hint: Any) -> Any:
    """What JSON makes of a type hint: a record of a dataclass, a list of a tuple."""
    if is_dataclass(hint):
        return _record_model(hint)
    origin, inner = get_origin(hint), get_args(hint)
    if origin is tuple:
        return list[_shape(inner[0])]  # type: ignore[misc]  # the type is made here, not written
    if origin in (Union, UnionType):
        return Union[tuple(_shape(option) for option in inner)]  # noqa: UP007
    return origin[tuple(_shape(part) for part in inner)] if origin else hint


def _record_model(kind: Any) -> type[BaseModel]:
    """The record of a dataclass: its fields and no others, those with a default optional."""
    hints = get_type_hints(kind)
    shapes: dict[str, Any] = {
        field.name: (_shape(hints[field.name]), ... if field.default is field.default_factory is MISSING else None)
        for field in fields(kind)
    }
    return create_model(kind.__name__, __base__=_Own, **shapes)


@cache
def _episode_model() -> type[BaseModel]:
    """The record of an episode, made when the first is read: an import should be quick."""
    return _record_model(Episode)


Model = TypeVar("Model")


@cache
def _adapter(model: Any) -> TypeAdapter[Any]:
    return TypeAdapter(model)


def check_record(model: type[Model], record: Any, where: str) -> Model:
    """A record as a checked model.

    Args:
        model: one of the models of this module, or a dataclass.
        record: what a file held.
        where: names the record in an error.

    Raises:
        RecordError: it does not fit; every field that is wrong is named.
    """
    if not isinstance(record, Mapping):
        raise RecordError(where, f"a JSON object is needed, not a {type(record).__name__}")
    kind: Any = model
    try:
        found: Model = _adapter(kind).validate_python(record)
    except ValidationError as error:
        raise RecordError(where, "; ".join(_problem(detail) for detail in error.errors())) from None
    return found


def read_task(record: Any, where: str) -> Task:
    """The task of a record in the format of :meth:`~sotopia_env.tasks.Task.to_dict`.

    What its family needs besides is checked by :func:`sotopia_env.families.resolve.check_hidden`.

    Args:
        record: what a task file held.
        where: names the record in an error.

    Raises:
        RecordError: a field is missing, unknown or wrong.
    """
    return Task.from_dict(check_record(_TaskRecord, record, where).model_dump())


def read_episode(record: Any, where: str) -> Episode:
    """The episode of a record in the format of :meth:`~sotopia_env.episodes.Episode.to_dict`.

    Args:
        record: what a file of episodes held.
        where: names the record in an error.

    Raises:
        RecordError: a field is missing, unknown or wrong.
    """
    if isinstance(record, Mapping):
        if isinstance(record.get("key"), str):
            where = f"{where}, episode {record['key']!r:.100}"
        version = record.get("format_version")
        if version != FORMAT_VERSION:
            raise RecordError(where, f"format_version is {version!r}, this package reads {FORMAT_VERSION}")
    check_record(_episode_model(), record, where)
    episode = Episode.from_dict(record)
    seats = episode.task.num_seats
    for number, turn in enumerate(episode.turns):
        if not 0 <= turn.seat < seats:
            raise RecordError(where, f"field 'turns.{number}.seat': {turn.seat} is no seat of a task with {seats}")
        if turn.type not in ACTION_TYPES:
            raise RecordError(where, f"field 'turns.{number}.type': {turn.type!r} is none of {', '.join(ACTION_TYPES)}")
    return episode


def _problem(detail: Mapping[str, Any]) -> str:
    field = ".".join(str(part) for part in detail["loc"])
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "missing":
        return f"field {field!r} is missing"
    if detail["type"] == "extra_forbidden":
        return f"field {field!r} is unknown; remove it or correct its name"
    if not field:
        return message
    if isinstance(detail["input"], Mapping):
        return f"field {field!r}: {message}"
    return f"field {field!r}: {message} (got {detail['input']!r:.60})"
