"""What one utterance does to the price: an offer, an acceptance, a refusal or nothing, read without any context.

The text is made plain, cut into sentences, and those into fragments at commas, brackets and conjunctions, so that a
negation or a quoted price reaches no further than its own fragment. The fragments give prices and signs of consent;
:meth:`_Findings.move` weighs them. The words themselves stand in :mod:`sotopia_env.families.bargain.phrases`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal, NamedTuple

from sotopia_env.families.bargain import phrases
from sotopia_env.families.consent import CONTRASTS, QUOTING
from sotopia_env.families.plain_text import Sentence, plain, sentences

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
        return _read_speech(plain(text))
    if action_type == "action":
        return _read_act(plain(text))
    return NO_MOVE


# --- formal acts --------------------------------------------------------------------------------------------------


def _read_act(plain_text: str) -> PriceMove:
    act = plain_text[:400]
    if phrases.ACT_SPOILT.search(act):
        return NO_MOVE
    for pattern in (phrases.DOLLARS, phrases.DOLLARS_IN_WORDS, phrases.ACT_NUMBER):
        prices = {_value(match) for match in pattern.finditer(act)}
        if prices:
            break
    if len(prices) > 1:
        return NO_MOVE
    price = next(iter(prices), None)
    if phrases.ACT_ACCEPT.match(act):
        return PriceMove("accept", price)
    if phrases.ACT_REJECT.match(act):
        return PriceMove("reject", price)
    if price is not None and phrases.ACT_OFFER.match(act):
        return PriceMove("offer", price)
    return NO_MOVE


def _value(match: re.Match[str]) -> float:
    # The digits are in the one group that matched; a second one is the k of "1.2k".
    digits = next(filter(None, match.groups()))
    return float(digits.replace(",", "")) * (1000 if "k" in match.groups() else 1)


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
        if self.consent is None:
            return
        price, _, place = self.consent
        self.consent = None
        for index in range(len(self.offers) - 1, -1, -1):
            offer = self.offers[index]
            if offer.place[0] != place[0] or not offer.certain:
                break
            self.offers[index] = offer._replace(certain=False)
        if price is not None:
            self.offers.append(_Named(price, False, False, place))

    def hear_question(self, text: str) -> None:
        """A question after an offer asks about it; after vague consent, it shows consent to something else."""
        if self.offers and phrases.SEEKS_CONSENT.match(text):
            self.offers[-1] = self.offers[-1]._replace(asked=True)
        vague = self.consent is not None and self.consent.price is None and not self.consent.certain
        if vague and not text.startswith(phrases.PRACTICAL):
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
        alone = len(best) == 1 or all(offer.price == last.price for offer in best if offer.place == last.place)
        return PriceMove("offer", last.price, last.certain and alone, last.asked)


def _read_speech(plain_text: str) -> PriceMove:
    if not (_DIGIT.search(plain_text) or phrases.CONSENT_HINT.search(plain_text)):
        return NO_MOVE
    findings = _Findings()
    has_condition = any(map(plain_text.__contains__, phrases.CONDITIONS))
    for number, sentence in enumerate(sentences(plain_text)):
        _read_sentence(sentence, number, has_condition and _is_conditional(sentence), findings)
    move = findings.move()
    if move.kind in ("offer", "accept") and phrases.POSTPONED.search(plain_text):
        return NO_MOVE if move.price is None else replace(move, kind="offer", certain=move.asked and move.certain)
    return move


_LOOK_BACK = 8  # fragments before a consent that can make it a demand or a quotation


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


def _read_sentence(sentence: Sentence, number: int, conditional: bool, findings: _Findings) -> None:
    texts, links, asked = sentence
    asked = asked or phrases.QUESTION.match(texts[0]) is not None
    asked_from = _question_start(texts) if asked else len(texts)
    if asked:
        findings.hear_question(texts[asked_from])
    leads_on = asked and not texts[asked_from].startswith(phrases.PRACTICAL)
    for index, text in enumerate(texts):
        link = links[index]
        if link in CONTRASTS or text.startswith(phrases.PROVISOS):
            findings.undo_consent()
        can_consent = index < asked_from and not conditional
        consented, refusing = 0, False
        if phrases.CONSENT_HINT.search(text):
            refusing = not asked and not conditional and phrases.WITHDRAWAL.match(text) is not None
            consent = phrases.CONSENT.match(text)
            if consent is not None:
                consented = consent.end()
                clear = consent["clear"] is not None
                can_consent = can_consent and not _is_reported_or_demanded(sentence, index)
                if can_consent and (clear or not leads_on):
                    findings.consent = _Consent(None, clear, (number, index))
        if _DIGIT.search(text):
            elsewhere = conditional and link not in ("if", "unless")
            place = (number, index)
            _read_prices(_Fragment(text, place, link, asked, elsewhere, can_consent, refusing, consented), findings)
        elif refusing:
            findings.withdrawn, findings.consent = True, None
        elif findings.offers and findings.offers[-1].echo and phrases.REFUSED_AS_THAT.match(text):
            findings.refused.append(findings.offers.pop().price)


def _is_conditional(sentence: Sentence) -> bool:
    for index, text in enumerate(sentence.fragments):
        open_ended = index > 0 and sentence.fragments[index - 1].endswith(phrases.OPEN_ENDED)
        if phrases.CONDITION.search(text) or (sentence.links[index] in ("if", "unless") and not open_ended):
            return True
    return False


def _question_start(texts: list[str]) -> int:
    # "Deal, when can I come?" asks only from "when" on; "we have a deal, right?" asks from the start.
    for index in range(len(texts) - 1, 0, -1):
        words = texts[index].split()
        if len(words) > 2 and words[0] in phrases.QUESTION_WORDS:
            return index
    return 0


def _is_reported_or_demanded(sentence: Sentence, index: int) -> bool:
    """Whether the consent is somebody's words, or the reward of a demand ("throw it in and we have a deal")."""
    earlier = sentence.fragments[max(0, index - _LOOK_BACK) : index]
    if not earlier:
        return False
    if earlier[-1].endswith(QUOTING):
        return True
    follows = sentence.links[index] == "and" or sentence.fragments[index].startswith("then ")
    return follows and not all(map(phrases.STATEMENT.match, earlier))


# --- prices in speech ---------------------------------------------------------------------------------------------

_DIGIT = re.compile(r"[0-9]")
_REACH = 160  # characters around a price that can bear on it, so that a sentence without end stays cheap


def _read_prices(fragment: _Fragment, findings: _Findings) -> None:
    text = fragment.text
    matches = list(phrases.DOLLARS.finditer(text)) or list(phrases.DOLLARS_IN_WORDS.finditer(text))
    framed = not matches
    if framed:
        number = phrases.FRAMED_NUMBER.search(text)
        if number is None:
            return
        matches = [number]
    last_end = fragment.consented
    for index, match in enumerate(matches):
        start, end = match.span(match.lastindex or 0) if framed else match.span()
        price = _value(match)
        next_start = matches[index + 1].start() if index + 1 < len(matches) else len(text)
        before = text[max(last_end, start - _REACH) : start]
        after = text[end : min(next_start, end + _REACH)]
        clause = before if last_end == fragment.consented else text[max(fragment.consented, start - _REACH) : start]
        role, certain = _role(before, after, clause, fragment, framed)
        last_end = end
        if role == "offer" and fragment.can_consent and certain and len(before) < 24:
            consent = phrases.PRICE_CONSENT.match(after)
            if consent is not None:
                findings.consent = _Consent(price, consent["clear"] is not None, fragment.place)
                continue
        if role == "offer" and price > 0:
            certain = certain and not (fragment.link == "and" and _follows_uncertain(findings, fragment.place))
            echo = fragment.asked and len(text) < 16
            findings.offers.append(_Named(price, certain, fragment.asked, fragment.place, echo))
        elif role == "quoted":
            findings.quoted.append(_Named(price, certain, fragment.asked, fragment.place))
        elif role == "refused":
            findings.refused.append(price)


def _follows_uncertain(findings: _Findings, place: tuple[int, int]) -> bool:
    """Whether the fragment before named an uncertain price: "between $80" before "and $90"."""
    last = findings.offers[-1] if findings.offers else None
    return last is not None and not last.certain and last.place == (place[0], place[1] - 1)


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
    if _is_change(words, following, after):
        return "aside", True
    # Most prices have none of the words around them that could make them anything but an offer.
    if clause is not before or not (phrases.TELLING.isdisjoint(words) and phrases.TELLING.isdisjoint(following)):
        exception = _exception(before, after, clause, words, following, fragment.link, fragment.asked)
        if exception is not None:
            return exception
    return "offer", _is_certain(before, after, words, following, fragment, framed)


def _exception(
    before: str, after: str, clause: str, words: list[str], following: list[str], link: str, asked: bool
) -> tuple[Role, bool] | None:
    if phrases.PARTNERS_BEFORE.search(before) or phrases.PARTNERS_AFTER.match(after):
        return "quoted", True
    if phrases.PRAISE.match(after) and not asked:
        return "quoted", True
    if phrases.THIRD_PARTY.search(before) or phrases.THIRD_PARTY.search(after):
        return "aside", True
    hypothetical = link == "if" and not phrases.BOUGHT.isdisjoint(words)
    if not hypothetical and not (phrases.ELSEWHERE.isdisjoint(words) and phrases.ELSEWHERE.isdisjoint(following)):
        return "aside", True
    clause = phrases.NEW_START.split(clause)[-1]
    negated = not phrases.NEGATORS.isdisjoint(clause.split()) or phrases.NO_WAY.search(clause) is not None
    at_least = phrases.AT_LEAST.search(before) is not None
    if at_least or (words and words[-1] in phrases.COMPARED):
        # "I can't go below $90" states a limit, which a partner may take for an offer.
        return ("offer", False) if negated or at_least else ("aside", True)
    if negated and not phrases.RHETORICAL.search(clause):
        return "refused", True
    spoilt = not (phrases.REFUSED_AFTER.isdisjoint(following) and phrases.NEGATORS.isdisjoint(following))
    if phrases.REFUSED_AFTER_PHRASE.search(after) or (spoilt and not phrases.LIMIT_AFTER.search(after)):
        return "refused", True
    return None


def _is_change(words: list[str], following: list[str], after: str) -> bool:
    """Whether it is a difference, a fee or a rate: "$20 off", "by $10", "$5 a week"."""
    if words and words[-1] in phrases.CHANGE_BEFORE:
        return True
    if not following:
        return False
    if following[0] == "a" and len(following) > 1:
        return following[1] in phrases.PERIODS
    return following[0] in phrases.CHANGE_AFTER or after[0] == "/"


def _is_certain(
    before: str, after: str, words: list[str], following: list[str], fragment: _Fragment, framed: bool
) -> bool:
    if fragment.conditional or phrases.RANGE.match(after):
        return False
    last = words[-1] if words else ""
    if last in phrases.ROUGHLY or (last == "about" and words[-2:-1] not in (["how"], ["what"])):
        return False
    if not fragment.asked and fragment.link != "if" and phrases.YOU_CAN.search(before):
        return False
    if not fragment.asked and not (phrases.HEDGES.isdisjoint(words) and phrases.HEDGES.isdisjoint(following)):
        return False
    return (
        framed
        or not phrases.FRAMES.isdisjoint(words[-10:])
        or (len(words) <= 1 and len(following) <= 1)
        or (len(following) > 0 and following[0] in phrases.FRAMED_AFTER)
        or phrases.IS_MINE.match(after) is not None
        or phrases.PRICE_CONSENT.match(after) is not None
    )
