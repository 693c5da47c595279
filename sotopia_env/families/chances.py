"""Probabilities of the kinds of task that a family draws."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np


def checked_chances(name: str, given: Mapping[str, float], kinds: Collection[str]) -> dict[str, float]:
    """The probabilities as given.

    Args:
        name: of the argument, for the error.
        given: probability of each kind; a kind left out is never drawn.
        kinds: all there are.

    Raises:
        ValueError: an unknown kind, a negative probability, or a sum other than 1.
    """
    chances = dict(given)
    if set(chances) - set(kinds) or abs(sum(chances.values()) - 1) > 1e-9 or min(chances.values()) < 0:
        raise ValueError(f"{name}: probabilities of {', '.join(kinds)} that add up to 1; got {chances}")
    return chances


def draw_kind(chances: Mapping[str, float], rng: np.random.Generator) -> str:
    """One kind, by the same number that ``rng.choice(kinds, p=...)`` would draw.

    NumPy's ``choice`` of a list with probabilities swallows an interrupt now and then; this does not.
    """
    bounds = np.cumsum(list(chances.values()))
    return list(chances)[int(np.searchsorted(bounds / bounds[-1], rng.random(), side="right"))]
