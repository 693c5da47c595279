"""What kinds of character scripted policies have."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Traits:
    """What kind of bargainer a policy is. Probabilities are per turn.

    Args:
        rate: share of the remaining distance it concedes for a fair concession of the other.
        anchor: how far from its limit it opens, 0 to 1.
        tolerance: it accepts a price within a step of its own last one, or within this share of the list price.
        patience: turns of the other without a better price before it gives up.
        warmth: probability of a courtesy.
        curiosity: probability of a question.
        openness: probability of answering a question, before rapport.
        hostility: probability of an insult.
        candour: probability that its secret slips out once rapport is high.
        deceit: probability of a false claim.
        mirror: concede as much as the other did, instead of a share of the distance.
        formal: probability of accepting by the formal move rather than in words.
    """

    rate: float = 0.4
    anchor: float = 0.5
    tolerance: float = 0.04
    patience: int = 3
    warmth: float = 0.3
    curiosity: float = 0.25
    openness: float = 0.6
    hostility: float = 0.0
    candour: float = 0.0
    deceit: float = 0.0
    mirror: bool = False
    formal: float = 0.9


PRESETS: dict[str, Traits] = {
    "firm": Traits(rate=0.3, anchor=0.6, warmth=0.2, openness=0.4),
    "soft": Traits(rate=0.5, anchor=0.25, tolerance=0.05, patience=5, warmth=0.5, candour=0.2),
    "warm": Traits(warmth=0.8, curiosity=0.3, openness=0.9, candour=0.3),
    "blunt": Traits(warmth=0.0, curiosity=0.0, openness=0.3),
    "curious": Traits(warmth=0.3, curiosity=0.9, openness=0.7),
    "patient": Traits(anchor=0.45, patience=5, warmth=0.4, curiosity=0.4),
    "anchor": Traits(rate=0.4, anchor=1.0, warmth=0.3),
    "tit-for-tat": Traits(mirror=True, anchor=0.5, warmth=0.4),
    "stonewall": Traits(rate=0.15, anchor=0.5, patience=6, warmth=0.0, curiosity=0.0, openness=0.1),
    "hostile": Traits(rate=0.3, anchor=0.7, patience=2, warmth=0.0, hostility=0.4, openness=0.1),
    "deceptive": Traits(rate=0.3, anchor=0.7, warmth=0.5, deceit=0.4, openness=0.1),
}
"""The policies known by name, as ``scripted:NAME``."""

CLONED = ("firm", "soft", "warm", "blunt", "curious", "patient")
"""The presets whose episodes a clone learns from; the others are partners it has not met."""
