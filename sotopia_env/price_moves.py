"""What one utterance does to the price: an offer, an acceptance, a refusal or nothing, read without any context.

The text is made plain, cut into sentences, and those into fragments at commas, brackets and conjunctions, so that a
negation or a quoted price reaches no further than its own fragment. The fragments give prices and signs of consent;
:meth:`_Findings.move` weighs them. The words themselves stand in :mod:`sotopia_env.price_phrases`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, NamedTuple

from sotopia_env import price_phrases as phrases

Kind = Literal["offer", "accept", "reject", "none"]


@dataclass(frozen=True)
class PriceMove:
    """What one utterance does to the price.

    Args:
        kind: ``"offer"``, ``"accept"``, ``"reject"`` or ``"none"``.
        price: in dollars: the price offered, named in the acceptance, or refused; ``None`` where none is named.
        certain: whether only one reading is plausible.
        asked: whether an offer was put as a question.
    """

    kind: Kind
    price: float | None = None
    certain: bool = True
    asked: bool = False


NO_MOVE = PriceMove("none")


@lru_cache(maxsize=4_096)
def read_move(action_type: str, text: str) -> PriceMove:
    """Read one utterance.

    Args:
        action_type: one of :data:`sotopia_env.actions.ACTION_TYPES`; only ``speak`` and ``action`` can move a price.
        text: what was said or done, any Unicode, any length.

    Returns:
        The move. The price of a refusal is what was refused, not what the speaker proposes.
    """
    if action_type == "speak":
        return _read_speech(_plain(text))
    if action_type == "action":
        return _read_act(_plain(text))
    return NO_MOVE


# --- plain text ---------------------------------------------------------------------------------------------------

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
    r"((?:[!?;\n]|\.(?![0-9]))+|,(?![0-9])|[()]|: | ?[\u2013\u2014] ?| --? |"
    r" (?:but|however|though|although|except|and|so|because|since|if|unless)(?=[ ,]))"
)


def _plain(text: str) -> str:
    """Lower case, plain typography, no markup, nothing that is only quoted; begins with a space."""
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


class _Sentence(NamedTuple):
    """Fragments of a sentence, the conjunction before each (or ``""``), and whether it ends in a question mark."""

    fragments: list[str]
    links: list[str]
    asked: bool


def _sentences(plain: str) -> Iterator[_Sentence]:
    pieces = _CUT.split(plain)
    pieces.append("\n")
    fragments: list[str] = []
    links: list[str] = []
    link = ""
    for piece, cut in zip(pieces[::2], pieces[1::2], strict=True):
        fragment = piece.strip()
        if fragment:
            fragments.append(fragment)
            links.append(link)
            link = ""
        if cut[0] in ".!?;\n":
            if fragments:
                yield _Sentence(fragments, links, "?" in cut)
            fragments, links, link = [], [], ""
        elif cut[-1].isalpha():
            link = cut.strip()


# --- formal acts --------------------------------------------------------------------------------------------------


def _read_act(plain: str) -> PriceMove:
    act = plain[:400]
    if phrases.ACT_SPOILT.search(act):
        return NO_MOVE
    prices = {_value(match) for match in phrases.PRICE.finditer(act)}
    if not prices:
        prices = {_dollars(match[1] or match[2]) for match in phrases.ACT_NUMBER.finditer(act)}
    price = prices.pop() if len(prices) == 1 else None
    if phrases.ACT_ACCEPT.match(act):
        return NO_MOVE if prices else PriceMove("accept", price)
    if phrases.ACT_REJECT.match(act):
        return PriceMove("reject", price)
    if price is not None and phrases.ACT_OFFER.match(act):
        return PriceMove("offer", price)
    return NO_MOVE


def _dollars(digits: str) -> float:
    return float(digits.replace(",", ""))


def _value(match: re.Match[str]) -> float:
    return _dollars(match[1] or match[3]) * (1000 if match[2] else 1)


# --- speech -------------------------------------------------------------------------------------------------------


class _Named(NamedTuple):
    """A price that was named.

    ``place`` is (sentence, fragment); ``echo`` marks a price asked back on its own ("$40?").
    """

    price: float
    certain: bool
    asked: bool
    place: tuple[int, int]
    echo: bool = False


class _Consent(NamedTuple):
    """A sign of consent, with the price that is its subject ("$85 works"), if there is one."""

    price: float | None
    certain: bool
    place: tuple[int, int]


@dataclass
class _Findings:
    """What the fragments of an utterance hold, gathered from left to right."""

    offers: list[_Named] = field(default_factory=list)
    quoted: list[_Named] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    consent: _Consent | None = None
    withdrawn: bool = False

    def undo_consent(self) -> None:
        """What was agreed to under a condition or with a "but" is at most an offer."""
        if self.consent is not None and self.consent.price is not None:
            self.offers.append(_Named(self.consent.price, False, False, self.consent.place))
        self.consent = None

    def move(self) -> PriceMove:
        """Weigh the findings: consent before offers, offers before refusals, later ones before earlier ones."""
        if self.consent is not None:
            return self._accepting(self.consent)
        if self.offers:
            return self._offering()
        if self.withdrawn:
            return PriceMove("reject")
        if self.refused:
            return PriceMove("reject", self.refused[-1])
        return NO_MOVE

    def _accepting(self, consent: _Consent) -> PriceMove:
        counters = [o for o in self.offers if o.asked and o.place > consent.place and o.price != consent.price]
        if counters:
            return PriceMove("offer", counters[-1].price, counters[-1].certain, asked=True)
        if consent.price is not None:
            # "$80 is too low but $95 works" answers an offer of $80: it proposes.
            kind: Kind = "offer" if self.refused else "accept"
            return PriceMove(kind, consent.price, consent.certain)
        # A wish before the consent ("I was hoping for $80, but deal") is not what is agreed on.
        named = [o.price for o in self.offers if o.certain or o.place >= consent.place]
        named = named or [q.price for q in self.quoted if q.place[0] == consent.place[0]]
        certain = consent.certain and len({*named, *(o.price for o in self.offers)}) <= 1
        return PriceMove("accept", named[-1] if named else None, certain)

    def _offering(self) -> PriceMove:
        best = [offer for offer in self.offers if offer.certain] or self.offers
        last = best[-1]
        alone = all(offer.price == last.price for offer in best if offer.place == last.place)
        return PriceMove("offer", last.price, last.certain and alone, last.asked)


def _read_speech(plain: str) -> PriceMove:
    findings = _Findings()
    for number, sentence in enumerate(_sentences(plain)):
        _read_sentence(sentence, number, findings)
    if findings.consent is not None and phrases.POSTPONED.search(plain):
        findings.undo_consent()
    return findings.move()


class _Fragment(NamedTuple):
    """A part of a sentence, as the prices in it are read.

    ``conditional`` holds where the sentence has a condition elsewhere, ``refusing`` where it says "no deal";
    ``consented`` is where the words of consent end, 0 without any.
    """

    text: str
    place: tuple[int, int]
    link: str
    asked: bool
    conditional: bool
    can_consent: bool
    refusing: bool
    consented: int


def _read_sentence(sentence: _Sentence, number: int, findings: _Findings) -> None:
    texts, links, asked = sentence
    conditional = _is_conditional(sentence)
    asked_from = _question_start(texts) if asked else len(texts)
    demands = False
    for index, text in enumerate(texts):
        link = links[index]
        if findings.consent is not None and (link in phrases.CONTRASTS or text.startswith(phrases.PROVISOS)):
            findings.undo_consent()
        demanded = demands and (link == "and" or text.startswith("then "))
        reported = index > 0 and texts[index - 1].endswith(phrases.QUOTING)
        can_consent = not (conditional or demanded or reported or index >= asked_from)
        consent = phrases.CONSENT.match(text) if phrases.CONSENT_HINT.search(text) else None
        if consent is not None and can_consent:
            findings.consent = _Consent(None, consent["clear"] is not None, (number, index))
        refusing = not asked and not conditional and phrases.WITHDRAWAL.match(text) is not None
        if _DIGIT.search(text):
            elsewhere = conditional and link not in ("if", "unless")
            consented = 0 if consent is None else consent.end()
            place = (number, index)
            _read_prices(_Fragment(text, place, link, asked, elsewhere, can_consent, refusing, consented), findings)
        elif refusing:
            findings.withdrawn, findings.consent = True, None
        elif findings.offers and findings.offers[-1].echo and phrases.REFUSED_AS_THAT.match(text):
            findings.refused.append(findings.offers.pop().price)
        demands = demands or _demands(text)


def _is_conditional(sentence: _Sentence) -> bool:
    for index, text in enumerate(sentence.fragments):
        if sentence.links[index] in ("if", "unless"):
            if index == 0 or not sentence.fragments[index - 1].endswith(phrases.OPEN_ENDED):
                return True
        if not phrases.CONDITIONS.isdisjoint(text.split()) or any(p in text for p in phrases.CONDITION_PHRASES):
            return True
    return False


def _question_start(texts: list[str]) -> int:
    # "Deal, when can I come?" asks only from "when" on; "we have a deal, right?" asks from the start.
    for index in range(len(texts) - 1, 0, -1):
        words = texts[index].split()
        if len(words) > 2 and words[0] in phrases.QUESTION_WORDS:
            return index
    return 0


def _demands(text: str) -> bool:
    words = text.split(None, 2)
    if words[0] in phrases.IMPERATIVES:
        return True
    return len(words) > 1 and words[1] in phrases.IMPERATIVES and words[0] in phrases.BEFORE_IMPERATIVES


# --- prices in speech ---------------------------------------------------------------------------------------------

_DIGIT = re.compile(r"[0-9]")
_REACH = 160  # characters around a price that can bear on it, so that a sentence without end stays cheap


def _read_prices(fragment: _Fragment, findings: _Findings) -> None:
    text = fragment.text
    spans = [(match.start(), match.end(), _value(match)) for match in phrases.PRICE.finditer(text)]
    framed = not spans
    if framed:
        number = phrases.FRAMED_NUMBER.search(text)
        if number is None:
            return
        group = 1 if number[1] else 2
        spans = [(*number.span(group), _dollars(number[group]))]
    last_end = 0
    for index, (start, end, price) in enumerate(spans):
        next_start = spans[index + 1][0] if index + 1 < len(spans) else len(text)
        before = text[max(last_end, fragment.consented, start - _REACH) : start]
        after = text[end : min(next_start, end + _REACH)]
        clause = before if phrases.NEW_START.search(before) else text[max(fragment.consented, start - _REACH) : start]
        role, certain = _role(before, after, clause, fragment, framed)
        if role == "offer" and fragment.can_consent and certain and len(before) < 24:
            consent = phrases.PRICE_CONSENT.match(after)
            if consent is not None:
                findings.consent = _Consent(price, consent["clear"] is not None, fragment.place)
                last_end = end
                continue
        if price <= 0:
            continue
        named = _Named(price, certain, fragment.asked, fragment.place, fragment.asked and len(text.split()) <= 2)
        if role == "offer":
            findings.offers.append(named)
        elif role == "quoted":
            findings.quoted.append(named)
        elif role == "refused":
            findings.refused.append(price)
        last_end = end


Role = Literal["offer", "refused", "quoted", "aside"]


def _role(before: str, after: str, clause: str, fragment: _Fragment, framed: bool) -> tuple[Role, bool]:
    """What a price is in its fragment, and whether an offer of it is certain.

    Args:
        before: the words since the price before it (or the consent).
        after: the words up to the next price.
        clause: the words that may negate it.
        fragment: what it stands in.
        framed: whether the number was found by its frame, without a dollar sign.
    """
    if fragment.refusing:
        return "refused", True
    words, following = before.split(), after.split(None, 7)[:7]
    last, first = (words[-1] if words else ""), (following[0] if following else "")
    if _is_change(last, following, after):
        return "aside", True
    if phrases.PARTNERS_BEFORE.search(before) or phrases.PARTNERS_AFTER.match(after):
        return "quoted", True
    if _is_of_others(before, after, words, following, fragment.link):
        return "aside", True
    negated = not phrases.NEGATORS.isdisjoint(clause.split()) or phrases.NO_WAY.search(clause) is not None
    if last in phrases.COMPARED or phrases.AT_LEAST.search(before):
        # "I can't go below $90" states a limit, which a partner may take for an offer.
        return ("offer", False) if negated or phrases.AT_LEAST.search(before) else ("aside", True)
    if negated and not phrases.RHETORICAL.search(clause):
        return "refused", True
    spoilt = not phrases.REFUSED_AFTER.isdisjoint(following) or not phrases.NEGATORS.isdisjoint(following)
    if spoilt and not phrases.LIMIT_AFTER.search(after):
        return "refused", True
    certain = (
        framed
        or not phrases.FRAMES.isdisjoint(words[-7:])
        or first in phrases.FRAMED_AFTER
        or (len(words) <= 1 and len(following) <= 1)
    )
    if fragment.conditional or last in phrases.ROUGHLY or phrases.RANGE.match(after) or before.strip() in ("-", "to"):
        certain = False
    elif last == "about" and words[-2:-1] not in (["how"], ["what"]):
        certain = False
    elif not fragment.asked and not phrases.HEDGES.isdisjoint(words + following):
        certain = False
    return "offer", certain


def _is_change(last: str, following: list[str], after: str) -> bool:
    """Whether it is a difference, a fee or a rate: "$20 off", "by $10", "$5 a week"."""
    if last in phrases.CHANGE_BEFORE or last == "from" or after[:1] == "/":
        return True
    if not following:
        return False
    if following[0] == "a" and len(following) > 1:
        return following[1] in phrases.PERIODS
    return following[0] in phrases.CHANGE_AFTER


def _is_of_others(before: str, after: str, words: list[str], following: list[str], link: str) -> bool:
    """Whether it is a price of the past, of the list or of someone else."""
    if phrases.THIRD_PARTY.search(before) or phrases.THIRD_PARTY.search(after):
        return True
    if link == "if" and not phrases.BOUGHT.isdisjoint(words):
        return False
    return not phrases.ELSEWHERE.isdisjoint(words) or not phrases.ELSEWHERE.isdisjoint(following)
