"""Reading one utterance for the attributes of friends that it tells or asks for.

Over the clauses that all else is read over (:mod:`sotopia_env.families.clauses`). What is asked, supposed, looked
for or spoken of as the other's friends' is asked for; what the speaker tells of itself, or others report, is nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from operator import attrgetter

from sotopia_env.families.clauses import Clause, clauses
from sotopia_env.families.consent import CONTRASTS
from sotopia_env.families.mutual_friends.marks import marked, marks
from sotopia_env.families.mutual_friends.mentions import FRIENDLY, KNOWING, SOMEONE

_GREETING = re.compile(r"\bgood (?:morning|afternoon|evening)\b", re.IGNORECASE)
_OWN = re.compile(
    r"\b(?:friends? of mine|(?:of )?my (?:\w+ )?friends?|i(?: also| do)? know|i have|one of mine|none of mine|"
    r"nobody i know|no one i know|(?:do not|don't) know|(?:do not|don't) have)\b"
)
_SOUGHT = re.compile(
    r"^(?:please |and |so |then )?(?:tell|describe)\b|\b(?:looking|searching) for\b|\bwonder(?:ing)?\b"
)
_OF_THE_OTHER = re.compile(r"\byour?\b")
_OF_MINE = re.compile(r"\b(?:my (?:\w+ )?friends?|(?:friends?|one|none) of mine)\b")
_NEW_TELLING = frozenset("i we my mine one another you your".split())
_OF_FRIENDS = frozenset("have had got one mine who".split()) | KNOWING | FRIENDLY | SOMEONE


@dataclass(frozen=True)
class Telling:
    """Attributes named together in one part of a sentence.

    Args:
        kind: ``"has"`` (a friend of the speaker), ``"lacks"`` (no friend of the speaker), or ``"asks"``.
        values: the values, as they stand in the table.
        own: whether the speaker says it of friends of its own in so many words.
        names: friends named beside them.
    """

    kind: str
    values: frozenset[str]
    own: bool = False
    names: frozenset[str] = frozenset()


@lru_cache(maxsize=16384)
def read_tellings(text: str, values: tuple[str, ...], names: tuple[str, ...] = ()) -> tuple[Telling, ...]:
    """The attributes that an utterance tells or asks for, group by group.

    Args:
        text: what was said.
        values: all there are, or all the listener knows of.
        names: of friends, to tell whom a statement is about.
    """
    known = (*values, *names)
    text = marked(_GREETING.sub("", text), known)
    if "zq" not in text:
        return ()
    found: list[Telling] = []
    for _, sentence in groupby(clauses(text), attrgetter("sentence")):
        found += _told(tuple(sentence), known, len(values))
    return tuple(found)


def _told(sentence: Sequence[Clause], known: tuple[str, ...], count: int) -> list[Telling]:
    """The attributes of one sentence; what follows without a subject of its own goes on as it began."""
    found: list[tuple[str, set[str], set[str], bool]] = []
    kind, own, names = "", False, set[str]()
    for clause in sentence:
        sought = clause.asked or clause.supposed or _SOUGHT.search(clause.text) is not None
        of_the_other = _OF_THE_OTHER.search(clause.text) is not None and not _OF_MINE.search(clause.text)
        told = [(place, mark) for place, mark in marks(clause) if sought or of_the_other or clause.own[place]]
        owns = _OWN.search(clause.text) is not None
        if clause.link in CONTRASTS or (told and (owns or clause.words[0] in _NEW_TELLING)):
            kind, own, names = "", False, set()
        own = own or owns
        if not kind and not sought and "i" in clause.words and _OF_FRIENDS.isdisjoint(clause.words):
            continue  # of oneself
        for place, mark in told:
            if mark >= count:
                names.add(known[mark])
                continue
            denied = kind == "lacks" or any(clause.denied[: place + 1])
            now = "asks" if sought or of_the_other or kind == "asks" else "lacks" if denied else "has"
            if now != kind or not found or found[-1][2] is not names:
                found.append((now, set(), names, own))
            kind = now
            found[-1][1].add(known[mark])
        if not told and (sought or any(clause.denied)):
            kind = "asks" if sought else "lacks"
    return [Telling(kind, frozenset(values), own, frozenset(names)) for kind, values, names, own in found]


def all_values(tables: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """The values of several tables, each once, in a stable order."""
    return tuple(sorted({value for table in tables for value in table}))
