from __future__ import annotations

import math

import numpy as np
import pytest

from sotopia_env.statistics import (
    Proportion,
    bounds,
    cluster_totals,
    cluster_weights,
    correlation,
    interval,
    interval_over_runs,
    mean_and_error,
    pair_sums,
    paired_difference,
    ranks,
    ratio_of_means,
    resampled_totals,
)


def test_unknown_values_are_left_out_and_counted():
    estimate = interval([1.0, None, 3.0, math.nan])
    assert (estimate.mean, estimate.count, estimate.missing) == (2.0, 2, 2)


def test_nothing_known_gives_no_mean():
    assert interval([None, math.nan]).to_dict() == {"mean": None, "low": None, "high": None, "known": 0, "of": 2}
    assert interval([]).count == 0


def test_one_cluster_tells_nothing_of_the_spread():
    estimate = interval([1.0, 5.0], ["a", "a"])
    assert (estimate.mean, estimate.low, estimate.high) == (3.0, None, None)


@pytest.mark.parametrize(("runs", "quantile"), [(3, 4.30265), (4, 3.18245), (5, 2.77645), (11, 2.22814)])
def test_over_runs_the_interval_is_students(runs: int, quantile: float):
    values = [float(i) for i in range(runs)]
    found = interval_over_runs([*values, None])
    half = quantile * np.std(values, ddof=1) / math.sqrt(runs)
    assert found.mean == np.mean(values)
    assert found.high - found.mean == pytest.approx(half, rel=0.01)
    assert found.mean - found.low == pytest.approx(half, rel=0.01)
    assert (found.count, found.missing) == (runs, 1)


def test_two_runs_have_a_mean_and_no_interval():
    found = interval_over_runs([1.0, 3.0])
    assert (found.mean, found.low, found.high) == (2.0, None, None)
    assert interval_over_runs([None]).mean is None


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


def test_a_ratio_has_an_interval_of_its_own():
    generator = np.random.default_rng(0)
    b = 1 + generator.normal(size=300)
    ratio = ratio_of_means(0.5 * b + 0.1 * generator.normal(size=300), b, [str(i) for i in range(300)])
    assert ratio.mean == pytest.approx(0.5, abs=0.03)
    assert 0.4 < ratio.low < 0.5 < ratio.high < 0.6
    assert ratio_of_means(b, np.zeros(300), ["a"] * 300).mean is None


def test_a_proportion_has_a_wilson_interval():
    low, high = Proportion(8, 10).interval or (0, 0)
    assert low == pytest.approx(0.4902, abs=1e-4)
    assert high == pytest.approx(0.9433, abs=1e-4)
    assert Proportion(0, 0).interval is None
    assert str(Proportion(1, 2)) == "50.0% [9.5%, 90.5%] (1/2)"


def test_a_mean_has_a_standard_error_where_all_is_known():
    mean, error = mean_and_error([1.0, 2.0, 4.0, 5.0])
    assert (mean, error) == (3.0, pytest.approx(math.sqrt(10 / 3) / 2))
    assert mean_and_error([7.0]) == (7.0, None)
    assert mean_and_error([1.0, None]) == mean_and_error([]) == (None, None)


def test_weights_and_sums_of_clusters_say_the_same():
    """Two ways of drawing, one interval: sums are drawn in parts, weights serve many statistics at once."""
    totals = np.random.default_rng(6).normal(1.0, 2.0, size=(60, 1))
    weights = cluster_weights(60, seed=1)
    assert weights.shape == (2001, 60)
    assert (weights[0] == 1).all()
    assert (weights.sum(axis=1) == 60).all()
    by_weights = bounds((weights @ totals)[1:, 0] / 60, 60)
    by_sums = bounds(resampled_totals(totals, seed=1)[:, 0] / 60, 60)
    assert by_weights == (pytest.approx(by_sums[0], abs=0.05), pytest.approx(by_sums[1], abs=0.05))


def test_a_correlation_is_taken_within_groups_and_knows_what_does_not_vary():
    x, y = np.array([1.0, 2, 3, 11, 12, 13]), np.array([1.0, 2, 3, -1, 0, 1])
    groups, clusters = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 0, 1, 1, 1])
    within = pair_sums(x, y, groups, clusters, 2).sum(axis=0)
    assert correlation(within) == pytest.approx(1.0)
    together = pair_sums(x, y, None, clusters, 2).sum(axis=0)
    assert correlation(together) == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert correlation(pair_sums(np.ones(6), y, None, clusters, 2).sum(axis=0)) == 0
    assert math.isnan(correlation(pair_sums(x, np.ones(6), None, clusters, 2).sum(axis=0)))
    assert ranks(np.array([3.0, 1, 3, 2]), np.zeros(4, dtype=np.int64)).tolist() == [2.5, 0, 2.5, 1]
