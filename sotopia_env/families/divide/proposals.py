"""What an utterance proposes: who gets how many of each kind, as far as its words say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sotopia_env.families.divide.items import Counts, Items

ME, YOU = 0, 1
"""The sides of a division, as the speaker sees them."""

REST, EVERYTHING = -1, -2
"""What is named instead of a kind: all that was not named, or all there is."""


@dataclass(frozen=True)
class Proposal:
    """What an utterance gives to each side, kind by kind.

    Args:
        mine: how many of each kind the speaker takes; ``None`` where it does not say.
        theirs: how many the other takes.
        rest: who gets what is not named, ``ME`` or ``YOU``; ``None`` where it does not say.
        firm: whether it disposes ("I take") rather than wishes ("I need").
        sure: whether only one reading is plausible.
        bare: whether no word says who gets it ("the ball and one hat?"); it then stands under ``mine``.
    """

    mine: tuple[int | None, ...]
    theirs: tuple[int | None, ...]
    rest: int | None = None
    firm: bool = True
    sure: bool = True
    bare: bool = False

    @property
    def left_to(self) -> int | None:
        """Who gets what nobody named: as said, else the side that was given nothing."""
        if self.rest is not None:
            return self.rest
        mine, theirs = any(c is not None for c in self.mine), any(c is not None for c in self.theirs)
        return YOU if mine and not theirs else ME if theirs and not mine else None

    @property
    def names_items(self) -> bool:
        """Whether any kind is named, not just the rest."""
        return any(c is not None for c in (*self.mine, *self.theirs))

    def is_complete(self, items: Items) -> bool:
        """Whether the words alone dispose of every item, with nothing inferred."""
        if self.rest is not None and self.names_items:
            return True
        pairs = zip(items, self.mine, self.theirs, strict=True)
        return all(item.count in (mine, theirs) or None not in (mine, theirs) for item, mine, theirs in pairs)

    def share(self, items: Items) -> Counts | None:
        """What the speaker gets, or ``None`` where that does not follow from the words."""
        counts = []
        for item, mine, theirs in zip(items, self.mine, self.theirs, strict=True):
            if mine is not None and theirs is not None:
                spare = item.count - mine - theirs
                if spare and self.left_to is None:
                    return None
                counts.append(mine + spare if self.left_to == ME else mine)
            elif mine is not None:
                counts.append(item.count if self.rest == ME else mine)
            elif theirs is not None:
                counts.append(0 if self.rest == YOU else item.count - theirs)
            elif self.left_to is None:
                return None
            else:
                counts.append(item.count if self.left_to == ME else 0)
        return tuple(counts)


@dataclass
class Named:
    """Items as they were named.

    Args:
        kind: by its place among the items, or :data:`REST` or :data:`EVERYTHING`.
        count: ``None`` for all of the kind.
        holder: who is to get them; ``None`` while it is not clear.
        firm: whether a verb of disposing said so.
        sure: whether count and holder are plain.
        inherited: whether the holder stems from before a comma.
        halved: whether each side is to get half.
        each: whether each side is to get so many.
    """

    kind: int
    count: int | None
    holder: int | None
    firm: bool
    sure: bool = True
    inherited: bool = False
    halved: bool = False
    each: bool = False


def proposal_of(named: Sequence[Named], excepted: Sequence[Named], items: Items, *, bare: bool) -> Proposal | None:
    """What all that was named amounts to; of two words on one kind the later counts.

    Args:
        named: in the order of the words.
        excepted: exceptions to "everything" or "the rest".
        items: what is divided.
        bare: whether no word said who gets anything.
    """
    shares: list[list[int | None]] = [[None] * len(items), [None] * len(items)]
    rest, sure = None, True
    for one in named:
        holder = ME if one.holder is None else one.holder
        sure = sure and one.sure
        if one.kind >= 0:
            sure = _dispose(one, holder, items[one.kind].count, shares) and sure
            continue
        rest = holder
        if one.kind == EVERYTHING:
            for kind, item in enumerate(items):
                shares[holder][kind] = item.count if shares[1 - holder][kind] is None else shares[holder][kind]
        for other in excepted:
            if other.kind >= 0:
                shares[1 - holder][other.kind] = items[other.kind].count if other.count is None else other.count
                shares[holder][other.kind] = None
    if rest is None and all(count is None for share in shares for count in share):
        return None
    return Proposal(tuple(shares[ME]), tuple(shares[YOU]), rest, all(one.firm for one in named), sure, bare)


def _dispose(named: Named, holder: int, total: int, shares: list[list[int | None]]) -> bool:
    """Enter one kind into the shares; whether that was possible."""
    kind, count = named.kind, total if named.count is None else named.count
    if named.halved or (named.each and named.count is None):
        if total % 2:
            return False
        shares[ME][kind] = shares[YOU][kind] = total // 2
    elif named.each:
        if 2 * count > total:
            return False
        shares[ME][kind] = shares[YOU][kind] = count
    else:
        shares[holder][kind] = count
        other = shares[1 - holder][kind]
        if other is not None and other + count > total:
            shares[1 - holder][kind] = None
    return True
