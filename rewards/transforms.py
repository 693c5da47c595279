"""Transforms of a reward: clipped, multiplied, with another one added.

Each takes a reward and returns one, or takes an environment of whatever API and returns it wrapped anew.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sotopia_env.episodes import Episode, Turn
from sotopia_env.rewards.designs import Kind, Timing
from sotopia_env.rewards.judges.base import Judge
from sotopia_env.rewards.resolve import get_reward
from sotopia_env.rewards.reward import Reward, weighted_sum
from sotopia_env.rewards.turn_rewards import TurnRewards, combine
from sotopia_env.rewards.wrappers.api import pay


def _paid(below: Reward | None, transform: str) -> Reward:
    """The reward an environment pays, which a transform needs."""
    if below is None:
        raise TypeError(f"{transform} takes a Reward, or an environment that a reward wrapper pays")
    return below


class AddReward:
    """Pays another reward as well: ``a + b``. The parts keep their flags.

    Args:
        reward: an environment, wrapped anew so that it pays both (the second alone where it paid nothing); or the
            first reward.
        other: the reward to add: whatever :func:`get_reward` takes.
        weight: what ``other`` is multiplied by.

    Example:
        >>> from sotopia_env.rewards import FormatPenalty, LengthPenalty
        >>> AddReward(LengthPenalty(), FormatPenalty(), weight=0.5).name
        'length + 0.5 * format'
    """

    def __new__(cls, reward: Any, other: Any, weight: float = 1.0) -> Any:
        """The sum, or the environment that pays it."""
        added = _times(get_reward(other), weight)
        if isinstance(reward, Reward):
            return reward + added
        return pay(reward, lambda below: added if below is None else below + added)


class ScaleReward:
    """Pays a multiple of a reward: ``factor * a``.

    Args:
        reward: an environment, wrapped anew so that it pays the multiple; or the reward to multiply.
        factor: what every number is multiplied by.
    """

    def __new__(cls, reward: Any, factor: float) -> Any:
        """The multiple, or the environment that pays it."""
        if isinstance(reward, Reward):
            return _times(reward, factor)
        return pay(reward, lambda below: _times(_paid(below, "ScaleReward"), factor))


def _times(reward: Reward, factor: float) -> Reward:
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not math.isfinite(factor):
        raise ValueError(f"factor: {factor!r} is no finite number")
    return factor * reward


@dataclass(frozen=True, init=False)
class ClipReward(Reward):
    """Clips the number of every turn to [low, high].

    Parts with different flags are clipped apart, since their numbers are never summed: the result is then a sum of
    clipped rewards.

    Args:
        reward: an environment, wrapped anew so that it pays the clipped reward; or the reward to clip.
        low: the least a turn may bring.
        high: the most a turn may bring.
    """

    reward: Reward
    low: float
    high: float

    def __new__(cls, reward: Any, low: float = -1.0, high: float = 1.0) -> Any:
        """The clipped reward, or the environment wrapped in it."""
        if not low < high:
            raise ValueError(f"low: {low} is not below high = {high}")
        if not isinstance(reward, Reward):
            return pay(reward, lambda below: cls(_paid(below, "ClipReward"), low, high))
        groups = []
        for group in reward.by_flags().values():
            clipped = object.__new__(cls)
            for field, value in (("reward", group), ("low", low), ("high", high)):
                object.__setattr__(clipped, field, value)
            groups.append((1.0, clipped))
        return weighted_sum(groups)

    def __getnewargs__(self) -> tuple[Reward, float, float]:
        """What pickle builds it from."""
        return self.reward, self.low, self.high

    @property
    def name(self) -> str:  # type: ignore[override]
        """That of the reward, in brackets."""
        return f"clip({self.reward.name})"

    @property
    def kind(self) -> Kind:  # type: ignore[override]
        """That of the reward."""
        return self.reward.kind

    @property
    def timing(self) -> Timing:  # type: ignore[override]
        """That of the reward."""
        return self.reward.timing

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """What the reward needs."""
        return self.reward.needs

    @property
    def turnwise(self) -> bool:  # type: ignore[override]
        """Whether every part of the reward is."""
        return all(part.turnwise for _, part in self.reward.parts())

    def rewards(self, episodes: Sequence[Episode]) -> list[TurnRewards]:
        """The clipped numbers."""
        return [
            {agent: [self._clip(value) for value in values] for agent, values in paid.items()}
            for paid in self.reward.rewards(episodes)
        ]

    def recent(self, episodes: Sequence[Episode], settled: Sequence[int]) -> list[list[float | None]]:
        """The clipped numbers of the latest turns."""
        return [[self._clip(value) for value in values] for values in self.reward.recent(episodes, settled)]

    def of_turn(self, turn: Turn, replied: bool) -> float | None:
        """The clipped number of one turn."""
        weights, parts = zip(*self.reward.parts(), strict=True)
        return self._clip(combine(weights, [part.of_turn(turn, replied) for part in parts]))

    def outcome(self, episodes: Sequence[Episode]) -> list[dict[str, float | None]]:
        """The clipped outcome."""
        return [{a: self._clip(g) for a, g in outcome.items()} for outcome in self.reward.outcome(episodes)]

    def judges(self) -> tuple[Judge, ...]:
        """Those of the reward."""
        return self.reward.judges()

    def _clip(self, value: float | None) -> float | None:
        return None if value is None else min(max(value, self.low), self.high)
