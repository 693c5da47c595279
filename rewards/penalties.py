"""Penalties: small causal returns that are added to a reward.

Each is both: called with an environment first, of whatever API, it adds itself to the reward the environment pays and
returns the wrapped environment; called without one, it is a reward to add.
"""

from __future__ import annotations

import math
import re
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sotopia_env.episodes import Episode, Turn
from sotopia_env.families import conduct
from sotopia_env.families.formal import is_formal, words_alone
from sotopia_env.rewards.designs import Kind, Timing
from sotopia_env.rewards.reward import Reward
from sotopia_env.rewards.turn_rewards import TurnRewards, by_agent
from sotopia_env.rewards.wrappers.api import pay
from sotopia_env.turns import as_heard

_WORD = re.compile(r"\w+")


class Penalty(Reward):
    """A causal return known as soon as the turn is played, made with an environment to wrap or without."""

    kind: Kind = "return"
    timing: Timing = "causal"

    @classmethod
    def _make(cls, env: Any, **arguments: Any) -> Any:
        weight = arguments.get("weight", 0.0)
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight):
            raise ValueError(f"weight: {weight!r} is no finite number")
        reward = object.__new__(cls)
        for name, value in arguments.items():
            object.__setattr__(reward, name, value)
        return reward if env is None else pay(env, lambda below: reward if below is None else below + reward)


class TurnReward(Penalty):
    """A causal return that looks at one turn alone. A subclass defines :meth:`value`."""

    turnwise: ClassVar[bool] = True

    @abstractmethod
    def value(self, turn: Turn) -> float | None:
        """The number of one turn."""

    def rewards(self, episodes: Sequence[Episode]) -> list[TurnRewards]:
        """The number of every turn."""
        return [{a: [self.value(turn) for turn in e.own_turns(a)] for a in e.agents} for e in episodes]

    def of_turn(self, turn: Turn, replied: bool) -> float | None:
        """The number of one turn, known at once."""
        return self.value(turn)


class HistoryReward(Penalty):
    """A causal return that looks at a turn and what came before it. A subclass defines :meth:`values`."""

    @abstractmethod
    def values(self, episode: Episode, start: int) -> list[float | None]:
        """The numbers of ``episode.turns[start:]``, in the order played; none depends on a later turn."""

    def rewards(self, episodes: Sequence[Episode]) -> list[TurnRewards]:
        """The number of every turn."""
        return [by_agent(episode, self.values(episode, 0)) for episode in episodes]

    def recent(self, episodes: Sequence[Episode], settled: Sequence[int]) -> list[list[float | None]]:
        """The numbers of the latest turns."""
        return [self.values(episode, start) for episode, start in zip(episodes, settled, strict=True)]


@dataclass(frozen=True, init=False)
class LengthPenalty(TurnReward):
    """Makes long turns cost: r_t = -weight · max(0, words - target_words) / target_words.

    Agents of Sotopia-RL (arXiv 2508.03905) grew from 37 to 76 words a turn.

    Args:
        env: an environment to wrap; without one, the penalty itself is returned.
        target_words: a turn of at most so many words costs nothing.
        weight: what a turn of twice the target costs.
        name: what infos and stored episodes call it.

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
        name: what infos and stored episodes call it.
    """

    weight: float = 0.1
    name: str = "format"

    def __new__(cls, env: Any = None, *, weight: float = 0.1, name: str = "format") -> Any:
        """The penalty, or the environment wrapped in it."""
        return cls._make(env, weight=weight, name=name)

    def value(self, turn: Turn) -> float:
        """What one turn costs."""
        return 0.0 if turn.invalid is None else -self.weight


@dataclass(frozen=True, init=False)
class RepetitionPenalty(HistoryReward):
    """Makes saying again what one has said cost: r_t = -weight · (repeated n-grams) / (n-grams).

    Counted are the n-grams of the words of what was spoken in turn t, in lower case and without punctuation, each as
    often as it occurs. One is repeated where the same agent has said it in an earlier turn. An utterance shorter than
    n words is one n-gram, as is any utterance with ``ngram=None``. What others said may be taken up at no cost, and
    what is not speech (an action, a gesture) is neither charged nor remembered.

    Args:
        env: an environment to wrap; without one, the penalty itself is returned.
        ngram: n, in words; ``None`` charges whole utterances alone.
        weight: what an utterance costs that was said before, word for word.
        name: what infos and stored episodes call it.
    """

    ngram: int | None = 4
    weight: float = 0.1
    name: str = "repetition"

    def __new__(cls, env: Any = None, *, ngram: int | None = 4, weight: float = 0.1, name: str = "repetition") -> Any:
        """The penalty, or the environment wrapped in it."""
        if ngram is not None and ngram < 1:
            raise ValueError(f"ngram: {ngram} is not a positive number; None charges whole utterances alone")
        return cls._make(env, ngram=ngram, weight=weight, name=name)

    def values(self, episode: Episode, start: int) -> list[float | None]:
        """What the turns from ``start`` on cost."""
        said: dict[int, set[tuple[str, ...]]] = {}
        costs: list[float | None] = []
        formal = is_formal(episode.task)
        for turn in episode.turns:
            # Where acts settle, what is said stands behind them.
            grams = self._grams(words_alone(turn) if formal else turn)
            before = said.setdefault(turn.seat, set())
            if turn.global_index >= start:
                repeated = sum(gram in before for gram in grams)
                costs.append(-self.weight * repeated / len(grams) if repeated else 0.0)
            before.update(grams)
        return costs

    def _grams(self, turn: Turn) -> list[tuple[str, ...]]:
        words = _WORD.findall(turn.text.lower()) if turn.type == "speak" else []
        if not words:
            return []
        n = len(words) if self.ngram is None else min(self.ngram, len(words))
        return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


@dataclass(frozen=True, init=False)
class SecretPenalty(HistoryReward):
    """Makes telling one's own secret cost: r_t = weight · (S_t - S_(t-1)) / 10.

    S_t is the secret dimension of the rule judge (-10..0) over the own turns up to t, so that an agent's numbers sum
    to weight · S / 10: a secret costs once, at the turn in which it is told. Where there is no secret, nothing costs.

    The secret of agents of Sotopia-RL (arXiv 2508.03905) fell to -0.61.

    Args:
        env: an environment to wrap; without one, the penalty itself is returned.
        weight: what the whole secret costs.
        name: what infos and stored episodes call it.
    """

    weight: float = 1.0
    name: str = "secret"

    def __new__(cls, env: Any = None, *, weight: float = 1.0, name: str = "secret") -> Any:
        """The penalty, or the environment wrapped in it."""
        return cls._make(env, weight=weight, name=name)

    def values(self, episode: Episode, start: int) -> list[float | None]:
        """What the turns from ``start`` on cost."""
        secrets = [conduct.own_secret(episode.task, seat) for seat in range(episode.task.num_seats)]
        said: list[list[Turn]] = [[] for _ in secrets]
        told = [0.0] * len(secrets)
        costs: list[float | None] = []
        for turn in map(as_heard, episode.turns):
            seat = turn.seat
            said[seat].append(turn)
            score = conduct.secret(said[seat], secrets[seat])[0] or 0.0
            if turn.global_index >= start:
                costs.append(self.weight * (score - told[seat]) / 10)
            told[seat] = score
        return costs
