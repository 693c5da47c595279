import pytest

from sotopia_env.rewards import DESIGNS
from sotopia_env.rewards.designs import at_the_end, broadcast, discounted, uniform


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
def test_an_unknown_score_stays_unknown_at_every_turn(design):
    assert DESIGNS[design].formula(None, 3) == [None, None, None]


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
