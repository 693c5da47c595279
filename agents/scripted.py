"""Scripted policies: bargaining in plain language, as pure functions of observation and generator.

They are the experts of cloning, the partners of evaluation and the baseline of benchmarks. They read nothing but what
was said (and their own brief), cope with any text, and concede to offers, never to time: silence does not pay.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sotopia_env.actions import Action, do, leave, speak
from sotopia_env.agents import phrases
from sotopia_env.agents.reading import Brief, Talk, first_person, read_brief, read_talk
from sotopia_env.policies import Context, Decision, Observation


@dataclass(frozen=True)
class Traits:
    """What kind of bargainer a policy is. Probabilities are per turn.

    Args:
        rate: share of the remaining distance it concedes for a fair concession of the other.
        anchor: how far from its limit it opens, 0 to 1.
        tolerance: it closes a gap smaller than this share of the list price by accepting.
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
    "soft": Traits(rate=0.5, anchor=0.25, tolerance=0.05, patience=5, warmth=0.5, candour=0.05),
    "warm": Traits(warmth=0.8, curiosity=0.3, openness=0.9, candour=0.08),
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


class ScriptedPolicy:
    """A bargainer with fixed traits.

    Args:
        traits: a preset's name or :class:`Traits`.
        name: how it appears in episodes.
    """

    def __init__(self, traits: str | Traits = "warm", *, name: str | None = None) -> None:
        """Look the preset up."""
        if isinstance(traits, str):
            if traits not in PRESETS:
                raise ValueError(f"unknown scripted policy {traits!r}; one of {', '.join(PRESETS)}, mixed")
            name, traits = name or f"scripted:{traits}", PRESETS[traits]
        self.traits = traits
        self.name = name or "scripted"

    def act(self, observations: Sequence[Observation], contexts: Sequence[Context]) -> list[Decision]:
        """One decision for each observation."""
        return [
            Decision(decide(observation, self.traits, context.rng))
            for observation, context in zip(observations, contexts, strict=True)
        ]

    def act_one(self, observation: Observation, context: Context | None = None) -> Action:
        """The action for a single observation; without a context, the generator follows from the observation."""
        return decide(observation, self.traits, generator(observation) if context is None else context.rng)


class MixedPolicy:
    """Draws one of several policies for each episode and seat, independently.

    Args:
        policies: the policies drawn from.
        seed: decides the draws, with the episode's key and the agent. What follows a ``~`` in a key is not read, so
            that a continuation is played by the policy that began the episode.
    """

    def __init__(self, policies: Sequence[ScriptedPolicy], *, seed: int = 0, name: str = "scripted:mixed") -> None:
        """Keep the policies."""
        self.policies = list(policies)
        self.seed = seed
        self.name = name

    def act(self, observations: Sequence[Observation], contexts: Sequence[Context]) -> list[Decision]:
        """One decision for each observation, by the policy drawn for its episode and agent."""
        return [
            Decision(self._drawn(context).act_one(observation, context))
            for observation, context in zip(observations, contexts, strict=True)
        ]

    def act_one(self, observation: Observation, context: Context | None = None) -> Action:
        """The action for a single observation."""
        context = context or Context("", str(observation["agent"]), 0, generator(observation))
        return self._drawn(context).act_one(observation, context)

    def _drawn(self, context: Context) -> ScriptedPolicy:
        key = f"{self.seed}/{context.episode.partition('~')[0]}/{context.agent}"
        return self.policies[zlib.crc32(key.encode()) % len(self.policies)]


def generator(observation: Observation) -> np.random.Generator:
    """A generator that follows from an observation alone."""
    text = f"{observation['agent']}\n{observation['goal']}\n{observation['transcript']}"
    return np.random.default_rng(zlib.crc32(text.encode("utf-8")))


def decide(observation: Observation, traits: Traits, rng: np.random.Generator) -> Action:
    """What a bargainer with these traits does now."""
    brief = read_brief(observation["goal"], observation["situation"])
    if brief is None:
        return _small_talk(observation, rng)
    talk = read_talk(observation, brief)
    if talk.agreed:
        return _small_talk(observation, rng)
    offer = next_offer(brief, talk, traits)
    standing = talk.standing
    if standing is not None and accepts(brief, talk, traits, standing, offer):
        if rng.random() < traits.formal:
            return do("accept")
        return speak(_pick(phrases.ACCEPTANCES, rng))
    if talk.stalled >= traits.patience:
        if standing is not None and brief.within_limit(standing) and _gain(brief, standing) > 0.06:
            return do("accept")
        return leave(_pick(phrases.FAREWELLS, rng))
    return speak(_utterance(observation, brief, talk, traits, offer, rng))


def softness(brief: Brief, talk: Talk) -> float:
    """What multiplies a concession: the couplings of the world act here and nowhere else."""
    told = len(talk.told) / len(brief.facts) if brief.facts else 0.0
    value = 1 + 0.7 * brief.questions * told + 0.6 * brief.manners * talk.rapport
    value -= 0.6 * brief.leaks * talk.secret_out
    return min(max(value, 0.15), 2.5)


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
    target = brief.limit if sign * (brief.limit - latest[-1]) > 0 else latest[-1]
    distance = sign * (current - target)
    if distance <= 0:
        return current
    soft = softness(brief, talk)
    step = moved * soft if traits.mirror else distance * min(traits.rate * soft, 0.9) * reciprocity
    return _round(current - sign * min(max(step, _unit(brief)), distance), brief)


def accepts(brief: Brief, talk: Talk, traits: Traits, standing: float, offer: float) -> bool:
    """Whether the other's price is as good as what one would ask next, or nearly."""
    if not brief.within_limit(standing):
        return False
    short = brief.sign * (offer - standing)
    return short <= (traits.tolerance * brief.list_price if talk.own_offers else 0.0)


def _opening(brief: Brief, traits: Traits) -> float:
    if brief.role == "seller":
        price = max(brief.list_price * (0.95 + 0.10 * traits.anchor), brief.limit)
    else:
        price = min(brief.limit * (0.88 - 0.38 * traits.anchor), brief.list_price)
    return _round(price, brief)


def _utterance(
    observation: Observation, brief: Brief, talk: Talk, traits: Traits, offer: float, rng: np.random.Generator
) -> str:
    draws = rng.random(6)
    parts = []
    if talk.partner_offers and not brief.within_limit(talk.partner_offers[-1]):
        parts.append(_pick(phrases.REFUSALS[brief.role], rng))
    if draws[0] < traits.hostility:
        parts.append(_pick(phrases.INSULTS, rng))
    elif draws[0] < traits.hostility + traits.warmth:
        parts.append(_pick(phrases.COURTESIES, rng))
    untold = [fact for fact in brief.facts if fact not in talk.told]
    if talk.question and untold:
        if draws[1] < traits.openness + 0.3 * talk.rapport:
            parts.append(_pick(phrases.ANSWERS, rng).format(fact=first_person(untold[0])))
        else:
            parts.append(_pick(phrases.EVASIONS, rng))
    elif draws[2] < traits.deceit:
        parts.append(_pick(phrases.FALSE_CLAIMS, rng))
    if draws[3] < traits.candour and talk.rapport > 0.3:
        secret = str(observation["background"]).partition("Secret: ")[2].rstrip(".")
        if secret:
            parts.append(f"{phrases.SECRET_MARK.capitalize()}, {first_person(secret)}.")
    parts.append(_price_sentence(brief, talk, offer, rng))
    if draws[4] < traits.curiosity:
        parts.append(_pick(phrases.QUESTIONS[brief.role], rng))
    return " ".join(parts)


def _price_sentence(brief: Brief, talk: Talk, offer: float, rng: np.random.Generator) -> str:
    if not talk.own_offers:
        return _pick(phrases.OPENINGS[brief.role], rng).format(price=_amount(offer))
    if offer != talk.own_offers[-1]:
        return _pick(phrases.OFFERS, rng).format(price=_amount(offer))
    return _pick(phrases.HOLDS, rng).format(price=_amount(offer))


def _small_talk(observation: Observation, rng: np.random.Generator) -> Action:
    if int(observation["turn"]) >= 12 and rng.random() < 0.3:
        return leave("I have to go. Thank you for the talk.")
    return speak(_pick(phrases.SMALL_TALK, rng))


def _gain(brief: Brief, price: float) -> float:
    return brief.sign * (price - brief.limit) / brief.list_price


def _unit(brief: Brief) -> float:
    """The step in which one bargains over things of such a price."""
    for least, step in ((1000, 50.0), (50, 5.0), (15, 1.0)):
        if brief.list_price >= least:
            return step
    return 0.5


def _round(price: float, brief: Brief) -> float:
    unit = _unit(brief)
    rounded = round(price / unit) * unit
    return rounded if brief.within_limit(rounded) else brief.limit


def _amount(price: float) -> str:
    return f"{price:.0f}" if price == int(price) else f"{price:.2f}"


def _pick(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]
