"""When two speakers have agreed on a price: one function for the end of an episode and for its judge.

An utterance is read on its own (:func:`read_move`): an offer, an acceptance, a refusal or nothing. The moves are then
folded, turn by turn (:func:`update`), into what stands on the table, so reading a list of turns at once
(:func:`find_agreement`) gives the same as following the talk. The rules prefer a missed agreement to a false one:

- An **offer** is a lone total in dollars (``$85``, "eighty-five bucks", or a bare number where a price stands: "85?",
  "make it 85") that is not refused, hypothetical, a fact, a cost, a price of the past or the list, a third party's, or
  quoted from the partner.
- An utterance is **unread** if it seems to move the price, but not to one that its words tell: a change ("$5 more"), a
  part ("$20 now"), a rate, a total of several things, a range, another currency, "let's split the difference"; also a
  bare number far from the prices on the table, and the other's price asked back ("$40?"). It takes back its speaker's
  older offer, so that nothing older is ever booked in its place, and is counted (``Standing.unread``).
- An **acceptance** takes the latest live offer of another seat, or the one whose price it names. If it names a price
  that nobody else offers, it is itself an offer. Questions, conditions and demands ("deal if ...", "deal, you pay the
  shipping"), a following contrast ("However, I was hoping for less") and a number that is not the offer's undo it.
- The same clear price from both sides is an agreement, not a certain one, if the second *moves to it* and says to give
  or take it: "$85?" then "$85." is one, "$85." then "$85?" or "I see that it is $85." is not, and neither is repeating
  one's own price.
- Vague consent without a price ("sounds good") only answers an offer of the round just played.
- "No deal", "I take that back" and a formal ``reject`` withdraw one's own offer; refusing a price ("$40 is too low")
  withdraws it only where it is one's own. Offers of others stay until they replace or withdraw them.
- Silence, gestures and leaving change nothing, and nothing changes an agreement once reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sotopia_env.episodes import Turn
from sotopia_env.families.bargain.formal_price import read_price
from sotopia_env.families.bargain.moves import PriceMove, read_move
from sotopia_env.families.base import follow, merge_offers
from sotopia_env.families.formal import FormalAct, acted
from sotopia_env.turns import cycles_of

BARE_RANGE = 4.0
"""How many times more or less than the prices on the table a number without a sign may be to be read as one."""

LEAST_BARE = 10.0
"""The least number without a sign that is read as a price, in dollars, where there is none on the table."""


@dataclass(frozen=True)
class Offer:
    """A price that one seat proposed in the turn with that ``global_index``."""

    seat: int
    turn: int
    price: float
    certain: bool = True


@dataclass(frozen=True)
class Agreement:
    """A price that one seat proposed and another accepted.

    Args:
        price: in dollars.
        proposer: seat of the offer.
        accepter: seat that accepted it; never the proposer.
        proposed_turn: ``global_index`` of the offer.
        accepted_turn: ``global_index`` of the acceptance.
        formal: whether it was accepted by an action instead of in words.
        certain: whether only one reading of both turns is plausible.
    """

    price: float
    proposer: int
    accepter: int
    proposed_turn: int
    accepted_turn: int
    formal: bool
    certain: bool


@dataclass(frozen=True)
class Standing:
    """What is on the table.

    Args:
        offers: the live offer of every seat.
        agreement: once there is one.
        formal: whether acts alone are read (:mod:`sotopia_env.families.formal`).
        unread: ``global_index`` of the turns that seem to move the price, but not to which.
    """

    offers: tuple[Offer | None, ...]
    agreement: Agreement | None = None
    formal: bool = False
    unread: tuple[int, ...] = ()


def opening(num_seats: int, *, formal: bool = False) -> Standing:
    """An empty table."""
    return Standing((None,) * num_seats, formal=formal)


def offer_to(standing: Standing, seat: int, price: float | None = None) -> Offer | None:
    """What an acceptance by ``seat`` would accept.

    Args:
        standing: what is on the table.
        seat: who would accept.
        price: the price named in the acceptance, if any.

    Returns:
        The latest live offer of another seat (at that price), or ``None``.
    """
    best = None
    for offer in standing.offers:
        if offer is None or offer.seat == seat or (price is not None and not _same(offer.price, price)):
            continue
        if best is None or offer.turn > best.turn:
            best = offer
    return best


def update(standing: Standing, seat: int, turn: int, action_type: str, text: str) -> Standing:
    """What is on the table after one more turn.

    Args:
        standing: what was on the table before.
        seat: whose turn it is.
        turn: its ``global_index``.
        action_type: one of :data:`sotopia_env.actions.ACTION_TYPES`.
        text: what was said or done.

    Returns:
        The same object if nothing changed, as after every turn that follows an agreement.
    """
    if standing.agreement is not None:
        return standing
    if standing.formal:
        return _by_act(standing, seat, turn, acted(action_type, text, read_price))
    move = read_move(action_type, text)
    own = standing.offers[seat]
    if _cannot_be_read(standing, seat, move):
        return replace(_with_offer(standing, seat, None), unread=(*standing.unread, turn))
    if move.kind == "none":
        return standing
    if move.kind == "reject":
        withdraws = own is not None and (move.price is None or _same(own.price, move.price))
        return _with_offer(standing, seat, None) if withdraws else standing
    taken = offer_to(standing, seat, move.price)
    if move.kind == "accept" and taken is not None:
        vague = move.price is None and not move.certain
        if vague and turn - taken.turn >= len(standing.offers):
            return standing
        # A price named by both sides leaves no doubt about the number, however loosely it was first proposed.
        certain = move.certain and (move.price is not None or (taken.certain and not _rivals(standing, seat, taken)))
        return _agree(standing, taken, seat, turn, formal=action_type == "action", certain=certain)
    if move.price is None:
        return standing
    moves_to_it = own is None or not _same(own.price, move.price)
    stated = move.kind == "offer" and move.certain and move.stated and not move.asked
    if stated and moves_to_it and taken is not None and taken.certain:
        return _agree(standing, taken, seat, turn, formal=action_type == "action", certain=False)
    return _with_offer(standing, seat, Offer(seat, turn, move.price, move.certain))


def _by_act(standing: Standing, seat: int, turn: int, act: FormalAct | None) -> Standing:
    """What is on the table after an act: a refusal takes the offers of others off it."""
    if act is None:
        return standing
    if act.kind == "offer":
        return _with_offer(standing, seat, Offer(seat, turn, act.terms))
    if act.kind == "reject":
        own = standing.offers[seat]
        return replace(standing, offers=tuple(offer if offer is own else None for offer in standing.offers))
    taken = offer_to(standing, seat, act.terms)
    return standing if taken is None else _agree(standing, taken, seat, turn, formal=True, certain=True)


def take(standing: Standing, cycle: Sequence[Turn]) -> Standing:
    """What is on the table after one more cycle: of turns taken at the same time each answers what stood before."""
    return follow(standing, cycle, update, _together)


def find_agreement(
    turns: Sequence[Turn], num_seats: int, order: str = "round-robin", *, formal: bool = False
) -> Standing:
    """What is on the table after these turns, the fold of :func:`take`.

    Args:
        turns: in the order played.
        num_seats: how many bargain.
        order: in which they acted, one of :data:`sotopia_env.turns.ACTION_ORDERS`.
        formal: whether acts alone are read.
    """
    standing = opening(num_seats, formal=formal)
    for cycle in cycles_of(turns, order):
        standing = take(standing, cycle)
    return standing


def _together(before: Standing, after: Sequence[Standing]) -> Standing:
    made: Standing = merge_offers(before, after, lambda one, other: _same(one.price, other.price))
    return made


def _same(one: float, other: float) -> bool:
    return abs(one - other) < 0.005


def _with_offer(standing: Standing, seat: int, offer: Offer | None) -> Standing:
    return replace(standing, offers=(*standing.offers[:seat], offer, *standing.offers[seat + 1 :]))


def _cannot_be_read(standing: Standing, seat: int, move: PriceMove) -> bool:
    if move.unread or (move.bare and not _plausible(standing, move.price)):
        return True
    if not move.echo or move.price is None:
        return False
    # "$40?" after the other's $40 takes it or wonders at it.
    own = standing.offers[seat]
    moves_to_it = own is None or not _same(own.price, move.price)
    return moves_to_it and offer_to(standing, seat, move.price) is not None


def _plausible(standing: Standing, price: float | None) -> bool:
    """Whether a number without a sign can be a price beside those on the table: "3" after "$95" counts something."""
    others = [offer.price for offer in standing.offers if offer is not None]
    if price is None:
        return True
    if not others:
        return price >= LEAST_BARE
    return min(others) / BARE_RANGE <= price <= max(others) * BARE_RANGE


def _rivals(standing: Standing, seat: int, taken: Offer) -> bool:
    return any(o is not None and o.seat != seat and not _same(o.price, taken.price) for o in standing.offers)


def _agree(standing: Standing, taken: Offer, seat: int, turn: int, formal: bool, certain: bool) -> Standing:
    agreement = Agreement(taken.price, taken.seat, seat, taken.turn, turn, formal, certain)
    return replace(standing, agreement=agreement)
