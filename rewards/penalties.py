"""Penalties: small causal returns that are added to a reward."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sotopia_env.episodes import Episode, Turn
from sotopia_env.rewards.designs import Kind, Timing
from sotopia_env.rewards.reward import Reward
from sotopia_env.rewards.utterances import Utterances
from sotopia_env.rewards.wrapper import RewardWrapper, reward_of


class TurnReward(Reward):
    """A causal return that looks at one turn alone. A subclass defines :meth:`value`.

    Called with an environment first, it adds itself to the reward the environment pays and returns the wrapped
    environment; called without, it is a reward to add.
    """

    kind: Kind = "return"
    timing: Timing = "causal"
    turnwise: ClassVar[bool] = True

    @abstractmethod
    def value(self, turn: Turn) -> float | None:
        """The number of one turn."""

    def rewards(self, episodes: Sequence[Episode]) -> list[Utterances]:
        """The number of every turn."""
        return [{a: [self.value(turn) for turn in e.own_turns(a)] for a in e.agents} for e in episodes]

    def of_turn(self, turn: Turn, replied: bool) -> float | None:
        """The number of one turn, known at once."""
        return self.value(turn)

    @classmethod
    def _make(cls, env: Any, **arguments: Any) -> Any:
        reward = object.__new__(cls)
        for name, value in arguments.items():
            object.__setattr__(reward, name, value)
        if env is None:
            return reward
        below = reward_of(env)
        return RewardWrapper(env, reward if below is None else below + reward)


@dataclass(frozen=True, init=False)
class LengthPenalty(TurnReward):
    """Makes long turns cost: r_t = -weight · max(0, words - target_words) / target_words.

    Agents of Sotopia-RL (arXiv 2508.03905) grew from 37 to 76 words a turn.

    Args:
        env: an environment to wrap; without one, the penalty itself is returned.
        target_words: a turn of at most so many words costs nothing.
        weight: what a turn of twice the target costs.

    Example:
        >>> penalty = LengthPenalty(target_words=2, weight=0.1)
        >>> penalty.value(Turn(0, 0, 0, "speak", "one two three four"))
        -0.1
    """

    target_words: int = 40
    weight: float = 0.1
    name: str = "length"

    def __new__(cls, env: Any = None, *, target_words: int = 40, weight: float = 0.1, name: str = "length") -> Any:
        """The penalty, or the environment wrapped in it."""
        if target_words < 1:
            raise ValueError(f"target_words: {target_words} is not a positive number")
        return cls._make(env, target_words=target_words, weight=weight, name=name)

    def value(self, turn: Turn) -> float:
        """What one turn costs."""
        excess = len(turn.text.split()) - self.target_words
        return -self.weight * excess / self.target_words if excess > 0 else 0.0


@dataclass(frozen=True, init=False)
class FormatPenalty(TurnReward):
    """Makes invalid actions cost: r_t = -weight where the action given was replaced by ``none``.

    Args:
        env: an environment to wrap; without one, the penalty itself is returned.
        weight: what an invalid turn costs.
    """

    weight: float = 0.1
    name: str = "format"

    def __new__(cls, env: Any = None, *, weight: float = 0.1, name: str = "format") -> Any:
        """The penalty, or the environment wrapped in it."""
        return cls._make(env, weight=weight, name=name)

    def value(self, turn: Turn) -> float:
        """What one turn costs."""
        return 0.0 if turn.invalid is None else -self.weight
