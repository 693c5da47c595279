"""Reading an utterance for what it tells and how: shared by judges and, for facts, by scripted policies.

Words count clause by clause (:mod:`sotopia_env.families.clauses`): what is denied, asked, supposed or quoted is not
told, courtesy that is denied or demanded is none, and neither is an insult of oneself or of somebody who is not there.

Courtesy stays courtesy when a refusal follows ("I understand your position, but ..."). Praise counts where it is of the
hearer, of what is the hearer's or passes between the two ("a lovely idea", "your offer is generous", "that sounds
wonderful"); praise of anything else, above all of one's own goods ("my bike is lovely"), does not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from sotopia_env.families.clauses import Clause, clauses

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

TOLD = 0.75
"""With so much of a statement it is told."""

THREATS = re.compile(
    r"\b(?:you(?: will|'ll) (?:be sorry|regret)|or else(?=\s*(?:[.!?,;]|$))|i(?: will|'ll) (?:ruin|report|hurt) you)\b",
    re.IGNORECASE,
)
"""Threats, which every judge sees."""


@lru_cache(maxsize=65536)
def words(text: str) -> frozenset[str]:
    """The words of a text, in lower case."""
    return frozenset(word.lower() for word in _WORD.findall(text))


def courtesies(text: str, bank: str) -> list[str]:
    """The words of courtesy of a bank that an utterance gives its hearer, in alphabetical order."""
    counted = POSITIVE[bank]
    if counted.isdisjoint(words(text)):
        return []
    return sorted({c.words[i] for c in clauses(text) for i in _said(c, counted) if _is_courteous(c, i)})


def insults(text: str, bank: str | None = None) -> list[str]:
    """The words by which an utterance insults its hearer, in alphabetical order.

    Args:
        text: of the utterance.
        bank: whose words count; all banks by default.
    """
    counted = _ALL_NEGATIVE if bank is None else NEGATIVE[bank]
    if counted.isdisjoint(words(text)):
        return []
    return sorted({c.words[i] for c in clauses(text) for i in _said(c, counted) if _is_insulting(c, i)})


def threatens(text: str) -> bool:
    """Whether an utterance threatens its hearer."""
    if not THREATS.search(text):
        return False
    return any(
        THREATS.search(c.text) and c.own[-1] and not (c.asked or c.supposed or c.denied[-1]) for c in clauses(text)
    )


@lru_cache(maxsize=16_384)
def meant(text: str) -> frozenset[str]:
    """The words of an utterance that its speaker asserts, and does not deny."""
    return frozenset(word for word, denied in _asserted(text) if not denied)


@lru_cache(maxsize=4096)
def content(statement: str) -> frozenset[tuple[str, bool]]:
    """The words of a statement that carry its content, each with whether it is denied there."""
    pairs = (pair for clause in clauses(statement) for pair in zip(clause.words, clause.denied, strict=True))
    return frozenset(pair for pair in pairs if pair[0] not in _COMMON)


@lru_cache(maxsize=4096)
def content_words(text: str) -> frozenset[str]:
    """The words of a statement that carry its content."""
    return frozenset(word for word, _ in content(text))


def holds_share(statement: str, *utterances: str) -> float:
    """Which share of a statement's content words stands in utterances, however they are meant: the most they tell."""
    wanted = content_words(statement)
    found = sum(any(word in words(utterance) for utterance in utterances) for word in wanted)
    return found / len(wanted) if wanted else 0.0


def told_share(statement: str, *utterances: str) -> float:
    """Which share of a statement's content words are asserted, 0 to 1.

    Args:
        statement: what might be told.
        utterances: of one speaker, taken together.
    """
    wanted = content(statement)
    if not wanted:
        return 0.0
    return len(wanted & frozenset().union(*map(_asserted, utterances))) / len(wanted)


def tells(statement: str, utterance: str) -> bool:
    """Whether an utterance tells a statement, in its own words or nearly, and does not deny it."""
    return holds_share(statement, utterance) >= TOLD and told_share(statement, utterance) >= TOLD


def has_price(text: str) -> bool:
    """Whether a price stands in a text."""
    return _PRICE.search(text) is not None


_ALL_NEGATIVE = frozenset().union(*NEGATIVE.values())

_FIRST = frozenset("i me my mine we us our myself".split())
_HEARER = frozenset("you your yours yourself".split())
_ABSENT = frozenset("he she they him her them his their theirs someone somebody people everybody everyone".split())
_PRONOUNS = _FIRST | _HEARER | _ABSENT | frozenset("that it this what".split())

_REACH = 40
"""So many words before a word its subject is looked for."""
_ATTITUDES = frozenset("understand respect appreciate".split())
"""Words of courtesy that are one's own to give: "I understand" is courteous, "you understand" is not."""
_VIRTUES = frozenset("kind generous".split())
"""Words of courtesy that are the other's: "you are kind" is courteous, "I am kind" is not."""
_DEMANDING = frozenset("should could must ought need better might".split())
_IMPERATIVES = frozenset("be please understand show try learn have give respect".split())
"""Openings by which courtesy is asked of the hearer."""
_SORT_OF = frozenset("what this that some any every which one same no all a of each other".split())
"""Before "kind" where it is a sort of thing."""
_PRAISE = frozenset("lovely wonderful".split())
"""Words of courtesy that are said of things as well."""
_SHARED = frozenset(
    "offer offers idea ideas day days time evening morning afternoon night weekend week talk chat conversation "
    "discussion meeting person people gesture thought suggestion proposal news help work job compromise deal solution "
    "plan party name story question opportunity words pleasure experience surprise coincidence price terms".split()
)
"""What passes between two people: to praise it is courteous."""
_NO_NOUNS = _COMMON | frozenset("thank thanks if though then when because here there really today too meeting".split())
"""After a word of praise that stands alone."""
_GIVING = frozenset("what how thank thanks have wish such".split())
"""Openings of praise that is the hearer's."""
_COPULAS = frozenset("is was would will sounds seems looks has".split())
_NAMING = frozenset("the my our this these those its".split())


@lru_cache(maxsize=16_384)
def _asserted(text: str) -> frozenset[tuple[str, bool]]:
    return frozenset().union(*(clause.asserted for clause in clauses(text)))


def _said(clause: Clause, counted: frozenset[str]) -> list[int]:
    """The places of counted words that the speaker says for itself."""
    if clause.supposed:
        return []
    return [i for i, word in enumerate(clause.words) if word in counted and clause.own[i]]


def _subject(clause: Clause, place: int) -> tuple[str, Sequence[str]]:
    """The nearest pronoun before a word, empty where there is none, and what stands between."""
    start = max(0, place - _REACH)
    for i in range(place - 1, start - 1, -1):
        if clause.words[i] in _PRONOUNS:
            return clause.words[i], clause.words[i + 1 : place]
    return "", clause.words[start:place]


def _is_courteous(clause: Clause, place: int) -> bool:
    word, after = clause.words[place], clause.words[place + 1 : place + 3]
    if word == "kind":
        if after == ("as", "to"):
            return True
        before = set(clause.words[max(place - 1, 0) : place])
        if after != ("of", "you") and (after[:1] == ("of",) or before & _SORT_OF):
            return False
    subject, between = _subject(clause, place)
    # "You should be kind", "I expect you to be kind", "please be kind".
    demanded = not _DEMANDING.isdisjoint(between) or (
        tuple(between[:1]) == ("to",) if subject else len(clause.words) > 1 and clause.words[0] in _IMPERATIVES
    )
    if clause.asked or clause.denied[place] or subject in _ABSENT:
        return False
    if word in _ATTITUDES:
        return not _only_talks_of(clause, place) and (subject in _FIRST or (not subject and not demanded))
    if word in _PRAISE:
        return not _praises_a_thing(clause, place)
    if word == "grateful":
        return subject in _FIRST or (subject not in _HEARER and not demanded)
    # "It would be generous if you paid more."
    wanted = subject in ("it", "that") and "would" in between and after != ("of", "you")
    return not (word in _VIRTUES and (subject in ("i", "we") or demanded or wanted))


def _only_talks_of(clause: Clause, place: int) -> bool:
    """Whether an attitude is named and not taken: "to understand", "some respect would be nice", "as I understand"."""
    before, last = ("", "", *clause.words[:place])[-2:]
    after = clause.words[place + 1 : place + 2]
    if clause.words[place] == "respect" and (after == ("to",) or before == "in"):
        return True
    named = (last == "to" and before != "come") or (last == "i" and before in ("as", "what"))
    return named or last in ("me", "some", "any", "more", "little") or after in (("nothing",), ("none",))


def _praises_a_thing(clause: Clause, place: int) -> bool:
    """Whether praise is of something that is not the hearer's."""
    before, after = clause.words[:place], clause.words[place + 1 : place + 2]
    if not _HEARER.isdisjoint(before) or (before and before[0] in _GIVING):
        return False
    if after and after[0] not in _NO_NOUNS and not after[0].endswith("ing"):
        return after[0] not in _SHARED
    return len(before) > 2 and before[0] in _NAMING and _SHARED.isdisjoint(before) and before[1] not in _COPULAS


def _is_insulting(clause: Clause, place: int) -> bool:
    subject, between = _subject(clause, place)
    after = clause.words[place + 1 : place + 3]
    # "I do not trust a crook like you": what is denied is something else.
    if after == ("like", "you"):
        return True
    # "It would be stupid to refuse."
    if subject == "it" and after[:1] == ("to",):
        return False
    if clause.denied[place] or after in (("of", "me"), ("of", "us")) or subject in _ABSENT:
        return False
    if clause.words[max(place - 2, 0) : place] == ("such", "a"):
        return True
    # "My greedy friend" addresses the hearer, "my brother is greedy" does not.
    return subject not in _FIRST or (subject == "my" and not between)
