"""An audit set and the numbers of one reward as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sotopia_env.rewards.audit_numbers import Numbers
from sotopia_env.rewards.audit_storage import AuditedTurn
from sotopia_env.rewards.bootstrap import FloatArray, IntArray, cluster_weights
from sotopia_env.rewards.dimensions import DIMENSIONS, to_unit


@dataclass(frozen=True)
class AuditTable:
    """An audit set as arrays: a row for each candidate (N), in the order of turns (T) and candidates."""

    labels_NR: FloatArray
    played_TR: FloatArray
    value_NK: FloatArray  # the scores behind Q, nan where unknown, on the unit scale where the range is known
    advantage_NK: FloatArray  # with those behind V taken off
    state_N: IntArray
    episode_N: IntArray
    cluster_N: IntArray
    first_N: IntArray  # the rows of the turns that were played
    weights_BC: FloatArray
    seed: int

    @classmethod
    def of(cls, audit: Sequence[AuditedTurn], numbers: Numbers, dimension: str, seed: int) -> AuditTable:
        """The arrays behind an audit set and the numbers of one reward."""
        if not audit:
            raise ValueError("the audit set is empty")
        counts = [len(turn.candidates) for turn in audit]
        given = [len(labels) for labels in numbers.candidates]
        if given != counts:
            raise ValueError(f"{numbers.name}: numbers for {given} candidates, but the audit set has {counts}"[:400])
        tasks = {task: place for place, task in enumerate(dict.fromkeys(turn.before.task.id for turn in audit))}
        played = {key: place for place, key in enumerate(dict.fromkeys((t.before.key, t.agent) for t in audit))}
        labels = _array([row for by_candidate in numbers.candidates for row in by_candidate])
        first = np.cumsum([0, *counts[:-1]])
        after = [_truth(c.scores, dimension, turn) for turn in audit for c in turn.candidates]
        before = np.repeat([_truth(turn.scores, dimension, turn) for turn in audit], counts, axis=0)
        value = np.array(after)
        return cls(
            labels,
            labels[first] if numbers.played is None else _array(numbers.played),
            value,
            value - before,
            np.repeat(np.arange(len(audit)), counts),
            np.repeat([played[turn.before.key, turn.agent] for turn in audit], counts),
            np.repeat([tasks[turn.before.task.id] for turn in audit], counts),
            first,
            cluster_weights(len(tasks), seed),
            seed,
        )


def _array(rows: Sequence[Sequence[float | None]]) -> FloatArray:
    longest = max((len(row) for row in rows), default=0)
    return np.array([[*row, *[None] * (longest - len(row))] for row in rows], dtype=np.float64).reshape(len(rows), -1)


def _truth(scores: Mapping[str, Sequence[float | None]], dimension: str, turn: AuditedTurn) -> list[float]:
    if dimension not in scores:
        raise ValueError(f"audited turn {turn.key!r}: no scores of {dimension!r}; it knows {', '.join(scores)}")
    unit = dimension in DIMENSIONS
    return [np.nan if s is None else to_unit(dimension, s) if unit else s for s in scores[dimension]]
