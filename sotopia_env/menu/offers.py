"""Offers and their answers: what bargains and divisions have in common."""

from __future__ import annotations

from collections.abc import Callable

from sotopia_env.actions import do, leave
from sotopia_env.agents.scripted.acts import settling
from sotopia_env.agents.scripted.reading import Offer, OfferTalk, OwnSide, first_person
from sotopia_env.menu import phrases
from sotopia_env.menu.acts import Act
from sotopia_env.menu.cues import saturated
from sotopia_env.menu.phrases import rotated

MANNERS = ("plain", "courteous", "asking", "courteous and asking")
"""What goes with an offer."""


def in_all_manners(
    number: int, sentence: str, courtesy: str, question: str, offer: str = "", *, formal: bool = False
) -> dict[int, Act]:
    """The slots of one offer: ``4 * number + m`` says it in manner ``m``.

    Args:
        number: of the offer.
        sentence: that makes it.
        courtesy: that may go before.
        question: that may follow.
        offer: the terms of the act that makes it where acts alone do.
        formal: whether they do.
    """
    first = len(MANNERS) * number
    said = (sentence, f"{courtesy} {sentence}", f"{sentence} {question}", f"{courtesy} {sentence} {question}")
    if not formal:
        return {first + manner: words for manner, words in enumerate(said)}
    return {first + manner: settling(f"offer {offer}", [words], "", formal=True) for manner, words in enumerate(said)}


def plain_acts(
    brief: OwnSide, talk: OfferTalk[Offer], turn: int, question: str, refusal: Callable[[Offer], str]
) -> dict[str, Act]:
    """The acts besides proposals: to ask, be courteous, leave or tell; to accept or refuse the offer that stands."""
    courtesy = rotated(phrases.COURTESIES, turn)
    acts: dict[str, Act] = {"ask": question, "courtesy": courtesy, "leave": leave(rotated(phrases.FAREWELLS, turn))}
    untold = [fact for fact in brief.facts if fact not in talk.told]
    if untold:
        acts["tell"] = rotated(phrases.TELLINGS, turn).format(fact=first_person(untold[0]))
    if talk.standing is not None and not talk.agreed:
        refused = refusal(talk.standing)
        acts["accept"] = do("accept")
        acts["refuse"] = settling("reject", [refused], "", formal=True) if brief.formal else refused
    return acts


def offer_features(
    brief: OwnSide, talk: OfferTalk[Offer], worth: Callable[[Offer], float], magnified: float = 1.0
) -> dict[str, float]:
    """The features of a talk in which offers are made.

    Args:
        brief: what one knows, and how far one is swayed.
        talk: so far.
        worth: what an offer is worth to oneself.
        magnified: concessions are multiplied by it, where they are small against the worth.
    """
    own, partner = [worth(offer) for offer in talk.own_offers], [worth(offer) for offer in talk.partner_offers]
    features = {
        "manners": brief.manners,
        "questions": brief.questions,
        "leaks": brief.leaks,
        "untold": 1 - len(talk.told) / len(brief.facts) if brief.facts else 0.0,
        "rapport": talk.rapport,
        "stalled": saturated(talk.stalled, 2),
        "agreed": float(talk.agreed),
        "own_proposals": saturated(len(own), 4),
        "partner_proposals": saturated(len(partner), 4),
        "answered": float(len(partner) > talk.partner_before),
    }
    if talk.standing is not None:
        standing = worth(talk.standing)
        features |= {"stands": 1.0, "standing_worth": standing, "standing_suits": float(standing >= 0)}
    for side, worths in (("own", own), ("partner", partner)):
        if worths:
            moved = magnified * (worths[-1] - worths[-2]) if len(worths) > 1 else 0.0
            features |= {f"{side}_first": worths[0], f"{side}_last": worths[-1], f"{side}_moved": moved}
    if own and partner:
        features["gap"] = own[-1] - partner[-1]
    return features
