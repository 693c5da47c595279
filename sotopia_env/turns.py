"""Who acts when, and when an episode is over: pure functions of plain data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sotopia_env.episodes import Ending, Turn

ACTION_ORDERS = ("round-robin", "simultaneous", "random")


def acting_seats(order: str, cycle: int, present: Sequence[int], rng: np.random.Generator) -> tuple[int, ...]:
    """The seats asked to act in a cycle.

    Args:
        order: one of :data:`ACTION_ORDERS`.
        cycle: 0, 1, ... since the episode began.
        present: seats that have not left, ascending.
        rng: the environment's own generator; drawn from for ``"random"`` alone.
    """
    if order == "simultaneous":
        return tuple(present)
    if order == "random":
        return (int(rng.choice(np.asarray(present))),)
    return (present[cycle % len(present)],)


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
