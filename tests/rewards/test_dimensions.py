import pytest

from sotopia_env.rewards import DIMENSIONS, overall
from sotopia_env.rewards.dimensions import check_weights, read_weights, to_unit, weighted_score

SCORES = {
    "believability": 8.0,
    "relationship": 2.0,
    "knowledge": 4.0,
    "secret": 0.0,
    "social_rules": -1.0,
    "financial_and_material_benefits": 1.0,
    "goal": 7.0,
}


def test_native_ranges_map_to_zero_and_one():
    for dimension, (low, high) in DIMENSIONS.items():
        assert to_unit(dimension, low) == 0.0
        assert to_unit(dimension, high) == 1.0
    assert to_unit("relationship", 0.0) == 0.5
    assert to_unit("secret", -2.5) == 0.75


def test_overall_is_the_plain_mean_of_the_seven():
    assert overall(SCORES) == pytest.approx(21 / 7)
    assert overall({**SCORES, "secret": None}) is None
    assert overall({"goal": 7.0}) is None


def test_the_weighted_score_is_a_mean_on_either_scale():
    assert weighted_score(SCORES, {"goal": 1.0}) == pytest.approx(0.7)
    assert weighted_score(SCORES, {"goal": 1.0, "relationship": 1.0}) == pytest.approx(0.7)
    assert weighted_score(SCORES, {"goal": 3.0, "knowledge": 1.0}) == pytest.approx((3 * 0.7 + 0.4) / 4)
    assert weighted_score(SCORES, {"goal": 1.0, "relationship": 1.0}, "native") == pytest.approx(4.5)


def test_a_score_is_unknown_where_a_dimension_that_counts_is():
    assert weighted_score({**SCORES, "goal": None}, {"goal": 1.0, "knowledge": 1.0}) is None
    assert weighted_score({"goal": 7.0}, {"goal": 1.0, "knowledge": 1.0}) is None
    assert weighted_score({**SCORES, "secret": None}, {"goal": 1.0}) == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("weights", "scale", "message"),
    [
        ({}, "unit", "give at least one"),
        ({"goal": 0.0}, "unit", "leave the dimension out"),
        ({"goal": -1.0}, "unit", "leave the dimension out"),
        ({"politeness": 1.0}, "unit", "range of 'politeness' is unknown"),
        ({"goal": 1.0}, "percent", "neither 'unit' nor 'native'"),
    ],
)
def test_weights_that_mean_nothing_are_refused(weights, scale, message):
    with pytest.raises(ValueError, match=message):
        check_weights(weights, scale)


def test_a_dimension_of_ones_own_works_on_the_native_scale():
    check_weights({"politeness": 1.0}, "native")
    assert weighted_score({"politeness": 3.0}, {"politeness": 2.0}, "native") == 3.0


def test_weights_are_read_from_text():
    assert read_weights("goal=2,knowledge") == {"goal": 2.0, "knowledge": 1.0}
    assert read_weights(" goal = 2 , knowledge = .5") == {"goal": 2.0, "knowledge": 0.5}


@pytest.mark.parametrize("text", ["", "goal,", "=2", "goal=", "goal=much", "goal=nan", "goal=inf", "goal=1=2"])
def test_text_that_is_no_weights_is_refused(text):
    with pytest.raises(ValueError, match="is no NAME=WEIGHT; write them like goal=2,knowledge=1"):
        read_weights(text)


def test_a_dimension_has_one_weight():
    with pytest.raises(ValueError, match="'goal' stands there twice"):
        read_weights("goal,goal=2")
