"""What one utterance does to the price: an offer, an acceptance, a refusal or nothing, read without any context.

The text is made plain, with its amounts in figures, and cut into sentences, and those into fragments at commas,
brackets and conjunctions, so that a negation or a quoted price reaches no further than its own fragment. The fragments
give amounts with their roles (:mod:`sotopia_env.families.bargain.amounts`) and signs of consent, whose words stand in
:mod:`sotopia_env.families.bargain.phrases`; :meth:`_Findings.move` weighs them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal, NamedTuple

from sotopia_env.families.bargain import phrases
from sotopia_env.families.bargain.amounts import (
    BETWEEN,
    BUNDLE,
    NEGATORS,
    PART_WORDS,
    PARTS,
    REGRET,
    STATED,
    STATING,
    Fragment,
    amounts,
)
from sotopia_env.families.bargain.figures import OTHER_MONEY, WORDS_OF_NUMBERS, has_amounts_in_words, in_figures
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
        stated: whether the speaker says to give or take the price, so that naming the other's price takes it.
        echo: whether it is no more than a price with a question mark, which may be asked back ("$40?").
        bare: whether the price is a number without a sign, which may count something else.
        unread: whether the utterance seems to move the price to one that its words do not tell ("$10 off"); its kind is
            ``"none"`` then.
    """

    kind: Kind
    price: float | None = None
    certain: bool = True
    asked: bool = False
    stated: bool = False
    echo: bool = False
    bare: bool = False
    unread: bool = False


NO_MOVE = PriceMove("none")
UNREAD = PriceMove("none", unread=True)


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
        return _read_speech(plain(text.replace("~", " about ") if "~" in text else text))
    if action_type == "action":
        return _read_act(in_figures(plain(text)))
    return NO_MOVE


# --- formal acts --------------------------------------------------------------------------------------------------


def _read_act(plain_text: str) -> PriceMove:
    act = plain_text[:400]
    offers = phrases.ACT_OFFER.match(act) is not None
    prices = {_value(match) for match in phrases.ACT_DOLLARS.finditer(act)}
    prices = prices or {_value(match) for match in phrases.ACT_NUMBER.finditer(act)}
    if phrases.ACT_SPOILT.search(act) or len(prices) > 1 or OTHER_MONEY in act:
        return UNREAD if offers and _DIGIT.search(act) else NO_MOVE
    price = next(iter(prices), None)
    if phrases.ACT_ACCEPT.match(act):
        return PriceMove("accept", price)
    if phrases.ACT_REJECT.match(act):
        return PriceMove("reject", price)
    if price is not None and offers:
        return PriceMove("offer", price)
    return NO_MOVE


def _value(match: re.Match[str]) -> float:
    # The digits are in the one group that matched; a second one is the k of "1.2k".
    digits = next(filter(None, match.groups()))
    return float(digits.replace(",", "")) * (1000 if "k" in match.groups() else 1)


# --- speech -------------------------------------------------------------------------------------------------------

_DIGIT = re.compile(r"[0-9]")


class _Named(NamedTuple):
    """A price that was named.

    ``place`` is (sentence, fragment); ``echo`` marks a price asked back on its own ("$40?"), ``bare`` a number without
    a sign.
    """

    price: float
    certain: bool
    asked: bool
    place: tuple[int, int]
    stated: bool = False
    echo: bool = False
    bare: bool = False


class _Consent(NamedTuple):
    """A sign of consent, with the price that is its subject ("$85 works"), if there is one."""

    price: float | None
    certain: bool
    place: tuple[int, int]


@dataclass
class _Findings:
    """What the fragments of an utterance hold, gathered from left to right.

    ``unread`` is the number of offers before the last amount that no price follows from.
    """

    offers: list[_Named] = field(default_factory=list)
    quoted: list[_Named] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    consent: _Consent | None = None
    withdrawn: bool = False
    unread: int | None = None

    def hear_consent(self, price: float | None, certain: bool, place: tuple[int, int]) -> None:
        """Words of consent: "$85 it is then. Deal!" consents to $85."""
        if price is None and self.consent is not None:
            price = self.consent.price
        self.consent = _Consent(price, certain, place)

    def undo_consent(self) -> None:
        """What was agreed to under a condition or with a "but" is at most an offer; praise is nothing."""
        if self.consent is None:
            return
        price, certain, place = self.consent
        self.consent = None
        for index in range(len(self.offers) - 1, -1, -1):
            offer = self.offers[index]
            if offer.place[0] != place[0] or not offer.certain:
                break
            self.offers[index] = offer._replace(certain=False)
        if price is not None and certain:
            self.offers.append(_Named(price, False, False, place))

    def hear_question(self, text: str) -> None:
        """A question after an offer asks about it; after consent, it may show consent to something else."""
        if self.offers and phrases.SEEKS_CONSENT.match(text):
            self.offers[-1] = self.offers[-1]._replace(asked=True)
        if self.consent is None or text.startswith(phrases.PRACTICAL):
            return
        if phrases.HAGGLING.search(text) or not self.consent.certain:
            self.consent = None

    def move(self) -> PriceMove:
        """Weigh the findings: consent before offers, offers before refusals, later ones before earlier ones."""
        if self.unread is not None and (self.consent is not None or self.unread == len(self.offers)):
            return UNREAD
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
        others = [o for o in self.offers if o.place > consent.place and consent.price not in (None, o.price)]
        counters = [o for o in self.offers if o.asked and o.place > consent.place and o.price != consent.price]
        if counters or others:
            last = (counters or others)[-1]
            return PriceMove("offer", last.price, last.certain and not others, asked=True, bare=last.bare)
        if consent.price is not None:
            # "$80 is too low but $95 works" answers an offer of $80: it proposes.
            kind: Kind = "offer" if self.refused else "accept"
            return PriceMove(kind, consent.price, consent.certain)
        # A wish before the consent ("I was hoping for $80, but deal") is not what is agreed on.
        named = [o for o in self.offers if o.certain or o.place >= consent.place]
        named = named or [q for q in self.quoted if q.place[0] == consent.place[0]]
        certain = consent.certain and len({o.price for o in (*named, *self.offers)}) <= 1
        if not named:
            return PriceMove("accept", None, certain)
        return PriceMove("accept", named[-1].price, certain, bare=named[-1].bare)

    def _offering(self) -> PriceMove:
        best = [offer for offer in self.offers if offer.certain] or self.offers
        last = best[-1]
        alone = len(best) == 1 or all(offer.price == last.price for offer in best if offer.place == last.place)
        return PriceMove("offer", last.price, last.certain and alone, last.asked, last.stated, last.echo, last.bare)


_UNUSUAL = frozenset(
    f"{before}{word}{after}"
    for word in (
        *WORDS_OF_NUMBERS,
        *(
            "usd eur gbp chf cent cents half halfway middle split splitting between twice double third thirds "
            "quarter quarters same match discount down up lower higher better reduce raise increase improve drop "
            "bit little tad if unless provided providing provide assuming once until long condition conditions "
            "exchange return now rest remainder remaining remain balance deposit instalment instalments "
            "installment installments payment payments upfront front advance monthly parts rates"
        ).split(),
    )
    for before in ("", "(", "'")
    for after in ("", *".,!?;:)'", "...", "'s")
)
"""Words of numbers, computed prices, conditions and payments in parts, with the marks that may stand at them."""


def _read_speech(text: str) -> PriceMove:
    counts = _DIGIT.search(text) is not None
    # Most utterances have none of the words that make a price anything but a lone total.
    unusual = "-" in text or not _UNUSUAL.isdisjoint(text.split())
    if has_amounts_in_words(text, counts, unusual):
        text = in_figures(text)
        counts = _DIGIT.search(text) is not None
    contains = text.__contains__
    computes = unusual and _computes(text)
    if not (counts or computes or any(map(contains, phrases.CONSENT_HINTS))):
        return NO_MOVE
    findings = _Findings()
    has_condition = unusual and any(map(contains, phrases.CONDITIONS))
    parted = unusual and counts and any(map(contains, PART_WORDS)) and PARTS.search(text) is not None
    signs = _Signs(parted, computes, any(map(contains, phrases.CONSENTING_TOGETHER)))
    for number, sentence in enumerate(sentences(text)):
        _read_sentence(sentence, number, has_condition and _is_conditional(sentence), signs, findings)
    if findings.consent is not None and phrases.DEMAND.search(text):
        findings.undo_consent()
    move = findings.move()
    if move.kind in ("offer", "accept") and any(map(contains, phrases.POSTPONING)) and phrases.POSTPONED.search(text):
        return NO_MOVE if move.price is None else replace(move, kind="offer", certain=move.asked and move.certain)
    return move


class _Signs(NamedTuple):
    """What an utterance has anywhere: payment in parts, a price to be computed, one of ``CONSENTING_TOGETHER``."""

    parted: bool
    computes: bool
    together: bool


def _computes(text: str) -> bool:
    """Whether a price is named that does not stand in the text: half of another, somewhat less, in the middle."""
    contains = text.__contains__
    return (any(map(contains, phrases.COMPUTING)) and phrases.COMPUTED.search(text) is not None) or (
        any(map(contains, phrases.MOVING)) and phrases.VAGUE_MOVE.search(text) is not None
    )


_LOOK_BACK = 8  # fragments before a consent that can make it a demand or a quotation


def _read_sentence(sentence: Sentence, number: int, conditional: bool, signs: _Signs, findings: _Findings) -> None:
    texts, links, asked = sentence
    asked = asked or phrases.QUESTION.match(texts[0]) is not None
    asked_from = _question_start(texts) if asked else len(texts)
    if asked:
        findings.hear_question(texts[asked_from])
    leads_on = asked and not texts[asked_from].startswith(phrases.PRACTICAL)
    for index, text in enumerate(texts):
        words = text.split()
        consenting = not phrases.CONSENTING.isdisjoint(words)
        if not consenting and signs.together:
            consenting = any(map(text.__contains__, phrases.CONSENTING_TOGETHER))
        counts = _DIGIT.search(text) is not None
        if not (consenting or counts or signs.computes or findings.consent is not None or findings.offers):
            continue
        link, place = links[index], (number, index)
        consented, refusing = 0, False
        if findings.consent is not None and (
            link in CONTRASTS or phrases.PROVISO.match(text) or _takes_back(text, words, findings.consent.certain)
        ):
            findings.undo_consent()
        if (
            findings.offers
            and findings.offers[-1].stated
            and (link in CONTRASTS or phrases.PROVISO.match(text) or phrases.HAGGLING.search(text))
        ):
            findings.offers[-1] = findings.offers[-1]._replace(stated=False)
        can_consent = index < asked_from and not conditional
        if consenting:
            consented, clear, withdraws = _consent_in(text)
            refusing = withdraws and not asked and not conditional
            if consented:
                can_consent = can_consent and not _is_reported_or_demanded(sentence, index)
                can_consent = can_consent and not _is_amended(text[consented:])
                if can_consent and (clear or not leads_on):
                    findings.hear_consent(None, clear, place)
        if signs.computes and _computes(text) and phrases.NOT_MOVING.isdisjoint(words):
            findings.unread = len(findings.offers)
        if counts and not (link == "if" and any(map(REGRET.search, texts))):
            fragment = Fragment(
                text,
                link,
                asked,
                conditional and link not in ("if", "unless"),
                refusing,
                signs.parted,
                index + 1 < len(texts) and links[index + 1] == "and" and BUNDLE.match(texts[index + 1]) is not None,
                link == "and" and BETWEEN.search(texts[index - 1]) is not None,
                consented,
            )
            _read_prices(fragment, place, can_consent, findings)
        elif refusing:
            findings.withdrawn, findings.consent = True, None
        elif findings.offers and findings.offers[-1].echo and phrases.REFUSED_AS_THAT.match(text):
            findings.refused.append(findings.offers.pop().price)


@lru_cache(maxsize=4_096)
def _consent_in(text: str) -> tuple[int, bool, bool]:
    """Where words of consent at the start of a fragment end (0 without any), if they are clear, and if it withdraws."""
    consent = phrases.CONSENT.match(text)
    end, clear = (0, False) if consent is None else (consent.end(), consent["clear"] is not None)
    return end, clear, phrases.WITHDRAWAL.match(text) is not None


def _takes_back(text: str, words: list[str], certain: bool) -> bool:
    """Whether a fragment after words of consent shows that they were none."""
    if phrases.CONSENT.match(text):
        return False
    return phrases.HAGGLING.search(text) is not None or (not certain and not NEGATORS.isdisjoint(words))


def _is_amended(rest: str) -> bool:
    """Whether words of consent go on with a condition in their own fragment: "I'll take it with the helmet"."""
    return len(rest) > 1 and (phrases.PROVISO.search(rest) is not None or phrases.HAGGLING.search(rest) is not None)


def _read_prices(fragment: Fragment, place: tuple[int, int], can_consent: bool, findings: _Findings) -> None:
    for amount in amounts(fragment):
        price, role, certain, bare, lead, after = amount
        if role == "offer" and can_consent and certain and len(lead) < 24:
            consent = phrases.PRICE_CONSENT.match(after)
            if consent is not None:
                if not _is_amended(after[consent.end() :]):
                    findings.hear_consent(price, consent["clear"] is not None, place)
                continue
        if role == "offer" and price > 0:
            echo = fragment.asked and len(fragment.text) < 16
            before = findings.offers[-1] if findings.offers else None
            asked = fragment.asked or fragment.link in ("if", "unless")
            stated = certain and not asked and STATED.match(after) is not None and STATING.search(lead) is not None
            findings.offers.append(_Named(price, certain, asked, place, stated, echo, bare))
            if fragment.link == "and" and before and before.place == (place[0], place[1] - 1) and before.price != price:
                findings.unread = len(findings.offers)  # "$70 now and $10 next week"
        elif role == "quoted":
            findings.quoted.append(_Named(price, certain, fragment.asked, place))
        elif role == "refused":
            findings.refused.append(price)
        elif role == "unread":
            findings.unread = len(findings.offers)


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
