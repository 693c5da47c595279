"""Dialogues of the report: who wanted what, every turn as it was said, how it ended, and the scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sotopia_env.episodes import Episode, agent_name
from sotopia_env.rewards.dimensions import DIMENSIONS
from sotopia_env.showing.episode import ending_text, seat_names
from sotopia_env.tables import Cell, Table

_PRIVATE = (("limit", "limit"), ("target", "target"), ("list_price", "list price"))


def dialogue(episode: Episode, learner: str | None) -> dict[str, Any]:
    """An episode as the template shows it.

    Args:
        episode: a finished one; its latest judgement is shown.
        learner: name of the policy whose turns stand on the right.
    """
    seats = range(episode.task.num_seats)
    own = [seat for seat in seats if episode.policies.get(agent_name(seat)) == learner]
    names = seat_names(episode.task)
    return {
        "situation": episode.task.scenario.situation,
        "right": own[0] if len(own) == 1 else None,
        "names": names,
        "seats": [_seat(episode, seat) for seat in seats],
        "turns": episode.turns,
        "ending": ending_text(episode.ending, names),
        "scores": _scores(episode),
    }


def _seat(episode: Episode, seat: int) -> dict[str, str]:
    scenario = episode.task.scenario
    hidden: Mapping[str, Any] = scenario.hidden[seat] if seat < len(scenario.hidden) else {}
    prices = ", ".join(
        f"{label} ${hidden[key]:g}" for key, label in _PRIVATE if isinstance(hidden.get(key), int | float)
    )
    return {
        "role": f"{hidden['role']}, " if "role" in hidden else "",
        "policy": episode.policies.get(agent_name(seat), ""),
        "goal": scenario.goals[seat],
        "prices": prices[:1].upper() + prices[1:],
        "secret": episode.task.characters[seat].secret,
    }


def _scores(episode: Episode) -> Table | None:
    if not episode.judgements:
        return None
    scores = episode.judgements[-1].scores
    known = [dimension for dimension in DIMENSIONS if dimension in scores]
    rows = [
        [character.name, *(Cell(scores[dimension][seat], ".1f") for dimension in known)]
        for seat, character in enumerate(episode.task.characters)
    ]
    return Table(["", *(dimension.replace("_", " ") for dimension in known)], rows)
