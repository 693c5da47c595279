"""What a model that judges wrote, read: scores by agent and dimension, or why there is none.

A number counts only where it stands in its place of the one verdict in the reply. Nothing is guessed: what is missing,
out of range, cut off, said twice or said of somebody who is not there is a typed failure.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sotopia_env.rewards.judges.prompt import spelt
from sotopia_env.rewards.judges.rubric import Dimension
from sotopia_env.rewards.judges.seats import first_number, number_named

REPLY_KINDS = ("unreadable", "ambiguous", "missing", "no_number", "out_of_range")
"""What can be wrong with a reply, or with a score in it."""

_LONGEST_REPLY = 65_536
_LONGEST_REASON = 600
_NUMBER = re.compile(r"([+-]?\d{1,4}(?:\.\d{1,6})?)(?:\s*(?:/|out of)\s*(\d{1,4}))?")
_REASONS = ("reason", "reasoning", "rationale", "explanation", "justification", "comment")
_SCORES = ("score", "rating")
_WORDS = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True)
class Mark:
    """One score, or why there is none.

    Args:
        score: in the native range of the dimension; ``None`` where ``kind`` says what is wrong.
        reason: the judge's reason, or what is wrong in words.
        kind: one of :data:`REPLY_KINDS` or of the kinds of a failed call; ``None`` for a score.
    """

    score: float | None
    reason: str
    kind: str | None = None


Verdict = Mapping[str, Sequence[Mark]]
"""``{dimension: [one mark per seat]}``."""


class _AmbiguousError(ValueError):
    """An object says the same thing twice, or nobody can tell of whom."""


def read_verdict(
    text: str, agents: Sequence[str], dimensions: Sequence[Dimension], names: Sequence[str] = ()
) -> Verdict:
    """Read a reply tolerantly: JSON alone, in code fences, or amid prose; scores may be written as texts.

    Args:
        text: the reply.
        agents: ``agent_0``, ... in the order of the seats. A reply that counts them from one is read in its order.
        dimensions: what was asked for.
        names: of the characters, which a model may write instead of ``agent_0``; only those that are unique count.

    Returns:
        A mark for every dimension and seat. Where nothing can be read, all of them carry the same failure.
    """
    if len(text) > _LONGEST_REPLY:
        return failed_verdict("unreadable", f"the reply has {len(text):,} characters", len(agents), dimensions)
    keys = _keys(agents, names)
    try:
        found = [seats for value in _objects(text) if (seats := _seats(value, keys, agents))]
    except _AmbiguousError as error:
        return failed_verdict("ambiguous", str(error), len(agents), dimensions)
    if not found:
        shown = spelt(text[:80])
        problem = f"no complete JSON object with the agents {', '.join(agents)}; it begins with '{shown}'"
        return failed_verdict("unreadable", problem, len(agents), dimensions)
    if any(other != found[0] for other in found[1:]):
        problem = f"it holds {len(found)} verdicts that differ"
        return failed_verdict("ambiguous", problem, len(agents), dimensions)
    return {
        dimension.name: [_mark(found[0].get(seat), agents[seat], dimension) for seat in range(len(agents))]
        for dimension in dimensions
    }


def failed_verdict(kind: str, problem: str, seats: int, dimensions: Sequence[Dimension]) -> Verdict:
    """A verdict in which every score failed in the same way."""
    return {dimension.name: [Mark(None, problem, kind)] * seats for dimension in dimensions}


def problem_of(verdict: Verdict) -> str | None:
    """The first thing wrong with a verdict, in words; ``None`` if nothing is."""
    return next((mark.reason for marks in verdict.values() for mark in marks if mark.kind), None)


def merged(first: Verdict, second: Verdict) -> Verdict:
    """A verdict and its correction: where the correction has no score, that of the first stays."""
    return {
        name: [old if new.kind and not old.kind else new for old, new in zip(first[name], marks, strict=True)]
        for name, marks in second.items()
    }


def _objects(text: str) -> list[dict[str, Any]]:
    """Every complete JSON object of a text that is not inside another."""
    decoder = json.JSONDecoder(strict=False, parse_int=float, object_pairs_hook=_without_duplicates)
    objects, start = [], text.find("{")
    while start >= 0:
        try:
            value, end = decoder.raw_decode(text, start)
            objects.append(value)
        except _AmbiguousError:
            raise
        except (ValueError, RecursionError):
            end = start + 1
        start = text.find("{", end)
    return objects


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for name, value in pairs:
        if name in seen:
            raise _AmbiguousError(f"it says {spelt(name[:40])!r} twice")
        seen[name] = value
    return seen


def _keys(agents: Sequence[str], names: Sequence[str]) -> dict[str, int]:
    """What may stand for a seat: its agent, or the name of its character where nobody else has it."""
    folded = [_folded(name) for name in names]
    keys = {name: seat for seat, name in enumerate(folded) if name and folded.count(name) == 1}
    return {**keys, **{_folded(agent): seat for seat, agent in enumerate(agents)}}


def _seats(value: dict[str, Any], keys: Mapping[str, int], agents: Sequence[str]) -> dict[int, dict[str, Any]] | None:
    """The part of an object that speaks of each seat; ``None`` if it is no verdict."""
    if len(value) == 1 and not any(_folded(name) in keys or number_named(name) is not None for name in value):
        (inside,) = value.values()
        value = inside if isinstance(inside, dict) else {}
    parts = {name: part for name, part in value.items() if isinstance(part, dict)}
    numbers = {name: number for name in parts if (number := _number(name, keys, agents)) is not None}
    first = first_number(numbers.values(), agents) if numbers else 0
    if first is None:
        raise _AmbiguousError(f"it names {', '.join(map(spelt, numbers))[:80]}, and the agents are {', '.join(agents)}")
    seats: dict[int, dict[str, Any]] = {}
    for name, part in parts.items():
        seat = numbers[name] - first if name in numbers else keys.get(_folded(name))
        if seat is None or not 0 <= seat < len(agents):
            continue
        if seat in seats:
            raise _AmbiguousError(f"it speaks of {agents[seat]} twice")
        seats[seat] = {}
        for dimension, given in part.items():
            if _folded(dimension) in seats[seat]:
                raise _AmbiguousError(f"it says {spelt(dimension[:40])!r} of {agents[seat]} twice")
            seats[seat][_folded(dimension)] = given
    return seats or None


def _number(name: str, keys: Mapping[str, int], agents: Sequence[str]) -> int | None:
    """The number that a key names, where it is no character's name."""
    seat = keys.get(_folded(name))
    is_character = seat is not None and _folded(name) != _folded(agents[seat])
    return None if is_character else number_named(name)


def _mark(given: Mapping[str, Any] | None, agent: str, dimension: Dimension) -> Mark:
    what = f"{dimension.name} of {agent}"
    if given is None or dimension.name not in given:
        return Mark(None, f"{what} is missing", "missing")
    value = given[dimension.name]
    reason: Any = ""
    if isinstance(value, dict):
        fields = {_folded(name): field for name, field in value.items()}
        reason = next((fields[name] for name in _REASONS if name in fields), "")
        value = next((fields[name] for name in _SCORES if name in fields), None)
    elif isinstance(value, list) and len(value) == 2 and isinstance(value[0], str):
        # Sotopia's own evaluator writes a pair.
        reason, value = value
    if isinstance(value, str) and (written := _NUMBER.fullmatch(value.strip())):
        # "7/10" is 7 on a scale to 10; on any other scale nobody knows what it means.
        value = float(written[1]) if written[2] in (None, f"{dimension.high:g}") else None
    if not isinstance(value, float) or not math.isfinite(value):
        return Mark(None, f"the score for {what} is no number", "no_number")
    if not dimension.low <= value <= dimension.high:
        problem = f"the score for {what} is {value:g}, and the range is {dimension.low:g} to {dimension.high:g}"
        return Mark(None, problem, "out_of_range")
    return Mark(value, _readable(reason) if isinstance(reason, str) else "")


def _folded(name: str) -> str:
    return _WORDS.sub("_", name.casefold()).strip("_") if name.isascii() else name.casefold().strip()


def _readable(words: str) -> str:
    """A reason as one line that prints as it is."""
    line = " ".join(words.split())
    shown = "".join(c if c.isprintable() else spelt(c) for c in line[:_LONGEST_REASON])
    return f"{shown}..." if len(line) > _LONGEST_REASON else shown
