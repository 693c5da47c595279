"""Acts around words: what settles something where agreements are made by acts alone, and the talk without it.

Scripted policies do the same in both modes. Where acts alone settle something, the act takes the place of the sentence
that would, and what else is said stands behind it; what is heard of others is parted again, the act for the table and
the words for the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from sotopia_env.actions import Action, do, speak
from sotopia_env.families.formal import parted, tells_rule, told_form, words_alone
from sotopia_env.families.mutual_friends.tables import read_table
from sotopia_env.policies import Observation
from sotopia_env.views import Entry


def settling(act: str, words: Sequence[str], terms: str, after: Sequence[str] = (), *, formal: bool) -> Action:
    """Returns what settles something: in words, or where acts alone do, as an act with the other words behind it.

    Args:
        act: such as ``"offer $85"``.
        words: sentences that are said beside it.
        terms: the sentence that says what the act does; it is said where there is no act. Empty where the others do.
        after: sentences that are said behind that one.
        formal: whether acts alone settle anything.
    """
    if not formal:
        return speak(" ".join(filter(None, [*words, terms, *after])))
    said = " ".join([*words, *after])
    return do(f"{act}\n{said}" if said else act)


def talk_of(entries: Iterable[Entry], *, formal: bool) -> list[Entry]:
    """Returns entries of a transcript as talk: where acts settle, without them."""
    return [words_alone(entry) if formal else entry for entry in entries]


def with_words(action: Action, observation: Observation, change: Callable[[str], str]) -> Action:
    """Returns an action with its words changed, and the act before them left as it is.

    Args:
        action: one without words, such as a gesture, is returned as it is.
        observation: tells whether acts alone settle anything.
        change: makes other words of words.
    """
    if action.type == "speak":
        return Action("speak", change(action.text), action.to)
    parts = parted(action.text) if action.type == "action" and tells_rule(observation["situation"]) else None
    if parts is None or not parts[1]:
        return action
    return Action("action", f"{parts[0]}\n{change(parts[1])}", action.to)


def any_offer(observation: Observation, rng: np.random.Generator) -> str:
    """Returns the terms of an offer drawn at random, in the form that the situation tells: ``"$85"``."""
    form = told_form(observation["situation"])
    names = [friend.name for friend in read_table(observation["goal"])]
    if names:
        form = form.replace("NAME", names[int(rng.integers(len(names)))])
    amounts = (1, 400) if "$" in form else (0, 2)
    return re.sub(r"\bN\b", lambda _: str(rng.integers(*amounts)), form)
