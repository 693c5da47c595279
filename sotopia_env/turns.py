"""Who acts when, and when an episode is over: pure functions of plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sotopia_env.actions import ACTION_TYPES
from sotopia_env.episodes import Ending, Episode, Turn
from sotopia_env.tasks import Task

ACTION_ORDERS = ("round-robin", "simultaneous", "random")

MIN_SEATS, MAX_SEATS = 2, 5

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
        private_messages: whether an action may be addressed to some seats alone.
    """

    max_cycles: int | None = None
    action_order: str = "round-robin"
    max_stale: int = 2
    action_types: tuple[str, ...] = ACTION_TYPES
    private_messages: bool = False

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

    @cached_property
    def legal_types(self) -> NDArray[np.int8]:
        """Which of the five types one may use in turn, as 0 and 1."""
        return np.array([kind in self.action_types for kind in ACTION_TYPES], dtype=np.int8)

    def limit(self, task: Task) -> int:
        """After how many cycles an episode of this task is cut short."""
        if self.max_cycles is not None:
            return self.max_cycles
        return DEFAULT_MAX_CYCLES if task.max_cycles is None else task.max_cycles

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able data; private messages are told of only where they are on."""
        return {
            "max_cycles": self.max_cycles,
            "action_order": self.action_order,
            "max_stale": self.max_stale,
            "action_types": list(self.action_types),
            **({"private_messages": True} if self.private_messages else {}),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Rules:
        """The rules of a record that :meth:`to_dict` made."""
        return cls(**{**record, "action_types": tuple(record["action_types"])})


def number_of_seats(drawn: int, tasks: Sequence[Task] | None) -> int:
    """How many agents play.

    Args:
        drawn: in the tasks that a family draws.
        tasks: fixed tasks, instead of those it draws.

    Raises:
        ValueError: there are no tasks, they differ in their seats, or there are too few or too many.
    """
    if tasks is not None and not tasks:
        raise ValueError("tasks: the list is empty; give at least one task")
    if tasks is not None and len({task.num_seats for task in tasks}) > 1:
        raise ValueError("tasks: all tasks of one environment need the same number of seats")
    num_seats = drawn if tasks is None else tasks[0].num_seats
    if not MIN_SEATS <= num_seats <= MAX_SEATS:
        raise ValueError(f"{num_seats} seats: from {MIN_SEATS} to {MAX_SEATS} agents play")
    return num_seats


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
        return (present[int(rng.integers(len(present)))],)
    if last is not None:
        for seat in present:
            if seat > last:
                return (seat,)
    return (present[0],)


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


def as_heard(turn: Turn) -> Turn:
    """Returns a turn as others heard it: silence where it was addressed to its speaker alone."""
    return replace(turn, type="none", text="") if turn.recipients == () else turn


def heard_turns(episode: Episode, agent: str) -> list[Turn]:
    """Returns the turns of one agent as others heard them: what its conduct is judged by."""
    return [as_heard(turn) for turn in episode.own_turns(agent)]


def cycles_of(turns: Sequence[Turn], order: str) -> list[list[Turn]]:
    """The turns of an episode, cycle by cycle: in simultaneous order a cycle begins where the seats start over."""
    cycles: list[list[Turn]] = []
    for turn in turns:
        if order == "simultaneous" and cycles and turn.seat > cycles[-1][-1].seat:
            cycles[-1].append(turn)
        else:
            cycles.append([turn])
    return cycles
