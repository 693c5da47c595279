"""The factorial of the world gates: asking x courtesy x length-matched filler, best schedule of offers against best.

A probe (:mod:`sotopia_env.training.worlds.probes`) meets the scripted policies that are cloned, on the same tasks and
seats and with the same draws in every cell. For each cell the schedule with the highest mean goal is chosen on some
tasks, one seat each, and measured on others, from both seats: a sentence has an effect only if it beats the best that
offers alone can do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from sotopia_env.families.bargain import Bargain
from sotopia_env.families.base import Family
from sotopia_env.families.divide import Divide
from sotopia_env.rollouts.executors import Workers
from sotopia_env.statistics import Estimate, interval
from sotopia_env.tasks import Task
from sotopia_env.training.evaluation import draw_tasks, evaluate, file_name
from sotopia_env.training.results import Result, mean_goal
from sotopia_env.training.worlds.probes import Additions, Probe, Schedule

FACTORS = ("ask", "courtesy", "filler")


@dataclass(frozen=True)
class World:
    """A world whose couplings can be measured.

    Args:
        family: the family at a coupling, without tasks in which no agreement is possible (there no goal is known); it
            takes ``agreement`` too.
        version: of the family.
        schedules: of offers, tried in every cell.
        couplings: measured by default.
    """

    family: Callable[..., Family]
    version: str
    schedules: tuple[Schedule, ...]
    couplings: tuple[float, ...] = (-0.5, 0.0, 0.25, 0.5, 1.0)


SCHEDULES = tuple(Schedule(rate, anchor) for rate in (0.1, 0.2, 0.4) for anchor in (1.0, 1.5, 2.0))
"""The price schedules tried in every cell: slower ones lose deals, and an opening beyond 2 is next to nothing."""

DIVISION_SCHEDULES = tuple(Schedule(rate, anchor) for rate in (0.1, 0.3) for anchor in (0.5, 1.0))
"""The schedules tried in ``divide``, where nobody can ask for more than everything."""

POSSIBLE = {"wide": 2 / 3, "narrow": 1 / 3}
"""Zones in the proportions of the family, without the empty ones: there no deal is possible and no goal known."""

PARTNER = "scripted:mixed"

WORLDS: dict[str, World] = {
    "bargain": World(partial(Bargain, zones=POSSIBLE), Bargain.version, SCHEDULES),
    "divide": World(Divide, Divide.version, DIVISION_SCHEDULES, (-0.5, 0.0, 0.5, 1.0)),
}
"""The worlds with gates, by the name of their family."""


def checked_world(name: str) -> World:
    """The world of that name.

    Raises:
        ValueError: it has no gates.
    """
    if name not in WORLDS:
        raise ValueError(f"{name!r}: only {' and '.join(WORLDS)} have gates and a table")
    return WORLDS[name]


Cell = tuple[bool, ...]
"""Whether each of :data:`FACTORS` is present."""

CELLS: tuple[Cell, ...] = tuple(product((False, True), repeat=len(FACTORS)))


@dataclass(frozen=True)
class Effect:
    """What one factor does to the probe's goal.

    Args:
        wide: the mean difference with its 95 % interval, over all settings of the other factors.
        narrow: the same with its 90 % interval, which tests equivalence at the level of 5 %.
        alone: the 95 % interval where the other factors are absent.
    """

    wide: Estimate
    narrow: Estimate
    alone: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able data."""
        return {"interval_95": self.wide.to_dict(), "interval_90": self.narrow.to_dict(), "alone": self.alone.to_dict()}


def factorial(
    coupling: float,
    tasks: int = 500,
    *,
    seed: int = 0,
    world: str = "bargain",
    schedules: Sequence[Schedule] | None = None,
    agreement: str = "plain",
    out: str | Path | None = None,
    processes: Workers = 1,
    progress: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Play all cells at one coupling.

    Args:
        coupling: of all channels of the world.
        tasks: measured on; half as many others serve to choose the schedules.
        seed: of the tasks and of every draw. The tasks are the same at every coupling.
        world: one of :data:`WORLDS`.
        schedules: to choose from; the world's own by default.
        agreement: how agreements are made, ``"plain"`` or ``"formal"``.
        out: folder for what is played, a file for each cell and schedule; what stands there is not played again.
        processes: who shares the work, as in :func:`~sotopia_env.rollout`.
        progress: called after every cell.

    Returns:
        ``cells`` (label, schedule, goal, deal rate and words a turn of each), ``effects`` by factor, and how many
        ``tasks``, ``episodes`` and ``choosing_episodes`` they rest on.
    """
    family = checked_world(world).family(coupling, agreement=agreement)
    schedules = schedules or checked_world(world).schedules
    drawn = draw_tasks(family, tasks + max(1, tasks // 2), seed)
    measuring = drawn[:tasks]
    choosing = [replace(task, evaluated_seat=i % task.num_seats) for i, task in enumerate(drawn[tasks:])]
    found: dict[Cell, tuple[Result, ...]] = {}
    cells = []
    for cell in CELLS:
        additions = Additions(**dict(zip(FACTORS, cell, strict=True)))
        best = best_schedule(additions, choosing, family, schedules, seed, out=out, processes=processes)
        row = evaluate(
            Probe(best, additions),
            PARTNER,
            measuring,
            family=family,
            seed=seed,
            out=_file(out, additions.label),
            processes=processes,
        )
        found[cell] = row.results
        cells.append(
            {"label": additions.label, "schedule": best.label}
            | {key: row.summary[key] for key in ("goal", "deal_rate", "words_per_turn")}
        )
        progress()
    return {
        "coupling": coupling,
        "tasks": tasks,
        "episodes": len(found[CELLS[0]]),
        "choosing_episodes": len(choosing),
        "cells": cells,
        "effects": {factor: _effect(found, i).to_dict() for i, factor in enumerate(FACTORS)},
    }


def best_schedule(
    additions: Additions,
    tasks: Sequence[Task],
    family: Family,
    schedules: Sequence[Schedule],
    seed: int,
    *,
    out: str | Path | None = None,
    processes: Workers = 1,
) -> Schedule:
    """The schedule with the highest mean goal; the first of equals."""

    def goal(schedule: Schedule) -> float:
        path = _file(out, f"{additions.label}; {schedule.label}")
        options: dict[str, Any] = {"family": family, "seed": seed, "out": path, "processes": processes}
        row = evaluate(Probe(schedule, additions), PARTNER, tasks, seats="evaluated", **options)
        found = mean_goal(row.results).mean
        return -math.inf if found is None else found

    return max(schedules, key=goal)


def _file(out: str | Path | None, name: str) -> Path | None:
    return None if out is None else Path(out) / f"{file_name(name)}.jsonl"


def _effect(found: Mapping[Cell, Sequence[Result]], factor: int) -> Effect:
    """With minus without a factor, paired over the same task and seat."""
    goals = {
        cell: np.array([result.score("goal") for result in results], dtype=np.float64)
        for cell, results in found.items()
    }
    pairs = [(cell, (*cell[:factor], False, *cell[factor + 1 :])) for cell in CELLS if cell[factor]]
    differences = np.mean([goals[on] - goals[off] for on, off in pairs], axis=0)
    only = tuple(i == factor for i in range(len(FACTORS)))
    scenarios = [result.scenario for result in found[only]]
    return Effect(
        wide=interval(list(differences), scenarios),
        narrow=interval(list(differences), scenarios, level=0.90),
        alone=interval(list(goals[only] - goals[CELLS[0]]), scenarios),
    )
