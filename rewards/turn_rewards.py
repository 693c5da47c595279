"""One number per own turn and agent: how such numbers are ordered, grouped and summed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sotopia_env.episodes import Episode, Turn
from sotopia_env.turns import cycles_of

TurnRewards = dict[str, list[float | None]]
"""``{agent: [one number per own turn]}``. ``None`` is unknown, failed or not known yet: never the same as 0."""


def in_order(turns: Sequence[Turn], rewards: Mapping[str, Sequence[float | None]]) -> list[float | None]:
    """Numbers per agent and own turn as one list, in the order the turns were played."""
    return [rewards[turn.agent][turn.own_index] for turn in turns]


def by_agent(episode: Episode, values: Sequence[float | None]) -> TurnRewards:
    """One number per turn, in the order played, as numbers per agent and own turn."""
    rewards: TurnRewards = {agent: [] for agent in episode.agents}
    for turn, value in zip(episode.turns, values, strict=True):
        rewards[turn.agent].append(value)
    return rewards


def first_open_turn(episode: Episode) -> int:
    """Global index of the first turn that nobody has replied to yet; the number of turns once the episode is over."""
    turns = episode.turns
    if episode.ending is not None or not turns:
        return len(turns)
    # The turns of one cycle do not reply to each other.
    last_cycle = cycles_of(turns, episode.action_order)[-1]
    return len(turns) - len(last_cycle)


def combine(weights: Sequence[float], values: Sequence[float | None]) -> float | None:
    """The weighted sum of numbers, ``None`` where one is unknown."""
    total = 0.0
    for weight, value in zip(weights, values, strict=True):
        if value is None:
            return None
        total += weight * value
    return total


def number_or_none(value: Any) -> float | None:
    """A number from outside as a ``float``; ``None`` and ``nan`` are unknown."""
    return None if value is None or math.isnan(value) else float(value)
