"""What an utterance asserts, word by word: what it denies, asks, supposes or reports of others counts for nothing.

One reading for manners, facts and secrets (:mod:`sotopia_env.families.language`) and for names and attributes of
friends (:mod:`sotopia_env.families.mutual_friends.mentions`).

The text is made plain and cut into clauses (:mod:`sotopia_env.families.plain_text`); what stands in quotation marks is
gone by then. Within a clause a negation reaches forward, to the next subject unless the negated verb is one of saying
or believing ("I do not think that you are kind"). It reaches on through a list that "and", "or" or "nor" ends, and over
what is put in between ("You are not, I am afraid, kind"), to what has no subject of its own. Two negations cancel each
other.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from sotopia_env.families import consent
from sotopia_env.families.consent import any_of
from sotopia_env.families.plain_text import Sentence, plain, sentences


class Clause(NamedTuple):
    """A clause of an utterance.

    Args:
        text: in plain words.
        words: of it, in lower case, without what follows an apostrophe.
        denied: of each word, whether an odd number of negations reaches it.
        own: of each word, whether it is the speaker's own, and neither reported of others nor wished for.
        asked: whether it asks.
        supposed: whether it is the condition of something.
        link: the conjunction before it, or ``""``.
        sentence: the number of its sentence.
    """

    text: str
    words: tuple[str, ...]
    denied: tuple[bool, ...]
    own: tuple[bool, ...]
    asked: bool
    supposed: bool
    link: str
    sentence: int

    @property
    def asserted(self) -> frozenset[tuple[str, bool]]:
        """Its own words, each with whether it is denied; none where it asks or supposes."""
        if self.asked or self.supposed:
            return frozenset()
        triples = zip(self.words, self.denied, self.own, strict=True)
        return frozenset((word, denied) for word, denied, own in triples if own)


@lru_cache(maxsize=4_096)
def clauses(text: str) -> tuple[Clause, ...]:
    """Returns the clauses of an utterance of any length, in any Unicode."""
    prepared = plain(text)
    if "'" in prepared:
        prepared = _QUOTED.sub(" ", prepared)
    if " so " in prepared:
        prepared = _SO_MUCH.sub(" very ", prepared)
    if _DENIAL_HINT.search(prepared):
        prepared = _DENYING.sub(" not ", _FALSELY.sub(r"\1 not true that ", _NOT_DENYING.sub(_unsaid, prepared)))
    found: list[Clause] = []
    start = 0
    for number, sentence in enumerate(sentences(prepared)):
        before, start = start, len(found)
        found += _clauses_of(sentence, number)
        if any(_TAKEN_BACK.fullmatch(fragment) for fragment in sentence.fragments):
            found[before:] = [_flipped(clause) for clause in found[before:]]
    return tuple(found)


_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")

_QUOTED = re.compile(r"(?<= )'[^'\n]{2,200}'(?=[\s.,;:!?]|$)")

# "You are so kind" is one clause.
_SO_MUCH = re.compile(
    r"(?:(?<=[ '](?:be|is|am|re))|(?<=[ '](?:are|not|was))) so (?!(?:i|you|we|he|she|they|it|that|my|the)\b)"
)

_NEGATORS = consent.NEGATIONS | frozenset(
    "no nobody noone none nothing nowhere barely scarcely without havent hasnt hadnt arent werent didnt wasnt "
    "shouldnt".split()
)

_DENIAL_HINT = re.compile(
    r"n't\b|\bno|\bnever|\bcannot|\bwithout|\bbut\b|\bfrom\b|\bthan\b|\black|\bto\b|\bof\b|\bbeing\b|that\b"
)
# "You could not be kinder" and "I cannot deny it" deny nothing.
_NOT = r"(?:not|never|cannot|[a-z]{2,7}n't)"
_NOT_DENYING = re.compile(
    rf"\b{_NOT} (?:only|just|merely|simply|deny|doubt|forget|mention|disagree)\b|"
    rf"\b(?:do not|don't|never) (?:tell|be)\b|"
    r"\bno (?:doubt|secret|denying|wonder|question|problem|worries|kidding|joke)\b|"
    r"\b(?:nobody|no one) (?:is|was|could be) (?:so|as|more)\b|"
    r"\bwithout (?:a |any )?(?:doubt|question|saying)\b|\bnot (?:a |any |much of a )?secret\b|"
    r"\b(?:cannot|can not|can't|could not|couldn't) (?:hide|wait|help|believe|conceal|complain|thank|be more|"
    r"(?:appreciate|respect) (?:\w{1,12} ){0,3}?more)\b|"
    r"\b(?:won't|will not|not going to|not gonna|cannot|can't) lie\b|\bwhy (?:not|don't)\b|\bor not\b|\bif not\b|"
    r"\bnever (?:\w{1,12} ){0,3}?(?:so|such|more|better|as)\b|"
    r"\bnothing but\b|\bno less than\b"
)
_UNSAID = re.compile(r"\b(?:not|never|no|nobody|nothing|without|saying|cannot)\b|n't\b| (?:but|deny|doubt)\b")
_DENYING = re.compile(
    r" (?:anything but|far from|less than|by no means|in no way|no longer|instead of|rather than|"
    r"lack(?:s|ing|ed)?(?: of| any| all)?|fail(?:s|ed)? to(?: see(?: how| why)?(?: that)?)?|refus(?:e|es|ed|ing) to|"
    r"too \w{2,12} to|(?:hard|difficult|impossible|unable) to|the opposite of) "
)
_FALSELY = re.compile(
    r"(?:(\bis|'s|\bwas) (?:false|untrue|wrong|a lie|a myth|a rumou?r)|\b(i|we) (?:doubt|deny)) that "
)
_TAKEN_BACK = re.compile(
    r"(?:but )?(?:that|this|it|which|all of it)(?:'s| is| was)? ?(?:not true|untrue|a lie|false|a joke|made up|"
    r"invented|nonsense)|(?:i am |i'm |i was )?(?:just|only) (?:kidding|joking)"
)
_FALSE = re.compile(r"(?:is|was|are|were)(?:(?: not|n't) (?:\w{2,12} )?true| (?:a lie|false|untrue|wrong|made up))$")
_FALSEHOODS = frozenset("true lie false untrue wrong up".split())
# After these a negation reaches into the next clause: it is what is said or believed that is denied.
_BELIEF = frozenset(
    "think thought believe believed say said saying mean meant claim claimed suppose find call consider feel expect "
    "imagine certain sure true case like as admit pretend".split()
)
_VERBS = "do does did is are was were will would can could should shall have has had am may might must".split()
_AUXILIARIES = frozenset(f"{verb}{ending}" for verb in _VERBS for ending in ("", "n't"))
_NEW_SUBJECT = frozenset("i we you that because when how what who".split())
_SUBJECTS = _NEW_SUBJECT | frozenset("he she they it this my your our the there his her their these those".split())
_INVERTING = _NEGATORS | _AUXILIARIES
"""After these a subject does not begin anew: "nobody I know", "never have I lied"."""
_NO_ANSWER = _SUBJECTS - {"that", "this", "these", "those", "the"} | {"thanks", "thank", "please", "sorry", "sir"}
"""What follows "no" where it is an answer of its own."""

_OPENING = r"(?:(?:ok|okay|well|so|then|oh|and|but) )?"
_AUXILIARY = rf"(?:{'|'.join(_VERBS)})(?:n't)?"
_QUESTION = re.compile(rf"{_OPENING}{_AUXILIARY} (?:you|we|i|it|that|this|he|she|they|your|my|the|anybody|anyone)\b")
"""A question even where the question mark is forgotten."""
_ASKING = re.compile(rf"{_OPENING}(?:{_AUXILIARY}|what|why|who|when|where|which|how|whose)\b")
# "Did you know that my van is borrowed?" tells it, and "Isn't that kind?" says that it is; "Did you know Alma?" asks.
_TELLING = re.compile(
    r"(?:did|do|have|has)(?:n't)? (?:you|i) (?:not |ever )*(?:(?:hear|heard|tell|told|mention(?:ed)?|say|said)\b|"
    r"know (?:that|i|we|my|our|nobody|no one) )|"
    r"(?:can|could|may|should|shall) i (?:\w{2,12} )?(?:confess|admit|tell you|say|mention)\b|would you believe\b"
)
_RHETORICAL = re.compile(r"(?:isn't|aren't|wasn't|weren't) (?:that|this|it|you|he|she|they|my|the)\b")
_SUPPOSED = re.compile(
    rf"{any_of('if', 'unless', 'whether', 'provid(?:ed|ing)', 'assum(?:e|ing)', 'suppos(?:e|ing)', 'imagine')}\b|"
    r"in case\b|let(?:'s| us) (?:say|assume|suppose|imagine|pretend)\b|hypothetically|"
    r"(?:as|so) long as\b|on (?:the )?condition\b|(?:were|had|should) (?:i|you|we) (?:to |not )?"
)
_SUPPOSING_ALL = re.compile(
    r"hypothetically(?: speaking)?|let(?:'s| us) (?:say|assume|suppose|imagine|pretend)|suppose"
)
_SUPPOSING = frozenset(("if", "unless"))
_REPORTS = (
    *(verb for verb in consent.QUOTING if verb != "promised"),
    r"(?:calls?|called) (?:you|me|us|it|him|her|them|this|that|my|the)",
    "claims?",
    "claimed",
    "thinks",
    "believes",
    r"(?:you|they|people|everybody|everyone|somebody|someone|some|others|who|to) (?:think|thought|believe|believed)",
    "according to",
    "(?:was|were|been) told",
    "allegedly",
    "supposedly",
)
_REPORTING = re.compile(rf"\b(?:{'|'.join(_REPORTS)}|heard|accused?)\b")
_REPORT_WORDS = frozenset(
    "said say says saying told mentioned called call calls word claim claims claimed think thinks thought believe "
    "believes believed according allegedly supposedly heard accuse accused wish pretend only have".split()
)
"""One of these stands in whatever is reported or wished."""
# What one says oneself is one's own word; "I heard" and "I was told" are not.
_OWN_REPORT = re.compile(r"\b(?:i|we|me|us|to|needless)(?:'\w{1,2})?(?: [\w']{1,8}){0,2} $")
_WISHED = re.compile(
    r"\bwish (?:that )?(?:you|i|it|he|she|they|we) (?:were|was|had|would|could|did|knew|might)\b|"
    r"(?:(?<!n't )(?<!not )\bpretend|\bif only) (?:that )?(?:you|i|it|he|she|they|we|my|your) |"
    r"\b(?:would|could|might|should)(?: not|n't)? have "
    r"(?=(?:\w{2,12}ly |not |never )?(?:\w{2,12}e[dn]|had|made|done|gone|said|told|sold|kept|lost|left)\b)"
)
_SAID_BEFORE = re.compile(
    r"(?:says?|said|claims|claimed|thinks) (?:my|the|he|she|they|his|her)\b|"
    r"(?:he|she|they|you) (?:says?|said|claims|claimed|thinks?)$"
)


def _clauses_of(sentence: Sentence, number: int) -> list[Clause]:
    fragments, links, _ = sentence
    asks_from = _asks_from(sentence)
    listed = _ends_list(fragments, links) if len(fragments) > 2 else frozenset()
    found: list[Clause] = []
    carried = pending = supposed = reported = False
    for place, (fragment, link) in enumerate(zip(fragments, links, strict=True)):
        tokens = _WORD.findall(fragment)
        opening = tokens[0] if tokens else ""
        joined = link == "and" or " or " in f" {fragment}" or place in listed
        going_on = supposed and (link == "and" or _SUPPOSING_ALL.fullmatch(fragments[place - 1]) is not None)
        supposed = going_on or link in _SUPPOSING or _SUPPOSED.match(fragment) is not None
        subject = opening in _SUBJECTS or opening in ("thank", "thanks", "please")
        pending = pending and link not in consent.CONTRASTS
        reaches = (pending and not subject) or (carried and joined and not subject and fragment.count(" ") < 4)
        tells = opening in _AUXILIARIES and (_TELLING.match(fragment) or _RHETORICAL.match(fragment)) is not None
        if tells:
            tokens[0] = tokens[0].removesuffix("n't")
        words, denied = _read(fragment, tokens, reaches)
        own = _own(fragment, tokens, reported)
        found.append(Clause(fragment, words, denied, own, place >= asks_from and not tells, supposed, link, number))
        if not all(own) and _SAID_BEFORE.match(fragment):
            found = [clause._replace(own=(False,) * len(clause.words)) for clause in found]
        carried = bool(denied) and denied[-1]
        # "You are not, I am afraid, kind."
        verb, last = ("", "", *tokens)[-2:]
        open_ended = last == "never" or last.endswith("n't") or (verb in _AUXILIARIES and last in _NEGATORS)
        pending = pending or open_ended
        # "According to my sister, you are kind."
        leading = fragment if opening == "according" else fragment.rsplit(" ", 1)[-1]
        reported = bool(own) and not own[-1] and _REPORTING.search(leading) is not None
    return found


def _asks_from(sentence: Sentence) -> int:
    """The first fragment that is part of a question."""
    fragments, links, asked = sentence
    opening = _ASKING if asked else _QUESTION
    first = next((i for i, fragment in enumerate(fragments) if opening.match(fragment)), None)
    if first is not None or not asked:
        return len(fragments) if first is None else first
    # "My van is borrowed, okay?" asks with its last words alone.
    first = len(fragments) - 1
    while first and links[first] == "and" and fragments[first].split(" ", 1)[0] not in _SUBJECTS:
        first -= 1
    return first


def _ends_list(fragments: list[str], links: list[str]) -> set[int]:
    """The places of short items that "and", "or" or "nor" joins to what is before them: "not kind, fair, or wise"."""
    items: list[int] = []
    found: set[int] = set()
    for place in range(1, len(fragments)):
        fragment = fragments[place]
        if links[place] in ("", "and") and fragment.count(" ") < 4 and fragment.split(" ", 1)[0] not in _SUBJECTS:
            items.append(place)
            if links[place] == "and" or fragment.startswith(("or ", "nor ", "and ")) or " or " in fragment:
                found.update(items)
                items = []
        else:
            items = []
    return found


def _read(fragment: str, tokens: list[str], carried: bool) -> tuple[tuple[str, ...], tuple[bool, ...]]:
    """The words of a fragment, and which of them are denied."""
    words = tuple([token.partition("'")[0] for token in tokens] if "'" in fragment else tokens)
    flags = [carried] * len(tokens)
    if carried or "n't" in fragment or not _NEGATORS.isdisjoint(tokens):
        denied, believed = carried, False
        for place, token in enumerate(tokens):
            if denied and not believed and token in _NEW_SUBJECT and place and tokens[place - 1] not in _INVERTING:
                denied = False
            flags[place] = denied
            if token in _NEGATORS or token.endswith("n't"):
                answers = token == "no" and (place + 1 == len(tokens) or tokens[place + 1] in _NO_ANSWER)
                if not answers:
                    denied = token == "nor" or not denied
                    # "It is not that I am greedy."
                    believed = tokens[place + 1 : place + 2] == ["that"]
            elif words[place] in _BELIEF:
                believed = True
    if tokens and tokens[-1] in _FALSEHOODS and _FALSE.search(fragment):
        flags = [not flag for flag in flags]
    return words, tuple(flags)


def _own(fragment: str, tokens: list[str], reported: bool) -> tuple[bool, ...]:
    """Of each word, whether the speaker says it for itself."""
    count = len(tokens)
    if reported or _REPORT_WORDS.isdisjoint(tokens):
        return (not reported,) * count
    starts = [match.end() for match in (_reported_by_others(fragment), _WISHED.search(fragment)) if match is not None]
    kept = len(_WORD.findall(fragment[: min(starts)])) if starts else count
    return tuple(place < kept for place in range(count))


def _reported_by_others(fragment: str) -> re.Match[str] | None:
    for match in _REPORTING.finditer(fragment):
        if match[0].startswith(("heard", "was", "were", "been")) or not _OWN_REPORT.search(
            fragment[max(0, match.start() - 40) : match.start()]
        ):
            return match
    return None


def _flipped(clause: Clause) -> Clause:
    return clause._replace(denied=tuple(not denied for denied in clause.denied))


def _unsaid(match: re.Match[str]) -> str:
    return _UNSAID.sub("", match[0])
