"""Reading an utterance for what it tells and how: shared by judges and, for facts, by scripted policies."""

from __future__ import annotations

import re
from functools import lru_cache

_WORD = re.compile(r"[^\W\d_]+", re.UNICODE)
_PRICE = re.compile(r"[$€£]\s?\d")
_COMMON = frozenset(
    "a about all an and are as at be been but by did do for from had has have he her his i in is it its just me my not "
    "of on one only or our out she so that the their them they this to too us very was we were will with would you your"
    .split()
)  # fmt: skip

POSITIVE: dict[str, frozenset[str]] = {
    "training": frozenset({"appreciate", "grateful", "kind", "pleasure", "generous"}),
    "evaluation": frozenset({"understand", "respect", "lovely", "welcome", "wonderful"}),
}
"""Words by which a judge sees courtesy. The words that move scripted policies are a third bank; no two overlap."""

NEGATIVE: dict[str, frozenset[str]] = {
    "training": frozenset({"stupid", "idiot", "pathetic", "liar"}),
    "evaluation": frozenset({"fool", "crook", "greedy", "clown"}),
}
"""Words by which a judge sees insult."""

THREATS = re.compile(
    r"\b(?:you(?: will|'ll) (?:be sorry|regret)|or else|i(?: will|'ll) (?:ruin|report|hurt) you)\b", re.IGNORECASE
)
"""Threats, which every judge sees."""


@lru_cache(maxsize=65536)
def words(text: str) -> frozenset[str]:
    """The words of a text, in lower case."""
    return frozenset(word.lower() for word in _WORD.findall(text))


@lru_cache(maxsize=4096)
def content_words(text: str) -> frozenset[str]:
    """The words of a statement that carry its content."""
    return frozenset(word for word in words(text) if word not in _COMMON)


def told_share(statement: str, utterance: str) -> float:
    """Which share of a statement's content words an utterance holds, 0 to 1."""
    wanted = content_words(statement)
    return len(wanted & words(utterance)) / len(wanted) if wanted else 0.0


def tells(statement: str, utterance: str) -> bool:
    """Whether an utterance tells a statement, in its own words or nearly."""
    return told_share(statement, utterance) >= 0.75


def has_price(text: str) -> bool:
    """Whether a price stands in a text."""
    return _PRICE.search(text) is not None
