"""What becomes one number of several of the seven dimensions of Sotopia."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from sotopia_env.dimensions import DIMENSIONS as DIMENSIONS

Scale = Literal["unit", "native"]


def to_unit(dimension: str, value: float) -> float:
    """A score on the scale from 0 (the lowest of its native range) to 1 (the highest)."""
    low, high = DIMENSIONS[dimension]
    return (value - low) / (high - low)


def overall(scores: Mapping[str, float | None]) -> float | None:
    """Sotopia's overall score: the plain mean of the seven native scores, unknown where one of them is."""
    known = [scores.get(dimension) for dimension in DIMENSIONS]
    numbers = [value for value in known if value is not None]
    return sum(numbers) / len(numbers) if len(numbers) == len(known) else None


def weighted_score(
    scores: Mapping[str, float | None], weights: Mapping[str, float], scale: Scale = "unit"
) -> float | None:
    """The weighted mean of some dimensions of one agent.

    Args:
        scores: ``{dimension: native score}``.
        weights: ``{dimension: weight}``; only their ratios matter.
        scale: ``"unit"`` maps every dimension from its native range to [0, 1] first, ``"native"`` takes it as it is.

    Returns:
        The mean, or ``None`` where a dimension that counts is unknown.
    """
    total = 0.0
    for dimension, weight in weights.items():
        value = scores.get(dimension)
        if value is None:
            return None
        total += weight * (to_unit(dimension, value) if scale == "unit" else value)
    return total / sum(weights.values())


def goal_alone() -> dict[str, float]:
    """Returns the weights that rewards have by default."""
    return {"goal": 1.0}


def suffix(weights: Mapping[str, float]) -> str:
    """Returns what the name of a reward says of its dimensions: nothing of the goal alone."""
    return "" if set(weights) == set(goal_alone()) else f":{','.join(weights)}"


def read_weights(text: str) -> dict[str, float]:
    """``goal=2,knowledge`` as ``{"goal": 2.0, "knowledge": 1.0}``.

    Args:
        text: names with commas between them; ``NAME=WEIGHT`` where the weight is not 1.

    Raises:
        ValueError: a name or a weight is missing, a weight is no finite number, or a name stands there twice.
    """
    weights: dict[str, float] = {}
    for item in text.split(","):
        name, given, number = (part.strip() for part in item.partition("="))
        try:
            weight = float(number) if given else 1.0
        except ValueError:
            weight = math.nan
        if not name or not math.isfinite(weight):
            raise ValueError(f"dimensions: {item!r} is no NAME=WEIGHT; write them like goal=2,knowledge=1")
        if name in weights:
            raise ValueError(f"dimensions: {name!r} stands there twice; give it one weight")
        weights[name] = weight
    return weights


def check_weights(weights: Mapping[str, float], scale: str) -> None:
    """Refuse weights that no score could ever be computed from.

    Raises:
        ValueError: no weights, one that is not positive, or a dimension whose range nobody knows.
    """
    if scale not in ("unit", "native"):
        raise ValueError(f"scale: {scale!r} is neither 'unit' nor 'native'")
    if not weights:
        raise ValueError("dimensions: give at least one, such as {'goal': 1}")
    for dimension, weight in weights.items():
        if not weight > 0:
            raise ValueError(f"dimensions: the weight of {dimension!r} is {weight}; leave the dimension out instead")
        if scale == "unit" and dimension not in DIMENSIONS:
            raise ValueError(
                f"dimensions: the range of {dimension!r} is unknown, so it cannot be mapped to [0, 1]; "
                f"take scale='native', or one of {', '.join(DIMENSIONS)}"
            )
