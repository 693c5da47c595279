"""What an utterance proposes: who gets how many of each kind, as far as its words say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sotopia_env.families.divide.items import Items, totals

ME, YOU = 0, 1
"""The sides of a division, as the speaker sees them."""

REST, EVERYTHING = -1, -2
"""What is named instead of a kind: all that was not named, or all there is."""

VAGUE, OTHERS = -1, -2
"""Amounts that are no number: so many that it is not said, and those of a kind that the other side does not get."""


@dataclass(frozen=True)
class Proposal:
    """What an utterance gives to each side, kind by kind.

    Args:
        mine: how many of each kind the speaker takes; ``None`` where it does not say.
        theirs: how many the other takes.
        rest: who gets what is not named, ``ME`` or ``YOU``; ``None`` where it does not say.
        firm: whether it disposes of something ("I take") rather than only wishes ("I need").
        sure: whether only one reading is plausible.
        bare: whether no word says who gets it ("the ball and one hat?"); it then stands under ``mine``.
        clear: whether all that it disposes of can be read and fits what there is.
    """

    mine: tuple[int | None, ...]
    theirs: tuple[int | None, ...]
    rest: int | None = None
    firm: bool = True
    sure: bool = True
    bare: bool = False
    clear: bool = True

    @property
    def wished(self) -> bool:
        """Whether it only wishes, and gives nothing: "I need the hats"."""
        return not self.firm

    @property
    def names_items(self) -> bool:
        """Whether any kind is named, not just the rest."""
        return any(c is not None for c in (*self.mine, *self.theirs))

    def disposes_of_all(self, items: Items) -> bool:
        """Whether the words alone say who gets every item, with nothing inferred, be it of a kind that is named."""
        if self.rest is not None and self.names_items:
            return True
        pairs = zip(items, self.mine, self.theirs, strict=True)
        return all(item.count in (mine, theirs) or None not in (mine, theirs) for item, mine, theirs in pairs)

    def share(self, items: Items) -> tuple[int | None, ...]:
        """What the speaker gets of each kind, ``None`` where that does not follow from the words.

        What one side gets of a kind leaves the others of this kind to the other side; a kind that is not named is open
        unless somebody gets the rest.
        """
        counts: list[int | None] = []
        # "You get the rest: one hat and two balls": with every kind named, there is no other rest.
        named = all(pair != (None, None) for pair in zip(self.mine, self.theirs, strict=True))
        for item, mine, theirs in zip(items, self.mine, self.theirs, strict=True):
            if mine is not None and theirs is not None:
                spare = item.count - mine - theirs
                counts.append(mine if not spare else None if self.rest is None else mine + spare * (self.rest == ME))
            elif mine is not None:
                counts.append(item.count if self.rest == ME and not named else mine)
            elif theirs is not None:
                counts.append(0 if self.rest == YOU and not named else item.count - theirs)
            else:
                counts.append(None if self.rest is None else item.count * (self.rest == ME))
        return tuple(counts)


@dataclass(slots=True)
class Named:
    """Items as they were named.

    Args:
        kind: by its place among the items, or :data:`REST` or :data:`EVERYTHING`.
        count: ``None`` for all of the kind, else a number, :data:`VAGUE` or :data:`OTHERS`.
        holder: who is to get them; ``None`` while it is not clear.
        firm: whether a verb of disposing said so.
        sure: whether count and holder are plain.
        inherited: whether the holder stems from before a comma.
        halved: whether each side is to get half.
        each: whether each side is to get so many.
        numbered: whether its amount was said.
        supposed: whether it is the condition of something.
    """

    kind: int
    count: int | None
    holder: int | None
    firm: bool
    sure: bool = True
    inherited: bool = False
    halved: bool = False
    each: bool = False
    numbered: bool = True
    supposed: bool = False


def proposal_of(
    named: Sequence[Named],
    excepted: Sequence[Named],
    items: Items,
    *,
    bare: bool,
    unclear: bool = False,
    sure: bool = True,
    exchanged: bool = False,
) -> Proposal | None:
    """What all that was named amounts to; of two words on one kind the later counts, and a wish for less than a gift.

    Args:
        named: in the order of the words.
        excepted: exceptions to "everything" or "the rest".
        items: what is divided.
        bare: whether no word said who gets anything.
        unclear: whether something was disposed of that cannot be read.
        sure: whether no amount was passed over.
        exchanged: whether something is given for something else, which may leave the others of its kind open.
    """
    named = [one for one in named if _counts(one, named, items)]
    shares: list[list[int | None]] = [[None] * len(items), [None] * len(items)]
    rest = None
    clear = not unclear and not (named and all(one.supposed for one in named))
    counted = any(one.numbered and one.count is not None for one in named)
    for one in sorted(named, key=lambda one: one.kind == EVERYTHING):
        holder = ME if one.holder is None else one.holder
        sure = sure and one.sure
        if one.kind >= 0:
            again = exchanged and shares[holder][one.kind] is not None
            loose = counted and not one.numbered and not one.sure and one.count is None
            if again or (loose and not any(o.kind == one.kind and o.numbered for o in named)):
                clear = False  # "two hats and book" where there are three books
            clear = _dispose(one, holder, items[one.kind].count, shares) and clear
            continue
        rest, clear = holder, clear and not (one.halved or one.each or one.count == VAGUE)
        if one.kind == EVERYTHING:
            for kind, item in enumerate(items):
                if shares[1 - holder][kind] is None:
                    shares[holder][kind] = item.count
        for other in excepted:
            if other.kind >= 0:
                shares[1 - holder][other.kind] = items[other.kind].count if other.count is None else other.count
                shares[holder][other.kind] = None
    open_kinds = rest is None and any(pair == (None, None) for pair in zip(*shares, strict=True))
    if (
        exchanged
        and open_kinds
        and any(
            one.firm and one.count is not None and one.count < items[one.kind].count for one in named if one.kind >= 0
        )
    ):
        clear = False
    if clear and rest is None and all(count is None for share in shares for count in share):
        return None
    if clear and bare and tuple(shares[ME]) == totals(items):
        return None  # what there is
    firm = not clear or any(one.firm for one in named)
    return Proposal(tuple(shares[ME]), tuple(shares[YOU]), rest, firm, sure, bare, clear)


def _counts(one: Named, named: Sequence[Named], items: Items) -> bool:
    """Whether a wish, or half of a kind, stands beside what else is said of the kind."""
    others = [other for other in named if other.kind == one.kind and other.firm and not other.halved]
    if one.firm:
        return not (one.halved and others)
    if one.count == VAGUE:
        return False
    if one.kind < 0 or not others:
        return True
    total = items[one.kind].count
    return all(
        other.holder != one.holder and (total if one.count is None else one.count) + (other.count or total) <= total
        for other in others
    )


def _dispose(named: Named, holder: int, total: int, shares: list[list[int | None]]) -> bool:
    """Enter one kind into the shares; whether that was possible."""
    kind, count, other = named.kind, total if named.count is None else named.count, shares[1 - holder][named.kind]
    if count == VAGUE:
        return False
    if named.halved or named.each:
        each = total // 2 if named.halved or named.count is None else count
        if 2 * each > total or (named.halved and total % 2):
            return False
        shares[ME][kind] = shares[YOU][kind] = each
        return True
    if count == OTHERS:
        count = 1 if other is None else total - other
    shares[holder][kind] = count
    return other is None or other + count <= total
