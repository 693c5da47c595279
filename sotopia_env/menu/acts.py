"""The menu: dialogue acts by number. Its size is one constant for every task of every family."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sotopia_env.actions import ACTION_TYPES, NONE, Action

PROPOSALS = 48
"""Slots for what may be proposed: prices, divisions, names, or suggestions, as the task has it."""

ACTS = (
    "wait",
    "accept",
    "refuse",
    "ask",
    "tell",
    "courtesy",
    "leave",
    *(f"propose-{slot}" for slot in range(PROPOSALS)),
)
"""All acts by number. ``wait`` is ``none``, the only act that is legal out of turn."""

FIRST_PROPOSAL = len(ACTS) - PROPOSALS
"""The number of ``propose-0``."""

_NUMBERS = {name: number for number, name in enumerate(ACTS)}

Act = Action | str
"""What an act says or does; a bare ``str`` is spoken."""


def proposals(acts: Mapping[int, Act]) -> dict[str, Act]:
    """The acts of proposals, by slot; what lies beyond the last slot is left out."""
    return {ACTS[FIRST_PROPOSAL + slot]: act for slot, act in acts.items() if slot < PROPOSALS}


def legal_acts(acts: Mapping[str, Act], action_types: np.ndarray) -> dict[str, Act]:
    """The acts that may be taken now: those whose type of action is legal, and always ``wait``.

    Args:
        acts: what would make sense if it were the agent's turn.
        action_types: the legal types of an observation, ``MultiBinary(5)``.
    """
    allowed = {kind for kind, legal in zip(ACTION_TYPES, action_types, strict=True) if legal}
    legal: dict[str, Act] = {"wait": NONE}
    for name, act in acts.items():
        if (act.type if isinstance(act, Action) else "speak") in allowed:
            legal[name] = act
    return legal


def mask_of(acts: Mapping[str, Act]) -> np.ndarray:
    """``(len(ACTS),)`` int8, 1 where an act is legal."""
    mask = np.zeros(len(ACTS), dtype=np.int8)
    mask[[_NUMBERS[name] for name in acts]] = 1
    return mask
