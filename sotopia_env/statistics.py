"""Means, shares and correlations with intervals: mostly by a bootstrap over scenarios, paired where two are compared.

Episodes of one scenario are not independent, so whole scenarios are drawn, never single episodes. Over training runs
the unit is the seed instead, and these intervals say nothing of how another run would have come out.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

MeanAndError = tuple[float | None, float | None]
"""A mean of independent values and its standard error; ``None`` where unknown."""

LEVEL = 0.95
"""How often an interval is to hold the truth."""

RESAMPLES = 4000
"""Bootstrap samples of sums over clusters: behind the interval of a mean or a ratio."""

WEIGHTED_RESAMPLES = 2000
"""Bootstrap samples of cluster weights: behind the interval of what is computed from many columns at once."""

_FEWEST_RUNS = 3
"""Two runs tell next to nothing of their spread."""

_CHUNK = 4_000_000

_TINY = 1e-12
"""A variance below this is that of equal numbers, but for rounding."""


@dataclass(frozen=True)
class Estimate:
    """A mean and its interval.

    Args:
        mean: ``None`` where no value is known.
        low: lower end; ``None`` where there are fewer than two clusters, which tell nothing of the spread.
        high: upper end, likewise.
        count: values the mean is over.
        missing: values left out because they are unknown.
    """

    mean: float | None
    low: float | None
    high: float | None
    count: int
    missing: int = 0

    def to_dict(self) -> dict[str, Any]:
        """``{"mean", "low", "high", "known", "of"}``: the last two say that the mean is over so many of all values."""
        return {
            "mean": self.mean,
            "low": self.low,
            "high": self.high,
            "known": self.count,
            "of": self.count + self.missing,
        }


@dataclass(frozen=True)
class Proportion:
    """A share of counted cases, each independent of the others, with its interval (Wilson, 1927)."""

    hits: int
    of: int

    @property
    def interval(self) -> tuple[float, float] | None:
        """Lower and upper end; ``None`` without cases."""
        if not self.of:
            return None
        z, share = NormalDist().inv_cdf((1 + LEVEL) / 2), self.hits / self.of
        middle = share + z * z / (2 * self.of)
        spread = math.sqrt(share * (1 - share) / self.of + z * z / (4 * self.of**2))
        scale = 1 + z * z / self.of
        # Rounding may lead a hair beyond the ends.
        return max(0.0, (middle - z * spread) / scale), min(1.0, (middle + z * spread) / scale)

    def __str__(self) -> str:
        """``91.4 % [87.0, 94.5] (192/210)``."""
        ends = self.interval
        if ends is None:
            return "- (0/0)"
        return f"{self.hits / self.of:.1%} [{ends[0]:.1%}, {ends[1]:.1%}] ({self.hits}/{self.of})"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able data."""
        ends = self.interval or (None, None)
        return {"hits": self.hits, "of": self.of, "low": ends[0], "high": ends[1]}


def interval(
    values: Sequence[float | None],
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
    level: float = LEVEL,
    *,
    weights: Sequence[float] | None = None,
) -> Estimate:
    """The mean of some values with a bootstrap interval over their clusters.

    Args:
        values: N numbers; ``None`` and ``nan`` are unknown, left out and counted.
        clusters: for each value what it belongs to, such as the id of its scenario; each its own by default.
        seed: of the resampling.
        level: of the interval.
        weights: for each value how much it counts: with turns as weights, a mean of rates per turn.
    """
    numbers = np.array([math.nan if value is None else float(value) for value in values], dtype=np.float64)
    sizes = np.ones(len(numbers)) if weights is None else np.asarray(weights, dtype=np.float64)
    names = list(range(len(numbers))) if clusters is None else list(clusters)
    if not len(numbers) == len(sizes) == len(names):
        raise ValueError(f"interval: {len(numbers)} values, {len(names)} clusters and {len(sizes)} weights")
    known = ~np.isnan(numbers)
    missing = int((~known).sum())
    used = known & (sizes > 0)
    if not used.any():
        return Estimate(None, None, None, 0, missing)
    columns = np.stack([numbers * sizes, sizes], axis=1)[used]
    totals_CK = cluster_totals(columns, [name for name, keep in zip(names, used, strict=True) if keep])
    mean = float(totals_CK[:, 0].sum() / totals_CK[:, 1].sum())
    low, high = _ratio_bounds(totals_CK, seed, level)
    return Estimate(mean, low, high, int(used.sum()), missing)


def known_mean(values: Iterable[float | None]) -> Estimate:
    """The mean of those values that are known, without an interval."""
    given = list(values)
    known = [value for value in given if value is not None and not math.isnan(value)]
    mean = sum(known) / len(known) if known else None
    return Estimate(mean, None, None, len(known), len(given) - len(known))


def paired_difference(
    a: Sequence[float | None],
    b: Sequence[float | None],
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
    level: float = LEVEL,
) -> Estimate:
    """The mean of ``a - b`` over pairs, with a bootstrap interval over their clusters.

    Args:
        a: N numbers of one policy, in the same (task, seat) as those of the other.
        b: N numbers of the other; a pair with an unknown half is left out and counted.
        clusters: as in :func:`interval`.
        seed: of the resampling.
        level: of the interval.
    """
    if len(a) != len(b):
        raise ValueError(f"paired_difference: {len(a)} values against {len(b)}")
    pairs = zip(a, b, strict=True)
    return interval([None if x is None or y is None else x - y for x, y in pairs], clusters, seed, level)


def interval_over_runs(values: Sequence[float | None], level: float = LEVEL) -> Estimate:
    """The mean over training runs with Student's t-interval: the unit is the run, not the episode.

    Args:
        values: one for each run; ``None`` is unknown, left out and counted.
        level: of the interval; there is none below three known runs.
    """
    known = [value for value in values if value is not None]
    missing = len(values) - len(known)
    if not known:
        return Estimate(None, None, None, 0, missing)
    mean = float(np.mean(known))
    if len(known) < _FEWEST_RUNS:
        return Estimate(mean, None, None, len(known), missing)
    half = _t_quantile((1 + level) / 2, len(known) - 1) * float(np.std(known, ddof=1)) / math.sqrt(len(known))
    return Estimate(mean, mean - half, mean + half, len(known), missing)


def ratio_of_means(a: FloatArray, b: FloatArray, clusters: Sequence[Hashable]) -> Estimate:
    """The mean of ``a`` over the mean of ``b``, with a bootstrap interval over clusters; unknown where ``b`` is 0."""
    totals_CK = cluster_totals(np.stack([a, b], axis=1), clusters)
    above, below = totals_CK.sum(axis=0)
    if below == 0:
        return Estimate(None, None, None, 0, len(a))
    low, high = _ratio_bounds(totals_CK)
    return Estimate(float(above / below), low, high, len(a))


def _ratio_bounds(totals_CK: FloatArray, seed: int = 0, level: float = LEVEL) -> tuple[float | None, float | None]:
    """The interval of the first column's sum over that of the second."""
    above_B, below_B = resampled_totals(totals_CK, seed).T
    # What cannot be computed is handed on: where that is most of the samples, there is no interval.
    ratios_B = np.divide(above_B, below_B, out=np.full(len(below_B), np.nan), where=below_B != 0)
    return bounds(ratios_B, len(totals_CK), level)


def mean_and_error(values: Sequence[float | None]) -> MeanAndError:
    """The mean of independent values and its standard error, unknown where one of them is, or where there is none."""
    known = [value for value in values if value is not None]
    # What is left out of a mean is seldom left out at random: one unknown value makes the mean unknown.
    if not known or len(known) < len(values):
        return None, None
    if len(known) == 1:
        return known[0], None
    return float(np.mean(known)), float(np.std(known, ddof=1) / math.sqrt(len(known)))


def cluster_totals(values_NK: FloatArray, clusters: Sequence[Hashable]) -> FloatArray:
    """The sums of N rows by cluster: (C, K), in the order in which clusters first appear."""
    places = {name: place for place, name in enumerate(dict.fromkeys(clusters))}
    return cluster_sums(values_NK, np.array([places[name] for name in clusters], dtype=np.int64), len(places))


def resampled_totals(totals_CK: FloatArray, seed: int = 0, resamples: int = RESAMPLES) -> FloatArray:
    """Sums over C clusters drawn with replacement: (B, K), whatever is to be computed from them afterwards.

    The draws are not those of :func:`cluster_weights`: sums never need all weights at once, however many the clusters.
    """
    clusters, columns = totals_CK.shape
    generator = np.random.default_rng(seed)
    chunk = max(1, _CHUNK // max(clusters * columns, 1))
    parts = []
    for start in range(0, resamples, chunk):
        drawn = generator.integers(clusters, size=(min(chunk, resamples - start), clusters))
        parts.append(totals_CK[drawn].sum(axis=1))
    return np.concatenate(parts)


def cluster_weights(num_clusters: int, seed: int = 0, resamples: int = WEIGHTED_RESAMPLES) -> FloatArray:
    """How often each cluster is drawn in each bootstrap sample, (1 + B, C); the first row is the sample itself."""
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(num_clusters, np.full(num_clusters, 1 / num_clusters), size=resamples)
    return np.concatenate([np.ones((1, num_clusters)), drawn])


def cluster_sums(values_NK: FloatArray, clusters_N: IntArray, num_clusters: int) -> FloatArray:
    """The sums of N rows by cluster, (C, K)."""
    sums_CK = np.zeros((num_clusters, values_NK.shape[1]))
    np.add.at(sums_CK, clusters_N, values_NK)
    return sums_CK


def bounds(samples_B: FloatArray, num_clusters: int, level: float = LEVEL) -> tuple[float | None, float | None]:
    """The expanded percentile interval of bootstrap samples (Hesterberg 2014, arXiv:1411.5279).

    Args:
        samples_B: B samples of the statistic; ``nan`` where it could not be computed.
        num_clusters: C, how many clusters were drawn from; with one there is no interval.
        level: of the interval.
    """
    known = samples_B[~np.isnan(samples_B)]
    if num_clusters < 2 or len(known) < len(samples_B) / 2:
        return None, None
    freedom = num_clusters - 1
    # The plain percentiles are too narrow where clusters are few; these match Student's t.
    tail = NormalDist().cdf(-math.sqrt(num_clusters / freedom) * _t_quantile((1 + level) / 2, freedom))
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)


def finite_or_none(value: float) -> float | None:
    """A number, or ``None`` where it could not be computed."""
    return float(value) if math.isfinite(value) else None


def pair_sums(
    x_N: FloatArray,
    y_N: FloatArray,
    groups_N: IntArray | None,
    clusters_N: IntArray,
    num_clusters: int,
    *,
    ranked: bool = False,
) -> FloatArray:
    """What a correlation is computed from, by cluster: (C, 6) sums of 1, x, y, x², y², xy.

    Args:
        x_N: N numbers; where one is ``nan``, the pair is left out.
        y_N: N others.
        groups_N: pairs are compared within their group alone: each group's means are taken off. ``None`` compares all.
        clusters_N: the cluster of each pair.
        num_clusters: C.
        ranked: take ranks within the group instead of numbers; equal ones share the mean of theirs.
    """
    used = ~(np.isnan(x_N) | np.isnan(y_N))
    x, y, clusters = x_N[used], y_N[used], clusters_N[used]
    groups = np.zeros(len(x), dtype=np.int64) if groups_N is None else np.unique(groups_N[used], return_inverse=True)[1]
    if ranked:
        x, y = ranks(x, groups), ranks(y, groups)
    if len(x):
        x, y = _centred(x, groups), _centred(y, groups)
    return cluster_sums(np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1), clusters, num_clusters)


def correlation(sums: FloatArray) -> FloatArray:
    """The correlation of x with y from sums (..., 6); 0 where x does not vary, ``nan`` where y does not."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        scatter_x, scatter_y = xx - x * x / n, yy - y * y / n
        found = (xy - x * y / n) / np.sqrt(scatter_x * scatter_y)
    # Numbers that are all the same tell nothing apart: that is a correlation of 0, and no unknown one.
    found = np.where(scatter_x <= _TINY * np.maximum(n, 1), 0.0, found)
    return np.asarray(np.where(scatter_y <= _TINY * np.maximum(n, 1), np.nan, found))


def _centred(values_N: FloatArray, groups_N: IntArray) -> FloatArray:
    return values_N - (np.bincount(groups_N, values_N) / np.bincount(groups_N))[groups_N]


def ranks(values_N: FloatArray, groups_N: IntArray) -> FloatArray:
    """Ranks, of which only the differences within a group mean anything."""
    if not len(values_N):
        return values_N
    values = np.round(values_N, 9)  # means of the same scores may differ in the last digit
    order = np.lexsort((values, groups_N))
    new = np.diff(values[order], prepend=np.nan) != 0
    new |= np.diff(groups_N[order], prepend=-1) != 0
    ties = np.cumsum(new) - 1
    ranks = np.empty(len(values))
    ranks[order] = (np.bincount(ties, np.arange(len(values))) / np.bincount(ties))[ties]
    return ranks


def _t_quantile(probability: float, freedom: int) -> float:
    # Exact for one and two degrees of freedom; the Cornish-Fisher expansion for more is within 1 %.
    if freedom == 1:
        return math.tan(math.pi * (probability - 0.5))
    if freedom == 2:
        return (2 * probability - 1) * math.sqrt(2 / (4 * probability * (1 - probability)))
    z = NormalDist().inv_cdf(probability)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
