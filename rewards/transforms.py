"""Transforms of a reward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sotopia_env.episodes import Episode, Turn
from sotopia_env.families.base import Family
from sotopia_env.rewards.designs import Kind, Timing
from sotopia_env.rewards.judges import Judge
from sotopia_env.rewards.reward import Reward, weighted_sum
from sotopia_env.rewards.utterances import Utterances, combine
from sotopia_env.rewards.wrapper import RewardWrapper, reward_of


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
            below = reward_of(reward)
            if below is None:
                raise TypeError("ClipReward takes a Reward, or an environment that a reward wrapper pays")
            return RewardWrapper(reward, cls(below, low, high))
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

    def rewards(self, episodes: Sequence[Episode]) -> list[Utterances]:
        """The clipped numbers."""
        return [
            {agent: [self._clip(value) for value in values] for agent, values in utterances.items()}
            for utterances in self.reward.rewards(episodes)
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

    def for_family(self, family: Family) -> Reward:
        """The same of the reward with the family at hand."""
        return replace(self, reward=self.reward.for_family(family))

    def _clip(self, value: float | None) -> float | None:
        return None if value is None else min(max(value, self.low), self.high)
