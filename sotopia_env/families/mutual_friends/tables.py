"""Tables of friends: as they stand in a goal, and as they are read from one.

Two spellings are read, the package's own (``Alma: hobby: chess; town: Dingle.``) and that of the published scenarios
(``Alma: Hobby: Chess  School: Ashford College``, with two spaces between attributes).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

_ROW = re.compile(r"^[ \t-]*([^\W\d_][\w' .-]{0,60}?):[ \t]+(\S.*)$", re.MULTILINE)
_CELL = re.compile(r"([^\W\d_][\w -]{0,40}?):\s+(\S.*?)\s*(?:;\s+|\s{2,}|$)")


@dataclass(frozen=True)
class Friend:
    """One row of a table.

    Args:
        name: first name.
        attributes: pairs of attribute and value, such as ``("town", "Dingle")``.
    """

    name: str
    attributes: tuple[tuple[str, str], ...]

    @property
    def values(self) -> frozenset[str]:
        """The values alone."""
        return frozenset(value for _, value in self.attributes)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able data."""
        return {"name": self.name, "attributes": dict(self.attributes)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Friend:
        """The friend of a record that :meth:`to_dict` made."""
        return cls(record["name"], tuple(record["attributes"].items()))


def table_text(friends: Iterable[Friend]) -> str:
    """A table as it stands in a goal, one line a friend."""
    return "\n".join(f"{f.name}: {'; '.join(f'{kind}: {value}' for kind, value in f.attributes)}." for f in friends)


@lru_cache(maxsize=4096)
def read_table(text: str) -> tuple[Friend, ...]:
    """The table inside a goal, empty where there is none: at least two rows with the same attributes each."""
    friends: list[Friend] = []
    for name, row in _ROW.findall(text):
        cells = tuple((kind.strip().lower(), value) for kind, value in _CELL.findall(row.rstrip()))
        if cells:
            friends.append(Friend(name.strip(), cells))
    kinds = {tuple(kind for kind, _ in friend.attributes) for friend in friends}
    names = {friend.name for friend in friends}
    if len(friends) < 2 or len(kinds) != 1 or len(names) != len(friends):
        return ()
    return tuple(_without_stops(friends))


def _without_stops(friends: list[Friend]) -> Iterable[Friend]:
    """The rows without the full stop that ends each of the package's own lines; ``Bright, Inc.`` keeps its own."""
    if not all(friend.attributes[-1][1].endswith(".") for friend in friends):
        return friends
    return [
        Friend(f.name, (*f.attributes[:-1], (f.attributes[-1][0], f.attributes[-1][1].removesuffix("."))))
        for f in friends
    ]


_COMMON = re.compile(r"common friends?: *([^\n.,]+)")


def read_published_tables(goals: Sequence[str], notes: str) -> tuple[dict[str, Any], ...]:
    """The friends of each seat and the one they share, from the goals and the text for the judge.

    Args:
        goals: one per seat, each with a table of friends.
        notes: names the common friend.

    Raises:
        ValueError: a table or the answer is missing, or the answer is not in every table.
    """
    answer = _COMMON.search(notes)
    if answer is None:
        raise ValueError("the text for the judge names no common friend, such as 'common friends: Alma'")
    common = answer[1].strip()
    tables = [read_table(goal) for goal in goals]
    for seat, table in enumerate(tables):
        if common not in (friend.name for friend in table):
            raise ValueError(f"goal {seat}: no table of friends with the common friend {common!r} in it")
    return tuple({"friends": [friend.to_dict() for friend in table], "common": common} for table in tables)
