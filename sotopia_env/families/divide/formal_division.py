"""The division in a formal act: who gets how many of every kind, or none at all."""

from __future__ import annotations

import re
from functools import lru_cache

from sotopia_env.families.divide.items import NUMBERS, Counts, ItemKind, Items, complement, totals
from sotopia_env.families.formal import UnreadAct

_GETS = "(?: (?:will |would )?(?:gets?|keeps?|takes?|have|has))?"
_SIDES = re.compile(rf"[;,]? ?\b(?:and )?(i|we|me|you|they|he|she)\b{_GETS}:? ?", re.IGNORECASE)
_LIST = re.compile(r" ?(?:,|&|;|\+|\band\b) ?(?:(?:and|&) )?", re.IGNORECASE)
_COUNT = rf"(?:\d{{1,2}}|all|no|zero|none of|an?|{'|'.join(NUMBERS)})"
_AMOUNT = re.compile(rf"(?:({_COUNT}) )?(?:of )?(?:the )?([\w' -]+)", re.IGNORECASE)
_REST = frozenset(("rest", "the rest", "everything else", "all else", "whatever is left"))
_ALL, _NOTHING = frozenset(("everything", "all")), frozenset(("nothing", "none"))
_OWN = frozenset(("i", "we", "me"))


def form(items: Items) -> str:
    """Returns how an offer of a division is written."""
    return f"{_named(items)} (what you keep; all the rest is the other's)"


def _named(items: Items) -> str:
    return ", ".join(f"N {item.plural}" for item in items)


@lru_cache(maxsize=4_096)
def read_share(text: str, items: Items) -> Counts:
    """Returns what the speaker would get: how many of each kind.

    Args:
        text: the terms of an act: what the speaker keeps ("2 lamps, 1 mug": the rest is the other's), or what each
            side gets ("I get 2 lamps, 1 mug; you get the rest").
        items: that are divided.

    Raises:
        UnreadAct: it names something that is not divided, more than there is, or leaves open who gets what.
    """
    plain = " ".join(text.split())
    named = list(_SIDES.finditer(plain))
    if not named:
        return _counts(_amounts(plain, items), items, text)
    if named[0].start():
        raise UnreadAct(f"{text!r:.80}: say first who gets what, such as: I get ...; you get ...")
    sides: dict[bool, dict[int, int | None]] = {}
    for side, following in zip(named, [*named[1:], None], strict=True):
        own = side[1].lower() in _OWN
        if own in sides:
            raise UnreadAct(f"{text!r:.80}: it says twice what {'you get' if own else 'the other gets'}")
        sides[own] = _amounts(plain[side.end() : None if following is None else following.start()], items)
    mine = _counts(sides.get(True, sides.get(False, {})), items, text)
    if True not in sides:
        return complement(mine, items)
    return mine if False not in sides else _fitting(sides[True], sides[False], items, text)


_REMAINDER = -1
"""Stands for all kinds that are not named."""


def _amounts(text: str, items: Items) -> dict[int, int | None]:
    """How many of each kind are named, and whether the rest is."""
    found: dict[int, int | None] = {}
    for part in filter(None, _LIST.split(text.strip(" ,;."))):
        lowered = part.lower()
        if lowered in _REST or lowered in _ALL:
            found[_REMAINDER] = None
            continue
        if lowered in _NOTHING:
            continue
        amount = _AMOUNT.fullmatch(part)
        kind = None if amount is None else _kind(amount[2].strip().lower(), items)
        if amount is None or kind is None:
            kinds = ", ".join(item.plural for item in items)
            raise UnreadAct(f"{part!r:.60} is no number of {kinds}; write what you keep: offer {_named(items)}")
        if kind in found:
            raise UnreadAct(f"{text!r:.80} names {items[kind].plural} twice")
        found[kind] = _number(amount[1], items[kind])
    return found


def _kind(name: str, items: Items) -> int | None:
    for kind, item in enumerate(items):
        if name in (item.singular, item.plural) or name.removesuffix("s") in item.aliases or name in item.aliases:
            return kind
    return None


def _number(word: str | None, item: ItemKind) -> int:
    lowered = "all" if word is None else word.lower()
    if word is None and item.count > 1:
        raise UnreadAct(f"how many {item.plural}? There are {item.count}; write a number")
    count = int(lowered) if lowered.isdigit() else NUMBERS.get(lowered)
    if count is None:
        count = item.count if lowered == "all" else 1 if lowered in ("a", "an") else 0
    if count > item.count:
        raise UnreadAct(f"{count} {item.plural}: there are only {item.count}")
    return count


def _counts(amounts: dict[int, int | None], items: Items, text: str) -> Counts:
    if not amounts and text.strip(" .").lower() not in _NOTHING and "nothing" not in text.lower():
        raise UnreadAct(f"{text!r:.60} names nothing that is divided; write what you keep: offer {_named(items)}")
    rest = _REMAINDER in amounts
    counts = totals(items) if rest else (0,) * len(items)
    return tuple(amounts.get(kind, count) or 0 for kind, count in enumerate(counts))


def _fitting(mine: dict[int, int | None], theirs: dict[int, int | None], items: Items, text: str) -> Counts:
    """What the speaker gets where both sides are named: together they must be all there is."""
    if _REMAINDER in mine and _REMAINDER in theirs:
        raise UnreadAct(f"{text!r:.80}: only one side can get the rest")
    if _REMAINDER in mine:
        return complement(_counts(theirs, items, "nothing"), items)
    own = _counts(mine, items, "nothing")
    if _REMAINDER in theirs:
        left = complement(own, items)
        named = [items[kind].plural for kind, count in theirs.items() if kind >= 0 and count != left[kind]]
    else:
        other = _counts(theirs, items, "nothing")
        named = [item.plural for item, a, b in zip(items, own, other, strict=True) if a + b != item.count]
    if named:
        raise UnreadAct(f"{text!r:.80}: the two shares of {', '.join(named)} do not add up to what there is")
    return own
