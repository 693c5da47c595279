from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sotopia_env.rewards import Normalizer, fit_normalizer, normalise_then_sum

LABELS = [2.0, None, 4.0, 8.0]
NUMBERS = st.lists(st.floats(-10, 10), min_size=2, max_size=12)


def test_the_range_is_that_of_the_dimension() -> None:
    normalizer = fit_normalizer("range", LABELS, (-5.0, 5.0))
    assert [normalizer(value) for value in (-5.0, 0.0, 5.0)] == [0.0, 0.5, 1.0]
    assert normalizer.difference(2.0) == pytest.approx(0.2)


def test_min_max_and_z_score_are_fitted_to_known_labels() -> None:
    assert [fit_normalizer("min-max", LABELS)(value) for value in (2.0, 5.0, 8.0)] == [0.0, 0.5, 1.0]
    scored = [fit_normalizer("z-score", LABELS)(value) for value in (2.0, 4.0, 8.0)]
    assert np.mean(scored) == pytest.approx(0) and np.std(scored) == pytest.approx(1)


def test_the_paper_takes_ten_times_min_max() -> None:
    assert [fit_normalizer("paper", LABELS)(value) for value in (2.0, 8.0)] == [0.0, 10.0]


@pytest.mark.parametrize(("kind", "middle"), [("min-max", 0.5), ("paper", 5.0), ("z-score", 0.0)])
def test_a_constant_dimension_tells_no_turns_apart(kind: str, middle: float) -> None:
    normalizer = fit_normalizer(kind, [3.0, 3.0, None])  # type: ignore[arg-type]
    assert normalizer.constant
    assert [normalizer(value) for value in (3.0, 3.1, -40.0)] == [middle] * 3
    assert normalizer.difference(0.7) == 0.0


def test_unknown_stays_unknown() -> None:
    normalizer = fit_normalizer("min-max", LABELS)
    assert normalizer(None) is None and normalizer.difference(None) is None


def test_it_can_be_written_down() -> None:
    normalizer = fit_normalizer("z-score", LABELS)
    assert Normalizer(**normalizer.to_dict()) == normalizer


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(ValueError, match="'rank' is none of range, min-max"):
        fit_normalizer("rank", LABELS)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no label is known"):
        fit_normalizer("min-max", [None, None])
    with pytest.raises(ValueError, match="needs the limits"):
        fit_normalizer("range", LABELS)


def test_a_group_is_normalised_before_it_is_summed() -> None:
    goal, knowledge = [0.0, 1.0, 2.0, 3.0], [0.9, 0.7, 0.7, 0.9]
    both = normalise_then_sum({"goal": goal, "knowledge": knowledge}, {"goal": 1, "knowledge": 3})
    z = (np.array(goal) - 1.5) / np.std(goal)
    assert both == pytest.approx(0.25 * z + 0.75 * np.array([1, -1, -1, 1]))


def test_turns_are_normalised_index_by_index() -> None:
    rewards = np.array([[1.0, 5.0], [3.0, np.nan], [np.nan, 7.0]])
    expected = [[-1.0, -1.0], [1.0, np.nan], [np.nan, 1.0]]
    np.testing.assert_allclose(normalise_then_sum({"goal": rewards}, {"goal": 2.0}), expected)


def test_a_dimension_on_which_a_group_agrees_adds_nothing() -> None:
    same = {"goal": [1.0, 2.0], "secret": [-3.0, -3.0]}
    assert normalise_then_sum(same, {"goal": 1, "secret": 1}).tolist() == [-0.5, 0.5]
    with pytest.raises(ValueError, match="knowledge given; there are goal, secret"):
        normalise_then_sum(same, {"knowledge": 1})


@given(NUMBERS, st.floats(0.1, 100), st.floats(-100, 100))
def test_the_scale_of_a_dimension_does_not_matter_in_a_group(values: list[float], scale: float, shift: float) -> None:
    if np.std(values) < 1e-3:
        return
    plain = normalise_then_sum({"goal": values}, {"goal": 1})
    moved = normalise_then_sum({"goal": scale * np.array(values) + shift}, {"goal": 1})
    np.testing.assert_allclose(moved, plain, atol=1e-6)
