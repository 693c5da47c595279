"""How well a reward model predicts the truth of an audit set, beside what the noise of that truth allows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any, Literal, Protocol

import numpy as np
from rich.console import Console
from rich.table import Table

from sotopia_env.episodes import Episode
from sotopia_env.rewards.audit.fidelity import Fidelity, Numbers, fidelity
from sotopia_env.rewards.audit.numbers import AuditTable
from sotopia_env.rewards.audit.storage import AuditedTurn
from sotopia_env.rewards.dimensions import Scale, to_unit
from sotopia_env.rewards.reward_model.reward import RewardModel
from sotopia_env.rewards.reward_model.rows import value_row
from sotopia_env.rewards.turn_rewards import TurnRewards
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


def prediction_table(report: Mapping[str, Any], width: int = 140) -> str:
    """The report as tables for the terminal: one of correlations, one of errors.

    Args:
        report: from :func:`prediction_report`.
        width: in characters.
    """
    title = f"{report['turns']} turns of {report['tasks']} tasks, {report['candidates']} candidates"
    correlations = Table(
        show_lines=True, title=f"Rank correlation with the truth, and its share of the noise ceiling: {title}"
    )
    correlations.add_column("dimension", overflow="fold")
    for heading in ("with Q", "with Q - V", "between turns", "siblings", "sibling accuracy", "of clear pairs"):
        correlations.add_column(heading, justify="right")
    errors = Table(title="Error on the unit scale")
    errors.add_column("dimension", overflow="fold")
    errors.add_column("of the")
    for heading in ("RMSE", "of the mean", "noise of the truth", "slope", "intercept", "unknown"):
        errors.add_column(heading, justify="right")
    for dimension, found in report["dimensions"].items():
        places = ("value", "advantage", "between_turns", "siblings")
        cells = [correlation_cell(found[place]["spearman"]) for place in places]
        accuracy = found["accuracy"]
        all_pairs = _bounded(accuracy["value"], accuracy["low"], accuracy["high"], "")
        clear = _bounded(accuracy["clear"], accuracy["clear_low"], accuracy["clear_high"], "")
        counted = f"{all_pairs}\n{accuracy['n']} pairs", f"{clear}\n{accuracy['clear_n']} pairs"
        correlations.add_row(dimension, *cells, *counted)
        names = ("rmse", "rmse_of_mean", "noise", "slope", "intercept")
        for predicted, error in ((report["predicted"], found["error"]), ("value", found.get("value_error"))):
            if error is not None:
                shown = (_shown(error[name], ".3f") for name in names)
                errors.add_row(dimension, predicted, *shown, str(found["missing"]))
    return _drawn(width, correlations, errors)


def correlation_cell(found: Mapping[str, Any]) -> str:
    """A correlation with its interval; below it, its share of its ceiling."""
    if found["value"] is None:
        return "-"
    shown = _bounded(found["value"], found["low"], found["high"], "+")
    return f"{shown}\n{_shown(found['disattenuated'], '.0%')} of {_shown(found['ceiling'], '.2f')}"


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


def _bounded(value: float | None, low: float | None, high: float | None, sign: str) -> str:
    if value is None or low is None or high is None:
        return _shown(value, f"{sign}.2f")
    return f"{value:{sign}.2f} \\[{low:{sign}.2f}, {high:{sign}.2f}]"


def _shown(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _drawn(width: int, *tables: Table) -> str:
    text = StringIO()
    console = Console(file=text, width=width, color_system=None)
    for table in tables:
        console.print(table)
    return text.getvalue()


def fidelity_table(rows: Sequence[Fidelity], width: int = 150) -> str:
    """Fidelities as a table for the terminal, the noise ceiling in the first row.

    Args:
        rows: what :func:`sotopia_env.rewards.audit.fidelity.fidelity` returned for each reward.
        width: in characters.
    """
    drawn = Table(title="Correlation with the true advantage, and its share of the noise ceiling")
    drawn.add_column("reward", overflow="fold")
    for heading in ("siblings", "between turns", "pooled", "sibling accuracy", "cosine", "noise"):
        drawn.add_column(heading, justify="right")
    for number, row in enumerate(rows):
        levels = [level["pearson"] for level in (row.siblings, row.between_turns, row.pooled)]
        if number == 0:
            drawn.add_row("(ceiling)", *(_shown(level.ceiling, ".2f") for level in levels))
        cells = [
            f"{_bounded(level.value, level.low, level.high, '+')} {_shown(level.disattenuated, '5.0%')}"
            for level in levels
        ]
        accuracy = _bounded(row.accuracy.value, row.accuracy.low, row.accuracy.high, "")
        gradient = (_shown(row.gradient.cosine, "+.2f"), _shown(row.gradient.noise, ".1f"))
        drawn.add_row(row.name, *cells, accuracy, *gradient)
    return _drawn(width, drawn)
