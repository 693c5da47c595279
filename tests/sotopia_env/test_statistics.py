from __future__ import annotations

import math

import numpy as np
import pytest

from sotopia_env.statistics import bounds, cluster_totals, interval, paired_difference, resampled_totals


def test_unknown_values_are_left_out_and_counted():
    estimate = interval([1.0, None, 3.0, math.nan])
    assert (estimate.mean, estimate.count, estimate.missing) == (2.0, 2, 2)


def test_nothing_known_gives_no_mean():
    assert interval([None, math.nan]).to_dict() == {"mean": None, "low": None, "high": None}
    assert interval([]).count == 0


def test_one_cluster_tells_nothing_of_the_spread():
    estimate = interval([1.0, 5.0], ["a", "a"])
    assert (estimate.mean, estimate.low, estimate.high) == (3.0, None, None)


def test_equal_values_have_an_interval_of_no_width():
    estimate = interval([0.3] * 50)
    assert estimate.low == pytest.approx(0.3)
    assert estimate.high == pytest.approx(0.3)


def test_the_interval_of_a_mean_is_that_of_the_normal_theory():
    values = np.random.default_rng(0).normal(2.0, 3.0, size=400)
    estimate = interval(list(values))
    half = 1.966 * values.std(ddof=1) / math.sqrt(400)
    assert estimate.low == pytest.approx(values.mean() - half, abs=0.03)
    assert estimate.high == pytest.approx(values.mean() + half, abs=0.03)


def test_values_of_one_cluster_count_as_one():
    values = np.random.default_rng(1).normal(size=100)
    alone = interval(list(values))
    copied = interval(list(np.repeat(values, 4)), list(np.repeat(np.arange(100), 4)))
    assert copied.mean == pytest.approx(alone.mean)
    assert copied.high - copied.low == pytest.approx(alone.high - alone.low, rel=1e-9)
    assert interval(list(np.repeat(values, 4))).high - copied.mean < 0.6 * (copied.high - copied.mean)


def test_the_same_seed_gives_the_same_interval():
    values = list(np.random.default_rng(2).normal(size=30))
    assert interval(values, seed=5) == interval(values, seed=5)
    assert interval(values, seed=5) != interval(values, seed=6)


def test_weights_make_a_rate_per_turn():
    estimate = interval([0.5, 0.0, None], weights=[2, 8, 4])
    assert estimate.mean == pytest.approx(0.1)
    assert estimate.missing == 1


def test_five_clusters_still_cover_the_truth():
    """The plain percentile interval of five covers 82 % of the time here."""
    generator = np.random.default_rng(3)
    draws = generator.normal(size=(400, 5))
    found = [interval(list(row)) for row in draws]
    covered = np.mean([e.low <= 0 <= e.high for e in found])
    assert 0.90 <= covered <= 0.98


def test_pairing_takes_out_what_both_share():
    generator = np.random.default_rng(4)
    shared = generator.normal(scale=10, size=200)
    a, b = shared + 1 + generator.normal(size=200), shared + generator.normal(size=200)
    difference = paired_difference(list(a), list(b), list(range(200)))
    assert difference.low > 0.5
    assert difference.high < 1.5
    assert difference.mean == pytest.approx(float(np.mean(a - b)))


def test_a_pair_with_an_unknown_half_is_left_out():
    difference = paired_difference([1.0, None, 4.0], [0.0, 0.0, math.nan])
    assert (difference.mean, difference.count, difference.missing) == (1.0, 1, 2)


def test_lists_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="2 values against 1"):
        paired_difference([1, 2], [1])
    with pytest.raises(ValueError, match="2 values, 1 clusters"):
        interval([1, 2], ["a"])


def test_totals_are_sums_by_cluster_in_order_of_appearance():
    totals = cluster_totals(np.array([[1.0, 10], [2, 20], [4, 40]]), ["b", "a", "b"])
    assert totals.tolist() == [[5, 50], [2, 20]]
    samples = resampled_totals(totals, seed=0, resamples=1000)
    assert samples.shape == (1000, 2)
    assert set(samples[:, 0]) == {4.0, 7.0, 10.0}


def test_large_inputs_are_resampled_in_parts():
    totals = np.ones((5000, 8))
    assert resampled_totals(totals, resamples=500).shape == (500, 8)


def test_bounds_of_many_clusters_are_the_percentiles():
    low, high = bounds(np.linspace(0, 1, 100_001), 10_000)
    assert (low, high) == (pytest.approx(0.025, abs=1e-4), pytest.approx(0.975, abs=1e-4))
