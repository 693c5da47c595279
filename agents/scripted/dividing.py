"""Dividing things in plain language: what to ask for, when to accept, what to say.

Pure functions of what was said, the own brief and a generator. As in bargaining, a concession answers an offer, never
the passing of time. Among divisions as good for itself, a side proposes the one that seems best for the other: by what
the other kept in its offers, and, as far as questions sway it, by what the other told.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sotopia_env.actions import Action, do, leave
from sotopia_env.agents.scripted import division_phrases, phrases
from sotopia_env.agents.scripted.acts import settling
from sotopia_env.agents.scripted.division_talk import DivisionBrief, DivisionTalk, read_division_talk
from sotopia_env.agents.scripted.manners import answer, manner, slip
from sotopia_env.agents.scripted.traits import Traits
from sotopia_env.families.divide.items import Counts, complement, divisions, listed, share_text, worth
from sotopia_env.families.generated import pick
from sotopia_env.policies import Observation

LIMIT = 0.35
"""Share of the points below which a side makes no offer and takes none gladly, unless it is swayed."""

_TAKEN_AT_LAST = 0.2
"""Share of the points for which a side takes what stands when nothing better comes, rather than get nothing."""


def divide(observation: Observation, brief: DivisionBrief, traits: Traits, rng: np.random.Generator) -> Action | None:
    """What a side with these traits does now; nothing is left to do once a division is agreed, or for a third seat."""
    if observation["participants"].count("\n") != 1:
        return None
    talk = read_division_talk(observation, brief)
    if talk.agreed:
        return None
    offer = next_division(brief, talk, traits)
    standing = talk.standing
    if standing is not None and accepts_division(brief, talk, traits, standing, offer):
        if rng.random() < traits.formal:
            return do("accept")
        return settling("accept", [], pick(phrases.ACCEPTANCES, rng), formal=brief.formal)
    if talk.stalled >= traits.patience:
        if standing is not None and brief.share(standing) >= _TAKEN_AT_LAST:
            return do("accept")
        return leave(pick(phrases.FAREWELLS, rng))
    words, terms, question = _utterance(observation, brief, talk, traits, offer, rng)
    return settling(f"offer {share_text(brief.items, offer)}", words, terms, question, formal=brief.formal)


def division_softness(brief: DivisionBrief, talk: DivisionTalk) -> float:
    """What multiplies a concession and lowers the limit: the couplings of the world act here, and in listening."""
    return brief.softness(talk, of_questions=0.7, of_manners=0.6)


def limit(brief: DivisionBrief, talk: DivisionTalk) -> float:
    """The share of the points below which one does not go."""
    return min(max(LIMIT - 0.2 * (division_softness(brief, talk) - 1), 0.15), 0.5)


def next_division(brief: DivisionBrief, talk: DivisionTalk, traits: Traits) -> Counts:
    """What to ask for oneself next: it moves only when the other's offer did."""
    weights = partner_weights(brief, talk)
    if not talk.own_offers:
        return best_for_both(brief, min(0.7 + 0.3 * traits.anchor, 1.0), weights)
    current = talk.own_offers[-1]
    earlier, latest = talk.partner_offers[: talk.partner_before], talk.partner_offers[talk.partner_before :]
    if not latest:
        return current
    asked, offered = brief.share(current), brief.share(latest[-1])
    if earlier:
        best = max(brief.share(counts) for counts in earlier)
        moved = offered - best
        if moved <= 0:
            return current
        reciprocity = min(max(moved / max(0.15 * abs(asked - best), 0.05), 0.25), 1.0)
    else:
        moved, reciprocity = 0.08, 1.0
    target = max(limit(brief, talk), offered)
    distance = asked - target
    if distance <= 0:
        return current
    soft = division_softness(brief, talk)
    step = moved * soft if traits.mirror else distance * min(traits.rate * soft, 0.9) * reciprocity
    return _conceding(brief, current, asked - min(step, distance), target, weights)


def accepts_division(brief: DivisionBrief, talk: DivisionTalk, traits: Traits, standing: Counts, offer: Counts) -> bool:
    """Whether the other's offer is as good as what one would ask next, or nearly."""
    short = brief.share(offer) - brief.share(standing)
    near = 2 * traits.tolerance if talk.own_offers else 0.0
    return brief.share(standing) >= limit(brief, talk) and short <= near + 1e-9


def partner_weights(brief: DivisionBrief, talk: DivisionTalk) -> tuple[float, ...]:
    """What one of each kind seems worth to the partner: by what it kept in its offers, and by what it told."""
    listening = max(brief.questions, 0.0)
    weights = []
    for kind, item in enumerate(brief.items):
        kept = [1 - counts[kind] / item.count for counts in talk.partner_offers]
        weight = 1 + 2 * (sum(kept) / len(kept) if kept else 0.5)
        weight += listening * (2.0 * (kind in talk.cherished) - 1.0 * (kind in talk.spared))
        weights.append(max(weight, 0.1))
    return tuple(weights)


def best_for_both(brief: DivisionBrief, least: float, weights: tuple[float, ...]) -> Counts:
    """Of the shares worth at least so much to oneself, the one that leaves the partner most by these weights."""
    enough = [option for option in _options(brief) if option.share >= least - 1e-9]
    return max(enough, key=lambda option: (option.leaves(weights), option.share)).counts


def _conceding(
    brief: DivisionBrief, current: Counts, least: float, target: float, weights: tuple[float, ...]
) -> Counts:
    """A share worth at least so much that leaves the partner more than now; else the smallest step that does."""
    now = worth(complement(current, brief.items), weights) + 1e-9
    better = [
        (option, left)
        for option in _options(brief)
        if option.share >= target - 1e-9 and (left := option.leaves(weights)) > now
    ]
    enough = [(option, left) for option, left in better if option.share >= least - 1e-9]
    if enough:
        return max(enough, key=lambda found: (found[1], found[0].share))[0].counts
    return max(better, key=lambda found: (found[0].share, found[1]))[0].counts if better else current


@dataclass(frozen=True)
class _Option:
    """A share one may ask for: what it is worth to oneself, and what it leaves."""

    counts: Counts
    share: float
    left: Counts

    def leaves(self, weights: tuple[float, ...]) -> float:
        """What it leaves the partner by these weights."""
        return sum(map(operator.mul, self.left, weights))


@lru_cache(maxsize=4096)
def _options(brief: DivisionBrief) -> tuple[_Option, ...]:
    return tuple(
        _Option(counts, brief.share(counts), complement(counts, brief.items)) for counts in divisions(brief.items)
    )


# --- what it says -------------------------------------------------------------------------------------------------


def _utterance(
    observation: Observation,
    brief: DivisionBrief,
    talk: DivisionTalk,
    traits: Traits,
    offer: Counts,
    rng: np.random.Generator,
) -> tuple[list[str], str, list[str]]:
    draws = rng.random(6)
    parts = []
    if talk.partner_offers and brief.share(talk.partner_offers[-1]) < limit(brief, talk):
        parts.append(pick(division_phrases.REFUSALS, rng))
    parts += manner(draws[0], traits, rng)
    parts += answer(brief, talk, draws[1:3], traits, division_phrases.FALSE_CLAIMS, rng)
    parts += slip(observation, talk.rapport, draws[3], traits)
    terms = proposal_sentence(brief, talk, offer, rng)
    return parts, terms, [pick(division_phrases.QUESTIONS, rng)] if draws[4] < traits.curiosity else []


def proposal_sentence(brief: DivisionBrief, talk: DivisionTalk, offer: Counts, rng: np.random.Generator) -> str:
    """An offer in words that name every item."""
    left = complement(offer, brief.items)
    if not any(left):
        options: Sequence[str] = division_phrases.ALL_MINE
    elif not any(offer):
        options = division_phrases.ALL_YOURS
    elif talk.own_offers and offer == talk.own_offers[-1]:
        options = division_phrases.HOLDS
    else:
        options = division_phrases.PROPOSALS
    mine = listed(brief.items, offer) if any(offer) else ""
    return pick(options, rng).format(mine=mine, theirs=listed(brief.items, left) if any(left) else "")
