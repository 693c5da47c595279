"""What every scripted policy says besides what a task is about: courtesies and insults, answers, a secret."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sotopia_env.agents.scripted import phrases
from sotopia_env.agents.scripted.reading import OfferTalk, OwnSide, first_person
from sotopia_env.agents.scripted.traits import Traits
from sotopia_env.families.generated import pick
from sotopia_env.policies import Observation


def manner(draw: float, traits: Traits, rng: np.random.Generator) -> list[str]:
    """An insult, a courtesy or nothing, by a number drawn from [0, 1)."""
    if draw < traits.hostility:
        return [pick(phrases.INSULTS, rng)]
    return [pick(phrases.COURTESIES, rng)] if draw < traits.hostility + traits.warmth else []


def answer(
    brief: OwnSide,
    talk: OfferTalk[Any],
    draws: np.ndarray,
    traits: Traits,
    false_claims: Sequence[str],
    rng: np.random.Generator,
) -> list[str]:
    """To a question a fact that is untold, or an evasion; else a false claim or nothing.

    Args:
        brief: with the facts.
        talk: so far.
        draws: ``(2,)`` numbers from [0, 1), for whether to answer and whether to lie.
        traits: how open and how false one is.
        false_claims: what one may claim.
        rng: draws the wording.
    """
    untold = [fact for fact in brief.facts if fact not in talk.told]
    if talk.question and untold:
        if draws[0] < traits.openness + 0.3 * talk.rapport:
            return [pick(phrases.ANSWERS, rng).format(fact=first_person(untold[0]))]
        return [pick(phrases.EVASIONS, rng)]
    return [pick(false_claims, rng)] if draws[1] < traits.deceit else []


def slip(observation: Observation, rapport: float, draw: float, traits: Traits) -> list[str]:
    """One's own secret, which slips out where rapport is high, by a number drawn from [0, 1)."""
    if draw < traits.candour and rapport > 0.3:
        return telling_secret(observation)
    return []


def telling_secret(observation: Observation) -> list[str]:
    """Returns one's own secret as one sentence; nothing where there is none."""
    secret = str(observation["background"]).partition("Secret: ")[2].rstrip(".")
    return [f"{phrases.SECRET_MARK.capitalize()}, {first_person(secret)}."] if secret else []
