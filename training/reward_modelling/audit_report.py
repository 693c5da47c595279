"""How well a reward model predicts the truth of an audit set, beside what the noise of that truth allows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from sotopia_env.episodes import Episode
from sotopia_env.rewards.audit.fidelity import Numbers, fidelity
from sotopia_env.rewards.audit.numbers import AuditTable
from sotopia_env.rewards.audit.storage import AuditedTurn
from sotopia_env.rewards.dimensions import Scale, to_unit
from sotopia_env.rewards.reward_model.reward import RewardModel
from sotopia_env.rewards.reward_model.rows import value_row
from sotopia_env.rewards.turn_rewards import TurnRewards
from sotopia_env.tables import Cell, Table, estimate
from sotopia_env.training.reward_modelling.report import figures

Predicted = Literal["value", "advantage"]


class PredictsByDimension(Protocol):
    """A model with one head for each dimension, such as a ``RewardModel``."""

    def by_dimension(self, episodes: Sequence[Episode]) -> Mapping[str, Sequence[TurnRewards]]:
        """For each dimension and episode one number per own turn of each agent."""
        ...


@dataclass(frozen=True)
class ExpectedOutcomes:
    """The scores that a reward model of outcomes expects after each turn, where it pays their change by the turn.

    Args:
        model: one that was trained on outcomes.
    """

    model: RewardModel

    def by_dimension(self, episodes: Sequence[Episode]) -> dict[str, list[TurnRewards]]:
        """For each dimension and episode one expected score per own turn of each agent, in the units of its labels."""
        saved = self.model.saved
        views = [(episode, agent) for episode in episodes for agent in episode.agents if episode.own_turns(agent)]
        rows = [value_row(episode, agent, saved.encoder, saved.heads.context_length) for episode, agent in views]
        read = saved.heads.read([row.ids for row in rows], [row.after for row in rows], self.model.batch_size)
        told: dict[str, list[TurnRewards]] = {}
        for head, dimension in enumerate(saved.description.dimensions):
            remaining = iter(read)
            told[dimension] = [
                {a: _filled(next(remaining)[:, head], len(e.own_turns(a))) if e.own_turns(a) else [] for a in e.agents}
                for e in episodes
            ]
        return told


def prediction_report(
    model: PredictsByDimension,
    audit: Sequence[AuditedTurn],
    *,
    predicted: Predicted = "value",
    scale: Scale = "unit",
    seed: int = 0,
) -> dict[str, Any]:
    """Error, calibration, rank correlations and sibling accuracy of every head that the audit set can judge.

    Args:
        model: see :class:`PredictsByDimension`. It is asked about every candidate before anybody replied.
        audit: of tasks that the model was not trained on.
        predicted: what the heads are to predict: ``"value"`` (Q, the expected score after the turn) or
            ``"advantage"`` (Q - V, by how much the turn changes it). Error and calibration are taken to that. A
            :class:`RewardModel` of outcomes predicts both: the change by a turn, and the score expected after it.
        scale: in which the heads speak: ``"unit"``, or the dimension's ``"native"`` range.
        seed: of bootstrap and halvings.

    Returns:
        ``{"predicted", "turns", "candidates", "tasks", "dimensions": {dimension: report}}``. A report holds ``error``
        (:func:`~sotopia_env.training.reward_modelling.report.figures`, on the unit scale, and ``noise``: the error that
        an exact model would show), ``value`` and ``advantage`` (correlations with Q and Q - V over all candidates),
        ``siblings``, ``between_turns``, ``accuracy`` of pairs of siblings, ``gradient`` and ``missing``. Of a model of
        outcomes ``value`` is about the scores it expects, and ``value_error`` is theirs.

    Raises:
        ValueError: no head predicts a dimension that the audit set knows, or the model reads finished episodes alone.
    """
    if isinstance(model, RewardModel) and model.saved.description.target == "episode":
        raise ValueError(
            f"{model.path} predicts scores of finished episodes alone, and an audit set is about turns: measure it by "
            "the report that training wrote, or train it with --target outcome"
        )
    states = [candidate.after for turn in audit for candidate in turn.candidates]
    told = model.by_dimension(states)
    shared = [dimension for dimension in told if audit and dimension in audit[0].scores]
    if not shared:
        raise ValueError(f"the heads ({', '.join(told)}) and the audit set have no dimension in common")
    expected = _expected(model, states) if predicted == "advantage" else None
    dimensions: dict[str, Any] = {}
    for dimension in shared:
        numbers = _numbers(told[dimension], audit, dimension, predicted, scale)
        found = fidelity(audit, numbers, dimension, seed=seed).to_dict()
        dimensions[dimension] = {
            "error": _error(AuditTable.of(audit, numbers, dimension, seed), predicted),
            "value": found["pooled_value"],
            "advantage": found["pooled"],
            **{name: found[name] for name in ("siblings", "between_turns", "accuracy", "gradient", "missing")},
        }
        if expected is not None:
            numbers = _numbers(expected[dimension], audit, dimension, "value", scale)
            dimensions[dimension] |= {
                "value": fidelity(audit, numbers, dimension, seed=seed).to_dict()["pooled_value"],
                "value_error": _error(AuditTable.of(audit, numbers, dimension, seed), "value"),
            }
    tasks = {turn.before.task.id for turn in audit}
    counts = {"turns": len(audit), "candidates": len(states), "tasks": len(tasks)}
    return {"predicted": predicted, **counts, "dimensions": dimensions}


def prediction_tables(report: Mapping[str, Any]) -> list[Table]:
    """The report as tables: one of correlations, one of sibling accuracy, one of errors.

    Args:
        report: from :func:`prediction_report`.
    """
    levels = {"value": "with Q", "advantage": "with Q - V", "between_turns": "between turns", "siblings": "siblings"}
    correlations, pairs, errors = [], [], []
    for name, found in report["dimensions"].items():
        dimension = Cell(name, known=report["candidates"] - found["missing"], of=report["candidates"])
        correlations.append([dimension, *(cell for level in levels for cell in _correlation(found[level]["spearman"]))])
        accuracy = found["accuracy"]
        clear = {end: accuracy[f"clear_{end}"] for end in ("low", "high")} | {"value": accuracy["clear"]}
        pairs.append(
            [
                dimension,
                estimate(accuracy, ".2f", "value"),
                accuracy["n"],
                estimate(clear, ".2f", "value"),
                accuracy["clear_n"],
            ]
        )
        for predicted, error in ((report["predicted"], found["error"]), ("value", found.get("value_error"))):
            if error is not None:
                columns = ("rmse", "rmse_of_mean", "noise", "slope", "intercept")
                errors.append([name, predicted, *(Cell(error[key], ".3f") for key in columns), found["missing"]])
    title = f"{report['turns']} turns of {report['tasks']} tasks, {report['candidates']} candidates"
    shares = [heading for level in levels.values() for heading in (level, f"{level}, of ceiling")]
    return [
        Table(
            ["dimension", *shares],
            correlations,
            f"Rank correlation with the truth, and its share of the noise ceiling: {title}",
        ),
        Table(["dimension", "all pairs", "how many", "clear pairs", "how many"], pairs, "Sibling accuracy"),
        Table(
            ["dimension", "of the", "RMSE", "of the mean", "noise of the truth", "slope", "intercept", "unknown"],
            errors,
            "Error on the unit scale",
        ),
    ]


def _correlation(found: Mapping[str, Any]) -> tuple[Cell, Cell]:
    """A correlation with its interval, and its share of its ceiling."""
    ceiling = "" if found["ceiling"] is None else f"of {found['ceiling']:.2f}"
    return estimate(found, "+.2f", "value"), Cell(found["disattenuated"], ".0%", note=ceiling)


def _expected(model: PredictsByDimension, states: Sequence[Episode]) -> Mapping[str, Sequence[TurnRewards]] | None:
    """What a reward model of outcomes expects after the turns; ``None`` for any other model."""
    if isinstance(model, RewardModel) and model.saved.description.target == "outcome":
        return ExpectedOutcomes(model).by_dimension(states)
    return None


def _filled(values: Iterable[float], length: int) -> list[float | None]:
    """Numbers, and ``None`` for turns that the model did not read."""
    known = [float(value) for value in values]
    return [*known, *[None] * (length - len(known))]


def _numbers(
    told: Sequence[TurnRewards], audit: Sequence[AuditedTurn], dimension: str, predicted: Predicted, scale: Scale
) -> Numbers:
    places = [turn for turn in audit for _ in turn.candidates]
    values = [said[turn.agent][turn.own_index] for said, turn in zip(told, places, strict=True)]
    if scale == "native":
        # A difference of two scores is stretched, but not shifted.
        origin = to_unit(dimension, 0.0) if predicted == "advantage" else 0.0
        values = [None if value is None else to_unit(dimension, value) - origin for value in values]
    remaining = iter(values)
    return Numbers([[[next(remaining)] for _ in turn.candidates] for turn in audit], name=dimension)


def _error(table: AuditTable, predicted: Predicted) -> dict[str, Any]:
    draws_NK = table.value_NK if predicted == "value" else table.advantage_NK
    truth, numbers = draws_NK.mean(axis=1), table.labels_NR[:, 0]
    known = ~(np.isnan(truth) | np.isnan(numbers))
    mean = float(truth[known].mean()) if known.any() else 0.0
    variance = float((draws_NK[known].var(axis=1, ddof=1) / draws_NK.shape[1]).mean()) if known.any() else 0.0
    return {**figures(numbers[known], truth[known], mean), "noise": variance**0.5}
