"""From names to families."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, is_dataclass
from typing import Any

from sotopia_env.describe import arguments
from sotopia_env.errors import RecordError
from sotopia_env.families import FAMILIES
from sotopia_env.families.base import Family, UserFamily
from sotopia_env.names import import_attribute
from sotopia_env.tasks import Task


def as_family(given: Any, options: Mapping[str, Any] | None = None) -> Family:
    """A family from a name (``"bargain"``), ``module:attribute``, a class, or an object with generate and score.

    Args:
        given: see above; a name or path may hold options as well (:func:`with_options`).
        options: what a named family or a class is made with.

    Raises:
        ValueError: no such family, or it takes no such option.
        TypeError: the object is no family.
    """
    if isinstance(given, str):
        name, written = with_options(given)
        options = {**written, **(options or {})}
        if name not in FAMILIES and ":" not in name:
            raise ValueError(f"unknown family {name!r}; one of {', '.join(FAMILIES)}, or module:attribute")
        given = FAMILIES[name] if name in FAMILIES else import_attribute(name)
    if isinstance(given, type):
        given = given(**_taken(given, options or {}))
    elif options:
        raise ValueError(f"{', '.join(options)}: options make a family of a name; {given!r:.80} is made already")
    if isinstance(given, Family):
        return given
    missing = [name for name in ("generate", "score") if not callable(getattr(given, name, None))]
    if missing:
        raise TypeError(f"{given!r:.80} is no family: it has no {' and no '.join(missing)}")
    return UserFamily(given)


def with_options(text: str) -> tuple[str, dict[str, Any]]:
    """Returns a name without its options, and the options: ``"bargain?zones=empty&coupling=0.5"``.

    A value is a number where it can be read as one, a mapping to numbers where it holds colons
    (``zones=wide:0.5,empty:0.5``), else a text.

    Raises:
        ValueError: an option without a value, or a mapping without numbers.
    """
    name, mark, written = text.partition("?")
    options: dict[str, Any] = {}
    for part in written.split("&") if mark else ():
        key, _, value = part.partition("=")
        if not key or not value:
            raise ValueError(f"{text!r}: {part!r} is no option; write NAME?OPTION=VALUE&OPTION=VALUE")
        try:
            options[key] = _value(value)
        except ValueError as error:
            raise ValueError(f"{text!r}: {part!r} holds no number after a colon") from error
    return name, options


def takes_option(text: str, option: str) -> bool:
    """Returns whether the family of a name or of ``module:attribute`` is made with an option."""
    name = with_options(text)[0]
    named = FAMILIES.get(name.partition(":")[0])
    given = import_attribute(name) if named is None else named
    return isinstance(given, type) and option in inspect.signature(given).parameters


def name_of(family: Family) -> str | None:
    """Returns a name with options of which :func:`as_family` makes an equal family.

    Returns:
        ``None`` for a family that has no name here, such as one of a user's own.
    """
    if type(family) is not FAMILIES.get(family.name):
        return None
    usual, own = arguments(type(family)()), arguments(family)
    changed = [f"{key}={_text(value)}" for key, value in own.items() if value != usual[key]]
    return family.name + ("?" + "&".join(changed) if changed else "")


def _text(value: Any) -> str:
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    return ",".join(f"{key}:{item!r}" for key, item in value.items()) if isinstance(value, Mapping) else str(value)


def _value(text: str) -> Any:
    if ":" in text:
        pairs = [part.partition(":") for part in text.split(",")]
        return {key: float(value) for key, _, value in pairs}
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def _taken(family: type, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options, if the family takes them."""
    parameters = inspect.signature(family).parameters
    strange = [name for name in options if name not in parameters]
    if strange:
        takes = f"it takes {', '.join(parameters)}" if parameters else "it takes none"
        raise ValueError(f"{strange[0]!r} is no option of {getattr(family, 'name', family.__name__)}; {takes}")
    return options


def check_hidden(family: Family | type[Family], task: Task, where: str) -> None:
    """Checks that a task has the hidden values that its family needs.

    Args:
        family: of the task.
        task: read from a file, or made by hand.
        where: names the task in an error.

    Raises:
        RecordError: the values of a seat are missing or wrong; the error names the field.
    """
    fields = family.hidden_fields
    if fields is None:
        return
    # Imported here: pydantic takes as long as all the rest of `import sotopia_env`, and few programs give tasks.
    from sotopia_env.schema import check_record

    if len(task.scenario.hidden) != task.num_seats:
        raise RecordError(where, f"field 'scenario.hidden': a {task.family} task needs the values of each seat")
    for seat, values in enumerate(task.scenario.hidden):
        check_record(fields, values, f"{where}, scenario.hidden.{seat}")
