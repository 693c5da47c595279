"""Bargaining over a price in plain language: what to offer, when to accept, what to say.

Pure functions of what was said, the own brief and a generator. A concession answers an offer, never the passing of
time: silence does not pay.
"""

from __future__ import annotations

import numpy as np

from sotopia_env.actions import Action, do, leave
from sotopia_env.agents.scripted import phrases
from sotopia_env.agents.scripted.acts import settling
from sotopia_env.agents.scripted.manners import answer, manner, slip
from sotopia_env.agents.scripted.reading import Brief, Talk, amount, read_talk
from sotopia_env.agents.scripted.traits import Traits
from sotopia_env.families.generated import pick
from sotopia_env.policies import Observation


def bargain(observation: Observation, brief: Brief, traits: Traits, rng: np.random.Generator) -> Action | None:
    """What a bargainer with these traits does now; nothing is left to do once a price is agreed."""
    talk = read_talk(observation, brief)
    if talk.agreed:
        return None
    offer = next_offer(brief, talk, traits)
    standing = talk.standing
    if standing is not None and accepts(brief, talk, traits, standing, offer):
        if rng.random() < traits.formal:
            return do("accept")
        return settling("accept", [], pick(phrases.ACCEPTANCES, rng), formal=brief.formal)
    if talk.stalled >= traits.patience:
        if standing is not None and brief.worth(standing) and brief.gain(standing) > 0.06:
            return do("accept")
        return leave(pick(phrases.FAREWELLS, rng))
    words, terms = _utterance(observation, brief, talk, traits, offer, rng)
    return settling(f"offer ${amount(offer)}", words, terms, formal=brief.formal)


def next_offer(brief: Brief, talk: Talk, traits: Traits) -> float:
    """The price to name next: it moves only when the other's did."""
    if not talk.own_offers:
        return _opening(brief, traits)
    current = talk.own_offers[-1]
    earlier, latest = talk.partner_offers[: talk.partner_before], talk.partner_offers[talk.partner_before :]
    if not latest:
        return current
    sign = brief.sign
    if earlier:
        best = max(earlier, key=lambda price: sign * price)
        moved = sign * (latest[-1] - best)
        if moved <= 0:
            return current
        reciprocity = min(max(moved / max(0.15 * abs(current - best), 1.0), 0.25), 1.0)
    else:
        moved, reciprocity = 0.08 * brief.list_price, 1.0
    target = latest[-1] if brief.worth(latest[-1]) else brief.reserve
    distance = sign * (current - target)
    if distance <= 0:
        return current
    soft = brief.softness(talk)
    step = moved * soft if traits.mirror else distance * min(traits.rate * soft, 0.9) * reciprocity
    return _round(current - sign * min(max(step, brief.step), distance), brief)


def accepts(brief: Brief, talk: Talk, traits: Traits, standing: float, offer: float) -> bool:
    """Whether the other's price is worth it and near one's own last, or as good as what one would ask next."""
    if not brief.worth(standing):
        return False
    if brief.sign * (offer - standing) <= 0:
        return True
    apart = brief.sign * (talk.own_offers[-1] - standing) if talk.own_offers else brief.list_price
    return apart <= max(traits.tolerance * brief.list_price, brief.step)


def _opening(brief: Brief, traits: Traits) -> float:
    if brief.role == "seller":
        price = max(brief.list_price * (0.95 + 0.10 * traits.anchor), brief.reserve)
    else:
        price = min(brief.limit * (0.88 - 0.38 * traits.anchor), brief.list_price)
    return _round(price, brief)


def _utterance(
    observation: Observation, brief: Brief, talk: Talk, traits: Traits, offer: float, rng: np.random.Generator
) -> tuple[list[str], str]:
    draws = rng.random(6)
    parts = []
    if talk.partner_offers and not brief.worth(talk.partner_offers[-1]):
        parts.append(pick(phrases.REFUSALS[brief.role], rng))
    parts += manner(draws[0], traits, rng)
    parts += answer(brief, talk, draws[1:3], traits, phrases.FALSE_CLAIMS, rng)
    parts += slip(observation, talk.rapport, draws[3], traits)
    if draws[4] < traits.curiosity:
        parts.append(pick(phrases.QUESTIONS[brief.role], rng))
    # The price comes last, where a reader looks for it.
    return parts, _price_sentence(brief, talk, offer, rng)


def _price_sentence(brief: Brief, talk: Talk, offer: float, rng: np.random.Generator) -> str:
    if not talk.own_offers:
        return pick(phrases.OPENINGS[brief.role], rng).format(price=amount(offer))
    if offer != talk.own_offers[-1]:
        return pick(phrases.OFFERS, rng).format(price=amount(offer))
    return pick(phrases.HOLDS, rng).format(price=amount(offer))


def _round(price: float, brief: Brief) -> float:
    unit = brief.step
    rounded = round(price / unit) * unit
    return rounded if brief.worth(rounded) else brief.reserve
