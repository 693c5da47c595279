"""The menu of a bargain: prices between one's ambition and one's limit, or steps towards the partner's price.

A slot is a price with a manner: slot ``4 * p + m`` names price ``p`` in manner ``m``. The first six prices lie between
one's own limit (0) and as much as one could wish for (5), the other six go from one's own last price towards the
partner's, or towards one's own limit where the partner's lies beyond it: not at all, by the least step, by a tenth, a
quarter, a half, all of the way.
"""

from __future__ import annotations

from sotopia_env.agents.scripted.reading import Brief, Talk, amount, read_brief, read_talk
from sotopia_env.menu import phrases
from sotopia_env.menu.acts import Act, proposals
from sotopia_env.menu.cues import Hearing, may_act
from sotopia_env.menu.offers import in_all_manners, offer_features, plain_acts
from sotopia_env.menu.phrases import rotated
from sotopia_env.policies import Observation

LEVELS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Prices from one's own limit (0) to one's ambition (1)."""

STEPS = (0.1, 0.25, 0.5, 1.0)
"""Shares of the way from one's own last price to the partner's, after staying and after the least step."""


def bargain_menu(observation: Observation, hearing: Hearing) -> tuple[dict[str, Act], dict[str, float]] | None:
    """The acts and the features of a bargain, or ``None`` where the goal is not about a price."""
    brief = read_brief(observation["goal"], observation["situation"])
    if brief is None:
        return None
    talk = read_talk(observation, brief)
    acts = _acts(brief, talk, hearing.own_turns) if may_act(observation) else {}
    return acts, _features(brief, talk)


def prices(brief: Brief, talk: Talk) -> list[float | None]:
    """The twelve prices of the slots; ``None`` for a step where there is no own price to step from."""
    ambition = ambition_of(brief)
    found: list[float | None] = [_rounded(brief.limit + level * (ambition - brief.limit), brief) for level in LEVELS]
    if not talk.own_offers:
        return found + [None] * (2 + len(STEPS))
    own = talk.own_offers[-1]
    target = brief.limit
    if talk.partner_offers and brief.within_limit(talk.partner_offers[-1]):
        target = talk.partner_offers[-1]
    distance = brief.sign * (own - target)
    if distance <= 0:
        return found + [own] + [None] * (1 + len(STEPS))
    lengths = [0.0, unit_of(brief), *(max(share * distance, unit_of(brief)) for share in STEPS)]
    steps = [_rounded(own - brief.sign * min(length, distance), brief) for length in lengths[1:]]
    return [*found, own, *steps]


def ambition_of(brief: Brief) -> float:
    """As much as one could wish for: a fifth above the list price, or a seventh of what one would pay."""
    if brief.role == "seller":
        return max(1.2 * brief.list_price, 1.2 * brief.limit)
    return 0.15 * min(brief.limit, brief.list_price)


def unit_of(brief: Brief) -> float:
    """The least step in which one bargains over things of such a price."""
    for least, step in ((2000, 10.0), (20, 1.0)):
        if brief.list_price >= least:
            return step
    return 0.1


def _acts(brief: Brief, talk: Talk, turn: int) -> dict[str, Act]:
    courtesy, question = rotated(phrases.COURTESIES, turn), rotated(phrases.QUESTIONS[brief.role], turn)
    refusal = rotated(phrases.REFUSED_PRICES, turn)
    named: dict[int, Act] = {}
    for number, price in enumerate(prices(brief, talk)):
        if price is not None:
            sentence = _price_sentence(brief, talk, price, turn)
            named |= in_all_manners(number, sentence, courtesy, question, f"${amount(price)}", formal=brief.formal)
    return plain_acts(brief, talk, turn, question, lambda price: refusal.format(price=amount(price))) | proposals(named)


def _price_sentence(brief: Brief, talk: Talk, price: float, turn: int) -> str:
    if not talk.own_offers:
        return rotated(phrases.OPENINGS[brief.role], turn).format(price=amount(price))
    same = abs(price - talk.own_offers[-1]) < 0.005
    return rotated(phrases.HOLDS if same else phrases.OFFERS, turn).format(price=amount(price))


def _features(brief: Brief, talk: Talk) -> dict[str, float]:
    features = {"price": 1.0, "side": float(brief.sign), "limit": brief.limit / brief.list_price - 1}
    return features | offer_features(brief, talk, brief.gain, magnified=5.0)


def _rounded(price: float, brief: Brief) -> float:
    """A price in whole units, never beyond one's own limit."""
    unit = unit_of(brief)
    rounded = round(round(price / unit) * unit, 2)
    return max(rounded, unit) if brief.within_limit(rounded) else brief.limit
