"""The things that two people divide: kinds with counts, and what each is worth, read from plain text."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import product
from typing import Any

from sotopia_env.tasks import Task

_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NUMBERS = {word: number for number, word in enumerate(_WORDS, 1)}
_COUNT = rf"(?:\d{{1,2}}|{'|'.join(_WORDS)})"
_LISTED = re.compile(rf"\b({_COUNT}) ([a-z]+)\b", re.IGNORECASE)
_LIST = re.compile(rf"\b{_COUNT} [a-z]+(?:(?:, and|,| and) {_COUNT} [a-z]+)+", re.IGNORECASE)


@dataclass(frozen=True)
class ItemKind:
    """Some things of one kind.

    Args:
        singular: ``"hat"``.
        plural: ``"hats"``.
        count: how many there are.
        aliases: other words for one of them.
    """

    singular: str
    plural: str
    count: int
    aliases: tuple[str, ...] = ()

    def amount(self, number: int) -> str:
        """``"1 hat"``, ``"2 hats"``."""
        return f"{number} {self.singular if number == 1 else self.plural}"


Items = tuple[ItemKind, ...]
Counts = tuple[int, ...]
"""How many of each kind, in the order of the items."""


def singular_of(noun: str) -> str:
    """One of what a regular plural names: ``"boxes"`` -> ``"box"``."""
    if noun.endswith("ies") and len(noun) > 4:
        return noun[:-3] + "y"
    if noun.endswith(("ches", "shes", "sses", "xes")):
        return noun[:-2]
    return noun[:-1] if noun.endswith("s") and not noun.endswith("ss") else noun


def plural_of(noun: str) -> str:
    """The regular plural of a noun: ``"box"`` -> ``"boxes"``."""
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("ch", "sh", "ss", "x")) else "s")


@lru_cache(maxsize=1024)
def read_items(text: str) -> Items | None:
    """The items of the first list such as "3 books, 2 hats and 1 ball" in a text, or ``None`` without one.

    Every kind is named by a single word with a regular plural.
    """
    found = _LIST.search(text)
    if found is None:
        return None
    items = []
    for count, noun in _LISTED.findall(found[0]):
        number = int(count) if count.isdigit() else NUMBERS[count.lower()]
        singular = singular_of(noun.lower()) if number != 1 else noun.lower()
        items.append(ItemKind(singular, plural_of(singular), number))
    return tuple(items)


@lru_cache(maxsize=1024)
def read_values(text: str, items: Items) -> tuple[float, ...] | None:
    """What each kind is worth, or ``None`` where a value is missing.

    The value of a kind is the first number after its name in the same sentence: "each hat is worth 3 points",
    "you value the hats at 3 points each", "1 hat = 3 points".
    """
    values = []
    for item in items:
        name = rf"(?:{re.escape(item.singular)}|{re.escape(item.plural)})"
        # The number of things may stand before a name, but no other number between a name and its value.
        found = re.search(rf"\b{name}\b[^.;\d]{{0,60}}?(\d+(?:\.\d+)?)", text, re.IGNORECASE)
        if found is None:
            return None
        values.append(float(found[1]))
    return tuple(values)


def worth(counts: Counts, values: tuple[float, ...]) -> float:
    """The points of so many of each kind."""
    return sum(map(operator.mul, counts, values))


def totals(items: Items) -> Counts:
    """How many of each kind there are."""
    return tuple(item.count for item in items)


def divisions(items: Items) -> Iterator[Counts]:
    """Every share that one side can have, from nothing to everything."""
    return product(*(range(item.count + 1) for item in items))


def complement(counts: Counts, items: Items) -> Counts:
    """What is left for the other side."""
    return tuple(item.count - count for item, count in zip(items, counts, strict=True))


def listed(items: Items, counts: Counts) -> str:
    """``"3 lamps, 1 mug and 2 rugs"``; kinds of which there are none are left out."""
    amounts = [item.amount(count) for item, count in zip(items, counts, strict=True) if count]
    return " and ".join([", ".join(amounts[:-1]), amounts[-1]] if len(amounts) > 1 else amounts)


def share_text(items: Items, counts: Sequence[int | None]) -> str:
    """``"3 lamps, 1 mug"``, ``"nothing"``, ``"3 lamps; mugs open"`` where it is not said how many mugs."""
    pairs = list(zip(items, counts, strict=True))
    named = ", ".join(item.amount(count) for item, count in pairs if count) or "nothing"
    still_open = ", ".join(item.plural for item, count in pairs if count is None)
    return f"{named}; {still_open} open" if still_open else named


def items_of(task: Task) -> Items:
    """What is divided in a task."""
    return tuple(
        ItemKind(kind["singular"], kind["plural"], int(kind["count"]), tuple(kind.get("aliases", ())))
        for kind in task.scenario.hidden[0]["items"]
    )


def items_record(items: Items) -> list[Mapping[str, Any]]:
    """Items as plain JSON-able data."""
    return [{**asdict(item), "aliases": list(item.aliases)} for item in items]
