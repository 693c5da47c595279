"""What a reader is shown of an episode: who wants and hides what, every turn with what stood on the table after it."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sotopia_env.episodes import Ending, Episode, Turn, agent_name
from sotopia_env.errors import RecordError
from sotopia_env.families import family_of
from sotopia_env.families.base import Family, hidden_of
from sotopia_env.families.resolve import check_hidden
from sotopia_env.tasks import Character, Task
from sotopia_env.turns import cycles_of

_ENDINGS = {"left": "someone left", "stale": "silence", "max_cycles": "turn limit"}

Offers = tuple[str | None, ...]
"""What each seat has on the table, in words; ``None`` where it has nothing there."""


@dataclass(frozen=True)
class ShownSeat:
    """Who sits on a seat.

    Args:
        agent: ``agent_0``, ...
        name: of the character, with the seat where two share a name.
        policy: that played it; empty where nobody wrote it down.
        goal: its private goal.
        secret: of its character.
        background: whatever else its character has.
        hidden: what the judge knows of it, as names and texts.
    """

    agent: str
    name: str
    policy: str
    goal: str
    secret: str
    background: str
    hidden: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ShownTurn:
    """A turn, and what stands beside it.

    Args:
        turn: as it was played.
        to: names of those who see it besides the speaker; ``None`` for everyone.
        offers: what is on the table after it; ``None`` where that is unknown, or nothing can be.
        rewards: what each stored reward pays for it; ``None`` where that is unknown.
    """

    turn: Turn
    to: tuple[str, ...] | None
    offers: Offers | None
    rewards: Mapping[str, float | None]


@dataclass(frozen=True)
class ShownEpisode:
    """An episode as it is shown.

    Args:
        episode: itself.
        seats: who plays.
        turns: in the order played.
        ending: how it ended, in words.
        facts: what else there is to know of it and its task, as names and texts.
    """

    episode: Episode
    seats: tuple[ShownSeat, ...]
    turns: tuple[ShownTurn, ...]
    ending: str
    facts: tuple[tuple[str, str], ...]


def shown(episode: Episode) -> ShownEpisode:
    """What a reader is shown of an episode.

    Args:
        episode: running or finished. Of a family that is not known by its name no offers are.
    """
    task = episode.task
    names = seat_names(task)
    seats = tuple(
        ShownSeat(
            agent=agent_name(seat),
            name=name,
            policy=episode.policies.get(agent_name(seat), ""),
            goal=task.scenario.goals[seat],
            secret=task.characters[seat].secret,
            background=_background(task.characters[seat]),
            hidden=_hidden(task, seat),
        )
        for seat, name in enumerate(names)
    )
    turns = tuple(
        ShownTurn(
            turn,
            None if turn.recipients is None else tuple(names[seat] for seat in turn.recipients),
            offers,
            _rewards(episode, turn),
        )
        for turn, offers in zip(episode.turns, standing_offers(episode), strict=True)
    )
    return ShownEpisode(episode, seats, turns, ending_text(episode.ending, names), _facts(episode))


def standing_offers(episode: Episode) -> list[Offers | None]:
    """What is on the table after each turn, as the family of the task reads it.

    Returns:
        ``None`` after a turn whose cycle goes on, in games without offers, and where the family is not to be found.
    """
    found: list[Offers | None] = []
    family = _family(episode)
    if family is None:
        return [None] * len(episode.turns)
    progress = family.begin(episode.task)
    for cycle in cycles_of(episode.turns, episode.action_order):
        if len(cycle) == 1:
            progress = family.advance(progress, cycle[0])
        else:
            progress = family.advance_cycle(progress, cycle)
        offers = family.offers(progress)
        found += [None] * (len(cycle) - 1)
        found.append(None if offers is None else tuple(offers))
    return found


def ending_text(ending: Ending | None, names: Sequence[str]) -> str:
    """How an episode ended, in words: ``agreement by Mara Silva at $85``.

    Args:
        ending: ``None`` while it runs.
        names: of the seats.
    """
    if ending is None:
        return "still running"
    parts = [_ENDINGS.get(ending.reason, ending.reason)]
    if ending.seat is not None and 0 <= ending.seat < len(names):
        if ending.reason == "left":
            return f"{names[ending.seat]} left"
        parts.append(f"by {names[ending.seat]}")
    price = ending.detail.get("price")
    if isinstance(price, int | float):
        parts.append(f"at ${price:g}")
    return " ".join(parts)


def seat_names(task: Task) -> list[str]:
    """What to call each seat: the name of its character, with the seat where two share one."""
    names = [character.name for character in task.characters]
    return [
        name if name and names.count(name) == 1 else f"{name} ({agent_name(seat)})".strip()
        for seat, name in enumerate(names)
    ]


def visible(text: str) -> str:
    """A text that can do nothing to a terminal: control characters and marks of direction are spelt out."""
    return "".join(
        char
        if char.isprintable() or char == "\n"
        else " "
        if unicodedata.category(char) == "Zs"
        else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def _family(episode: Episode) -> Family | None:
    """The family that follows an episode; ``None`` where it is not to be found, or the task is not as it needs it."""
    try:
        family = family_of(episode.task)
        check_hidden(family, episode.task, f"episode {episode.key!r}")
    except (KeyError, RecordError):
        return None
    return family


def _rewards(episode: Episode, turn: Turn) -> dict[str, float | None]:
    paid: dict[str, float | None] = {}
    for name, by_agent in episode.rewards.items():
        own = by_agent.get(turn.agent, ())
        if turn.own_index < len(own):
            paid[name] = own[turn.own_index]
    return paid


def _background(character: Character) -> str:
    told = [
        "" if character.age is None else str(character.age),
        character.occupation,
        character.pronouns or character.gender,
        character.public_info,
        character.personality,
        character.values,
        character.decision_making_style,
    ]
    return "; ".join(part for part in told if part)


def _hidden(task: Task, seat: int) -> tuple[tuple[str, str], ...]:
    """The hidden values of a seat, its secret aside, which its character has too."""
    return tuple(
        (name.replace("_", " "), _plain(value))
        for name, value in hidden_of(task, seat).items()
        if value not in ("", None, task.characters[seat].secret)
    )


def _facts(episode: Episode) -> tuple[tuple[str, str], ...]:
    task = episode.task
    facts: dict[str, Any] = {
        "task": task.id,
        "family": f"{task.family} {task.version}",
        "split": task.split,
        "relationship": task.scenario.relationship.replace("_", " "),
        "turn order": episode.action_order,
        "seed": episode.seed,
        "notes for the judge": task.scenario.notes,
        **{f"tag {name}": value for name, value in task.tags.items()},
        **({} if episode.ending is None else {f"ending {name}": v for name, v in episode.ending.detail.items()}),
    }
    return tuple((name, _plain(value)) for name, value in facts.items() if value not in ("", None))


def _plain(value: Any) -> str:
    """Plain data as a person would write it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_plain(item)}" for name, item in value.items() if item not in ("", None, [], ()))
    if isinstance(value, list | tuple):
        return ("; " if any(isinstance(item, Mapping | str) for item in value) else ", ").join(map(_plain, value))
    return json.dumps(value, ensure_ascii=False)
