"""Tasks of several families in one environment: each task is watched and scored by its own family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sotopia_env.episodes import Ending, Episode, Judgement, Turn
from sotopia_env.families.base import Family
from sotopia_env.tasks import Task


class MixedFamily(Family):
    """Hands every call over to the family of the task.

    Args:
        families: by name, as it stands in ``Task.family``.
    """

    def __init__(self, families: Mapping[str, Family]) -> None:
        """Keep the families."""
        self.families = dict(families)
        self.name = "+".join(sorted(families))
        self.version = "+".join(f"{name}-{family.version}" for name, family in sorted(families.items()))

    def generate(self, rng: np.random.Generator, split: str = "train") -> Task:
        """Mixed tasks are given, not drawn."""
        raise NotImplementedError(f"tasks of {self.name} are given as a list; draw from one family instead")

    def score(self, episode: Episode) -> Judgement:
        """The judgement of the task's own family."""
        return self.families[episode.task.family].score(episode)

    def begin(self, task: Task) -> Any:
        """The task's family with its own progress."""
        family = self.families[task.family]
        return family, family.begin(task)

    def advance(self, progress: Any, turn: Turn) -> Any:
        """One more turn in the task's own family."""
        family, inner = progress
        return family, family.advance(inner, turn)

    def ending(self, progress: Any) -> Ending | None:
        """What the task's own family says."""
        family, inner = progress
        return family.ending(inner)
