"""When two people have found their common friend: one function for the end of an episode and for its judge.

The turns are folded one by one (:func:`update`). A seat **puts a name forward** by claiming to know the person, and by
naming or guessing one of its own friends whom the other has not put forward: to repeat a name is free, and worth
nothing. The friend is **found** when a seat says to know the common friend whom the other put forward before, or
answers the other's last turn, if it put forward that one name alone, with a clear yes ("Yes, I know her too!"; a bare
"yes" where it was a question or a guess, "me too" where it was "I know Alma"). So a question never ends the talk by
itself, both have to commit, and the name of anybody else ends nothing, however loudly both claim it.

Going through all the names finds the friend too: whoever does so has named every one of them, in whatever words, and is
scored by that (:mod:`sotopia_env.families.mutual_friends.scoring`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from sotopia_env.episodes import Turn
from sotopia_env.families.base import follow
from sotopia_env.families.formal import FormalAct, UnreadAct, acted, parted
from sotopia_env.families.mutual_friends.mentions import NOTHING, Mentions, read_mentions
from sotopia_env.turns import cycles_of


@dataclass(frozen=True)
class Found:
    """The common friend was named by both.

    Args:
        friend: the name.
        seat: who named or confirmed it last.
        turn: ``global_index`` of that turn.
    """

    friend: str
    seat: int
    turn: int


@dataclass(frozen=True)
class Naming:
    """How far two people have come.

    Args:
        names: of all friends of both.
        own: for each seat the names of its own friends.
        common: the friend both know; empty where the listener does not know it, as a player.
        players: first names of those who talk.
        put: for each seat the names it put forward.
        spoken: for each seat the names of own friends of which it only spoke, before the other put them forward.
        last: of the last turn that said anything (the last turns, where several were taken at the same time): the seat,
            the names it put forward, and what would confirm them.
        found: the common friend, once both have named it.
        formal: whether acts alone find it (:mod:`sotopia_env.families.formal`); who is named in words counts all the
            same.
        offered: there, for each seat the name that it has put on the table by an act.
    """

    names: tuple[str, ...]
    own: tuple[frozenset[str], ...]
    common: str
    players: frozenset[str] = frozenset()
    put: tuple[frozenset[str], ...] = (frozenset(), frozenset())
    spoken: tuple[frozenset[str], ...] = (frozenset(), frozenset())
    last: tuple[tuple[int, frozenset[str], str], ...] = ()
    found: Found | None = None
    formal: bool = False
    offered: tuple[str | None, ...] = (None, None)


def update(naming: Naming, seat: int, turn: int, action_type: str, text: str) -> Naming:
    """How far they have come after one more turn.

    Args:
        naming: how far they were.
        seat: whose turn it is.
        turn: its ``global_index``.
        action_type: one of :data:`sotopia_env.actions.ACTION_TYPES`.
        text: what was said or done.

    Returns:
        The same object if nothing changed, as after every turn that follows the finding.
    """
    if naming.found is not None:
        return naming
    if naming.formal and action_type == "action":
        naming = _by_act(naming, seat, turn, acted(action_type, text, partial(read_name, names=naming.names)))
        _, words = parted(text) or ("", "")
        return naming if naming.found is not None else update(naming, seat, turn, "speak", words)
    mentions = read_mentions(action_type, text, naming.names, naming.players)
    if mentions is NOTHING:
        return naming
    others = frozenset().union(*(put for other, put in enumerate(naming.put) if other != seat))
    confirmed = _confirmed(naming, seat, mentions)
    if not naming.formal and naming.common and naming.common in (mentions.vouched & others) | confirmed:
        return replace(naming, found=Found(naming.common, seat, turn))
    # To name somebody whom the other has put forward is no claim to know the person.
    fresh = naming.own[seat] - others
    put = mentions.vouched | confirmed | ((mentions.claimed | mentions.asked) & fresh)
    return replace(
        naming,
        put=_with(naming.put, seat, put),
        spoken=_with(naming.spoken, seat, mentions.spoken & fresh),
        last=((seat, put, mentions.invites),),
    )


def read_name(text: str, names: Sequence[str]) -> str:
    """Returns the friend whom the terms of an act name.

    Raises:
        UnreadAct: it is no name of a friend.
    """
    found = {name.lower(): name for name in names}.get(" ".join(text.lower().split()))
    if found is None:
        raise UnreadAct(f"{text!r:.60} is the name of no friend; write one name alone, such as offer NAME")
    return found


def _by_act(naming: Naming, seat: int, turn: int, act: FormalAct | None) -> Naming:
    """How far they are after an act: a friend is found when one accepts whom the other has offered."""
    if act is None:
        return naming
    other = naming.offered[1 - seat]
    if act.kind == "reject":
        return replace(naming, offered=_placed(naming.offered, 1 - seat, None))
    if act.kind == "accept" and (other is None or act.terms not in (None, other)):
        return naming
    name = str(act.terms if act.kind == "offer" else other)
    put = _with(naming.put, seat, frozenset((name,)))
    if act.kind == "offer":
        return replace(naming, put=put, offered=_placed(naming.offered, seat, name))
    found = Found(name, seat, turn) if name == naming.common else None
    return replace(naming, put=put, offered=_placed(naming.offered, 1 - seat, None), found=found)


def _placed(offered: tuple[str | None, ...], seat: int, name: str | None) -> tuple[str | None, ...]:
    return (*offered[:seat], name, *offered[seat + 1 :])


def _confirmed(naming: Naming, seat: int, mentions: Mentions) -> frozenset[str]:
    """The one name that the other has just put forward, if this turn says yes to it."""
    heard = [(put, invites) for other, put, invites in naming.last if other != seat]
    if len(heard) != 1:
        return frozenset()
    ((put, invites),) = heard
    answers = (mentions.agrees and invites == "yes") or (mentions.joins and invites == "me too")
    confirms = len(put) == 1 and (mentions.same or answers) and not (put & mentions.denied or mentions.named - put)
    return put if confirms else frozenset()


def take(naming: Naming, cycle: Sequence[Turn]) -> Naming:
    """How far they have come after one more cycle: of turns taken at the same time each answers what came before."""
    return follow(naming, cycle, update, _together)


def find(naming: Naming, turns: Sequence[Turn], order: str = "round-robin") -> Naming:
    """How far these turns lead, the fold of :func:`take`.

    Args:
        naming: how far they were.
        turns: in the order played.
        order: in which they acted, one of :data:`sotopia_env.turns.ACTION_ORDERS`.
    """
    for cycle in cycles_of(turns, order):
        naming = take(naming, cycle)
    return naming


def _together(before: Naming, after: Sequence[Naming]) -> Naming:
    """What several seats made of the same state at once: each names friends of its own."""
    spoke = [one for one in after if one is not before]
    if found := next((one.found for one in spoke if one.found is not None), None):
        return replace(before, found=found)
    if not spoke:
        return before
    return replace(
        before,
        put=tuple(frozenset().union(*sets) for sets in zip(*(one.put for one in spoke), strict=True)),
        spoken=tuple(frozenset().union(*sets) for sets in zip(*(one.spoken for one in spoke), strict=True)),
        last=tuple(said for one in spoke for said in one.last),
        offered=_together_offered(before, spoke),
    )


def _together_offered(before: Naming, after: Sequence[Naming]) -> tuple[str | None, ...]:
    """What is offered after several acts on the same table: a refusal is of what was seen, not of what is made now."""
    changed: dict[int, str | None] = {}
    for one in after:
        for seat, name in enumerate(one.offered):
            if name != before.offered[seat] and (name is not None or seat not in changed):
                changed[seat] = name
    return tuple(changed.get(seat, name) for seat, name in enumerate(before.offered))


def _with(sets: tuple[frozenset[str], ...], seat: int, more: frozenset[str]) -> tuple[frozenset[str], ...]:
    return (*sets[:seat], sets[seat] | more, *sets[seat + 1 :]) if more else sets
