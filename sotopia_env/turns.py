"""Who acts when, and when an episode is over: pure functions of plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sotopia_env.actions import ACTION_TYPES
from sotopia_env.episodes import Ending, Turn
from sotopia_env.tasks import Task

ACTION_ORDERS = ("round-robin", "simultaneous", "random")

DEFAULT_MAX_CYCLES = 20
"""Sotopia's turn limit, where neither the environment nor the task gives one."""


@dataclass(frozen=True)
class Rules:
    """What decides how an episode goes on, besides its task.

    Args:
        max_cycles: turn limit in cycles (turns of the table); ``None`` takes the task's own, or 20.
        action_order: one of :data:`ACTION_ORDERS`.
        max_stale: more silent own turns in a row than this end the episode, for every agent alike.
        action_types: the types of action that may be used; ``"none"`` is always among them.
    """

    max_cycles: int | None = None
    action_order: str = "round-robin"
    max_stale: int = 2
    action_types: tuple[str, ...] = ACTION_TYPES

    def __post_init__(self) -> None:
        """Check the values, and put the types into their one order."""
        if self.max_cycles is not None and self.max_cycles < 1:
            raise ValueError(f"max_cycles: {self.max_cycles} is not a positive number")
        if self.action_order not in ACTION_ORDERS:
            raise ValueError(f"action_order: {self.action_order!r} is none of {', '.join(ACTION_ORDERS)}")
        if self.max_stale < 0:
            raise ValueError(f"max_stale: {self.max_stale} is negative")
        given = (self.action_types,) if isinstance(self.action_types, str) else tuple(self.action_types)
        if set(given) - set(ACTION_TYPES) or "none" not in given:
            raise ValueError(f"action_types: a selection of {', '.join(ACTION_TYPES)} that holds none; got {given}")
        object.__setattr__(self, "action_types", tuple(kind for kind in ACTION_TYPES if kind in given))

    def limit(self, task: Task) -> int:
        """After how many cycles an episode of this task is cut short."""
        if self.max_cycles is not None:
            return self.max_cycles
        return DEFAULT_MAX_CYCLES if task.max_cycles is None else task.max_cycles

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able data."""
        return {
            "max_cycles": self.max_cycles,
            "action_order": self.action_order,
            "max_stale": self.max_stale,
            "action_types": list(self.action_types),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Rules:
        """The rules of a record that :meth:`to_dict` made."""
        return cls(**{**record, "action_types": tuple(record["action_types"])})


def acting_seats(order: str, last: int | None, present: Sequence[int], rng: np.random.Generator) -> tuple[int, ...]:
    """The seats asked to act in the next cycle.

    Args:
        order: one of :data:`ACTION_ORDERS`.
        last: the seat that acted last, or ``None`` at the beginning.
        present: seats that have not left, ascending.
        rng: the environment's own generator; drawn from for ``"random"`` alone.
    """
    if order == "simultaneous":
        return tuple(present)
    if order == "random":
        return (int(rng.choice(np.asarray(present))),)
    if last is None or last >= present[-1]:
        return (present[0],)
    return (next(seat for seat in present if seat > last),)


def talk_ending(last: Turn, idle: Sequence[int], present: Sequence[int], max_stale: int) -> Ending | None:
    """Whether the last turn ended the talk: someone left too few behind, or an agent has been silent for too long.

    Args:
        last: the turn just played.
        idle: for each seat, how many of its own last turns in a row were ``none``.
        present: seats that have not left.
        max_stale: more silent own turns in a row than this end the episode, for every agent alike.
    """
    if len(present) < 2:
        return Ending("left", seat=last.seat)
    if idle[last.seat] > max_stale:
        return Ending("stale", seat=last.seat)
    return None


def cycles_of(turns: Sequence[Turn], order: str) -> list[list[Turn]]:
    """The turns of an episode, cycle by cycle: in simultaneous order a cycle begins where the seats start over."""
    cycles: list[list[Turn]] = []
    for turn in turns:
        if order == "simultaneous" and cycles and turn.seat > cycles[-1][-1].seat:
            cycles[-1].append(turn)
        else:
            cycles.append([turn])
    return cycles
