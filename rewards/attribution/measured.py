"""Attributors with a known error: importances measured by playing on, and any importances corrupted on purpose."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sotopia_env.episodes import Episode
from sotopia_env.rewards.attribution.attributors import Attributed, Attributor, as_attributor
from sotopia_env.rewards.credit.monte_carlo import MonteCarlo
from sotopia_env.rewards.designs import importances_of_credit
from sotopia_env.rewards.reward import from_spec
from sotopia_env.seeds import seed_of_text


@dataclass(frozen=True)
class MonteCarloAttributor(Attributor):
    """Importances from Monte-Carlo credit: a_t = round(s · clip(Â_t / max|Â|, 0, 1)), the same for all dimensions.

    Args:
        credit: the reward whose numbers are Â_t.
        levels: s.
        name: see :class:`~sotopia_env.rewards.attribution.attributors.Attributor`.
    """

    credit: Any
    levels: float = 3.0
    name: str = "monte-carlo"
    needs = ("continuations",)

    def __post_init__(self) -> None:
        """Take the credit, or the spec of one."""
        if isinstance(self.credit, Mapping):
            object.__setattr__(self, "credit", from_spec(self.credit))
        if not isinstance(self.credit, MonteCarlo):
            raise TypeError(f"credit: {self.credit!r:.80} is no MonteCarlo")

    def importances(self, episodes: Sequence[Episode], dimensions: Sequence[str]) -> list[Attributed]:
        """Plays on from every state of every episode."""
        return [
            {a: {d: importances_of_credit(credit, self.levels) for d in dimensions} for a, credit in by_agent.items()}
            for by_agent in self.credit(episodes)
        ]


@dataclass(frozen=True)
class Dial(Attributor):
    """Importances corrupted to a stated reliability: what a design is worth when its attributor errs.

    Each importance is kept with probability ``reliability`` and is else drawn from 0, 1, ..., s. The draw follows from
    the seed and the dialogue, so that play and relabelling agree. Even at 0 the direct design points along the true
    gradient, at half size: all turns of a good episode are paid.

    Args:
        truth: the attributor that is corrupted, in any form.
        reliability: 1 keeps all importances, 0 none.
        seed: of the draws.
        name: by default that of the truth with the reliability.
    """

    truth: Any
    reliability: float
    seed: int = 0
    name: str = ""

    def __post_init__(self) -> None:
        """Check the reliability and make the attributor of its name."""
        if not 0 <= self.reliability <= 1:
            raise ValueError(f"reliability: {self.reliability} is not between 0 and 1")
        truth = as_attributor(self.truth)
        object.__setattr__(self, "truth", truth)
        if not self.name:
            object.__setattr__(self, "name", f"{truth.name}-{self.reliability:g}")

    @property
    def levels(self) -> float:  # type: ignore[override]
        """Those of the truth."""
        return float(self.truth.levels)

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """What the truth needs."""
        return tuple(self.truth.needs)

    def importances(self, episodes: Sequence[Episode], dimensions: Sequence[str]) -> list[Attributed]:
        """The truth's importances, corrupted; what is unknown stays so."""
        return [
            {
                agent: {d: self._corrupted(values, episode, agent, d) for d, values in by_dimension.items()}
                for agent, by_dimension in by_agent.items()
            }
            for episode, by_agent in zip(episodes, self.truth.importances(episodes, dimensions), strict=True)
        ]

    def _corrupted(
        self, values: Sequence[float | None], episode: Episode, agent: str, dimension: str
    ) -> list[float | None]:
        said = [[turn.seat, turn.type, turn.text] for turn in episode.turns]
        state = json.dumps([self.seed, episode.task.id, agent, dimension, said])
        rng = np.random.default_rng(seed_of_text(state))
        kept = rng.random(len(values)) < self.reliability
        drawn = rng.integers(int(self.levels), size=len(values), endpoint=True)
        return [
            value if value is None or keep else float(other)
            for value, keep, other in zip(values, kept, drawn, strict=True)
        ]
