"""A function as a policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sotopia_env.actions import NONE, Action, read_action, speak
from sotopia_env.agents.scripted.policy import generator
from sotopia_env.policies import Context, Decision, Observation


class FunctionPolicy:
    """A function ``(observation, rng) -> Action | str`` as a policy; a ``str`` is spoken."""

    def __init__(self, function: Callable[[Observation, np.random.Generator], Any], *, name: str | None = None) -> None:
        """Keep the function."""
        self.function = function
        self.name = name or str(getattr(function, "__name__", type(function).__name__))

    def act(self, observations: Sequence[Observation], contexts: Sequence[Context]) -> list[Decision]:
        """One call of the function for each observation."""
        return [
            self._decision(observation, context.rng)
            for observation, context in zip(observations, contexts, strict=True)
        ]

    def act_one(self, observation: Observation, context: Context | None = None) -> Action:
        """The action for a single observation."""
        return self._decision(observation, generator(observation) if context is None else context.rng).action

    def _decision(self, observation: Observation, rng: np.random.Generator) -> Decision:
        given = self.function(observation, rng)
        action, reason = read_action(speak(given) if isinstance(given, str) else given)
        return Decision(NONE if reason else action, invalid=reason)
