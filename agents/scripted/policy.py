"""Scripted policies: talk in plain language, as pure functions of observation and generator.

They are the experts of cloning, the partners of evaluation and the baseline of benchmarks. They read nothing but what
was said and their own brief, cope with any text, and play any task: what they do not know how to solve, they answer
with courteous small talk.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sotopia_env.actions import Action
from sotopia_env.agents.scripted.bargaining import bargain
from sotopia_env.agents.scripted.befriending import befriend
from sotopia_env.agents.scripted.dividing import divide
from sotopia_env.agents.scripted.division_talk import read_division_brief
from sotopia_env.agents.scripted.open_talk import open_talk
from sotopia_env.agents.scripted.reading import read_brief
from sotopia_env.agents.scripted.traits import PRESETS, Traits
from sotopia_env.families.generated import pick
from sotopia_env.policies import Context, Decision, Observation
from sotopia_env.rendering import messages
from sotopia_env.seeds import seed_of_name


class ScriptedPolicy:
    """A character with fixed traits.

    Args:
        traits: a preset's name or :class:`Traits`.
        name: how it appears in episodes.
    """

    calls_at_once = math.inf

    def __init__(self, traits: str | Traits = "warm", *, name: str | None = None) -> None:
        """Look the preset up."""
        if isinstance(traits, str):
            if traits not in PRESETS:
                raise ValueError(f"unknown scripted policy {traits!r}; one of {', '.join(PRESETS)}, mixed, changing")
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

    calls_at_once = math.inf

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
        return self.policies[seed_of_name(key) % len(self.policies)]


class ChangingPolicy:
    """Draws one of several policies for every turn.

    In one state it may hold firm, concede, accept, ask or flatter, as a learner's policy may: its siblings differ in
    what they do, and nothing that is hidden decides its next turn. Siblings of one character differ in their wording.

    Args:
        policies: the policies drawn from.
        name: how it appears in episodes.
    """

    calls_at_once = math.inf

    def __init__(self, policies: Sequence[ScriptedPolicy], *, name: str = "scripted:changing") -> None:
        """Keep the policies."""
        self.policies = list(policies)
        self.name = name

    def act(self, observations: Sequence[Observation], contexts: Sequence[Context]) -> list[Decision]:
        """One decision for each observation, by a policy drawn for it."""
        return [
            Decision(self.act_one(observation, context))
            for observation, context in zip(observations, contexts, strict=True)
        ]

    def act_one(self, observation: Observation, context: Context | None = None) -> Action:
        """The action for a single observation."""
        rng = generator(observation) if context is None else context.rng
        return decide(observation, pick(self.policies, rng).traits, rng)


def generator(observation: Observation) -> np.random.Generator:
    """A generator that follows from an observation alone."""
    text = f"{observation['agent']}\n{observation['goal']}\n{observation['transcript']}"
    return np.random.default_rng(seed_of_name(text))


def context_of(observation: Observation) -> Context:
    """A context that follows from an observation alone, the number of the turn from its transcript."""
    own = sum(message["role"] == "assistant" for message in messages(observation))
    return Context("", str(observation["agent"]), own, generator(observation))


def decide(observation: Observation, traits: Traits, rng: np.random.Generator) -> Action:
    """What a policy with these traits does now."""
    action = _solve(observation, traits, rng)
    return open_talk(observation, rng) if action is None else action


def _solve(observation: Observation, traits: Traits, rng: np.random.Generator) -> Action | None:
    """The move in a task of a kind one knows; ``None`` in any other, and where nothing is left to do."""
    goal, situation = observation["goal"], observation["situation"]
    if (price := read_brief(goal, situation)) is not None:
        return bargain(observation, price, traits, rng)
    if (division := read_division_brief(goal, situation)) is not None:
        return divide(observation, division, traits, rng)
    return befriend(observation, traits, rng)
