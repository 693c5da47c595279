"""Rows of an evaluation: one policy, or several training runs of one method, over one seed or several.

Seeds of the evaluation draw tasks and dialogues; they are pooled, with intervals over scenarios. Training runs are
another matter: what a method does is told by the spread of its runs, so a row of several has Student's t-interval over
them (:func:`~sotopia_env.statistics.interval_over_runs`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

from sotopia_env.rewards.dimensions import DIMENSIONS
from sotopia_env.statistics import interval_over_runs
from sotopia_env.tables import Table, estimate, mean
from sotopia_env.training.comparison import BEHAVIOUR, difference
from sotopia_env.training.results import Evaluation, summarise

_NAMED = re.compile(r"([\w .+-]+)=(.+)")

_ORDER = ("goal", *(dimension for dimension in DIMENSIONS if dimension != "goal"))

RUNS_TOLD = "Intervals of rows of several training runs are over the runs (Student's t; none below three)."


@dataclass(frozen=True)
class Row:
    """What a row of the table is over.

    Args:
        name: of the row.
        runs: one for each training run: its evaluations, one for each seed.
    """

    name: str
    runs: Sequence[Sequence[Evaluation]]

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The figures of the row, as :attr:`Evaluation.summary` has them, with ``seeds`` and the number of ``runs``."""
        by_run = [summarise([result for evaluation in run for result in evaluation.results]) for run in self.runs]
        first = self.runs[0][0]
        return {
            "name": self.name,
            "policy": first.policy if len(self.runs) == 1 else [run[0].policy for run in self.runs],
            "partner": first.partner,
            "judge": first.judge,
            "seed": first.seed,
            "seeds": [evaluation.seed for evaluation in self.runs[0]],
            "runs": len(self.runs),
            "training_episodes": sum(evaluation.training_episodes for run in self.runs for evaluation in run),
            **_over_runs(by_run),
        }

    @cached_property
    def scored(self) -> list[str]:
        """The dimensions that the judge was asked about, whether it knew them or not."""
        asked = {name for run in self.runs for one in run for result in one.results for name in result.scores}
        return [dimension for dimension in _ORDER if dimension in asked]


def grouped(policies: Sequence[str]) -> dict[str, list[str]]:
    """The policies of each row: those with one name in front, ``NAME=POLICY``, are training runs of one row.

    Args:
        policies: as they are given.

    Raises:
        ValueError: one stands there twice, or rows have unlike numbers of training runs, which no pairs are made of.
    """
    rows: dict[str, list[str]] = {}
    for given in policies:
        named = _NAMED.fullmatch(given)
        name, policy = named.groups() if named else (given, given)
        if policy in rows.get(name, ()):
            raise ValueError(f"the policy {given!r} is given twice; once is enough")
        rows.setdefault(name, []).append(policy)
    several = {name: len(runs) for name, runs in rows.items() if len(runs) > 1}
    if len(set(several.values())) > 1:
        told = ", ".join(f"{name} {number}" for name, number in several.items())
        raise ValueError(f"training runs of rows are compared pair by pair, by seed; give as many of each, not {told}")
    return rows


def row_difference(a: Row, b: Row) -> dict[str, Any]:
    """``a - b`` as :func:`~sotopia_env.training.comparison.difference`, seeds pooled, or over pairs of training runs.

    Args:
        a: a row.
        b: another with as many runs, each compared with the one in its place; or of one run, compared with each.
    """
    number = max(len(a.runs), len(b.runs))
    first, second = (list(row.runs) * (number if len(row.runs) == 1 else 1) for row in (a, b))
    return _over_runs([difference(x, y) for x, y in zip(first, second, strict=True)])


def pairwise(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The differences of any two rows, the later minus the earlier: ``{"row", "against", **difference}``."""
    return [{"row": b.name, "against": a.name, **row_difference(b, a)} for a, b in combinations(rows, 2)]


def score_table(rows: Sequence[Row], title: str = "") -> Table:
    """Every dimension that the judge was asked about, with intervals."""
    asked = {dimension for row in rows for dimension in row.scored}
    scored = [dimension for dimension in _ORDER if dimension in asked]
    several = any(len(row.runs) > 1 for row in rows)
    body = [
        [
            row.name,
            row.summary["partner"],
            *([len(row.runs)] if several else []),
            row.summary["episodes"],
            *(estimate(row.summary[dimension], ".2f") for dimension in scored),
        ]
        for row in rows
    ]
    columns = ["policy", "partner", *(["runs"] if several else []), "episodes", *map(_heading, scored)]
    return Table(columns, body, title, RUNS_TOLD if several else "")


def behaviour_table(rows: Sequence[Row]) -> Table:
    """What the policies did, beside their scores; what no row knows has no column."""
    summaries = [row.summary for row in rows]

    def known(key: str) -> bool:
        return any(summary[key]["mean"] is not None for summary in summaries)

    # Where nobody knows of deals, no deal can lie outside a limit: the strict goal is the goal.
    told = [one for one in BEHAVIOUR if known(one[0]) and (one[0] != "goal_strict" or known("deal_rate"))]
    body = [[summary["name"], *(mean(summary[key], form) for key, _, form in told)] for summary in summaries]
    return Table(["policy", *(heading for _, heading, _ in told)], body, "What they did")


def difference_table(found: Sequence[Mapping[str, Any]], rows: Sequence[Row]) -> Table:
    """Differences in every dimension that the judge was asked about.

    Args:
        found: as :func:`pairwise` gives them.
        rows: of which these are.
    """
    asked = {dimension for row in rows for dimension in row.scored}
    scored = [dimension for dimension in _ORDER if dimension in asked]
    body = [
        [f"{one['row']} - {one['against']}", *(estimate(one[dimension], "+.2f") for dimension in scored)]
        for one in found
    ]
    return Table(["difference", *map(_heading, scored)], body, "Differences, paired by task and seat")


def _heading(dimension: str) -> str:
    return dimension.replace("_", " ")


def _over_runs(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One run as it is; of several the mean of each figure, its interval over runs, and the sum of each count."""
    if len(found) == 1:
        return found[0]
    taken: dict[str, Any] = {"by_run": list(found)}
    for key, first in found[0].items():
        values = [one[key] for one in found]
        if isinstance(first, int):
            taken[key] = sum(values)
        elif key != "decomposition" and isinstance(first, dict) and "known" in first:
            over = interval_over_runs([value["mean"] for value in values]).to_dict()
            counts = {count: sum(value[count] for value in values) for count in ("known", "of")}
            taken[key] = over | counts
    return taken
