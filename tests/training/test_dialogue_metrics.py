from __future__ import annotations

from sotopia_env.training.dialogue_metrics import averages


def test_a_mean_over_some_of_the_values_is_logged_with_their_share() -> None:
    values = [("scores/goal", 4.0), ("scores/goal", None), ("scores/goal", None), ("scores/goal", 6.0), ("turns", 3.0)]
    assert averages(values) == {"scores/goal": 5.0, "known/scores/goal": 0.5, "turns": 3.0}


def test_what_nobody_knows_has_no_mean() -> None:
    assert averages([("scores/secret", None), ("turns", 2.0)]) == {"turns": 2.0}
