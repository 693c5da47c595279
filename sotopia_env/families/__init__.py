"""Families of tasks: those the package ships, and the family behind a task."""

from __future__ import annotations

from functools import cache

from sotopia_env.families.bargain import Bargain
from sotopia_env.families.base import SPLITS, Family, OpenEnded, UserFamily
from sotopia_env.tasks import Task

FAMILIES: dict[str, type[Family]] = {"bargain": Bargain, "sotopia": OpenEnded}
"""The families known by name."""

__all__ = ["FAMILIES", "SPLITS", "Bargain", "Family", "OpenEnded", "UserFamily", "family_of"]


@cache
def _shipped(name: str) -> Family:
    return FAMILIES[name]()


def family_of(task: Task) -> Family:
    """The family that watches and scores a task.

    Raises:
        KeyError: the task belongs to a family of the user's own, which has to be handed over with it.
    """
    if task.family not in FAMILIES:
        raise KeyError(
            f"task {task.id!r}: family {task.family!r} is not one of {', '.join(FAMILIES)}; pass the family object itself"
        )
    return _shipped(task.family)
