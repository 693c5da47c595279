"""Fidelity: how well the numbers of a reward agree with the true advantage of an audit set.

The truth is measured and labels are samples, so that every correlation stands beside its ceiling. Noise of the truth
lowers a correlation by the square root of the truth's reliability (Spearman 1904), which is estimated by correlating
random halves of the continuations, lengthened by the formula of Spearman and Brown (1910).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sotopia_env.rewards.audit.numbers import AuditTable, Numbers, numbers_of
from sotopia_env.rewards.audit.storage import AuditedTurn
from sotopia_env.statistics import FloatArray, IntArray, bounds, cluster_sums, correlation, finite_or_none, pair_sums

__all__ = ["Accuracy", "Correlation", "Fidelity", "Gradient", "Numbers", "fidelity", "numbers_of"]

SPLITS = 16
"""Random halvings of the truth behind its reliability."""


@dataclass(frozen=True)
class Correlation:
    """A correlation with the truth, with an interval over tasks, beside what any reward could reach.

    Args:
        value: of single numbers as a learner would see them, over all r replicates. 0 where they are all the same,
            ``None`` where the truth is or no number is known.
        low: 2.5th percentile of the bootstrap over tasks.
        high: 97.5th percentile.
        ceiling: √(reliability of the truth), the correlation that the exact truth would reach with the measured one.
        disattenuated: ``value / ceiling``, the correlation with the exact truth.
        disattenuated_low: lower end of its interval.
        disattenuated_high: upper end.
        reliability: of the single number: the correlation between two replicates (1 for causal numbers).
        expected: the correlation of the exact truth with the *mean* number: ``disattenuated / √reliability``.
        n: candidates it is over.
    """

    value: float | None
    low: float | None
    high: float | None
    ceiling: float | None
    disattenuated: float | None
    disattenuated_low: float | None
    disattenuated_high: float | None
    reliability: float | None
    expected: float | None
    n: int


@dataclass(frozen=True)
class Accuracy:
    """The share of pairs of siblings in which the better one has the greater number; ties count half, 0.5 is chance.

    Args:
        value: over all pairs whose measured truth differs.
        low: 2.5th percentile of the bootstrap over tasks.
        high: 97.5th percentile.
        ceiling: how often one half of the truth tells the better one by the other half: what the exact truth would
            reach is at least that.
        n: pairs.
        clear: the same over pairs whose measured truth differs by more than two standard errors.
        clear_low: lower end of its interval.
        clear_high: upper end.
        clear_n: such pairs.
    """

    value: float | None
    low: float | None
    high: float | None
    ceiling: float | None
    n: int
    clear: float | None
    clear_low: float | None
    clear_high: float | None
    clear_n: int


@dataclass(frozen=True)
class Gradient:
    """The policy gradient in the space of the candidates' logits, a uniform policy over the candidates of each state.

    Args:
        cosine: of the design's expected gradient with the true one. The truth's noise is taken out, and that of labels
            read from finished episodes where there are two or more; noise of a single number (Monte-Carlo) is in it.
        low: 2.5th percentile of the bootstrap over tasks.
        high: 97.5th percentile.
        variance: of a gradient from one sampled candidate a state, over the squared norm of the true gradient.
        noise: the same for a design scaled so that its expected gradient reaches as far along the true one as the
            true one itself: samples it takes, whatever the design's units. ``None`` where it points elsewhere.
        n: states.
    """

    cosine: float | None
    low: float | None
    high: float | None
    variance: float | None
    noise: float | None
    n: int


@dataclass(frozen=True)
class Fidelity:
    """All that an audit set says of one reward and one dimension of the truth.

    Args:
        name: of the reward.
        dimension: of the truth.
        siblings: correlations ``{"pearson", "spearman"}`` between candidates of one state, what a group learner uses.
        between_turns: between turns of one episode, with the true advantage.
        pooled: over all candidates, with the true advantage.
        pooled_value: over all candidates, with Q.
        accuracy: of pairs of siblings.
        gradient: in the space of logits.
        missing: numbers that were unknown, of ``numbers``.
        numbers: candidates times replicates.
    """

    name: str
    dimension: str
    siblings: dict[str, Correlation]
    between_turns: dict[str, Correlation]
    pooled: dict[str, Correlation]
    pooled_value: dict[str, Correlation]
    accuracy: Accuracy
    gradient: Gradient
    missing: int
    numbers: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able data."""
        return asdict(self)


def fidelity(audit: Sequence[AuditedTurn], numbers: Any, dimension: str = "goal", *, seed: int = 0) -> Fidelity:
    """How well a reward agrees with the truth of an audit set.

    Args:
        audit: from ``collect_audit``.
        numbers: a reward in any form, or its :class:`Numbers`.
        dimension: of the truth.
        seed: of the bootstrap and of the halvings.

    Raises:
        ValueError: the audit set is empty or does not know the dimension, or there is not one list of numbers for
            each candidate.
    """
    given = numbers if isinstance(numbers, Numbers) else numbers_of(numbers, audit)
    table = AuditTable.of(audit, given, dimension, seed)
    rows = np.arange(len(table.state_N))
    first = table.first_N
    return Fidelity(
        given.name,
        dimension,
        _correlations(table, rows, table.labels_NR, table.value_NK, table.state_N),
        _correlations(table, first, table.played_TR, table.advantage_NK, table.episode_N),
        _correlations(table, rows, table.labels_NR, table.advantage_NK, None),
        _correlations(table, rows, table.labels_NR, table.value_NK, None),
        _accuracy(table),
        _gradient(table),
        int(np.isnan(table.labels_NR).sum()),
        int(table.labels_NR.size),
    )


def _correlations(
    table: AuditTable, rows: IntArray, labels_NR: FloatArray, truth_NK: FloatArray, groups_N: IntArray | None
) -> dict[str, Correlation]:
    """The correlations of labels with the truth over some rows, compared within groups."""
    groups = None if groups_N is None else groups_N[rows]
    truth = truth_NK[rows]
    found = {}
    for name, ranked in (("pearson", False), ("spearman", True)):
        sums = _Sums(table, groups, table.cluster_N[rows], ranked)
        found[name] = _correlation(sums, labels_NR, truth, table.seed)
    return found


@dataclass(frozen=True)
class _Sums:
    """Correlations of several pairs of columns at once, for the sample and each bootstrap sample."""

    table: AuditTable
    groups_N: IntArray | None
    clusters_N: IntArray
    ranked: bool

    def correlation(self, x_NR: FloatArray, y_NR: FloatArray) -> tuple[FloatArray, int]:
        """The correlation over R pairs of columns, (1 + B,), and how many pairs of numbers it is over."""
        replicates = x_NR.shape[1]
        # Stacked: each pair of columns is centred, and ranked, by itself.
        apart = np.repeat(np.arange(replicates), len(x_NR))
        base = np.zeros(len(x_NR), dtype=np.int64) if self.groups_N is None else self.groups_N
        groups = np.tile(base, replicates) + apart * (int(base.max(initial=0)) + 1)
        clusters = np.tile(self.clusters_N, replicates)
        weights = self.table.weights_BC
        sums = pair_sums(x_NR.T.ravel(), y_NR.T.ravel(), groups, clusters, weights.shape[1], ranked=self.ranked)
        return correlation(weights @ sums), int(sums[:, 0].sum())


def _correlation(sums: _Sums, labels_NR: FloatArray, truth_NK: FloatArray, seed: int) -> Correlation:
    replicates, continuations = labels_NR.shape[1], truth_NK.shape[1]
    truth = np.repeat(truth_NK.mean(axis=1, keepdims=True), replicates, axis=1)
    value_B, pairs = sums.correlation(labels_NR, truth)
    rng = np.random.default_rng(seed)
    halves = [rng.permutation(continuations)[: continuations // 2 * 2].reshape(2, -1) for _ in range(SPLITS)]
    one, other = (np.stack([truth_NK[:, half[side]].mean(axis=1) for half in halves], axis=1) for side in (0, 1))
    # Both ways round, so that the two sides have the same variance.
    half_B, _ = sums.correlation(np.hstack([one, other]), np.hstack([other, one]))
    # By Spearman and Brown; what is not positive is no reliability.
    ceiling_B = _root(2 * half_B / (1 + np.maximum(half_B, 0)))
    if replicates > 1:
        # Each label meets others of the same candidate: all of them, up to eight labels.
        shifts = range(1, min(replicates, 8))
        left = np.hstack([labels_NR for _ in shifts])
        right = np.hstack([np.roll(labels_NR, shift, axis=1) for shift in shifts])
        reliability_B, _ = sums.correlation(left, right)
    else:
        reliability_B = np.ones_like(value_B)
    with np.errstate(invalid="ignore", divide="ignore"):
        disattenuated_B = value_B / ceiling_B
        expected_B = disattenuated_B / _root(reliability_B)
    clusters = sums.table.weights_BC.shape[1]
    low, high = bounds(value_B[1:], clusters)
    true_low, true_high = bounds(disattenuated_B[1:], clusters)
    return Correlation(
        value=finite_or_none(value_B[0]),
        low=low,
        high=high,
        ceiling=finite_or_none(ceiling_B[0]),
        disattenuated=finite_or_none(disattenuated_B[0]),
        disattenuated_low=true_low,
        disattenuated_high=true_high,
        reliability=finite_or_none(reliability_B[0]),
        expected=finite_or_none(expected_B[0]),
        n=round(pairs / max(replicates, 1)),
    )


def _root(reliability_B: FloatArray) -> FloatArray:
    """The square root of a reliability, ``nan`` where none was found."""
    return np.sqrt(np.where(reliability_B > 0, reliability_B, np.nan))


def _accuracy(table: AuditTable) -> Accuracy:
    """Right, all and clear pairs of siblings by task."""
    num_clusters = table.weights_BC.shape[1]
    rows: list[list[float]] = []
    clusters: list[int] = []
    for state in range(len(table.first_N)):
        members = np.flatnonzero(table.state_N == state)
        for i, j in zip(*np.triu_indices(len(members), 1), strict=True):
            a, b = members[i], members[j]
            draws = table.value_NK[a] - table.value_NK[b]
            difference = float(draws.mean())
            differences_R = table.labels_NR[a] - table.labels_NR[b]
            differences_R = differences_R[~np.isnan(differences_R)]
            if np.isnan(difference) or abs(difference) < _SAME or not len(differences_R):
                continue
            right = float(np.mean(_agreement(differences_R, difference)))
            error = np.hypot(*(table.value_NK[m].std(ddof=1) for m in (a, b))) / np.sqrt(len(draws))
            clear = float(abs(difference) > 2 * error)
            half = len(draws) // 2
            halves = _agreement(draws[:half].mean(keepdims=True), float(draws[half:].mean()))
            rows.append([1.0, right, clear, clear * right, float(halves[0])])
            clusters.append(int(table.cluster_N[a]))
    if not rows:
        return Accuracy(None, None, None, None, 0, None, None, None, 0)
    sums = cluster_sums(np.array(rows), np.array(clusters), num_clusters)
    pairs_B, right_B, clear_B, clear_right_B, halves_B = (table.weights_BC @ sums).T
    with np.errstate(invalid="ignore", divide="ignore"):
        value_B, clear_value_B, ceiling_B = right_B / pairs_B, clear_right_B / clear_B, halves_B / pairs_B
    low, high = bounds(value_B[1:], num_clusters)
    clear_low, clear_high = bounds(clear_value_B[1:], num_clusters)
    return Accuracy(
        value=finite_or_none(value_B[0]),
        low=low,
        high=high,
        ceiling=finite_or_none(ceiling_B[0]),
        n=int(pairs_B[0]),
        clear=finite_or_none(clear_value_B[0]),
        clear_low=clear_low,
        clear_high=clear_high,
        clear_n=int(clear_B[0]),
    )


_SAME = 1e-9
"""Numbers closer than this are equal, but for rounding."""


def _agreement(differences: FloatArray, truth: float) -> FloatArray:
    """1 where a difference has the sign of the truth, 0 where it has the other, 1/2 where there is none."""
    signs = np.where(np.abs(differences) < _SAME, 0.0, np.sign(differences))
    return np.asarray(0.5 + 0.5 * signs * np.sign(truth))


def _gradient(table: AuditTable) -> Gradient:
    """Products of the design's gradient and the true one by task, and what one sample adds to them."""
    num_clusters = table.weights_BC.shape[1]
    rows, clusters = [], []
    for state in range(len(table.first_N)):
        members = np.flatnonzero(table.state_N == state)
        members = members[~np.isnan(table.labels_NR[members]).all(axis=1)]
        truth = table.value_NK[members]
        if len(members) < 2 or np.isnan(truth).any():
            continue
        rows.append(_products(table.labels_NR[members], truth))
        clusters.append(int(table.cluster_N[members[0]]))
    if not rows:
        return Gradient(None, None, None, None, None, 0)
    sums = cluster_sums(np.array(rows), np.array(clusters), num_clusters)
    product_B, design_B, true_B, second_B = (table.weights_BC @ sums).T
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine_B = product_B / (_root(design_B) * _root(true_B))
        # A design whose gradient vanishes points nowhere.
        cosine_B = np.where((np.abs(design_B) < _SAME**2) & (true_B > 0), 0.0, cosine_B)
        variance = (second_B[0] - design_B[0]) / true_B[0] if true_B[0] > 0 else np.nan
        noise = variance * (true_B[0] / product_B[0]) ** 2 if product_B[0] > 0 else np.nan
    low, high = bounds(cosine_B[1:], num_clusters)
    return Gradient(finite_or_none(cosine_B[0]), low, high, finite_or_none(variance), finite_or_none(noise), len(rows))


def _products(labels_MR: FloatArray, truth_MK: FloatArray) -> list[float]:
    """Of one state: the design's expected gradient times the true one, the squared norm of each, and E|sample|².

    With π uniform over m candidates, the gradient of Σ π_j r_j by the logits is (r_j - mean r) / m. A sample draws one
    candidate and one label r of it, and takes the mean of the design as baseline: (r - b)(e_j - π).
    """
    m, k = truth_MK.shape
    means = np.nanmean(labels_MR, axis=1)
    design, true = means - means.mean(), truth_MK.mean(axis=1) - truth_MK.mean()
    # Squares of noisy means are too large by the variance of the means.
    counts = (~np.isnan(labels_MR)).sum(axis=1)
    repeated = counts > 1
    errors = np.zeros(m)
    if repeated.any():
        errors[repeated] = np.nanvar(labels_MR[repeated], axis=1, ddof=1) / counts[repeated]
    excess = (1 - 1 / m) * float(errors.sum())
    true_excess = (1 - 1 / m) * float((truth_MK.var(axis=1, ddof=1) / k).sum())
    second = (1 - 1 / m) * float(np.nanmean((labels_MR - means.mean()) ** 2, axis=1).mean())
    return [
        float(design @ true) / m**2,
        (float(design @ design) - excess) / m**2,
        (float(true @ true) - true_excess) / m**2,
        second,
    ]
