from __future__ import annotations

import numpy as np
import pytest

from sotopia_env.families.generated import checked_chances, draw_kind


def test_a_kind_is_drawn_as_numpy_would_draw_it() -> None:
    chances = {"a": 0.6, "b": 0.3, "c": 0.1}
    ours, theirs = np.random.default_rng(0), np.random.default_rng(0)
    for _ in range(500):
        assert draw_kind(chances, ours) == str(theirs.choice(list(chances), p=list(chances.values())))


@pytest.mark.parametrize("given", [{}, {"a": 0.5}, {"a": 1.5, "b": -0.5}, {"d": 1.0}])
def test_what_is_no_set_of_probabilities_is_refused(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="kinds: probabilities of a, b that add up to 1"):
        checked_chances("kinds", given, ("a", "b"))
