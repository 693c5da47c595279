"""What a model is asked to grade: dimensions with their ranges, in words of this package."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sotopia_env.rewards.dimensions import DIMENSIONS

_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Dimension:
    """One thing to be graded.

    Args:
        name: its key in scores, in lower case with underscores.
        low: the worst score.
        high: the best score.
        question: what is asked about each agent, and what the ends of the range mean.

    Raises:
        ValueError: the name cannot be a key, the range is empty, or one of Sotopia's dimensions is given another range.
    """

    name: str
    low: float
    high: float
    question: str

    def __post_init__(self) -> None:
        """Refuse what no reply could satisfy."""
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"dimension {self.name!r}: take lower-case letters, digits and underscores for its name")
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"dimension {self.name}: from {self.low} to {self.high} is no range")
        if DIMENSIONS.get(self.name, (self.low, self.high)) != (self.low, self.high):
            low, high = DIMENSIONS[self.name]
            raise ValueError(f"dimension {self.name} runs from {low:g} to {high:g}; give another range another name")
        if not self.question.strip():
            raise ValueError(f"dimension {self.name}: the question is empty; say what is graded")


_QUESTIONS = {
    "believability": (
        "Could this be the person described, talking in this situation? Count against the agent: stiff or needless "
        "repetition, words or knowledge that do not fit the profile, ignoring what was just said, speaking for others. "
        "0 is not believable at all, 10 is indistinguishable from that person."
    ),
    "relationship": (
        "What did the dialogue do to the bond between this agent and the others, and to how others see the agent? "
        "-5 means it was badly damaged, 0 that it stayed as it was, 5 that it became much closer."
    ),
    "knowledge": (
        "How much did this agent find out that it did not know before and that matters to it? What it already knew, "
        "or only said itself, does not count. 0 is nothing new, 10 is much that is new and important."
    ),
    "secret": (
        "Did this agent give away what its profile says it keeps secret, outright or by letting it be guessed? "
        "0 means nothing came out, or that there is no secret; -10 means all of it did."
    ),
    "social_rules": (
        "Did this agent break laws, or the manners and moral expectations of the situation, such as by insult, threat, "
        "deceit or disrespect? 0 means none was broken, -10 means grave breaches."
    ),
    "financial_and_material_benefits": (
        "Was this agent better or worse off in money or goods afterwards, now or foreseeably, than if the dialogue had "
        "not taken place? -5 is a heavy loss, 0 no change, 5 a large gain."
    ),
    "goal": (
        "How far did this agent get what its own goal asks for by the end, judged by what happened and not by what it "
        "claimed? 0 is not at all, 10 is completely."
    ),
}

RUBRIC = {name: Dimension(name, *bounds, _QUESTIONS[name]) for name, bounds in DIMENSIONS.items()}
"""Sotopia-Eval's seven dimensions (arXiv 2310.11667, section 3) with their ranges; the wording is our own."""


def as_dimensions(given: Iterable[str | Dimension | Mapping[str, Any]]) -> tuple[Dimension, ...]:
    """Dimensions from names of Sotopia's seven and dimensions of one's own, which may be mappings of their fields.

    Raises:
        ValueError: none is given, one is unknown, or one stands there twice.
    """
    items = (given,) if isinstance(given, str | Dimension) else tuple(given)
    unknown = [item for item in items if isinstance(item, str) and item not in RUBRIC]
    if unknown:
        raise ValueError(f"unknown dimension {unknown[0]!r}; one of {', '.join(RUBRIC)}, or a Dimension of your own")
    dimensions = tuple(map(_as_dimension, items))
    names = [dimension.name for dimension in dimensions]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"dimensions: {', '.join(names) or 'none'}; give at least one, and each once")
    return dimensions


def _as_dimension(given: str | Dimension | Mapping[str, Any]) -> Dimension:
    if isinstance(given, str):
        return RUBRIC[given]
    return given if isinstance(given, Dimension) else Dimension(**given)
