"""How well a reward model predicts, on scenarios it was not trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sotopia_env.statistics import correlation, finite_or_none, pair_sums, ranks
from sotopia_env.tables import Cell, Table

if TYPE_CHECKING:
    from sotopia_env.rewards.reward_model.heads import ValueHeads
    from sotopia_env.rewards.reward_model.saved import Target
    from sotopia_env.training.reward_modelling.labels import LabelledRow

FloatArray = NDArray[np.float64]

_SMALLEST = 1e-18

BINS = 5
"""Rows of the calibration table; each holds about as many predictions."""


def report_on(
    heads: ValueHeads,
    held_out: Sequence[LabelledRow],
    trained: Sequence[LabelledRow],
    target: Target,
    batch_size: int = 16,
) -> dict[str, Any]:
    """Error, calibration and rank correlation of each dimension.

    Args:
        heads: the model.
        held_out: rows of scenarios it was not trained on.
        trained: rows it was trained on, whose mean is what it is compared with.
        target: of the model; of an ``"outcome"`` the predictions after turns count, as they do for labels.
        batch_size: so many rows go through the model at a time.

    Returns:
        ``{"target", "held_out": {"scenarios", "rows", "turns"}, "dimensions": {dimension: figures}}``. Figures are in
        units of the labels, ``None`` where nothing is held out; ``"among_siblings"`` is the correlation of predictions
        and labels, each minus its mean over the dialogues of the same task and seat (``None`` where there is one of
        each).
    """
    read = heads.read([row.ids for row in held_out], [row.places for row in held_out], batch_size)
    step = 2 if target == "outcome" else 1
    predicted = _stacked([values[step - 1 :: step] for values in read], len(heads.dimensions))
    labels = _stacked([row.targets_PD[step - 1 :: step] for row in held_out], len(heads.dimensions))
    means = np.nanmean(np.concatenate([row.targets_PD for row in trained]), axis=0)
    groups = np.array([row.siblings for row in held_out for _ in row.places[step - 1 :: step]])
    return {
        "target": target,
        "held_out": {
            "scenarios": len({row.scenario for row in held_out}),
            "rows": len(held_out),
            "turns": len(labels),
        },
        "dimensions": {
            dimension: {
                **figures(predicted[:, index], labels[:, index], float(means[index])),
                "among_siblings": among_siblings(predicted[:, index], labels[:, index], groups),
            }
            for index, dimension in enumerate(heads.dimensions)
        },
    }


def figures(predicted_N: FloatArray, labels_N: FloatArray, mean: float) -> dict[str, Any]:
    """How well N predictions meet N labels.

    Args:
        predicted_N: predictions.
        labels_N: labels, ``nan`` where unknown.
        mean: of the training labels: what a model that knows nothing would say.
    """
    known = ~np.isnan(labels_N)
    predicted, labels = predicted_N[known], labels_N[known]
    if not len(labels):
        names = ("mae", "rmse", "mae_of_mean", "rmse_of_mean", "explained", "spearman", "slope", "intercept")
        return {"turns": 0, **dict.fromkeys(names), "bins": []}
    errors, from_mean = predicted - labels, mean - labels
    squared = float(np.mean(from_mean**2))
    slope, intercept = _line(predicted, labels)
    return {
        "turns": len(labels),
        "mae": float(np.abs(errors).mean()),
        "rmse": float(np.sqrt(np.mean(errors**2))),
        "mae_of_mean": float(np.abs(from_mean).mean()),
        "rmse_of_mean": float(np.sqrt(squared)),
        "explained": None if squared == 0 else 1 - float(np.mean(errors**2)) / squared,
        "spearman": spearman(predicted, labels),
        "slope": slope,
        "intercept": intercept,
        "bins": _bins(predicted, labels),
    }


def among_siblings(predicted_N: FloatArray, labels_N: FloatArray, groups_N: NDArray[np.str_]) -> float | None:
    """The correlation of N predictions and labels within groups; ``None`` where a group never differs in one of them.

    Args:
        predicted_N: predictions.
        labels_N: labels, ``nan`` where unknown.
        groups_N: the name of each one's group.
    """
    groups = np.unique(groups_N, return_inverse=True)[1]
    (sums,) = pair_sums(predicted_N, labels_N, groups, np.zeros(len(labels_N), dtype=np.int64), 1)
    # Sums of 1, x, y, x², ...: where predictions do not differ within groups, nothing is compared.
    return finite_or_none(float(correlation(sums))) if sums[3] > _SMALLEST else None


def spearman(a_N: FloatArray, b_N: FloatArray) -> float | None:
    """The rank correlation of two lists of numbers; ``None`` where one of them is constant."""
    one_group = np.zeros(len(a_N), dtype=np.intp)
    first, second = ranks(a_N, one_group), ranks(b_N, one_group)
    if first.std() == 0 or second.std() == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])


def report_table(report: Mapping[str, Any]) -> Table:
    """The report as a table, whose title says on what it rests."""
    held_out = report["held_out"]
    read = "dialogues" if report["target"] == "episode" else "turns"
    columns = {
        "mae": "MAE",
        "mae_of_mean": "of the mean",
        "rmse": "RMSE",
        "rmse_of_mean": "of the mean",
        "slope": "slope",
        "spearman": "Spearman",
        "among_siblings": "among siblings",
    }
    return Table(
        ["dimension", *columns.values()],
        [
            [
                Cell(dimension, known=found["turns"], of=held_out["turns"]),
                *(Cell(found.get(name), ".3f") for name in columns),
            ]
            for dimension, found in report["dimensions"].items()
        ],
        f"{held_out['turns']} {read} of {held_out['scenarios']} held-out scenarios; target: {report['target']}",
    )


def _stacked(parts: Sequence[FloatArray], dimensions: int) -> FloatArray:
    return np.concatenate([np.zeros((0, dimensions)), *parts])


def _line(predicted: FloatArray, labels: FloatArray) -> tuple[float | None, float | None]:
    """Slope and intercept of labels on predictions: 1 and 0 for a calibrated model."""
    variance = float(predicted.var())
    if variance == 0:
        return None, None
    slope = float(np.mean((predicted - predicted.mean()) * (labels - labels.mean()))) / variance
    return slope, float(labels.mean() - slope * predicted.mean())


def _bins(predicted: FloatArray, labels: FloatArray) -> list[dict[str, float]]:
    order = np.argsort(predicted, kind="stable")
    return [
        {"turns": len(part), "predicted": float(predicted[part].mean()), "label": float(labels[part].mean())}
        for part in np.array_split(order, min(BINS, len(order)))
    ]
