"""The seven dimensions of Sotopia with their native ranges."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

DIMENSIONS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "believability": (0.0, 10.0),
        "relationship": (-5.0, 5.0),
        "knowledge": (0.0, 10.0),
        "secret": (-10.0, 0.0),
        "social_rules": (-10.0, 0.0),
        "financial_and_material_benefits": (-5.0, 5.0),
        "goal": (0.0, 10.0),
    }
)
"""``{dimension: (lowest, highest)}``, the ranges of Sotopia-Eval (arXiv 2310.11667, section 3)."""
