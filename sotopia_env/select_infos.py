"""Infos cut down to some keys, for libraries that make a tensor of every value in them (TorchRL)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sotopia_env.environment import StepResult
from sotopia_env.wrappers import ParallelWrapper


class SelectInfos(ParallelWrapper):
    """Infos hold the chosen keys and nothing else.

    Args:
        env: a parallel environment of this package.
        keys: what is kept; ``()`` leaves infos empty.

    Example:
        >>> import sotopia_env
        >>> env = SelectInfos(sotopia_env.parallel_env("bargain"), ["active", "turn"])
    """

    def __init__(self, env: Any, keys: Iterable[str] = ()) -> None:
        """Keep the keys."""
        super().__init__(env)
        self.keys = tuple(keys)

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Begin an episode."""
        observations, infos = self.env.reset(seed=seed, options=options)
        return observations, self._selected(infos)

    def step(self, actions: Mapping[str, Any]) -> StepResult:
        """Play one cycle."""
        *played, infos = self.env.step(actions)
        observations, rewards, terminations, truncations = played
        return observations, rewards, terminations, truncations, self._selected(infos)

    def _selected(self, infos: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        return {agent: {key: info[key] for key in self.keys} for agent, info in infos.items()}
