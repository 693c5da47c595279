"""Correlations and shares with bootstrap intervals over clusters: everything is computed from sums over clusters."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

RESAMPLES = 2000
"""Bootstrap samples behind every interval."""

_TINY = 1e-12
"""A variance below this is that of equal numbers, but for rounding."""


def cluster_weights(num_clusters: int, seed: int = 0, resamples: int = RESAMPLES) -> FloatArray:
    """How often each cluster is drawn in each bootstrap sample, (1 + B, C); the first row is the sample itself."""
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(num_clusters, np.full(num_clusters, 1 / num_clusters), size=resamples)
    return np.concatenate([np.ones((1, num_clusters)), drawn])


def cluster_sums(values_NK: FloatArray, clusters_N: IntArray, num_clusters: int) -> FloatArray:
    """The sums of N rows by cluster, (C, K)."""
    sums_CK = np.zeros((num_clusters, values_NK.shape[1]))
    np.add.at(sums_CK, clusters_N, values_NK)
    return sums_CK


def bounds(samples_B: FloatArray, num_clusters: int, level: float = 0.95) -> tuple[float | None, float | None]:
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


def known(value: float) -> float | None:
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
    # The Cornish-Fisher expansion: within 1 % from 4 degrees of freedom on.
    z = NormalDist().inv_cdf(probability)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
