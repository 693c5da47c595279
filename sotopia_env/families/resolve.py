"""From names to families and their tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sotopia_env.families.base import Family, UserFamily
from sotopia_env.names import import_attribute
from sotopia_env.tasks import Task


def as_family(given: Any) -> Family:
    """A family from a name (``"bargain"``), ``module:attribute``, a class, or an object with generate and score."""
    from sotopia_env.families import FAMILIES

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


def family_and_tasks(given: Any, split: str, family: Any = None) -> tuple[Family, Sequence[Task] | None, str]:
    """What the first argument of ``parallel_env`` means.

    Args:
        given: a family in any form, a name with its split (``"bargain:test"``), the published tasks by name
            (``"sotopia:hard"``), a path of a task file, or tasks.
        split: the split, where ``given`` names none.
        family: of fixed tasks, in any form, where it is not the one they name.

    Returns:
        The family, fixed tasks or ``None``, and the split.
    """
    from sotopia_env.families import FAMILIES, PUBLISHED, family_of_all
    from sotopia_env.families.base import SPLITS

    if isinstance(given, Task):
        given = [given]
    if isinstance(given, Path) or (isinstance(given, str) and given.endswith((".json", ".jsonl"))):
        from sotopia_env.published import load_tasks

        given = load_tasks(given)
    if isinstance(given, str):
        name, _, wanted = given.partition(":")
        if name in PUBLISHED:
            from sotopia_env.published import load_named

            given = load_named(given)
        elif name in FAMILIES:
            split = wanted or split
            if split not in SPLITS:
                raise ValueError(f"{given!r}: {split!r} is no split; one of {', '.join(SPLITS)}")
            return as_family(name), None, split
        elif ":" not in given and Path(given).exists():
            from sotopia_env.published import load_tasks

            given = load_tasks(given)
    if isinstance(given, Sequence) and not isinstance(given, str):
        if not given:
            raise ValueError("the list of tasks is empty")
        strange = next((task for task in given if not isinstance(task, Task)), None)
        if strange is not None:
            raise TypeError(f"a list of tasks holds a {type(strange).__name__}; load a file's tasks with load_tasks")
        return family_of_all(given) if family is None else as_family(family), tuple(given), split
    return as_family(given), None, split
