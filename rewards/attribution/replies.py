"""A language model's reply on the importance of utterances, read onto the turns it speaks of.

A reply names utterances: ``{"Utterance 0 by Mara Lind": 2, ...}``. Models add prose and code fences, count from 1,
leave some out, or answer for the wrong speaker. What can be told without guessing is repaired, and said so; the rest
is unknown. Nothing becomes a 0 that the model did not say.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Literal, NamedTuple

from sotopia_env.actions import Action
from sotopia_env.episodes import Episode, Turn
from sotopia_env.rewards.judges.seats import first_number, number_named
from sotopia_env.sotopia_style import act_text

Unrated = Literal["unknown", "zero"]

_KEY = re.compile(r"\W*(?:(?:utterance|turn)\W*)?(\d{1,6})(?:\s+by\s+(\S.*?))?\s*", re.IGNORECASE | re.DOTALL)
_NUMBER = re.compile(r"\s*([-+]?\d{1,9}(?:\.\d{1,9})?)(?:\s*/\s*(\d{1,9}))?\s*")
_VALUE_FIELDS = ("attribution", "importance", "score", "value")
_LONGEST_KEY = 400
_MOST_BRACKETS = 100  # in the prose before an object
_SHORTEST_PART = 20  # characters by which a longer utterance is recognised from its beginning


@dataclass(frozen=True)
class ParsedAttribution:
    """What a reply says of one agent's own turns.

    Args:
        importances: one number in 0..s per own turn, ``None`` where the reply says nothing that can be used.
        repairs: what was not as asked for, and how it was read.
        failure: why nothing of the reply can be used; all importances are ``None`` then.
    """

    importances: tuple[float | None, ...]
    repairs: tuple[str, ...] = ()
    failure: str | None = None


class _Failed(ValueError):
    """The reply as a whole cannot be used."""


class _Entry(NamedTuple):
    key: str
    number: int
    speaker: str | None
    text: str | None
    value: Any


@dataclass
class _Reading:
    """An agent's turns, and what is known of them so far."""

    turns: Sequence[Turn]
    levels: float
    unrated: Unrated
    values: dict[int, float | None] = field(default_factory=dict)
    repairs: list[str] = field(default_factory=list)

    def enter(self, turn: int, entry: _Entry) -> None:
        """Write down one importance; two that contradict each other leave none."""
        value = self._importance(entry)
        if turn in self.values and self.values[turn] != value:
            self.repairs.append(f"own turn {turn} is graded twice, differently: unknown")
            value = None
        self.values[turn] = value

    def importances(self) -> tuple[float | None, ...]:
        """One per own turn. Turns of which nothing can be seen need no grade where ``unrated`` is zero."""
        silent = 0.0 if self.unrated == "zero" else None
        found = []
        for index, turn in enumerate(self.turns):
            found.append(self.values.get(index, silent if turn.type == "none" else None))
            if index not in self.values and turn.type != "none":
                self.repairs.append(f"own turn {index} is not graded: unknown")
        return tuple(found)

    def _importance(self, entry: _Entry) -> float | None:
        value = entry.value
        if isinstance(value, Mapping):
            value = next((value[name] for name in _VALUE_FIELDS if name in value), None)
        if isinstance(value, str) and (written := _NUMBER.fullmatch(value)):
            # "2/3" is 2 on a scale to 3; on any other scale nobody knows what it means.
            value = float(written[1]) if written[2] in (None, f"{self.levels:g}") else None
            self.repairs.append(f"{entry.key}: a number written as text")
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.repairs.append(f"{entry.key}: {entry.value!r:.40} is no number: unknown")
            return None
        if value == -1:
            return 0.0 if self.unrated == "zero" else None
        if not 0 <= value <= self.levels:
            self.repairs.append(f"{entry.key}: {value!s:.40} is not in 0..{self.levels:g}: unknown")
            return None
        return float(value)


def parse_attribution(
    reply: str | Mapping[str, Any], episode: Episode, agent: str, *, levels: float = 3.0, unrated: Unrated = "unknown"
) -> ParsedAttribution:
    """Read one reply onto the own turns of an agent.

    Entries are told apart by the text of the utterance where the reply holds it (``[text, importance]``), else by
    their number, k for the agent's own turn k. Entries of other speakers are left aside.

    Args:
        reply: what the model wrote, or the object in it: ``{"Utterance k by NAME": importance}``, or a list with one
            importance for each own turn.
        episode: the episode it speaks of.
        agent: whose turns were graded.
        levels: s, the greatest importance. Fractions stay fractions.
        unrated: what -1 means, which Sotopia-RL's files hold for utterances without a grade, and what a turn in which
            nothing was done is worth: ``"unknown"`` or ``"zero"``.
    """
    turns = episode.own_turns(agent)
    reading = _Reading(turns, levels, unrated)
    try:
        content = _json_in(reply, reading.repairs) if isinstance(reply, str) else reply
        if isinstance(content, list):
            _read_list(content, reading)
        else:
            entries = _entries(_pairs(content), episode, agent, reading.repairs)
            _place(entries, reading)
        if turns and not reading.values:
            raise _Failed("no entry grades a turn of this agent")
    except _Failed as error:
        return ParsedAttribution((None,) * len(turns), tuple(reading.repairs), str(error))
    importances = reading.importances()
    return ParsedAttribution(importances, tuple(reading.repairs))


def parse_attributions(
    reply: str, episode: Episode, agent: str, dimensions: Sequence[str], *, levels: float = 3.0
) -> dict[str, ParsedAttribution]:
    """Read the importances of an agent's turns for several dimensions from one reply.

    Args:
        reply: ``{dimension: {"Utterance k by NAME": importance}}``, or the other way round, with whatever around it;
            of a single dimension, the name may be missing.
        episode: the episode it speaks of.
        agent: whose turns were graded.
        dimensions: those asked about.
        levels: s.

    Returns:
        What :func:`parse_attribution` makes of each dimension's part. A dimension that is missing, or there twice,
        is a failure.
    """
    turns, repairs = episode.own_turns(agent), list[str]()
    try:
        parts = _by_dimension(_json_in(reply, repairs), dimensions)
    except _Failed as error:
        return dict.fromkeys(dimensions, ParsedAttribution((None,) * len(turns), tuple(repairs), str(error)))
    parsed = {}
    for dimension in dimensions:
        given = parts.get(dimension, [])
        if len(given) == 1:
            one = parse_attribution(given[0], episode, agent, levels=levels)
            parsed[dimension] = replace(one, repairs=(*repairs, *one.repairs))
        else:
            failure = f"{dimension} is there {len(given)} times" if given else f"{dimension} is missing"
            parsed[dimension] = ParsedAttribution((None,) * len(turns), tuple(repairs), failure)
    return parsed


# --- from text to entries -----------------------------------------------------------------------------------------


def _json_in(reply: str, repairs: list[str]) -> Any:
    """The first JSON object or list that is whole in a text, whatever stands around it."""
    decoder = json.JSONDecoder(object_pairs_hook=_Object)
    # A list counts only where there is no object: prose is full of [1] and [sic].
    brackets = re.finditer(r"\{" if "{" in reply else r"\[", reply)
    for start in (match.start() for match in islice(brackets, _MOST_BRACKETS)):
        try:
            content, end = decoder.raw_decode(reply, start)
        except json.JSONDecodeError as error:
            if not reply[start + 1 : error.pos].strip() and reply[error.pos :].strip():
                continue  # no member follows the bracket: it belongs to the prose
            # Inside an object that was cut off there may be smaller whole ones, which are not the answer.
            break
        except (ValueError, RecursionError):
            break
        if reply[:start].strip() or reply[end:].strip():
            repairs.append("text around the JSON was left aside")
        return content
    raise _Failed("no whole JSON object")


@dataclass(frozen=True)
class _Object:
    """A JSON object with all its members in their order, those of equal keys as well."""

    members: list[tuple[str, Any]]


def _by_dimension(content: Any, dimensions: Sequence[str]) -> dict[str, list[Any]]:
    """What a reply gives for each dimension: usually one thing, none or several where it errs."""
    keys = {_dimension_key(dimension): dimension for dimension in dimensions}
    while isinstance(content, _Object) and len(content.members) == 1:
        ((name, inside),) = content.members
        if _dimension_key(name) in keys or _named(name) or not isinstance(inside, _Object):
            break
        content = inside
    members = content.members if isinstance(content, _Object) else []
    found: dict[str, list[Any]] = {}
    for name, value in members:
        if (dimension := keys.get(_dimension_key(name))) is not None:
            found.setdefault(dimension, []).append(value)
    if found:
        return found
    graded = [(name, value.members) for name, value in members if _named(name) and isinstance(value, _Object)]
    for name, by_dimension in graded:
        for key, value in by_dimension:
            if (dimension := keys.get(_dimension_key(key))) is not None:
                found.setdefault(dimension, [_Object([])])[0].members.append((name, value))
    if found:
        return found
    if len(dimensions) == 1:
        return {dimensions[0]: [content]}
    raise _Failed(f"no object with the dimensions {', '.join(dimensions)}")


def _dimension_key(name: str) -> str:
    return "_".join(re.findall(r"[a-z0-9]+", name.casefold())) if len(name) <= _LONGEST_KEY else ""


def _pairs(content: Any) -> list[tuple[str, Any]]:
    if isinstance(content, Mapping):
        return [(str(key), value) for key, value in content.items()]
    if isinstance(content, _Object):
        members = content.members
        # A single wrapping member such as {"attributions": {...}} is opened.
        if len(members) == 1 and isinstance(members[0][1], _Object) and not _named(members[0][0]):
            members = members[0][1].members
        return [(key, _plain(value)) for key, value in members]
    raise _Failed(f"neither a JSON object nor a list: {content!r:.40}")


def _plain(value: Any) -> Any:
    return dict(value.members) if isinstance(value, _Object) else value


def _named(key: str) -> re.Match[str] | None:
    """The number and, perhaps, the speaker that a key names."""
    return _KEY.fullmatch(key) if len(key) <= _LONGEST_KEY else None


def _entries(pairs: Sequence[tuple[str, Any]], episode: Episode, agent: str, repairs: list[str]) -> list[_Entry]:
    """The entries on one agent's turns."""
    seat, entries = episode.agents.index(agent), []
    named = [(key, value, _named(key)) for key, value in pairs]
    first = _first_agent([match[2] for _, _, match in named if match and match[2]], episode)
    if first == 1:
        repairs.append("agents are counted from 1")
    for key, value, match in named:
        if match is None:
            repairs.append(f"{key!r:.60} names no utterance: left aside")
            continue
        if match[2] is not None:
            speaker = _speaker(match[2], episode, first)
            if speaker is None:
                repairs.append(f"{key!r:.60} names nobody who took part: left aside")
            if speaker != seat:
                continue
        text = None
        if isinstance(value, list | tuple) and len(value) == 2 and isinstance(value[0], str):
            text, value = value[0], _plain(value[1])
        entries.append(_Entry(key, int(match[1]), match[2], text, value))
    return entries


def _first_agent(speakers: Iterable[str], episode: Episode) -> int:
    """The number under which a reply names the first agent: 0, or 1 where it counts as Sotopia's own evaluator does.

    Raises:
        _Failed: it may be either.
    """
    named = {number_named(name) for name in set(speakers) if not _is_character(name, episode)}
    numbers = {number for number in named if number is not None and number <= len(episode.agents)}
    first = first_number(numbers, episode.agents, whole=False)
    if first is None and len(numbers) > 1:
        raise _Failed(f"it numbers agents {', '.join(map(str, sorted(numbers)))}: no telling which is which")
    return first or 0


def _speaker(name: str, episode: Episode, first: int) -> int | None:
    number = number_named(name)
    if number is None or _is_character(name, episode):
        return seat_named(name, episode)
    return number - first if 0 <= number - first < len(episode.agents) else None


def _is_character(name: str, episode: Episode) -> bool:
    return _folded(name) in [_folded(character.name) for character in episode.task.characters]


def seat_named(name: str, episode: Episode) -> int | None:
    """The seat of a speaker by the whole name, the agent's or a part of the name that no other speaker has."""
    wanted = _folded(name)
    names = [_folded(character.name) for character in episode.task.characters]
    for known in (names, [_folded(agent) for agent in episode.agents]):
        if known.count(wanted) == 1:
            return known.index(wanted)
    parts = set(wanted.split())
    holding = [seat for seat, known in enumerate(names) if parts and parts <= set(known.split())]
    return holding[0] if len(holding) == 1 else None


def _folded(text: str) -> str:
    """A text without accents, case, typographic quotes and repeated spaces, for comparison alone."""
    text = text.translate(str.maketrans("’‘“”", "''\"\""))
    letters = (c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return " ".join("".join(letters).casefold().split())


# --- from entries to turns ----------------------------------------------------------------------------------------


def _read_list(content: list[Any], reading: _Reading) -> None:
    if len(content) != len(reading.turns):
        raise _Failed(f"a list of {len(content)} for {len(reading.turns)} own turns: no telling which is which")
    for index, value in enumerate(content):
        reading.enter(index, _Entry(f"entry {index}", index, None, None, value))


def _place(entries: Sequence[_Entry], reading: _Reading) -> None:
    """Find the turn of every entry: by its text where it has one, else by its number."""
    _place_by_text([entry for entry in entries if entry.text is not None], reading)
    numbered = [entry for entry in entries if entry.text is None]
    numbers = {entry.number for entry in numbered}
    first = 0
    if numbered and numbers == set(range(1, len(reading.turns) + 1)):
        first = 1
        reading.repairs.append("utterances are counted from 1")
    for entry in numbered:
        index = entry.number - first
        if index >= len(reading.turns):
            # Who counts more utterances than there are may have meant others by all of the numbers.
            raise _Failed(f"{entry.key!r:.60}: there are {len(reading.turns)} own turns")
        reading.enter(index, entry)


def _place_by_text(entries: Sequence[_Entry], reading: _Reading) -> None:
    acts = [_folded(act_text(Action(turn.type, turn.text))) for turn in reading.turns]
    told = [_utterance(entry) for entry in entries]
    left = list(range(len(acts)))
    waiting: defaultdict[bool, list[int]] = defaultdict(list)
    # Whole utterances first, so that a cut one takes no turn that belongs to another.
    for whole in (True, False):
        for place in range(len(entries)) if whole else waiting[True]:
            turn = next((i for i in left if _is(told[place], acts[i], whole)), None)
            if turn is None:
                waiting[whole].append(place)
            else:
                left.remove(turn)
                reading.enter(turn, entries[place])
    for place in waiting[False]:
        reading.repairs.append(f"{entries[place].key}: its text is no utterance of this agent: left aside")


def _is(told: str, act: str, whole: bool) -> bool:
    """Whether a text is that of an act, or else the beginning of it (of its first paragraph, often)."""
    if whole:
        return told == act
    return len(told) >= _SHORTEST_PART and act.startswith(told.rstrip('"'))


def _utterance(entry: _Entry) -> str:
    """The act in the text of an entry, without the speaker's name before it."""
    text = _folded(entry.text or "")
    name = _folded(entry.speaker or "")
    return text.removeprefix(name).lstrip(": ") if name else text
