"""What every family of divisions does alike: it watches the talk for an agreement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sotopia_env.division_agreement import DivisionTable, opening, update
from sotopia_env.division_items import ItemKind, Items
from sotopia_env.episodes import Ending, Turn
from sotopia_env.families.base import Family
from sotopia_env.tasks import Task


class Dividing(Family):
    """Watches for a division that one side proposed and the other accepted, which ends the episode.

    Each ``scenario.hidden`` holds ``items`` (one mapping a kind) and ``values`` (points for one of each kind).
    """

    def begin(self, task: Task) -> DivisionTable:
        """No offers yet."""
        return opening(items_of(task))

    def advance(self, progress: DivisionTable, turn: Turn) -> DivisionTable:
        """Read one turn for offers and acceptance."""
        return update(progress, turn.seat, turn.global_index, turn.type, turn.text)

    def ending(self, progress: DivisionTable) -> Ending | None:
        """An agreement ends the episode."""
        agreement = progress.agreement
        if agreement is None:
            return None
        division = [list(counts) for counts in agreement.division]
        return Ending("agreement", seat=agreement.accepter, detail={"division": division, "formal": agreement.formal})


def items_of(task: Task) -> Items:
    """What is divided in a task."""
    return tuple(
        ItemKind(kind["singular"], kind["plural"], int(kind["count"]), tuple(kind.get("aliases", ())))
        for kind in task.scenario.hidden[0]["items"]
    )


def items_record(items: Items) -> list[Mapping[str, Any]]:
    """Items as plain JSON-able data."""
    return [{**asdict(item), "aliases": list(item.aliases)} for item in items]
