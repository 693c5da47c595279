"""What a family of tasks is, and what any object with ``generate`` and ``score`` becomes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sotopia_env.describe import Description, arguments, describe, typed
from sotopia_env.episodes import Ending, Episode, Judgement, Turn
from sotopia_env.tasks import Task

SPLITS = ("train", "validation", "test")


class Family:
    """Generates tasks and scores their episodes.

    A subclass defines :meth:`generate` and :meth:`score`. One whose tasks can end by themselves (a deal) also folds
    the turns of an episode: :meth:`begin`, :meth:`advance` and :meth:`ending` must be pure, so that forks and replays
    agree, and cheap, since every step calls them. ``num_seats`` agents play the tasks it draws.
    """

    name: str = "family"
    version: str = "1"
    num_seats: int = 2

    def generate(self, rng: np.random.Generator, split: str = "train") -> Task:
        """Draw a task of one split. Splits never share a scenario."""
        raise NotImplementedError

    def score(self, episode: Episode) -> Judgement:
        """Score an episode, running or finished, from its text and the task's hidden values."""
        raise NotImplementedError

    def begin(self, task: Task) -> Any:
        """The progress of an episode before its first turn."""
        return None

    def advance(self, progress: Any, turn: Turn) -> Any:
        """The progress after one more turn."""
        return progress

    def ending(self, progress: Any) -> Ending | None:
        """Why the episode is over, or ``None`` while it is not."""
        return None

    def describe(self) -> Description:
        """What the family is, with all its configuration: by default its version and the arguments it was made with."""
        return typed(self, **{"version": self.version, **arguments(self)})


class UserFamily(Family):
    """Any object with ``generate(rng) -> Task`` and ``score(episode) -> {dimension: [per seat]}`` as a family."""

    def __init__(self, source: Any) -> None:
        """Wrap ``source``; its ``generate`` may also take a split."""
        self.source = source
        self.name = str(getattr(source, "name", type(source).__name__))
        self.version = str(getattr(source, "version", "1"))
        self.num_seats = int(getattr(source, "num_seats", 2))
        self._takes_split = "split" in inspect.signature(source.generate).parameters

    def generate(self, rng: np.random.Generator, split: str = "train") -> Task:
        """The object's own task."""
        task = self.source.generate(rng, split=split) if self._takes_split else self.source.generate(rng)
        if not isinstance(task, Task):
            raise TypeError(f"family {self.name!r}: generate returned a {type(task).__name__}, not a Task")
        return task

    def score(self, episode: Episode) -> Judgement:
        """The object's own scores as a judgement."""
        scores = self.source.score(episode)
        if isinstance(scores, Judgement):
            return scores
        if not isinstance(scores, Mapping):
            raise TypeError(f"family {self.name!r}: score returned a {type(scores).__name__}, not a mapping")
        seats = episode.task.num_seats
        for dimension, values in scores.items():
            if not isinstance(values, Sequence) or len(values) != seats:
                raise ValueError(f"family {self.name!r}: score[{dimension!r}] must hold one value per seat ({seats})")
        return Judgement("rule", self.version, {dimension: list(values) for dimension, values in scores.items()})

    def ending(self, progress: Any) -> Ending | None:
        """The object's own ending, where it has one."""
        source_ending = getattr(self.source, "ending", None)
        return source_ending(progress) if source_ending else None

    def begin(self, task: Task) -> Any:
        """The object's own fold, where it has one."""
        source_begin = getattr(self.source, "begin", None)
        return source_begin(task) if source_begin else None

    def advance(self, progress: Any, turn: Turn) -> Any:
        """The object's own fold, where it has one."""
        source_advance = getattr(self.source, "advance", None)
        return source_advance(progress, turn) if source_advance else progress

    def describe(self) -> Description:
        """What the object says of itself, or the arguments it was made with."""
        return {"name": self.name, "version": self.version, **describe(self.source)}


class OpenEnded(Family):
    """Tasks whose outcome does not follow from their text: they end by leaving, silence or the turn limit alone."""

    name = "sotopia"

    def generate(self, rng: np.random.Generator, split: str = "train") -> Task:
        """Open-ended tasks are not generated."""
        raise NotImplementedError("open-ended tasks are loaded from a file (load_tasks), not generated")

    def score(self, episode: Episode) -> Judgement:
        """Nothing is known without a judge."""
        unknown: list[float | None] = [None] * episode.task.num_seats
        return Judgement("rule", self.version, {"goal": unknown})


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
