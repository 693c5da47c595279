"""The menu of a division: shares of one's own points, each as the division that seems best for the partner.

A slot is a share with a manner: slot ``4 * s + m`` asks for at least share ``s`` in manner ``m``, from two fifths of
one's points (0) to all of them (11). Of the divisions worth that much, it is the one that leaves the partner most, as
far as the talk tells what the partner cares for.
"""

from __future__ import annotations

import numpy as np

from sotopia_env.agents.scripted.dividing import best_for_both, partner_weights
from sotopia_env.agents.scripted.division_talk import (
    DivisionBrief,
    DivisionTalk,
    read_division_brief,
    read_division_talk,
)
from sotopia_env.families.divide.items import Counts, complement, listed, share_text
from sotopia_env.menu import phrases
from sotopia_env.menu.acts import PROPOSALS, Act, proposals
from sotopia_env.menu.cues import Hearing, may_act, saturated
from sotopia_env.menu.offers import MANNERS, in_all_manners, offer_features, plain_acts
from sotopia_env.menu.phrases import rotated
from sotopia_env.policies import Observation

SHARES = tuple(round(float(share), 3) for share in np.linspace(0.4, 1.0, PROPOSALS // len(MANNERS)))
"""Least shares of one's own points, slot by slot."""

KINDS = 3
"""Of so many kinds of things the features tell; a division of more kinds is played with fewer features."""


def division_menu(observation: Observation, hearing: Hearing) -> tuple[dict[str, Act], dict[str, float]] | None:
    """The acts and the features of a division between two, or ``None`` where there is nothing to divide."""
    if str(observation["participants"]).count("\n") != 1:
        return None
    brief = read_division_brief(observation["goal"], observation["situation"])
    if brief is None:
        return None
    talk = read_division_talk(observation, brief)
    acts = _acts(brief, talk, hearing.own_turns) if may_act(observation) else {}
    return acts, _features(brief, talk)


def _acts(brief: DivisionBrief, talk: DivisionTalk, turn: int) -> dict[str, Act]:
    courtesy, question = rotated(phrases.COURTESIES, turn), rotated(phrases.DIVISION_QUESTIONS, turn)
    weights = partner_weights(brief, talk)
    named: dict[int, Act] = {}
    for number, share in enumerate(SHARES):
        mine = best_for_both(brief, share, weights)
        offer = share_text(brief.items, mine)
        sentence = _sentence(brief, mine, turn)
        named |= in_all_manners(number, sentence, courtesy, question, offer, formal=brief.formal)
    refusal = rotated(phrases.REFUSED_DIVISIONS, turn)
    return plain_acts(brief, talk, turn, question, lambda _: refusal) | proposals(named)


def _sentence(brief: DivisionBrief, mine: Counts, turn: int) -> str:
    left = complement(mine, brief.items)
    if not any(left):
        return rotated(phrases.ALL_MINE, turn).format(mine=listed(brief.items, mine))
    if not any(mine):
        return rotated(phrases.ALL_YOURS, turn).format(theirs=listed(brief.items, left))
    return rotated(phrases.DIVISIONS, turn).format(mine=listed(brief.items, mine), theirs=listed(brief.items, left))


def _features(brief: DivisionBrief, talk: DivisionTalk) -> dict[str, float]:
    weights = partner_weights(brief, talk)
    features = {"division": 1.0}
    for kind, item in enumerate(brief.items[:KINDS]):
        features[f"count_{kind}"] = saturated(item.count, 2)
        only = tuple(item.count if k == kind else 0 for k in range(len(brief.items)))
        features[f"worth_{kind}"] = brief.share(only)
        features[f"wanted_{kind}"] = weights[kind] / 5
    return features | offer_features(brief, talk, brief.share)
