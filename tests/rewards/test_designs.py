import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sotopia_env.rewards import DESIGNS
from sotopia_env.rewards.designs import at_the_end, broadcast, discounted, uniform

SCORES = st.floats(-10, 10)


def test_the_formulas_of_a_score_of_six_over_three_turns():
    assert at_the_end(6.0, 3) == [0.0, 0.0, 6.0]
    assert uniform(6.0, 3) == [2.0, 2.0, 2.0]
    assert broadcast(6.0, 3) == [6.0, 6.0, 6.0]
    assert discounted(6.0, 3) == pytest.approx([4.86, 5.4, 6.0])
    assert discounted(6.0, 3, gamma=0.5) == [1.5, 3.0, 6.0]


def test_a_negative_score_keeps_its_sign():
    assert at_the_end(-2.0, 2) == [0.0, -2.0]
    assert discounted(-2.0, 2, gamma=0.5) == [-1.0, -2.0]


@pytest.mark.parametrize("design", DESIGNS)
def test_an_unknown_score_stays_unknown_wherever_it_counts(design):
    # That the terminal reward is 0 before the end is known without the score, and was paid in play.
    assert DESIGNS[design].formula(None, 3) == ([0.0, 0.0, None] if design == "episode" else [None, None, None])


@given(SCORES | st.none(), st.integers(0, 30), st.floats(0, 1))
def test_the_sums_of_the_designs(score, num_turns, gamma):
    numbers = {name: design.formula(score, num_turns) for name, design in DESIGNS.items()}
    numbers["discounted"] = discounted(score, num_turns, gamma)
    for values in numbers.values():
        assert len(values) == num_turns
        assert all(value is None or math.isfinite(value) for value in values)
        assert num_turns == 0 or (None in values) == (score is None)
    if score is None or num_turns == 0:
        return
    assert math.fsum(numbers["episode"]) == score
    assert math.fsum(numbers["uniform"]) == pytest.approx(score, abs=1e-12)
    assert numbers["broadcast"] == [score] * num_turns
    # Discounting forward what is paid at the end gives every number of the discounted design.
    assert all(abs(later) >= abs(value) for value, later in itertools.pairwise(numbers["discounted"]))
    assert math.fsum(numbers["discounted"]) == pytest.approx(score * sum(gamma**t for t in range(num_turns)), abs=1e-9)


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("score", [5.0, None])
def test_an_agent_without_turns_has_no_numbers(design, score):
    assert DESIGNS[design].formula(score, 0) == []


def test_the_flags_of_the_designs():
    flags = {name: (design.kinds, design.timing) for name, design in DESIGNS.items()}
    assert flags == {
        "episode": (("return",), "causal"),
        "uniform": (("return", "credit"), "hindsight"),
        "broadcast": (("credit",), "hindsight"),
        "discounted": (("credit",), "hindsight"),
    }
