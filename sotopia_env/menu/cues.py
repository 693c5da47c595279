"""What one seat hears in a talk, whatever its subject: turns, questions, courtesies, insults and repetitions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sotopia_env.actions import ACTION_TYPES
from sotopia_env.agents.scripted import phrases
from sotopia_env.agents.scripted.acts import talk_of
from sotopia_env.agents.scripted.reading import SENTENCE
from sotopia_env.families import language
from sotopia_env.families.formal import tells_rule
from sotopia_env.policies import Observation
from sotopia_env.views import Entry, parse_transcript

_THANKS = phrases.MOVING | {"please", "sorry"}
_COURTEOUS = _THANKS.union(*language.POSITIVE.values())
_INSULTING = phrases.OFFENDING.union(*language.NEGATIVE.values())


@dataclass(frozen=True)
class Hearing:
    """The talk as one seat hears it; where acts settle, without them.

    Args:
        own: entries of the seat itself.
        others: entries of all others, in order.
    """

    own: tuple[Entry, ...]
    others: tuple[Entry, ...]

    @property
    def own_turns(self) -> int:
        """How many turns the seat has had, as far as the transcript reaches."""
        return len(self.own)


def listen(observation: Observation) -> Hearing:
    """Read the transcript of an observation of the dict interface."""
    formal = tells_rule(str(observation["situation"]))
    own, others = _sides(str(observation["transcript"]), str(observation["agent"]), formal)
    return Hearing(own, others)


def may_act(observation: Observation) -> bool:
    """Whether it is the turn of the seat."""
    return bool(np.any(observation["action_types"][1:]))


def talk_features(observation: Observation, hearing: Hearing) -> dict[str, float]:
    """The features of any talk, each in [-1, 1]."""
    own, others = hearing.own, hearing.others
    last = others[-1] if others else None
    waited = 0
    for entry in reversed(own):
        if entry.type != "none":
            break
        waited += 1
    values = {
        "to_act": float(may_act(observation)),
        "first": float(observation["agent"] == "agent_0"),
        "partners": str(observation["participants"]).count("\n") / 4,
        "cycle": saturated(int(observation["turn"]), 10),
        "own_turns": saturated(len(own), 5),
        "waited": min(waited / 3, 1.0),
        "own_questions": saturated(sum(asks(entry) for entry in own), 3),
        "own_courtesies": saturated(sum(courteous(entry) for entry in own), 3),
        "partner_questions": saturated(sum(asks(entry) for entry in others), 3),
        "partner_courtesies": saturated(sum(courteous(entry) for entry in others), 3),
        "partner_insults": saturated(sum(insulting(entry) for entry in others), 3),
    }
    for kind in ACTION_TYPES:
        values[f"heard_{kind.split()[0]}"] = float(last is not None and last.type == kind)
    if last is not None:
        values["heard_question"] = float(asks(last))
        values["heard_courtesy"] = float(courteous(last))
        values["heard_insult"] = float(insulting(last))
        values["heard_again"] = float(last.type == "speak" and any(last.text == e.text for e in others[:-1]))
    return values


def asks(entry: Entry) -> bool:
    """Whether a turn asks something other than a price."""
    return entry.type == "speak" and _asks(entry.text)


def courteous(entry: Entry) -> bool:
    """Whether a turn holds a word of courtesy."""
    return not _COURTEOUS.isdisjoint(language.words(entry.text))


def insulting(entry: Entry) -> bool:
    """Whether a turn insults or threatens."""
    return not _INSULTING.isdisjoint(language.words(entry.text)) or language.THREATS.search(entry.text) is not None


def saturated(count: float, half: float) -> float:
    """A count as a number in [0, 1), 0.5 at ``half``."""
    return count / (count + half)


@lru_cache(maxsize=8_192)
def _asks(text: str) -> bool:
    return any("?" in sentence and not language.has_price(sentence) for sentence in SENTENCE.findall(text))


@lru_cache(maxsize=2_048)
def _entries(transcript: str, formal: bool) -> tuple[Entry, ...]:
    return tuple(talk_of(parse_transcript(transcript), formal=formal))


def _sides(transcript: str, agent: str, formal: bool) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
    entries = _entries(transcript, formal)
    own = tuple(entry for entry in entries if entry.agent == agent)
    return own, tuple(entry for entry in entries if entry.agent != agent)
