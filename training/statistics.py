"""Means with intervals: bootstrap over scenarios for one policy, paired over the same episodes for two.

Episodes of one scenario are not independent, so whole scenarios are drawn, never single episodes. Over training runs
the unit is the seed instead, and these intervals say nothing of how another run would have come out.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from sotopia_env.rewards.bootstrap import FloatArray, bounds, cluster_sums

RESAMPLES = 4000
"""Bootstrap samples behind every interval."""

_CHUNK = 4_000_000


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

    def to_dict(self) -> dict[str, float | None]:
        """``{"mean": ..., "low": ..., "high": ...}``."""
        return {"mean": self.mean, "low": self.low, "high": self.high}


def interval(
    values: Sequence[float | None],
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
    level: float = 0.95,
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
    samples_BK = resampled_totals(totals_CK, seed)
    low, high = bounds(samples_BK[:, 0] / samples_BK[:, 1], len(totals_CK), level)
    return Estimate(mean, low, high, int(used.sum()), missing)


def paired_difference(
    a: Sequence[float | None],
    b: Sequence[float | None],
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
    level: float = 0.95,
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


def cluster_totals(values_NK: FloatArray, clusters: Sequence[Hashable]) -> FloatArray:
    """The sums of N rows by cluster: (C, K), in the order in which clusters first appear."""
    places = {name: place for place, name in enumerate(dict.fromkeys(clusters))}
    return cluster_sums(values_NK, np.array([places[name] for name in clusters], dtype=np.int64), len(places))


def resampled_totals(totals_CK: FloatArray, seed: int = 0, resamples: int = RESAMPLES) -> FloatArray:
    """Sums over C clusters drawn with replacement: (B, K), whatever is to be computed from them afterwards."""
    clusters, columns = totals_CK.shape
    generator = np.random.default_rng(seed)
    chunk = max(1, _CHUNK // max(clusters * columns, 1))
    parts = []
    for start in range(0, resamples, chunk):
        drawn = generator.integers(clusters, size=(min(chunk, resamples - start), clusters))
        parts.append(totals_CK[drawn].sum(axis=1))
    return np.concatenate(parts)
