"""When two speakers have agreed on a division of items: one function for the end of an episode and for its judge.

Each utterance is read on its own (:func:`read_division`), and the moves are folded, turn by turn (:func:`update`), into
what stands on the table; reading a list of turns at once (:func:`find_agreement`) gives the same. The rules prefer a
missed agreement to a false one, and an agreement always says who gets every single item.

- An **offer** gives items to one side or both. Nothing is given away by inference: a kind that is not named is open
  unless somebody gets "the rest", while "you can have two hats" leaves the third to the speaker. An offer replaces the
  speaker's earlier one. A **wish** ("I need the hats") is none, unless the other is given something in return.
- An **acceptance** takes the other's live offer. Of an offer that leaves kinds open it *settles* those it names; once
  what both have consented to, kind by kind, is everything, that is an agreement, not a certain one. If the acceptance
  names a division, that must be the one on offer; else it is an offer itself, completed by the other's. Conditions and
  a following "but" make it an offer that amends the other's.
- The same division from both sides is an agreement, not a certain one, if the second states it firmly, as no question,
  and had proposed something else before.
- Words of consent answer the last offer alone: vague ones ("sounds good") and a bare "ok" an offer of the turn before,
  clear ones ("deal") one that is at most three turns old, and none an offer that its hearer has answered by another.
- An offer is certain if its words alone say who gets every item; one of which another reading is plausible ("take two
  hats": an order, or a taking?) is accepted by clear words alone.
- What seems to move the division and cannot be read ("some of the hats", "the hats or the ball", more than there is)
  withdraws the speaker's older offer and is counted as *unread*.
- "No deal", refusals and a formal ``reject`` withdraw one's own offer. Silence, gestures and leaving change nothing,
  and nothing changes an agreement once reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from sotopia_env.episodes import Turn
from sotopia_env.families.base import follow, merge_offers
from sotopia_env.families.divide.formal_division import read_share
from sotopia_env.families.divide.items import Counts, Items, complement
from sotopia_env.families.divide.moves import DivisionMove, read_division
from sotopia_env.families.divide.proposals import Proposal
from sotopia_env.families.formal import FormalAct, acted
from sotopia_env.turns import cycles_of

__all__ = ["Division", "DivisionAgreement", "DivisionTable", "find_agreement", "offer_to", "opening", "update"]

Division = tuple[Counts, Counts]
"""What each seat gets."""


Shares = tuple[int | None, ...]
"""What the first seat gets of each kind; ``None`` where that is open."""


@dataclass(frozen=True)
class DivisionOffer:
    """What one seat proposed in the turn with that ``global_index``.

    Args:
        seat: who proposed it.
        turn: when.
        division: what each seat would get; ``None`` where the offer leaves something open.
        certain: whether the words disposed of every item and only one reading is plausible.
        proposal: the words behind it.
        shares: by its words, and by what stood before where they complete it.
        asked: whether it was put as a question.
        replies_to: the turn of the other's offer that stood when it was made.
    """

    seat: int
    turn: int
    division: Division | None
    certain: bool
    proposal: Proposal
    shares: Shares = ()
    asked: bool = False
    replies_to: int | None = None


@dataclass(frozen=True)
class DivisionAgreement:
    """A division that one seat proposed and the other accepted.

    Args:
        division: what each seat gets.
        proposer: seat of the offer.
        accepter: the other seat.
        proposed_turn: ``global_index`` of the offer.
        accepted_turn: ``global_index`` of the acceptance.
        formal: whether it was accepted by an action instead of in words.
        certain: whether only one reading of both turns is plausible.
    """

    division: Division
    proposer: int
    accepter: int
    proposed_turn: int
    accepted_turn: int
    formal: bool
    certain: bool


@dataclass(frozen=True)
class DivisionTable:
    """What is on the table.

    Args:
        items: that are divided.
        offers: the live offer of both seats.
        agreement: once there is one.
        formal: whether acts alone are read (:mod:`sotopia_env.families.formal`).
        settled: what both have consented to, kind by kind.
        unread: ``global_index`` of every turn that seemed to move the division and could not be read.
    """

    items: Items
    offers: tuple[DivisionOffer | None, DivisionOffer | None] = (None, None)
    agreement: DivisionAgreement | None = None
    formal: bool = False
    settled: Shares = ()
    unread: tuple[int, ...] = ()


def opening(items: Items, *, formal: bool = False) -> DivisionTable:
    """A table without offers."""
    return DivisionTable(items, formal=formal, settled=(None,) * len(items))


def offer_to(table: DivisionTable, seat: int) -> DivisionOffer | None:
    """What an acceptance by ``seat`` would accept: the other's live offer, if it leaves nothing open and is no wish."""
    offer = table.offers[1 - seat]
    return None if offer is None or offer.division is None or offer.proposal.wished else offer


def update(table: DivisionTable, seat: int, turn: int, action_type: str, text: str) -> DivisionTable:
    """What is on the table after one more turn.

    Args:
        table: what was on it before.
        seat: whose turn it is.
        turn: its ``global_index``.
        action_type: one of :data:`sotopia_env.actions.ACTION_TYPES`.
        text: what was said or done.

    Returns:
        The same object if nothing changed, as after every turn that follows an agreement.
    """
    if table.agreement is not None:
        return table
    if table.formal:
        return _by_act(table, seat, turn, acted(action_type, text, partial(read_share, items=table.items)))
    move = read_division(action_type, text, table.items)
    if move.kind == "none":
        return table
    if move.kind == "unread":
        return replace(_with_offer(table, seat, None), unread=(*table.unread, turn))
    if move.kind == "reject":
        return table if table.offers[seat] is None else _with_offer(table, seat, None)
    formal = action_type == "action"
    answered = table.offers[1 - seat] if formal else _answered(table, seat, turn, move)
    if move.proposal is None:
        if answered is None or answered.proposal.wished:
            return table
        return _accept(table, answered, seat, turn, formal, move.consent == "clear")
    consents = answered is not None and (move.consent is not None or move.amends)
    base = _over(answered.shares, table.settled) if answered is not None and consents else table.settled
    proposal = _in_context(move.proposal, table.offers[1 - seat])
    shares = _shares(proposal, table, seat, base)
    if shares is None:
        return table
    division = _division(shares, table.items)
    taken = None if answered is None else offer_to(table, seat)
    if taken is not None and taken.division == division and _takes(move, proposal, table.offers[seat], taken):
        certain = move.kind == "accept" and move.consent == "clear" and taken.certain
        return _agree(table, taken, seat, turn, formal, certain)
    return _offered(
        table, seat, turn, proposal, move.asked, shares, base if consents and not move.asked else table.settled
    )


def _by_act(table: DivisionTable, seat: int, turn: int, act: FormalAct | None) -> DivisionTable:
    """What is on the table after an act: a refusal takes the other's offer off it."""
    if act is None:
        return table
    if act.kind == "reject":
        return _with_offer(table, 1 - seat, None)
    shares = () if act.terms is None else _of_first(act.terms, table.items, seat)
    division = None if act.terms is None else _division(shares, table.items)
    if act.kind == "offer":
        proposal = Proposal(act.terms, complement(act.terms, table.items))
        return _with_offer(table, seat, DivisionOffer(seat, turn, division, True, proposal, shares))
    taken = offer_to(table, seat)
    if taken is None or division not in (None, taken.division):
        return table
    return _agree(table, taken, seat, turn, formal=True, certain=True)


def own_share(offer: DivisionOffer, items: Items) -> Shares:
    """What its speaker would keep of each kind by an offer; ``None`` where that is open."""
    return _of_first(offer.shares, items, offer.seat)


def take(table: DivisionTable, cycle: Sequence[Turn]) -> DivisionTable:
    """What is on the table after one more cycle: of turns taken at the same time each answers what stood before."""
    return follow(table, cycle, update, _together)


def find_agreement(
    turns: Sequence[Turn], items: Items, order: str = "round-robin", *, formal: bool = False
) -> DivisionTable:
    """What is on the table after these turns, the fold of :func:`take`.

    Args:
        turns: in the order played.
        items: that are divided.
        order: in which they acted, one of :data:`sotopia_env.turns.ACTION_ORDERS`.
        formal: whether acts alone are read.
    """
    table = opening(items, formal=formal)
    for cycle in cycles_of(turns, order):
        table = take(table, cycle)
    return table


def _together(before: DivisionTable, after: Sequence[DivisionTable]) -> DivisionTable:
    made: DivisionTable = merge_offers(before, after, lambda one, other: bool(one.division == other.division))
    settled = []
    for now, *each in zip(before.settled, *(table.settled for table in after), strict=True):
        changed = {share for share in each if share != now}
        settled.append(now if not changed else changed.pop() if len(changed) == 1 else None)
    return replace(made, settled=tuple(settled))


_REACH = {"clear": 3, "vague": 1, "bare": 1, "heard": 1}
"""How many turns back the offer may lie that a consent answers."""


def _answered(table: DivisionTable, seat: int, turn: int, move: DivisionMove) -> DivisionOffer | None:
    """The offer that words of consent answer: a late one, to which nobody has replied by another."""
    offer, own = table.offers[1 - seat], table.offers[seat]
    if offer is None or turn - offer.turn > _REACH[move.consent or "clear"]:
        return None
    if (own is not None and own.replies_to == offer.turn) or (table.unread and table.unread[-1] > offer.turn):
        return None
    if (not offer.proposal.sure and move.consent != "clear") or (move.consent == "heard" and not offer.asked):
        return None  # "I take the ball." "Okay, I understand."
    return offer


def _takes(move: DivisionMove, proposal: Proposal, own: DivisionOffer | None, taken: DivisionOffer) -> bool:
    """Whether naming what the other proposed is to agree to it."""
    if move.amends or move.kind == "accept":
        return not move.amends
    if move.asked or not proposal.sure:
        return False
    repeats = own is not None and own.division == taken.division
    return move.consent is not None or (proposal.firm and not repeats)


def _in_context(proposal: Proposal, answered: DivisionOffer | None) -> Proposal:
    """A list without a word on who gets it is what the other asked for, if it is about the same kinds.

    "I want the ball and the hats." "How about just the ball?"
    """
    if not proposal.bare or answered is None or any(c is not None for c in answered.proposal.theirs):
        return proposal
    pairs = zip(proposal.mine, answered.proposal.mine, strict=True)
    if not any(listed is not None and asked is not None for listed, asked in pairs):
        return proposal
    return replace(proposal, mine=proposal.theirs, theirs=proposal.mine, firm=True)


def _accept(
    table: DivisionTable, taken: DivisionOffer, seat: int, turn: int, formal: bool, clear: bool
) -> DivisionTable:
    """Consent to an offer: an agreement if it says all, or if what it says settles the last kinds."""
    settled = _over(taken.shares, table.settled)
    division = _division(settled, table.items)
    if division is None:
        return replace(table, settled=settled)
    return _agree(table, replace(taken, division=division), seat, turn, formal, taken.certain and clear)


def _offered(
    table: DivisionTable, seat: int, turn: int, proposal: Proposal, asked: bool, shares: Shares, settled: Shares
) -> DivisionTable:
    """A new offer; what it says otherwise is settled no more."""
    other = table.offers[1 - seat]
    kept = tuple(s if s == now or now is None else None for s, now in zip(settled, shares, strict=True))
    # "The rest" may be that of everything, or of what is not settled yet.
    plain = proposal.rest is None or kept == settled
    certain = proposal.sure and plain and proposal.disposes_of_all(table.items)
    replies_to = None if other is None else other.turn
    offer = DivisionOffer(seat, turn, _division(shares, table.items), certain, proposal, shares, asked, replies_to)
    return replace(_with_offer(table, seat, offer), settled=kept)


def _shares(proposal: Proposal, table: DivisionTable, seat: int, base: Shares) -> Shares | None:
    """What is proposed, laid over what stood before; ``None`` where it means nothing."""
    share = proposal.share(table.items)
    if not proposal.names_items and proposal.rest is not None:
        # "I get the rest" of what the other asked for; with nothing asked for, it means nothing.
        asked = table.offers[1 - seat]
        if asked is None or all(count is None for count in asked.shares):
            return None
        return _over(asked.shares, _over(table.settled, _of_first(share, table.items, seat)))
    return _over(_of_first(share, table.items, seat), base)


def _of_first(share: Shares, items: Items, seat: int) -> Shares:
    """What the first seat gets where the one of ``seat`` gets this share."""
    if seat == 0:
        return share
    return tuple(None if count is None else item.count - count for item, count in zip(items, share, strict=True))


def _over(shares: Sequence[int | None], base: Shares) -> Shares:
    return tuple(before if share is None else share for share, before in zip(shares, base, strict=True))


def _division(shares: Shares, items: Items) -> Division | None:
    first = tuple(share for share in shares if share is not None)
    return (first, complement(first, items)) if len(first) == len(items) else None


def _with_offer(table: DivisionTable, seat: int, offer: DivisionOffer | None) -> DivisionTable:
    offers = (offer, table.offers[1]) if seat == 0 else (table.offers[0], offer)
    return replace(table, offers=offers)


def _agree(
    table: DivisionTable, taken: DivisionOffer, seat: int, turn: int, formal: bool, certain: bool
) -> DivisionTable:
    if taken.division is None:
        return table
    agreement = DivisionAgreement(taken.division, taken.seat, seat, taken.turn, turn, formal, certain)
    return replace(table, agreement=agreement)
