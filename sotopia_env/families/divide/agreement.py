"""When two speakers have agreed on a division of items: one function for the end of an episode and for its judge.

Each utterance is read on its own (:func:`read_division`), and the moves are folded, turn by turn (:func:`update`), into
what stands on the table; reading a list of turns at once (:func:`find_agreement`) gives the same. The rules prefer a
missed agreement to a false one, and an agreement always says who gets every single item.

- An **offer** gives items to one side or both. What it leaves unnamed goes to the side that was given nothing ("you can
  have the hats": the rest is mine); "the rest" alone is the rest of what the other proposed. An offer that leaves open
  who gets something replaces the speaker's earlier one but cannot be accepted.
- An **acceptance** takes the other's live offer. If it names a division, that must be the one on offer; else it is an
  offer itself. Conditions and a following "but" make it an offer that amends the other's.
- The same division from both sides is an agreement, not a certain one, if the second states it firmly, as no question,
  and had proposed something else before.
- Vague consent ("sounds good") and a bare "ok" only answer an offer of the turn before, and a bare "ok" no mere wish:
  "I want the ball." "Okay." is no agreement, "I take the ball." "Okay." is one.
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
from sotopia_env.families.divide.proposals import ME, Proposal
from sotopia_env.families.formal import FormalAct, acted
from sotopia_env.turns import cycles_of

__all__ = ["Division", "DivisionAgreement", "DivisionTable", "find_agreement", "offer_to", "opening", "update"]

Division = tuple[Counts, Counts]
"""What each seat gets."""


@dataclass(frozen=True)
class DivisionOffer:
    """What one seat proposed in the turn with that ``global_index``.

    Args:
        seat: who proposed it.
        turn: when.
        division: what each seat would get; ``None`` where the offer leaves something open.
        certain: whether the words disposed of every item and only one reading is plausible.
        proposal: the words behind it.
    """

    seat: int
    turn: int
    division: Division | None
    certain: bool
    proposal: Proposal


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
        offers: the live one of both seats.
        agreement: that was reached.
        formal: whether acts alone are read (:mod:`sotopia_env.families.formal`).
    """

    items: Items
    offers: tuple[DivisionOffer | None, DivisionOffer | None] = (None, None)
    agreement: DivisionAgreement | None = None
    formal: bool = False
    unread: tuple[int, ...] = ()


def opening(items: Items, *, formal: bool = False) -> DivisionTable:
    """A table without offers."""
    return DivisionTable(items, formal=formal)


def offer_to(table: DivisionTable, seat: int) -> DivisionOffer | None:
    """What an acceptance by ``seat`` would accept: the other's live offer, if it leaves nothing open."""
    offer = table.offers[1 - seat]
    return None if offer is None or offer.division is None else offer


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
    if move.kind == "reject":
        return table if table.offers[seat] is None else _with_offer(table, seat, None)
    taken, formal = offer_to(table, seat), action_type == "action"
    if move.proposal is None:
        if taken is None or (move.consent != "clear" and turn - taken.turn >= 2):
            return table
        if move.consent == "bare" and not (taken.certain or taken.proposal.firm):
            return table  # "I want the ball." "Okay."
        certain = taken.certain and move.consent != "bare"
        return _agree(table, taken, seat, turn, formal, certain)
    proposal = _in_context(move.proposal, table.offers[1 - seat])
    share = _share(move, proposal, table, seat)
    division = None if share is None else _seated(share, complement(share, table.items), seat)
    if taken is not None and taken.division == division and _takes(move, proposal, table.offers[seat], taken):
        certain = move.kind == "accept" and move.consent == "clear" and taken.certain
        return _agree(table, taken, seat, turn, formal, certain)
    sure = proposal.sure and proposal.is_complete(table.items)
    return _with_offer(table, seat, DivisionOffer(seat, turn, division, sure, proposal))


def _by_act(table: DivisionTable, seat: int, turn: int, act: FormalAct | None) -> DivisionTable:
    """What is on the table after an act: a refusal takes the other's offer off it."""
    if act is None:
        return table
    if act.kind == "reject":
        return _with_offer(table, 1 - seat, None)
    division = None if act.terms is None else _seated(act.terms, complement(act.terms, table.items), seat)
    if act.kind == "offer":
        proposal = Proposal(act.terms, complement(act.terms, table.items))
        return _with_offer(table, seat, DivisionOffer(seat, turn, division, True, proposal))
    taken = offer_to(table, seat)
    if taken is None or division not in (None, taken.division):
        return table
    return _agree(table, taken, seat, turn, formal=True, certain=True)


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
    return made


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
    return replace(proposal, mine=proposal.theirs, theirs=proposal.mine)


def _share(move: DivisionMove, proposal: Proposal, table: DivisionTable, seat: int) -> Counts | None:
    """What the speaker would get: from its words alone or laid over what was proposed before."""
    theirs, own = offer_to(table, seat), table.offers[seat]
    base = None if theirs is None or theirs.division is None else theirs.division[seat]
    if base is not None and (move.amends or move.kind == "accept" or move.consent is not None):
        laid = _laid_over(proposal, base, table.items)
        if move.amends or laid == base:
            return laid
    if not proposal.names_items:
        # "I get the rest" of what the other asked for; with nothing asked for, it means nothing.
        if base is None or proposal.rest is None:
            return None
        return base if proposal.rest == ME and any(base) else None
    share = proposal.share(table.items)
    if share is None and own is not None and own.division is not None:
        return _laid_over(proposal, own.division[seat], table.items)
    return share


def _laid_over(proposal: Proposal, base: Counts, items: Items) -> Counts:
    """A share changed only where the proposal names something."""
    shares = zip(items, proposal.mine, proposal.theirs, base, strict=True)
    return tuple(
        mine if mine is not None else item.count - theirs if theirs is not None else before
        for item, mine, theirs, before in shares
    )


def _seated(own: Counts, other: Counts, seat: int) -> Division:
    return (own, other) if seat == 0 else (other, own)


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
