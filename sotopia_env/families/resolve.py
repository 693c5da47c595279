"""From names to families."""

from __future__ import annotations

from typing import Any

from sotopia_env.errors import RecordError
from sotopia_env.families import FAMILIES
from sotopia_env.families.base import Family, UserFamily
from sotopia_env.names import import_attribute
from sotopia_env.tasks import Task


def as_family(given: Any) -> Family:
    """A family from a name (``"bargain"``), ``module:attribute``, a class, or an object with generate and score."""
    if isinstance(given, str):
        if given in FAMILIES:
            return FAMILIES[given]()
        if ":" not in given:
            raise ValueError(f"unknown family {given!r}; one of {', '.join(FAMILIES)}, or module:attribute")
        given = import_attribute(given)
    if isinstance(given, type):
        given = given()
    if isinstance(given, Family):
        return given
    missing = [name for name in ("generate", "score") if not callable(getattr(given, name, None))]
    if missing:
        raise TypeError(f"{given!r:.80} is no family: it has no {' and no '.join(missing)}")
    return UserFamily(given)


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
