"""Ways to play mutual friends that ought not to pay, and one that does: rows of that world's table.

Functions ``(observation, rng) -> action``, so ``sotopia_env.agents.scripted.friend_probes:lister`` names a policy.
"""

from __future__ import annotations

import re

import numpy as np

from sotopia_env.actions import Action, speak
from sotopia_env.agents.scripted.befriending import LIKELY, Talk, describe, read_talk
from sotopia_env.families.mutual_friends.tables import Friend, read_table
from sotopia_env.policies import Observation
from sotopia_env.views import parse_transcript

_NAME = re.compile(r"(?<![.!?] )(?<!^)\b[A-ZÀ-Þ][^\W\d_]+")


def lister(observation: Observation, rng: np.random.Generator) -> Action:
    """Goes through all its friends' names at once, against the task's own words."""
    table, talk = _read(observation)
    if talk.put is not None or not table:
        return speak(f"Yes, I know {talk.put or 'you'} too!")
    names = [friend.name for friend in table]
    return speak(f"I know {', '.join(names[:-1])} and {names[-1]}.")


def echo(observation: Observation, rng: np.random.Generator) -> Action:
    """Claims to know whoever the other names, true or not."""
    _, talk = _read(observation)
    entries = [e for e in parse_transcript(observation["transcript"]) if e.agent != observation["agent"]]
    heard = _NAME.findall(entries[-1].text) if entries else []
    name = talk.put or (heard[-1] if heard else None)
    return speak(f"Yes, I know {name} too!" if name else "Tell me about your friends?")


def describer(observation: Observation, rng: np.random.Generator) -> Action:
    """Describes all its friends without naming one, then names the friend that fits: close to the best one can do."""
    table, talk = _read(observation)
    if talk.put is not None or not table:
        return speak(f"Yes, I know {talk.put or 'you'} too!")
    weights = [weight - (friend.name in talk.named) for friend, weight in zip(table, talk.weights, strict=True)]
    best = int(np.argmax(weights))
    if weights[best] > LIKELY:
        return speak(f"Do you know {table[best].name}?")
    lines = [f"One friend of mine {describe(table, friend.values)}." for friend in table]
    return speak(" ".join([*(lines if not talk.told else lines[:1]), "Who are your friends?"]))


def _read(observation: Observation) -> tuple[tuple[Friend, ...], Talk]:
    table = read_table(observation["goal"])
    players = frozenset(line.partition(": ")[2].partition(" ")[0] for line in observation["participants"].split("\n"))
    if not table:
        return table, Talk(weights=())
    return table, read_talk(observation["transcript"], observation["agent"], table, players)
