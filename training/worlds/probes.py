"""Policies with exact control of what they say besides their offers: the probes of the world gates.

A probe bargains or divides like a scripted policy whose own brief sways it in nothing: it takes offers for offers,
evades every question, and so makes the same offers whatever the partner's manner. Beside the offer, each turn holds the
sentences it was told to add and no others. All of them have nearly the same length, and whichever are added, the probe
draws the same numbers, so that two probes in the same place differ in the sentences alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sotopia_env.actions import Action
from sotopia_env.agents.scripted import division_phrases, phrases
from sotopia_env.agents.scripted.acts import with_words
from sotopia_env.agents.scripted.division_talk import read_division_brief
from sotopia_env.agents.scripted.manners import telling_secret
from sotopia_env.agents.scripted.policy import decide, generator
from sotopia_env.agents.scripted.reading import first_person, read_brief
from sotopia_env.agents.scripted.traits import Traits
from sotopia_env.families import language
from sotopia_env.policies import Context, Decision, Observation

LENGTHS = (5, 6)
"""Words of an added sentence, fewest and most: a filler is as long as the question or courtesy it stands beside."""


def _of_length(sentences: Sequence[str]) -> tuple[str, ...]:
    return tuple(s for s in sentences if LENGTHS[0] <= len(s.split()) <= LENGTHS[1])


QUESTIONS = {role: _of_length(sentences) for role, sentences in phrases.QUESTIONS.items()} | {
    "divider": _of_length(division_phrases.QUESTIONS)
}
"""Questions to the partner, by one's own role."""
COURTESIES = tuple(s for s in _of_length(phrases.COURTESIES) if language.words(s) & phrases.MOVING)
"""Courtesies with a word that moves scripted policies."""
FILLERS = _of_length(phrases.FILLERS)


@dataclass(frozen=True)
class Additions:
    """Which sentences are added to the price.

    Args:
        ask: a question about the partner's need or wishes.
        courtesy: a courtesy that moves scripted policies.
        filler: a remark on nothing.
        fact: one of one's own facts, in turn.
        leak: one's own secret.
    """

    ask: bool = False
    courtesy: bool = False
    filler: bool = False
    fact: bool = False
    leak: bool = False

    @property
    def label(self) -> str:
        """``ask + courtesy``, or ``price alone``."""
        return " + ".join(name for name in self.__dataclass_fields__ if getattr(self, name)) or "price alone"


@dataclass(frozen=True)
class Schedule:
    """How a probe names its prices.

    Args:
        rate: share of the remaining distance it concedes for a fair concession of the partner.
        anchor: how far from its limit it opens; the scripted policies stay between 0 and 1, a probe may open beyond.
        patience: turns of the partner without a better price before it takes the price that stands, or leaves.
    """

    rate: float
    anchor: float
    patience: int = 2

    @property
    def traits(self) -> Traits:
        """A bargainer of these prices that says nothing of its own accord."""
        return Traits(
            rate=self.rate,
            anchor=self.anchor,
            patience=self.patience,
            warmth=0.0,
            curiosity=0.0,
            openness=-1.0,
            formal=1.0,
        )

    @property
    def label(self) -> str:
        """``rate 0.2, anchor 0.5, patience 2``."""
        return f"rate {self.rate:g}, anchor {self.anchor:g}, patience {self.patience}"


class Probe:
    """Names prices by a schedule, and adds the same kinds of sentence every turn.

    Args:
        schedule: of the prices.
        additions: to every turn.
        name: how it appears in episodes.
    """

    def __init__(self, schedule: Schedule, additions: Additions | None = None, *, name: str | None = None) -> None:
        self.schedule = schedule
        self.additions = additions or Additions()
        self.name = name or f"probe: {self.additions.label}; {schedule.label}"

    def act(self, observations: Sequence[Observation], contexts: Sequence[Context]) -> list[Decision]:
        """One decision for each observation."""
        return [
            Decision(spoken(observation, self.schedule.traits, self.additions, context.rng, context.turn))
            for observation, context in zip(observations, contexts, strict=True)
        ]

    def act_one(self, observation: Observation, context: Context | None = None) -> Action:
        """The action for a single observation; without a context, the generator follows from the observation."""
        rng, turn = (generator(observation), 0) if context is None else (context.rng, context.turn)
        return spoken(observation, self.schedule.traits, self.additions, rng, turn)


def template_attacker(name: str = "template attacker") -> Probe:
    """Thanks, a question and a fact every turn, with the prices of a firm bargainer: a row of every table."""
    return Probe(Schedule(0.3, 0.6), Additions(ask=True, courtesy=True, fact=True), name=name)


def spoken(
    observation: Observation, traits: Traits, additions: Additions, rng: np.random.Generator, turn: int
) -> Action:
    """What a bargainer with these traits does now, with sentences added where it speaks.

    Args:
        observation: of the dict interface.
        traits: decide on price, acceptance and leaving; what its own brief says of couplings is not read.
        additions: which sentences.
        rng: of this turn.
        turn: own index of it; the facts are told in turn.
    """
    draws = [int(draw) for draw in rng.integers(2**31, size=4)]
    role, facts = _part(observation)
    action = decide({**observation, "goal": observation["goal"].partition(" Sway:")[0]}, traits, rng)
    if role is None:
        return action
    before, after = [], []
    if additions.courtesy:
        before.append(COURTESIES[draws[0] % len(COURTESIES)])
    if additions.filler:
        before.append(FILLERS[draws[1] % len(FILLERS)])
    if additions.fact and facts:
        before.append(phrases.ANSWERS[draws[2] % len(phrases.ANSWERS)].format(fact=fact_of(facts, turn)))
    if additions.leak:
        before += telling_secret(observation)
    if additions.ask:
        after.append(QUESTIONS[role][draws[3] % len(QUESTIONS[role])])
    return with_words(action, observation, lambda words: " ".join([*before, words, *after]))


def _part(observation: Observation) -> tuple[str | None, tuple[str, ...]]:
    """One's role and facts, in a world that probes can play."""
    goal, situation = observation["goal"], observation["situation"]
    if (price := read_brief(goal, situation)) is not None:
        return price.role, price.facts
    if (division := read_division_brief(goal, situation)) is not None:
        return "divider", division.facts
    return None, ()


def fact_of(facts: Sequence[str], turn: int) -> str:
    """The fact whose turn it is, as its holder says it."""
    return first_person(facts[turn % len(facts)])
