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

from sotopia_env.episodes import Turn
from sotopia_env.families.base import follow, merge_offers
from sotopia_env.families.divide.items import Counts, Items, complement
from sotopia_env.families.divide.moves import DivisionMove, read_division
from sotopia_env.families.divide.proposals import ME, Proposal
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
        shares: by its words, and by what stood before where they complete it.
        division: what each seat would get; ``None`` where the offer leaves something open.
        certain: whether the words disposed of every item and only one reading is plausible.
        proposal: the words behind it.
        asked: whether it was put as a question.
    """

    seat: int
    turn: int
    shares: Shares
    division: Division | None
    certain: bool
    proposal: Proposal
    asked: bool = False


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
        settled: what both have consented to, kind by kind.
        unread: ``global_index`` of every turn that seemed to move the division and could not be read.
    """

    items: Items
    offers: tuple[DivisionOffer | None, DivisionOffer | None] = (None, None)
    agreement: DivisionAgreement | None = None
    settled: Shares = ()
    unread: tuple[int, ...] = ()


def opening(items: Items) -> DivisionTable:
    """A table without offers."""
    return DivisionTable(items, settled=(None,) * len(items))


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
        if answered is None:
            return table
        return _accept(table, answered, seat, turn, formal, move.consent == "clear")
    proposal = _in_context(move.proposal, table.offers[1 - seat])
    consents = answered is not None and (move.consent is not None or move.kind == "accept")
    base = table.settled
    if answered is not None and (consents or move.amends):
        base = _over(answered.shares, base)
    shares = _shares(proposal, table, seat, base)
    if shares is None:
        return table
    division = _division(shares, table.items)
    if answered is not None and division is not None and answered.division == division and _takes(move, proposal, table.offers[seat], answered):
        certain = move.kind == "accept" and move.consent == "clear" and answered.certain
        return _agree(table, answered, seat, turn, formal, certain)
    sure = proposal.sure and None not in proposal.share(table.items)
    table = _with_offer(table, seat, DivisionOffer(seat, turn, shares, division, sure, proposal, move.asked))
    settled = table.settled
    if consents and not move.asked:
        settled = _over(answered.shares, settled)
    return replace(table, settled=tuple(s if s == now or now is None else None for s, now in zip(settled, shares, strict=True)))


def take(table: DivisionTable, cycle: Sequence[Turn]) -> DivisionTable:
    """What is on the table after one more cycle: of turns taken at the same time each answers what stood before."""
    return follow(table, cycle, update, _together)


def find_agreement(turns: Sequence[Turn], items: Items, order: str = "round-robin") -> DivisionTable:
    """What is on the table after these turns, the fold of :func:`take`.

    Args:
        turns: in the order played.
        items: that are divided.
        order: in which they acted, one of :data:`sotopia_env.turns.ACTION_ORDERS`.
    """
    table = opening(items)
    for cycle in cycles_of(turns, order):
        table = take(table, cycle)
    return table


def _together(before: DivisionTable, after: Sequence[DivisionTable]) -> DivisionTable:
    made: DivisionTable = merge_offers(before, after, lambda one, other: bool(one.division == other.division))
    return made


_REACH = {"clear": 3, "vague": 1, "bare": 1, "heard": 1}
"""How many turns back the offer may lie that a consent answers."""


def _answered(table: DivisionTable, seat: int, turn: int, move: DivisionMove) -> DivisionOffer | None:
    """The offer that words of consent answer: a late one, to which nobody has replied by another."""
    offer, own = table.offers[1 - seat], table.offers[seat]
    if offer is None or turn - offer.turn > _REACH[move.consent or "clear"]:
        return None
    if (own is not None and own.turn > offer.turn) or (table.unread and table.unread[-1] > offer.turn):
        return None
    if move.consent == "heard" and not offer.asked:
        return None  # "I take the ball." "Okay, I understand."
    if move.consent == "bare" and offer.proposal.wished:
        return None  # "I want the ball." "Okay."
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
    return replace(proposal, mine=proposal.theirs, theirs=proposal.mine)


def _accept(
    table: DivisionTable, taken: DivisionOffer, seat: int, turn: int, formal: bool, clear: bool
) -> DivisionTable:
    """Consent to an offer: an agreement if it says all, or if what it says settles the last kinds."""
    settled = _over(taken.shares, table.settled)
    division = _division(settled, table.items)
    if division is None or (taken.proposal.wished and not clear):
        return replace(table, settled=settled)
    certain = taken.certain and clear
    return _agree(table, replace(taken, division=division), seat, turn, formal, certain)


def _shares(proposal: Proposal, table: DivisionTable, seat: int, base: Shares) -> Shares | None:
    """What is proposed, laid over what stood before; ``None`` where it means nothing."""
    if not proposal.names_items and proposal.rest is not None:
        # "I get the rest" of what the other asked for; with nothing asked for, it means nothing.
        asked = table.offers[1 - seat]
        if asked is None or not any(c is not None for c in asked.shares):
            return None
        left = 0 if (proposal.rest == ME) == (seat == 1) else None
        return tuple(
            (item.count if left is None else 0) if share is None else share
            for item, share in zip(table.items, asked.shares, strict=True)
        )
    share = proposal.share(table.items)
    own = [count if seat == 0 or count is None else item.count - count for item, count in zip(table.items, share, strict=True)]
    return _over(own, base)


def _over(shares: Sequence[int | None], base: Shares) -> Shares:
    return tuple(before if share is None else share for share, before in zip(shares, base, strict=True))


def _division(shares: Shares, items: Items) -> Division | None:
    first = tuple(share for share in shares if share is not None)
    return (first, complement(first, items)) if len(first) == len(items) else None


def _with_offer(table: DivisionTable, seat: int, offer: DivisionOffer | None) -> DivisionTable:
    return replace(table, offers=(offer, table.offers[1]) if seat == 0 else (table.offers[0], offer))


def _agree(
    table: DivisionTable, taken: DivisionOffer, seat: int, turn: int, formal: bool, certain: bool
) -> DivisionTable:
    if taken.division is None:
        return table
    agreement = DivisionAgreement(taken.division, taken.seat, seat, taken.turn, turn, formal, certain)
    return replace(table, agreement=agreement)
