"""What the core takes from the layers above it by name: policies, reward wrappers, and the lists of names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sotopia_env.families import FAMILIES, PUBLISHED
from sotopia_env.families.base import SPLITS
from sotopia_env.names import from_table
from sotopia_env.policies import Policy

ABOVE = {
    "policy": "sotopia_env.agents.resolve:make_policy",
    "policies": "sotopia_env.agents.resolve:policy_names",
    "rewards": "sotopia_env.rewards:reward_names",
    "judges": "sotopia_env.rewards.judges:judge_names",
    "wrapper": "sotopia_env.rewards:RewardWrapper",
}
"""Imported when it is first asked for: the core knows nothing of the layers above it but these names."""


def make_policy(given: Any, **options: Any) -> Policy:
    """A policy from a name (``"scripted:warm"``, ``"random"``, ``"local:DIR"``), a directory, a function or an object.

    Args:
        given: see above; a function takes ``(observation, rng)`` and returns an action or a ``str``.
        options: passed to the policy's constructor.
    """
    return from_table(ABOVE, "policy")(given, **options)


def list_names() -> dict[str, Callable[[], list[str]]]:
    """For each kind of slot, a function that lists the names it takes."""
    from sotopia_env.published import published_names

    generated = [name for name in FAMILIES if name not in PUBLISHED]
    return {
        "tasks": lambda: [*(f"{name}:{split}" for name in generated for split in SPLITS), *published_names()],
        **{kind: from_table(ABOVE, kind) for kind in ("policies", "rewards", "judges")},
    }


def wrap_reward(env: Any, reward: Any) -> Any:
    """An environment whose ``step`` pays ``reward``."""
    return from_table(ABOVE, "wrapper")(env, reward)
