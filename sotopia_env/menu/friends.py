"""The menu of a search for a common friend: guesses, things told of one's friends, things asked about the other's.

Slots 0 to 15 ask for a friend by name and 16 to 31 tell one thing of a friend, both from the likeliest friend on that
is not named yet; slots 32 to 47 ask for an attribute, the most telling first. ``accept`` confirms a friend that the
other named, ``refuse`` denies to know whom the other asked for, ``tell`` answers its question.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from sotopia_env.actions import leave
from sotopia_env.agents.scripted.acts import settling
from sotopia_env.agents.scripted.befriending import Talk, read_talk
from sotopia_env.families.formal import tells_rule
from sotopia_env.families.mutual_friends.catalogue import phrase
from sotopia_env.families.mutual_friends.tables import Friend, read_table
from sotopia_env.menu import phrases
from sotopia_env.menu.acts import PROPOSALS, Act, proposals
from sotopia_env.menu.cues import Hearing, may_act, saturated
from sotopia_env.menu.phrases import rotated
from sotopia_env.policies import Observation

BLOCK = PROPOSALS // 3
"""Slots of one kind."""


def friends_menu(observation: Observation, hearing: Hearing) -> tuple[dict[str, Act], dict[str, float]] | None:
    """The acts and the features of a search for a friend, or ``None`` where there is no table of friends."""
    table = read_table(observation["goal"])
    if not table:
        return None
    players = frozenset(line.partition(": ")[2].partition(" ")[0] for line in observation["participants"].split("\n"))
    formal = tells_rule(observation["situation"])
    talk = read_talk(observation["transcript"], observation["agent"], table, players, formal=formal)
    acts = _acts(table, talk, hearing.own_turns, formal) if may_act(observation) else {}
    return acts, _features(table, talk)


def _acts(table: Sequence[Friend], talk: Talk, turn: int, formal: bool) -> dict[str, Act]:
    kinds = {value: kind for friend in table for kind, value in friend.attributes}
    acts: dict[str, Act] = {
        "ask": rotated(phrases.FRIEND_QUESTIONS, turn),
        "courtesy": rotated(phrases.COURTESIES, turn),
        "leave": leave(rotated(phrases.FAREWELLS, turn)),
    }
    if talk.put is not None:
        said = rotated(phrases.CONFIRMATIONS, turn).format(name=talk.put)
        acts["accept"] = settling("accept", [said], "", formal=formal)
    if talk.put is not None or talk.stranger:
        # Who is named in words alone is refused in words.
        offered = talk.put is not None or talk.unknown
        acts["refuse"] = settling("reject", [rotated(phrases.DENIALS, turn)], "", formal=formal and offered)
    if talk.question:
        said = _said(kinds, sorted(talk.question))
        granted = any(talk.question <= friend.values for friend in table)
        acts["tell"] = rotated(phrases.FRIENDS_GRANTED if granted else phrases.FRIENDS_DENIED, turn).format(phrase=said)
    order = sorted(range(len(table)), key=lambda i: (table[i].name in talk.named, -talk.weights[i], i))[:BLOCK]
    named: dict[int, Act] = {}
    for rank, place in enumerate(order):
        friend = table[place]
        values = sorted(friend.values)
        guess = rotated(phrases.GUESSES, turn).format(name=friend.name)
        named[rank] = settling(f"offer {friend.name}", [guess], "", formal=formal)
        said = _said(kinds, [values[turn % len(values)]])
        named[BLOCK + rank] = rotated(phrases.FRIENDS_TOLD, turn).format(phrase=said)
    for rank, group in enumerate(_questions(table, talk)[:BLOCK]):
        named[2 * BLOCK + rank] = rotated(phrases.FRIENDS_SOUGHT, turn).format(phrase=_said(kinds, group))
    return acts | proposals(named)


def _questions(table: Sequence[Friend], talk: Talk) -> list[tuple[str, ...]]:
    """One or two attributes not asked for yet, those first that about half of the likely friends have."""
    mass: dict[tuple[str, ...], float] = {}
    for friend, weight in zip(table, talk.weights, strict=True):
        values = sorted(friend.values)
        for group in [(value,) for value in values] + list(combinations(values, 2)):
            mass[group] = mass.get(group, 0.0) + weight
    fresh = [group for group in mass if mass[group] > 0 and frozenset(group) not in talk.asked]
    return sorted(fresh, key=lambda group: (abs(mass[group] - 0.5), group))


def _said(kinds: dict[str, str], values: Sequence[str]) -> str:
    return " and ".join(phrase(kinds[value], value) for value in values)


def _features(table: Sequence[Friend], talk: Talk) -> dict[str, float]:
    likeliest = sorted(talk.weights, reverse=True)
    fits = talk.question is not None and any(talk.question <= friend.values for friend in table)
    return {
        "friends": 1.0,
        "agreed": float(talk.confirmed),
        "stands": float(talk.put is not None),
        "rapport": talk.rapport,
        "stalled": saturated(talk.stalled, 2),
        "own_proposals": len(talk.named) / len(table),
        "untold": 1 - len(talk.told) / len(table),
        "likeliest": likeliest[0],
        "second": likeliest[1],
        "possible": sum(weight > 0 for weight in talk.weights) / len(table),
        "sought": saturated(len(talk.asked), 3),
        "answerable": float(bool(talk.question)),
        "answer_is_yes": float(bool(talk.question) and fits),
    }
