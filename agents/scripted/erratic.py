"""A partner that names prices at random.

In talks between two sensible bargainers, how an offer is made tells much of whether it is acceptable, and a clone
learns those signs before it learns to compare a price with its own limit. What a teacher says to prices that follow
from nothing shows the comparison alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sotopia_env.actions import Action
from sotopia_env.agents.scripted import phrases
from sotopia_env.agents.scripted.acts import settling
from sotopia_env.agents.scripted.open_talk import open_talk
from sotopia_env.agents.scripted.reading import amount, prices_in, read_brief, read_talk
from sotopia_env.families.generated import pick
from sotopia_env.policies import Observation

_RANGE = (0.3, 1.15)
"""Lowest and highest price it names, as shares of the list price."""

_BEYOND = 0.9
"""How often it asks for more than the other's last price gives, so that the other has something to refuse."""


def erratic(observation: Observation, rng: np.random.Generator) -> Action:
    """A price at random, with a refusal or a courtesy now and then that means nothing."""
    brief = read_brief(observation["goal"], observation["situation"])
    if brief is None:
        return open_talk(observation, rng)
    low, high = (share * brief.list_price for share in _RANGE)
    if brief.formal:
        said: Sequence[float] = read_talk(observation, brief).partner_offers
    else:
        said = prices_in(observation["transcript"].rpartition("\n")[2])
    if said and rng.random() < _BEYOND:
        room = 2 * brief.step
        if brief.role == "seller":
            low = min(said[-1] + room, high - brief.step)
        else:
            high = max(said[-1] - room, low + brief.step)
    price = brief.step * round(float(rng.uniform(low, high)) / brief.step)
    sentences = (*phrases.OFFERS, *phrases.OPENINGS[brief.role])
    terms = pick(sentences, rng).format(price=f"{price:g}")
    parts: list[str] = []
    if rng.random() < 0.3:
        parts.insert(0, phrases.REFUSALS[brief.role][0])
    if rng.random() < 0.2:
        parts.insert(0, pick(phrases.COURTESIES, rng))
    return settling(f"offer ${amount(price)}", parts, terms, formal=brief.formal)
