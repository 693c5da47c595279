"""Sotopia's ten deal-or-no-deal scenarios, scored by the judge of ``divide`` from the values in their goals.

## Description
Two people divide three kinds of items; each goal says what one of each kind is worth to its seat.

## Version history
* 1: initial version.
* 2: manners, secrets and facts are read clause by clause.
* 3: divisions are read as in version 3 of ``divide``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sotopia_env.episodes import Episode, Judgement
from sotopia_env.families.divide import scoring
from sotopia_env.families.divide.family import Dividing
from sotopia_env.families.divide.items import items_record, read_items, read_values
from sotopia_env.tasks import Task


class DealOrNoDeal(Dividing):
    """Watches and scores the published deal-or-no-deal scenarios; their tasks come from ``load_tasks``.

    Knowledge is unknown: the texts hold no list of facts. All other dimensions are those of ``divide``.
    """

    name = "deal-or-no-deal"
    unknowable = frozenset({"knowledge"})
    version = "3"

    def generate(self, rng: np.random.Generator, split: str = "train") -> Task:
        """The scenarios are published, not generated."""
        raise NotImplementedError("deal-or-no-deal tasks are loaded, not generated: load_tasks(DATA)")

    @classmethod
    def read_published(
        cls, source: str, codename: str, situation: str, goals: Sequence[str], notes: str
    ) -> tuple[dict[str, Any], ...] | None:
        """Items and points of the scenarios that are called deal or no deal, or only "divide"."""
        named = "deal-or-no-deal" in f"{source} {codename}".lower() or (not source and codename.startswith("divide_"))
        return read_division_task(situation, goals) if named else None

    def score(self, episode: Episode) -> Judgement:
        """The seven dimensions, each with its evidence."""
        return scoring.score(episode, self.version)


def read_division_task(situation: str, goals: Sequence[str]) -> tuple[dict[str, Any], ...]:
    """What is divided, and what it is worth to each seat.

    Args:
        situation: lists the items, such as "3 books, 2 hats and 1 ball".
        goals: one per seat, each with the points for one of each kind.

    Returns:
        ``{"items": [...], "values": [...]}`` per seat.

    Raises:
        ValueError: the list or a value is missing, or there are not two seats.
    """
    items = read_items(situation)
    if items is None:
        raise ValueError("the scenario lists no items, such as '3 books, 2 hats and 1 ball'")
    if len(goals) != 2:
        raise ValueError(f"two seats divide, not {len(goals)}")
    hidden = []
    for seat, goal in enumerate(goals):
        values = read_values(goal, items)
        if values is None:
            kinds = ", ".join(item.plural for item in items)
            raise ValueError(f"goal {seat} must say how many points one of each is worth: {kinds}")
        hidden.append({"items": items_record(items), "values": list(values)})
    return tuple(hidden)
