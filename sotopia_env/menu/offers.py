"""Offers and their answers: what bargains and divisions have in common."""

from __future__ import annotations

from collections.abc import Sequence

from sotopia_env.menu.acts import Act
from sotopia_env.menu.cues import saturated

MANNERS = ("plain", "courteous", "asking", "courteous and asking")
"""What goes with an offer."""


def in_all_manners(number: int, sentence: str, courtesy: str, question: str) -> dict[int, Act]:
    """The slots of one offer: ``4 * number + m`` says it in manner ``m``."""
    first = len(MANNERS) * number
    return {
        first: sentence,
        first + 1: f"{courtesy} {sentence}",
        first + 2: f"{sentence} {question}",
        first + 3: f"{courtesy} {sentence} {question}",
    }


def offer_features(
    own: Sequence[float], partner: Sequence[float], *, before: int, standing: float | None, magnified: float = 1.0
) -> dict[str, float]:
    """The features of offers.

    Args:
        own: what each of one's own offers is worth to oneself, in order.
        partner: what each of the partner's offers is worth to oneself.
        before: how many of the partner's came before one's own last.
        standing: worth of what an acceptance would bring, or ``None``.
        magnified: concessions are multiplied by it, where they are small against the worth.
    """
    features = {
        "own_proposals": saturated(len(own), 4),
        "partner_proposals": saturated(len(partner), 4),
        "answered": float(len(partner) > before),
    }
    if standing is not None:
        features |= {"stands": 1.0, "standing_worth": standing, "standing_suits": float(standing >= 0)}
    for side, worths in (("own", own), ("partner", partner)):
        if worths:
            moved = magnified * (worths[-1] - worths[-2]) if len(worths) > 1 else 0.0
            features |= {f"{side}_first": worths[0], f"{side}_last": worths[-1], f"{side}_moved": moved}
    if own and partner:
        features["gap"] = own[-1] - partner[-1]
    return features
