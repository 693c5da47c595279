"""Which seat a model means that names agents by numbers: it may count them otherwise than it was asked to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_NUMBERED = re.compile(
    r"(?:agent|dialogue|player|participant|speaker|character|person)[\W_]*(\d{1,3})"
    r"(?:[\W_]+(?:evaluations?|scores?|ratings?))?",
    re.IGNORECASE,
)

_LONGEST_KEY = 80


def number_named(key: str) -> int | None:
    """The number in ``Agent 2``, ``agent_2`` or ``agent_2_evaluation``; ``None`` for any other key."""
    match = _NUMBERED.fullmatch(key.strip()) if len(key) <= _LONGEST_KEY else None
    return None if match is None else int(match[1])


def first_number(numbers: Iterable[int], asked: Sequence[str], *, whole: bool = True) -> int | None:
    """The number of the first of those that were asked about, in a reply that names these numbers.

    A reply may count from one where it was asked to count from zero, as Sotopia's own evaluator does. It does so where
    it names one that is not there; where it may do either, nobody can tell whom it means. The other way round counts
    from zero alone who names a zero.

    Args:
        numbers: all that the reply names.
        asked: the names that the reply was asked to use, such as ``agent_0`` and ``agent_1``.
        whole: whether a reply in another numbering must name all.

    Returns:
        0 or 1; ``None`` where that cannot be told.
    """
    found = set(numbers)
    own = number_named(asked[0]) or 0
    seats = set(range(own, own + len(asked)))
    other = 1 - own
    others = set(range(other, other + len(asked)))
    if seats <= found or (found <= seats and (own == 1 or found - others)):
        return own
    if found <= others and found - seats and (found == others or not whole):
        return other
    return None
