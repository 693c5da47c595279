"""Names and values that are looked for in an utterance, marked as words that no reading of sentences can cut."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache, partial

from sotopia_env.families.clauses import Clause

_WORDS_TOO = frozenset(
    "will mark rose don grace august joy hope may june april jack frank bill art ray rich pat drew chance dawn faith "
    "ivy olive violet ruby go major rob sue penny carol ginger heather miles read reading shopping".split()
)
"""Names and values that are ordinary words as well: they count only with a capital."""
_CONTRACTED = re.compile(r" (?:an?|the|my|our|not|also|in|at|into|from|one|really|very|so|\w+ing)\b", re.IGNORECASE)
_QUOTES = "\"'\u2018\u2019\u201c\u201d"
_QUOTED_MARK = re.compile(rf"[{_QUOTES}](\s*zq[a-j]+qz[.,!?]?\s*)[{_QUOTES}]")
_MARK = re.compile(r"zq([a-j]+)qz")
_WRITTEN_MARK = re.compile("zq", re.IGNORECASE)
_LETTERS, _DIGITS = str.maketrans("0123456789", "abcdefghij"), str.maketrans("abcdefghij", "0123456789")


def marked(text: str, known: tuple[str, ...]) -> str:
    """The text with every known name or value replaced by a mark that is read as one word."""
    folded = _WRITTEN_MARK.sub("z", _folded(text))
    for pattern, places in _patterns(known):
        if pattern.search(folded):
            folded = pattern.sub(partial(_mark, places), folded)
    # A bare name in quotes is a name, not a quotation.
    return _QUOTED_MARK.sub(r"\1", folded) if "zq" in folded else folded


def marks(clause: Clause) -> list[tuple[int, int]]:
    """The marks in a clause, each once: its place, and which of the known it marks."""
    if "zq" not in clause.text:
        return []
    found: dict[int, int] = {}
    for place, word in enumerate(clause.words):
        if match := _MARK.fullmatch(word):
            found.setdefault(int(match[1].translate(_DIGITS)), place)
    return [(place, mark) for mark, place in found.items()]


def _mark(places: dict[str, int], match: re.Match[str]) -> str:
    mark = f"zq{str(places[_key(match[1])]).translate(_LETTERS)}qz"
    if match[2] is None:
        return mark
    return f"{mark} is" if _CONTRACTED.match(match.string, match.end()) else f"{mark} qs"


@lru_cache(maxsize=1024)
def _patterns(known: tuple[str, ...]) -> tuple[tuple[re.Pattern[str], dict[str, int]], ...]:
    """Two patterns, for what counts in any case and for what needs its capital, with the place of each match."""
    plain_ones = {i: _folded(text) for i, text in enumerate(known) if text.lower() not in _WORDS_TOO}
    words_too = {i: _folded(text) for i, text in enumerate(known) if text.lower() in _WORDS_TOO}
    made = []
    for texts, flags in ((plain_ones, re.IGNORECASE), (words_too, 0)):
        if texts:
            ordered = sorted(texts.values(), key=len, reverse=True)
            body = "|".join(re.escape(text).replace(r"\ ", r"\s+") for text in ordered)
            # "don" is no part of "don't", but "Don's" names Don.
            pattern = re.compile(rf"(?<![\w'])({body})(['\u2019]s)?(?![\w]|['\u2019]\w)", flags)
            made.append((pattern, {_key(text): i for i, text in reversed(texts.items())}))
    return tuple(made)


def _key(text: str) -> str:
    return " ".join(text.lower().split())


def _folded(text: str) -> str:
    """The text without accents: people type Tomas for Tomás."""
    if text.isascii():
        return text
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
