"""Reading one utterance for the friends it names, and the attributes it tells: plain text, any typing.

A name is **claimed** in a statement ("Alma works there too.", "It is Alma!"), **asked** in a question, a guess or a
request ("Is it Alma?", "Perhaps Alma", "Tell me more about Alma."), **denied** where the speaker says not to know the
person ("I do not know Alma", "not Alma"). Rules are conservative: what stands in double quotes is somebody else's,
unless it is the bare name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial

from sotopia_env.families.plain_text import plain, sentences

_NEGATION = r"(?:not|no|never|none|nobody|neither|nor|without|cannot|unfamiliar|\w+n't|dont|doesnt|isnt|cant|didnt)"
_NEGATED = re.compile(rf"\b{_NEGATION}\b")
_ACQUAINTANCE = re.compile(
    r"\b(?:know|knew|familiar|unfamiliar|friends?|heard|met|ring|rings|recogni[sz]e|mine|my list|anyone|anybody|is it|"
    r"it is|it's|sure|called|named)\b"
)
_HEDGE = re.compile(r"\b(?:maybe|perhaps|might|could|may|possibly|wonder|wondering|if|whether|guess|unless|would)\b")
# Talk of somebody the other has named: it asks for more, or repeats it.
_ASKED_FOR = re.compile(
    r"^(?:please |and |so |then )?(?:tell|describe|explain|remind|introduce|show|give)\b|"
    r"\byou (?:just )?(?:said|say|mentioned|named|mean|meant|told|know|call)\b|\byour (?:\w+ )?friend\b"
)
_CURIOUS = re.compile(r"\b(?:talk|hear|learn|curious|ask) (?:\w+ ){0,2}(?:about|of)\b")
_VOUCH = re.compile(
    r"\b(?:know|knew|yes|yeah|yep|friends?|mutual|common|too|also|as well|same|met|mine|it is|it's|that is|that's)\b"
)
_YES = re.compile(
    r"^(?:oh |ah |well |why |ha )?(?:yes|yeah|yep|yup|indeed|exactly|correct|right|absolutely|of course|i do\b|bingo|"
    r"that is right|that's right)\b"
)
_NO = re.compile(r"^(?:oh |ah |well )?(?:no|nope)\b")
_SAME = re.compile(
    r"\b(?:i (?:do )?(?:also )?know (?:him|her|them|that (?:one|person)) *(?:too|as well|also)?|me too|so do i|"
    r"same here|(?:he|she|they|that)(?: is|'s| are|'re) (?:a |my |our )(?:\w+ )?friend|friend of mine (?:too|as well)|"
    r"(?:our|the) (?:mutual|common) friend|(?:i'm|i am|we are|we're) friends)\b"
)
_FORMAL = re.compile(r"\s*(?:accept|confirm|agree)(?:s|ed)?\b", re.IGNORECASE)
_OF_THE_OTHER = re.compile(r"\byour?\b")
_OF_THE_SPEAKER = re.compile(r"\b(?:i|i'm|my|mine|we|our|us|too|also)\b")
_BARE_NAME = re.compile(r"(?:or |nor |and )?zq\d+qz")
_NAME_AFTER_NO = re.compile(rf"\b{_NEGATION}(?: \w+){{0,3}} $")
_INTERJECTION = re.compile(
    r"^(?:oh |ah |well )?(?:no|nope|yes|yeah|yep|well|sorry|hm+|oh|ah|hello|hi|right|exactly|i am afraid not|"
    r"i'm afraid not)(?: sorry| indeed)?\.*$"
)
_GREETING = re.compile(r"\bgood (?:morning|afternoon|evening)\b", re.IGNORECASE)
_CUE_OF_NAME = re.compile(r"\b(?:know|friends?|mutual|common|who|named|called|about)\b")
_WORDS_TOO = frozenset(
    "will mark rose don grace august joy hope may june april jack frank bill art ray rich pat drew chance dawn faith "
    "ivy olive violet ruby go major rob sue penny carol ginger heather miles read reading shopping".split()
)
"""Names and values that are ordinary words as well: they count only with a capital."""
_BUT = frozenset({"but", "however", "though", "although"})
_MARK = "zq{}qz"
_MARKS = re.compile(r"zq(\d+)qz")


@dataclass(frozen=True)
class Mentions:
    """Which friends an utterance names, and how.

    Args:
        claimed: named in a statement.
        vouched: those among them that the speaker says to know, or calls the common friend.
        asked: named in a question or as a guess.
        denied: the speaker says not to know them.
        agrees: a sentence of it begins with a plain yes, and none with a no.
        same: it says in so many words that the speaker knows the person just spoken of.
        bare: those claimed by nothing but the name.
    """

    claimed: frozenset[str] = frozenset()
    vouched: frozenset[str] = frozenset()
    asked: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()
    agrees: bool = False
    same: bool = False
    bare: frozenset[str] = frozenset()


NOTHING = Mentions()


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


_OWN = re.compile(
    r"\b(?:friends? of mine|(?:of )?my (?:\w+ )?friends?|i(?: also| do)? know|i have|one of mine|none of mine|"
    r"nobody i know|no one i know|(?:do not|don't) know|(?:do not|don't) have)\b"
)


@lru_cache(maxsize=16384)
def read_mentions(action_type: str, text: str, names: tuple[str, ...], players: frozenset[str]) -> Mentions:
    """The friends that one turn names.

    Args:
        action_type: one of :data:`sotopia_env.actions.ACTION_TYPES`; gestures and leaving name nobody.
        text: what was said or done.
        names: of all friends there are.
        players: first names of those who talk. A friend of the same name is named only where a word such as "know"
            or "friend" stands beside the name; else the partner is addressed.
    """
    if action_type not in ("speak", "action") or not text:
        return NOTHING
    claimed: set[str] = set()
    vouched: set[str] = set()
    asked: set[str] = set()
    denied: set[str] = set()
    alone: set[str] = set()
    agrees = refuses = False
    same = False
    for sentence in sentences(plain(_marked(text, names))):
        whole = " ".join(sentence.fragments)
        if _NEGATED.search(whole):
            refuses = refuses or _NO.match(whole) is not None
        elif not sentence.asked:
            agrees = agrees or _YES.match(whole) is not None
            same = same or _SAME.search(whole) is not None
        affirming = denying = False
        vouching = any(_vouches(fragment) for fragment in sentence.fragments)
        for fragment, link in zip(sentence.fragments, sentence.links, strict=True):
            affirming = affirming or _YES.match(fragment) is not None
            bare = _BARE_NAME.fullmatch(fragment) is not None
            goes_on = denying and bare and link not in _BUT
            denying = False
            for match in _MARKS.finditer(fragment):
                name = names[int(match[1])]
                if name in players and not _CUE_OF_NAME.search(fragment):
                    continue
                if goes_on or _denies(fragment, match.start()):
                    denied.add(name)
                    denying = True
                elif sentence.asked or link in ("if", "unless") or _HEDGE.search(fragment) or _asks_for(fragment):
                    asked.add(name)
                else:
                    claimed.add(name)
                    if bare:
                        alone.add(name)
                    if affirming or _vouches(fragment) or (bare and vouching):
                        vouched.add(name)
    if action_type == "action" and _FORMAL.match(text):
        agrees = same = True
    claimed -= denied
    return Mentions(
        claimed=frozenset(claimed),
        vouched=frozenset(vouched - denied),
        asked=frozenset(asked - claimed - denied),
        denied=frozenset(denied),
        agrees=agrees and not refuses,
        same=same and not refuses,
        bare=frozenset(alone - denied),
    )


def _asks_for(fragment: str) -> bool:
    of_the_other = _ASKED_FOR.search(fragment) is not None and not _OF_THE_SPEAKER.search(fragment)
    return of_the_other or _CURIOUS.search(fragment) is not None


def _vouches(fragment: str) -> bool:
    """Whether the speaker says to know whoever is named; "your friend Alma" is the other's."""
    if _OF_THE_OTHER.search(fragment) and not _OF_THE_SPEAKER.search(fragment):
        return False
    return _VOUCH.search(fragment) is not None


def _denies(fragment: str, start: int) -> bool:
    if not _NEGATED.search(fragment):
        return False
    return _ACQUAINTANCE.search(fragment) is not None or _NAME_AFTER_NO.search(fragment[:start]) is not None


@lru_cache(maxsize=16384)
def read_tellings(text: str, values: tuple[str, ...], names: tuple[str, ...] = ()) -> tuple[Telling, ...]:
    """The attributes that an utterance tells or asks for, group by group.

    Args:
        text: what was said.
        values: all there are, or all the listener knows of.
        names: of friends, to tell whom a statement is about.
    """
    known = (*values, *names)
    found = []
    for sentence in sentences(plain(_marked(_GREETING.sub("", text), known))):
        for lacks, own, marks in _groups(sentence.fragments, sentence.links):
            told = frozenset(known[i] for i in marks if i < len(values))
            about = frozenset(known[i] for i in marks if i >= len(values))
            if told:
                found.append(Telling("asks" if sentence.asked else "lacks" if lacks else "has", told, own, about))
    return tuple(found)


def _groups(fragments: list[str], links: list[str]) -> Iterator[tuple[bool, bool, set[int]]]:
    """Fragments that belong together: whether they deny, whether they speak of one's own friends, the marks."""
    lacks = own = False
    marks: set[int] = set()
    for fragment, link in zip(fragments, links, strict=True):
        if _INTERJECTION.match(fragment):
            continue
        negated = _NEGATED.search(fragment) is not None
        if link in _BUT or (negated and not lacks and marks):
            yield lacks, own, marks
            lacks, own, marks = False, False, set()
        lacks = lacks or negated
        own = own or _OWN.search(fragment) is not None
        marks |= {int(match[1]) for match in _MARKS.finditer(fragment)}
    yield lacks, own, marks


def _marked(text: str, known: tuple[str, ...]) -> str:
    """The text with every known name or value replaced by a mark that no reading of sentences can cut."""
    folded = _folded(text)
    for pattern, places in _patterns(known):
        if pattern.search(folded):
            folded = pattern.sub(partial(_mark, places), folded)
    # A bare name in quotes is a name, not a quotation.
    return re.sub(r'["\u201c\u201d](\s*zq\d+qz[.,!?]?\s*)["\u201c\u201d]', r"\1", folded)


def _mark(places: dict[str, int], match: re.Match[str]) -> str:
    return _MARK.format(places[_key(match[1])])


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
            pattern = re.compile(rf"(?<![\w'])({body})(?:['\u2019]s)?(?![\w]|['\u2019]\w)", flags)
            made.append((pattern, {_key(text): i for i, text in reversed(texts.items())}))
    return tuple(made)


def _key(text: str) -> str:
    return " ".join(text.lower().split())


def _folded(text: str) -> str:
    """The text without accents: people type Tomas for Tomás."""
    if text.isascii():
        return text
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def all_values(tables: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """The values of several tables, each once, in a stable order."""
    return tuple(sorted({value for table in tables for value in table}))
