import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sotopia_env.rewards import ATTRIBUTION_DESIGNS, importances_of_credit
from sotopia_env.rewards.designs import direct, direct_centred, scaled, singular

SCORES = st.floats(-10, 10)
IMPORTANCES = st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0]) | st.floats(0, 3), max_size=12)


def test_the_formulas_of_a_score_of_six_over_four_turns():
    importances = [0, 1, 3, 2]
    assert direct(6.0, importances) == pytest.approx([0, 2, 6, 4])
    assert direct(6.0, importances, levels=10) == pytest.approx([0, 0.6, 1.8, 1.2])
    assert direct_centred(6.0, importances, baseline=4.5) == pytest.approx([0, 0.5, 1.5, 1.0])
    assert scaled(6.0, importances) == pytest.approx([0, 1, 3, 2])
    assert singular(6.0, importances) == [0, 0, 6, 0]


def test_a_negative_score_keeps_its_sign():
    assert direct(-3.0, [3, 0, 1]) == pytest.approx([-3, 0, -1])
    assert direct_centred(-3.0, [3, 0, 1], baseline=-1.5) == pytest.approx([-1.5, 0, -0.5])
    assert scaled(-3.0, [2, 0, 1]) == pytest.approx([-2, 0, -1])
    assert singular(-3.0, [3, 0, 1]) == [-3, 0, 0]


def test_centred_an_important_turn_of_an_ordinary_episode_earns_nothing():
    # A relationship of 0 is 0.5 on the unit scale: plain direct pays for it.
    assert direct(0.5, [3, 0]) == [0.5, 0]
    assert direct_centred(0.5, [3, 0], baseline=0.5) == [0, 0]


def test_without_an_important_turn():
    assert direct(6.0, [0, 0, 0]) == [0, 0, 0]
    assert direct_centred(6.0, [0, 0, 0], baseline=2) == [0, 0, 0]
    assert scaled(6.0, [0, 0, 0]) == [2, 2, 2]
    assert scaled(6.0, [0, 0, 0], on_zero="zero") == [0, 0, 0]
    assert singular(6.0, [0, 0, 0]) == [2, 2, 2]
    assert singular(6.0, [0, 0, 0], ties="first") == [6, 0, 0]


def test_several_most_important_turns():
    assert singular(6.0, [3, 1, 3]) == [3, 0, 3]
    assert singular(6.0, [3, 1, 3], ties="first") == [6, 0, 0]


def test_an_unknown_importance_leaves_unknown_what_depends_on_it():
    assert direct(6.0, [3, None, 0]) == [6, None, 0]
    assert direct_centred(6.0, [3, None, 0], baseline=2) == [4, None, 0]
    assert scaled(6.0, [3, None, 0]) == [None, None, None]
    assert singular(6.0, [3, None, 0]) == [None, None, None]


@pytest.mark.parametrize("design", ATTRIBUTION_DESIGNS)
def test_unknown_scores_one_turn_and_no_turn(design):
    formula = ATTRIBUTION_DESIGNS[design].formula
    assert formula(None, [1, 0, None]) == [None, None, None]
    assert formula(6.0, [3]) == [6.0]
    assert formula(6.0, [None]) == [None]
    assert formula(6.0, []) == []
    assert formula(None, []) == []


@given(SCORES, IMPORTANCES)
def test_scaled_and_singular_sum_to_the_score(score, importances):
    for numbers in (
        scaled(score, importances),
        singular(score, importances),
        singular(score, importances, ties="first"),
    ):
        assert len(numbers) == len(importances)
        assert math.isclose(math.fsum(numbers), score if importances else 0.0, rel_tol=1e-9, abs_tol=1e-12)


@given(SCORES, IMPORTANCES)
def test_the_published_scaled_design_sums_to_the_score_or_to_nothing(score, importances):
    total = math.fsum(scaled(score, importances, on_zero="zero"))
    assert math.isclose(total, score if any(importances) else 0.0, rel_tol=1e-9, abs_tol=1e-12)


@given(SCORES, st.floats(-10, 10), IMPORTANCES)
def test_direct_lies_between_zero_and_the_score(score, baseline, importances):
    for given_score, numbers in (
        (score, direct(score, importances)),
        (score - baseline, direct_centred(score, importances, baseline=baseline)),
    ):
        assert all(min(0, given_score) <= number <= max(0, given_score) for number in numbers)
        total = given_score * sum(importances) / 3
        assert math.isclose(math.fsum(numbers), total, rel_tol=1e-9, abs_tol=1e-9)


@given(SCORES | st.none(), st.lists(st.floats(0, 3) | st.none(), max_size=8))
def test_no_design_fails_or_makes_a_number_of_the_unknown(score, importances):
    for design in ATTRIBUTION_DESIGNS.values():
        numbers = design.formula(score, importances)
        assert len(numbers) == len(importances)
        for number, importance in zip(numbers, importances, strict=True):
            assert number is None or math.isfinite(number)
            assert number is None or (score is not None and importance is not None)


def test_the_flags_of_the_designs():
    flags = {name: (design.kinds, design.timing) for name, design in ATTRIBUTION_DESIGNS.items()}
    assert flags == {
        "scaled": (("return", "credit"), "hindsight"),
        "singular": (("return", "credit"), "hindsight"),
        "direct": (("credit",), "hindsight"),
        "direct-centred": (("credit",), "hindsight"),
    }


def test_credit_as_importances():
    assert importances_of_credit([0.2, -0.4, 0.1, None, 0.4]) == [2, 0, 1, None, 3]
    assert importances_of_credit([0.1, -0.4], levels=10) == [2, 0]
    assert importances_of_credit([0.0, None]) == [0, None]
    assert importances_of_credit([]) == []
