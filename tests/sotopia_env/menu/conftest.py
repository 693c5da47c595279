"""Menus of every family, and ways to play them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import sotopia_env
from sotopia_env.menu import MenuWrapper


@pytest.fixture
def menu_env() -> Callable[..., MenuWrapper]:
    """The menu over a family, already reset."""

    def make(family: Any = "bargain", *, seed: int = 0, mask: Any = "info", **options: Any) -> MenuWrapper:
        env = MenuWrapper(sotopia_env.parallel_env(family, **options), mask=mask)
        env.reset(seed=seed)
        return env

    return make


@pytest.fixture
def play_at_random() -> Callable[..., list[Any]]:
    """Play an environment of the menu to its end with random legal acts; returns what every step returned."""

    def play(env: Any, rng: np.random.Generator) -> list[Any]:
        results = []
        while env.agents:
            acts = {agent: rng.choice(np.flatnonzero(env.scene(agent).mask)) for agent in env.agents}
            results.append(env.step(acts))
        return results

    return play
