"""TurnRewards made plain and cut up, so that rules over words see the same text whatever the typing.

A sentence is cut into fragments at commas, brackets, dashes and conjunctions, so that a negation or a quoted price
reaches no further than its own fragment.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

_TYPOGRAPHY = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201b\u02bc\u00b4\u2032", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2010\u2011\u2212", "-"),
        **dict.fromkeys("\u00ad\u200b\u200c\u200d\u2060\ufeff", None),
    }
)
_MARKUP = re.compile(r"</?[a-z][^<>\n]{0,40}>|[_~`\\]|\*{2,3}")
_STARRED = re.compile(r"\*([^*\n]{1,160})\*")
_QUOTED = re.compile(r'"[^"\n]{0,400}"')
_SPACES = re.compile(r"[^\S\n]{2,}|[\t\r\f\v]")
_CUT = re.compile(
    r"([!?;\n()\u2013\u2014][!?;.\n]*|[.,](?![0-9])[!?;.\n]*|:(?= )|"
    r" (?:--? |[\u2013\u2014] ?|(?:but|however|though|although|except|and|so|because|since|if|unless)(?=[ ,])))"
)
_ENDS = frozenset(".!?;\n")


@lru_cache(maxsize=1_024)
def plain(text: str) -> str:
    """The text in lower case, with straight quotes and single spaces, without markup.

    What stands in double quotes is left out, unless the whole text does: it is somebody else's.

    Args:
        text: any Unicode.

    Returns:
        Text that begins with a space, as every line of it does.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_TYPOGRAPHY)
    text = text.lower()
    if "<" in text or "_" in text or "`" in text or "\\" in text or "~" in text or "**" in text:
        text = _MARKUP.sub("", text)
    if "*" in text:
        text = _STARRED.sub(_unstar, text).replace("*", "")
    if '"' in text:
        text = _QUOTED.sub(" ", text.strip(' \n"')).replace('"', " ")
    if "\n" in text:
        text = text.replace("\n", "\n ")
    if "  " in text or "\t" in text or "\r" in text:
        text = _SPACES.sub(" ", text)
    return " " + text.strip()


def _unstar(match: re.Match[str]) -> str:
    # "*nods slowly* Deal" narrates and is cut off; "I can *not* do $80" stresses and stays in place.
    inner = match[1]
    narrated = "$" not in inner and (" " in inner.strip() or inner.endswith("s"))
    return f", {inner}, " if narrated else inner


class Sentence(NamedTuple):
    """A sentence in fragments.

    Args:
        fragments: the texts between the cuts, none empty.
        links: the conjunction that stood before each, or ``""``.
        asked: whether it ends in a question mark.
    """

    fragments: list[str]
    links: list[str]
    asked: bool


def sentences(plain_text: str) -> Iterator[Sentence]:
    """The sentences of a text that :func:`plain` returned."""
    pieces = _CUT.split(plain_text)
    fragments: list[str] = []
    links: list[str] = []
    link = ""
    for index in range(0, len(pieces), 2):
        fragment = pieces[index].strip()
        if fragment:
            fragments.append(fragment)
            links.append(link)
            link = ""
        cut = pieces[index + 1] if index + 1 < len(pieces) else "\n"
        if cut[-1].isalpha():
            link = cut[1:]
        elif not _ENDS.isdisjoint(cut):
            if fragments:
                yield Sentence(fragments, links, "?" in cut)
            fragments, links, link = [], [], ""
