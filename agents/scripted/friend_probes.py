"""Ways to play mutual friends that ought not to pay, and one that does: rows of that world's table.

Functions ``(observation, rng) -> action``, so ``sotopia_env.agents.scripted.friend_probes:lister`` names a policy.
"""

from __future__ import annotations

import re

import numpy as np

from sotopia_env.actions import Action, speak
from sotopia_env.agents.scripted.acts import settling
from sotopia_env.agents.scripted.befriending import LIKELY, Talk, describe, read_talk
from sotopia_env.families.formal import tells_rule
from sotopia_env.families.mutual_friends.tables import Friend, read_table
from sotopia_env.policies import Observation
from sotopia_env.views import parse_transcript

_NAME = re.compile(r"(?<![.!?] )(?<!^)\b[A-ZÀ-Þ][^\W\d_]+")


def lister(observation: Observation, rng: np.random.Generator) -> Action:
    """Goes through all its friends' names at once, against the task's own words; by acts one after the other."""
    formal, table, talk = _read(observation)
    if talk.put is not None or not table:
        return _confirming(talk, formal)
    names = [friend.name for friend in table]
    unnamed = [name for name in names if name not in talk.named] or names
    return settling(f"offer {unnamed[0]}", [], f"I know {', '.join(names[:-1])} and {names[-1]}.", formal=formal)


def echo(observation: Observation, rng: np.random.Generator) -> Action:
    """Claims to know whoever the other names, true or not; by acts whoever it offers."""
    formal, _, talk = _read(observation)
    entries = [e for e in parse_transcript(observation["transcript"]) if e.agent != observation["agent"]]
    heard = _NAME.findall(entries[-1].text) if entries else []
    name = talk.put or (heard[-1] if heard else None)
    if name is None and not talk.unknown:
        return speak("Tell me about your friends?")
    offered = talk.unknown or talk.put is not None
    return settling("accept", [], f"Yes, I know {name or 'you'} too!", formal=formal and offered)


def describer(observation: Observation, rng: np.random.Generator) -> Action:
    """Describes all its friends without naming one, then names the friend that fits: close to the best one can do."""
    formal, table, talk = _read(observation)
    if talk.put is not None or not table:
        return _confirming(talk, formal)
    weights = [weight - (friend.name in talk.named) for friend, weight in zip(table, talk.weights, strict=True)]
    best = int(np.argmax(weights))
    if weights[best] > LIKELY:
        return settling(f"offer {table[best].name}", [], f"Do you know {table[best].name}?", formal=formal)
    lines = [f"One friend of mine {describe(table, friend.values)}." for friend in table]
    return speak(" ".join([*(lines if not talk.told else lines[:1]), "Who are your friends?"]))


def _confirming(talk: Talk, formal: bool) -> Action:
    return settling("accept", [], f"Yes, I know {talk.put or 'you'} too!", formal=formal and talk.put is not None)


def _read(observation: Observation) -> tuple[bool, tuple[Friend, ...], Talk]:
    """Whether acts alone settle anything, one's friends, and the talk so far."""
    formal = tells_rule(observation["situation"])
    table = read_table(observation["goal"])
    players = frozenset(line.partition(": ")[2].partition(" ")[0] for line in observation["participants"].split("\n"))
    if not table:
        return formal, table, Talk(weights=())
    return formal, table, read_talk(observation["transcript"], observation["agent"], table, players, formal=formal)
