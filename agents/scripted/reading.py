"""How a scripted policy reads its brief and the talk: from texts alone, never from hidden state."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Generic, TypeVar

from sotopia_env.agents.scripted import phrases
from sotopia_env.agents.scripted.acts import talk_of
from sotopia_env.episodes import seat_of
from sotopia_env.families import language
from sotopia_env.families.bargain.agreement import offer_to, opening, update
from sotopia_env.families.bargain.formal_price import read_price
from sotopia_env.families.bargain.moves import read_move
from sotopia_env.families.formal import acted, tells_rule
from sotopia_env.policies import Observation
from sotopia_env.views import Entry, parse_transcript

_PRICE = re.compile(r"\$\s?(\d[\d,]*(?:\.\d+)?)")
_SELLS = re.compile(r"\b(?:sell|seller|selling|sold)\b", re.IGNORECASE)
_BUYS = re.compile(r"\b(?:buy|buyer|buying|purchase)\b", re.IGNORECASE)
_FACTS = re.compile(r"(?:You know|Something that you alone are aware of): (.*?)\.(?: Sway|$)")
_NUMBER = r"(-?\d+(?:\.\d+)?)"
_SWAYS = re.compile(rf"Sway: manners {_NUMBER}, questions {_NUMBER}, leaks {_NUMBER}\.")
_SWAY = re.compile(rf"Sway: {_NUMBER}\.")
_SOFT = re.compile(r"\btarget\b", re.IGNORECASE)
_SOFT_SLACK = 0.2
SENTENCE = re.compile(r"[^.!?]+[.!?]*")
_ABOUT_ME = re.compile(r"\b(?:I|my|me)\b")


Offer = TypeVar("Offer")


@dataclass(frozen=True)
class OwnSide:
    """What a goal says besides what is to be agreed on: private facts, and how far the talk sways their holder.

    Args:
        facts: that the holder knows.
        manners: how far the other's manners sway it.
        questions: how far being asked does.
        leaks: how far the other's secret does.
        formal: whether acts alone settle anything, as the situation says.
    """

    facts: tuple[str, ...]
    manners: float
    questions: float
    leaks: float
    formal: bool = field(default=False, kw_only=True)

    def softness(self, talk: OfferTalk[Any], *, of_questions: float = 1.0, of_manners: float = 1.0) -> float:
        """What multiplies a concession: the couplings of the world act here.

        Args:
            talk: so far.
            of_questions: how much it weighs that one's facts are out, where questions sway fully.
            of_manners: the same of rapport.
        """
        told = len(talk.told) / len(self.facts) if self.facts else 0.0
        value = 1 + of_questions * self.questions * told + of_manners * self.manners * talk.rapport
        value -= 0.6 * self.leaks * talk.secret_out
        return min(max(value, 0.15), 2.5)


@dataclass(frozen=True)
class Brief(OwnSide):
    """What a goal and a situation say about a bargain."""

    role: str
    limit: float
    list_price: float

    @property
    def sign(self) -> int:
        """+1 for the seller, who wants a high price; -1 for the buyer."""
        return 1 if self.role == "seller" else -1

    @property
    def step(self) -> float:
        """The step in which one bargains over things of such a price."""
        for least, step in ((1000, 50.0), (50, 5.0), (15, 1.0)):
            if self.list_price >= least:
                return step
        return 0.5

    @property
    def reserve(self) -> float:
        """The worst price that is still worth a deal: a step inside the limit, at which nothing would be gained."""
        return self.limit + self.sign * self.step

    def gain(self, price: float) -> float:
        """How much better a price is than the limit, as a share of the list price."""
        return self.sign * (price - self.limit) / self.list_price

    def within_limit(self, price: float) -> bool:
        """Whether a price is one the agent can live with."""
        return self.sign * (price - self.limit) >= 0

    def worth(self, price: float) -> bool:
        """Whether a price is at least as good as the reserve."""
        return self.sign * (price - self.reserve) >= 0


@dataclass(frozen=True)
class OfferTalk(Generic[Offer]):
    """What was said so far where offers are made, as one side hears it.

    Args:
        own_offers: one's own offers, in order.
        partner_offers: the partner's offers, in order.
        partner_before: how many of the partner's offers came before one's own last.
        standing: what an acceptance would take, by the rules that end an episode; ``None`` if nothing stands.
        agreed: whether there is an agreement already, where that does not end the talk.
        told: which of one's own facts are told.
        question: whether the partner's last turn asks something other than for an offer.
        rapport: how the partner's manner has made one feel, -1 to 1.
        secret_out: whether the partner's secret came out.
        stalled: turns of the partner in a row that brought no better offer.
    """

    own_offers: tuple[Offer, ...] = ()
    partner_offers: tuple[Offer, ...] = ()
    partner_before: int = 0
    standing: Offer | None = None
    agreed: bool = False
    told: frozenset[str] = frozenset()
    question: bool = False
    rapport: float = 0.0
    secret_out: bool = False
    stalled: int = 0


Talk = OfferTalk[float]
"""A bargain so far; an offer is a price in dollars."""


@lru_cache(maxsize=8192)
def read_brief(goal: str, situation: str) -> Brief | None:
    """The bargain behind a goal, or ``None`` where it is not about a price."""
    prices = prices_in(goal)
    sells, buys = _SELLS.search(goal), _BUYS.search(goal)
    if not prices or (sells is None and buys is None):
        return None
    seller = buys is None or (sells is not None and sells.start() < buys.start())
    listed = prices_in(situation)
    list_price = listed[0] if listed else prices[0] * 1.25
    # A target is no limit: a price somewhat beyond it is still better than no deal.
    slack = (-1 if seller else 1) * _SOFT_SLACK * list_price if _SOFT.search(goal) else 0.0
    return Brief(
        known_facts(goal),
        *sways(goal),
        role="seller" if seller else "buyer",
        limit=max(prices[0] + slack, 1.0),
        list_price=list_price,
        formal=tells_rule(situation),
    )


def read_talk(observation: Observation, brief: Brief) -> Talk:
    """Read the transcript of an observation."""
    seats = observation["participants"].count("\n") + 1
    return _read_talk(observation["transcript"], observation["agent"], seats, brief)


@lru_cache(maxsize=4096)
def _read_talk(transcript: str, agent: str, seats: int, brief: Brief) -> Talk:
    entries = parse_transcript(transcript)
    said = talk_of(entries, formal=brief.formal)
    own = [entry for entry in said if entry.agent == agent]
    others = [entry for entry in said if entry.agent != agent]
    own_offers: list[float] = []
    partner_offers: list[float] = []
    partner_before = 0
    table = opening(seats, formal=brief.formal)
    for entry in entries:
        seat = seat_of(entry.agent)
        table = update(table, seat, entry.index, entry.type, entry.text)
        offer = table.offers[seat]
        if offer is None or offer.turn != entry.index:
            continue
        if entry.agent == agent:
            own_offers.append(offer.price)
            partner_before = len(partner_offers)
        else:
            partner_offers.append(offer.price)
    standing = offer_to(table, seat_of(agent))
    prices = {entry.index: _offered(entry, brief.formal) for entry in entries if entry.agent != agent}
    low_balls = {index for index, price in prices.items() if price is not None and _is_lowball(price, brief)}
    return Talk(
        own_offers=tuple(own_offers),
        partner_offers=tuple(partner_offers),
        partner_before=partner_before,
        standing=None if standing is None else standing.price,
        agreed=table.agreement is not None,
        told=told_facts(brief.facts, own),
        question=bool(others) and others[-1] is said[-1] and _asks(others[-1].text),
        rapport=rapport(others, lambda entry: entry.index in low_balls, lambda entry: _discloses(entry.text)),
        secret_out=secret_is_out(others),
        stalled=_stalled([prices[entry.index] for entry in others], brief.sign),
    )


def first_person(statement: str) -> str:
    """What "you sold your bike" is in the mouth of the one concerned: "I sold my bike"."""
    swaps = {"you": "I", "your": "my", "yours": "mine", "You": "I", "Your": "My", "are": "am", "were": "was"}
    words = statement.split(" ")
    told = []
    for i, word in enumerate(words):
        verb = word in ("are", "were")
        after_you = i > 0 and words[i - 1].lower() == "you"
        told.append(swaps.get(word, word) if not verb or after_you else word)
    return " ".join(told)


_first_person = lru_cache(maxsize=4096)(first_person)


def told_facts(facts: Sequence[str], own: Sequence[Entry]) -> frozenset[str]:
    """The private facts that are told in one's own turns."""
    return frozenset(fact for fact in facts if any(language.tells(_first_person(fact), entry.text) for entry in own))


def secret_is_out(others: Sequence[Entry]) -> bool:
    """Whether a secret slipped out in the turns of others."""
    return any(phrases.SECRET_MARK in entry.text.lower() for entry in others)


def rapport(others: Sequence[Entry], offends: Callable[[Entry], bool], pleases: Callable[[Entry], bool]) -> float:
    """How the manner of others has made one feel, -1 to 1: saturated at three, at most one act a turn.

    Args:
        others: their turns.
        offends: whether a turn offends by more than its words, threats, or saying the same again.
        pleases: whether a turn that does not offend pleases by more than its words.
    """
    balance, seen = 0, set()
    for entry in others:
        meant = language.meant(entry.text)
        if meant & phrases.OFFENDING or language.threatens(entry.text) or entry.text in seen or offends(entry):
            balance -= 1
        elif meant & phrases.MOVING or pleases(entry):
            balance += 1
        seen.add(entry.text)
    return max(-1.0, min(1.0, balance / 3))


def discloses(text: str, is_offer: Callable[[str], bool]) -> bool:
    """Whether an utterance tells something about its speaker, in a sentence that neither asks nor offers."""
    for sentence in SENTENCE.findall(text):
        if "?" in sentence or not _ABOUT_ME.search(sentence) or is_offer(sentence):
            continue
        spoken = language.words(sentence)
        courteous = any(spoken & bank for bank in language.POSITIVE.values()) or spoken & phrases.MOVING
        if len(spoken) >= 6 and not courteous:
            return True
    return False


def known_facts(goal: str) -> tuple[str, ...]:
    """The private facts that a goal tells its holder."""
    facts = _FACTS.search(goal)
    return tuple(facts.group(1).split("; ")) if facts else ()


def sways(goal: str) -> tuple[float, float, float]:
    """How far manners, questions and leaks move the holder of a goal; 0 where it does not say."""
    one, each = _SWAY.search(goal), _SWAYS.search(goal)
    if one:
        return (float(one.group(1)),) * 3
    if each:
        return float(each.group(1)), float(each.group(2)), float(each.group(3))
    return 0.0, 0.0, 0.0


def prices_in(text: str) -> list[float]:
    """The dollar prices that stand in a text, in order."""
    return [float(price.replace(",", "")) for price in _PRICE.findall(text)]


def amount(price: float) -> str:
    """A price as it is said: ``85``, or ``4.50``."""
    return f"{price:.0f}" if price == int(price) else f"{price:.2f}"


def _offered(entry: Entry, formal: bool) -> float | None:
    if formal:
        act = acted(entry.type, entry.text, read_price)
        return act.terms if act is not None and act.kind == "offer" else None
    move = read_move(entry.type, entry.text)
    return move.price if move.kind == "offer" else None


def _asks(text: str) -> bool:
    return any("?" in sentence and not language.has_price(sentence) for sentence in SENTENCE.findall(text))


def _is_lowball(price: float, brief: Brief) -> bool:
    return brief.sign * (brief.limit - price) > 0.4 * brief.list_price


@lru_cache(maxsize=16384)
def _discloses(text: str) -> bool:
    return discloses(text, language.has_price)


def _stalled(prices: Sequence[float | None], sign: int) -> int:
    """How many turns of the other in a row brought no better price."""
    best, stalled = None, 0
    for price in prices:
        if price is not None and (best is None or sign * (price - best) > 0):
            best, stalled = price, 0
        else:
            stalled += 1
    return stalled
