"""Families of tasks: those the package ships, and the family behind a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from sotopia_env.families.base import SPLITS, Family, MixedFamily, Move, OpenEnded, UserFamily
from sotopia_env.names import NameTable, exports
from sotopia_env.tasks import Task

if TYPE_CHECKING:
    from sotopia_env.families.bargain import Bargain
    from sotopia_env.families.bargain.craigslist import Craigslist
    from sotopia_env.families.divide import Divide
    from sotopia_env.families.divide.deal_or_no_deal import DealOrNoDeal
    from sotopia_env.families.mini import Mini
    from sotopia_env.families.mutual_friends import MutualFriends
else:
    __getattr__ = exports(
        __name__,
        {
            "bargain": "Bargain",
            "bargain.craigslist": "Craigslist",
            "divide": "Divide",
            "divide.deal_or_no_deal": "DealOrNoDeal",
            "mini": "Mini",
            "mutual_friends": "MutualFriends",
        },
    )

FAMILIES: Mapping[str, type[Family]] = NameTable(
    {
        "bargain": "sotopia_env.families:Bargain",
        "divide": "sotopia_env.families:Divide",
        "mutual-friends": "sotopia_env.families:MutualFriends",
        "mini": "sotopia_env.families:Mini",
        "craigslist": "sotopia_env.families:Craigslist",
        "deal-or-no-deal": "sotopia_env.families:DealOrNoDeal",
        "sotopia": "sotopia_env.families:OpenEnded",
    }
)
"""The families known by name. Each is imported when it is asked for: the phrases of a game take time to compile."""

PUBLISHED = ("sotopia", "craigslist", "deal-or-no-deal")
"""Those that draw no tasks: theirs are Sotopia's published ones."""

__all__ = [
    "FAMILIES",
    "PUBLISHED",
    "SPLITS",
    "Bargain",
    "Craigslist",
    "DealOrNoDeal",
    "Divide",
    "Family",
    "Mini",
    "MixedFamily",
    "Move",
    "MutualFriends",
    "OpenEnded",
    "UserFamily",
    "family_of",
    "family_of_all",
]


@cache
def _shipped(name: str) -> Family:
    return FAMILIES[name]()


def family_of(task: Task) -> Family:
    """The family that watches and scores a task.

    Raises:
        KeyError: the task belongs to a family of the user's own, or was drawn by one that adds something to a shipped
            one, as its version says (``3+placebo``); it has to be handed over with the task.
    """
    if task.family not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise KeyError(
            f"task {task.id!r}: family {task.family!r} is not one of {known}; a scenario that an LLM judges has the "
            "family 'sotopia', and for a family of your own pass the family object itself"
        )
    if "+" in task.version:
        raise KeyError(
            f"task {task.id!r}: it was drawn by {task.family} {task.version}, which is more than the family of that "
            "name; pass the family object itself"
        )
    return _shipped(task.family)


def family_of_all(tasks: Sequence[Task]) -> Family:
    """The family of many tasks: their own where they share one, else one that hands each task to its own."""
    families = {task.family: family_of(task) for task in tasks}
    return next(iter(families.values())) if len(families) == 1 else MixedFamily(families)
