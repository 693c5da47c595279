"""Random legal actions: the lowest bar, and a fuzzer of environments and judges."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sotopia_env.actions import ACTION_TYPES, Action
from sotopia_env.agents.scripted.acts import any_offer
from sotopia_env.agents.scripted.policy import generator
from sotopia_env.families.formal import OffersShown, tells_rule
from sotopia_env.policies import Context, Decision, Observation
from sotopia_env.views import parse_transcript

_SUBJECTS = ("I", "we", "you", "someone", "my neighbour", "the other side")
_VERBS = ("like", "see", "take", "want", "offer", "remember", "doubt", "prefer")
_OBJECTS = ("that", "the price", "this one", "a fair deal", "some time", "more of it", "nothing", "${amount}")
_ENDINGS = (".", "?", "!", ", thanks.", ", perhaps.", " today.")
_TEXTS = {
    "non-verbal communication": ("nods", "smiles", "shrugs", "looks away", "shakes hands"),
    "action": ("accept", "reject", "wait", "write it down", "show the item"),
}
# Speech most often, and leaving seldom, or hardly an episode would see its third turn.
_WEIGHTS = {"none": 1.0, "speak": 12.0, "non-verbal communication": 2.0, "action": 3.0, "leave": 0.5}


class RandomPolicy:
    """Draws a legal action with a readable text, from the turn's own generator alone.

    Args:
        name: what it is called in episodes and tables.
    """

    calls_at_once = math.inf

    def __init__(self, name: str = "random") -> None:
        self.name = name

    def act(self, observations: Sequence[Observation], contexts: Sequence[Context]) -> list[Decision]:
        """One random action for each observation."""
        return [
            Decision(random_action(observation, context.rng))
            for observation, context in zip(observations, contexts, strict=True)
        ]

    def act_one(self, observation: Observation, context: Context | None = None) -> Action:
        """The action for a single observation; without a context, the generator follows from the observation."""
        return random_action(observation, generator(observation) if context is None else context.rng)


def random_action(observation: Observation, rng: np.random.Generator) -> Action:
    """A random action of a type that ``observation["action_types"]`` allows."""
    legal = [kind for kind, allowed in zip(ACTION_TYPES, observation["action_types"], strict=True) if allowed]
    weights = np.array([_WEIGHTS[kind] for kind in legal])
    kind = legal[rng.choice(len(legal), p=weights / weights.sum())]
    if kind == "speak":
        return Action(kind, _sentence(rng))
    texts: Sequence[str] = _TEXTS.get(kind, ("",))
    if kind == "action" and tells_rule(observation["situation"]):
        texts = _acts(observation, rng)
    return Action(kind, texts[int(rng.integers(len(texts)))])


def _acts(observation: Observation, rng: np.random.Generator) -> Sequence[str]:
    """What may be done where acts alone settle anything: an offer of the form that is told, and answers to one."""
    offer = any_offer(observation, rng)
    offers = OffersShown(observation["agent"], {})
    for entry in parse_transcript(observation["transcript"]):
        offers.hear(entry.agent, entry.type, entry.text)
    answers = _TEXTS["action"][:2] if offers.of_others else ()
    return (f"offer {offer}", *answers, *_TEXTS["action"][2:])


def _sentence(rng: np.random.Generator) -> str:
    words = [options[rng.integers(len(options))] for options in (_SUBJECTS, _VERBS, _OBJECTS)]
    ending = _ENDINGS[rng.integers(len(_ENDINGS))]
    text = " ".join(words).replace("{amount}", str(rng.integers(1, 400)))
    return text[0].upper() + text[1:] + ending
