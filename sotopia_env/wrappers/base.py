"""The base of our wrappers. PettingZoo's forwards unknown attributes to the bare environment, past the wrapper."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, Self

from pettingzoo.utils import BaseParallelWrapper

from sotopia_env.environment import SotopiaParallelEnv, StepResult
from sotopia_env.episodes import Episode


class ParallelWrapper(BaseParallelWrapper[str, dict[str, Any], Any]):
    """A wrapper that ``snapshot``, ``restore`` and ``fork`` carry along.

    A subclass with state of its own overrides :meth:`wrapper_state` and :meth:`restore_wrapper_state`.
    """

    env: Any

    @property
    def unwrapped(self) -> SotopiaParallelEnv:
        """The bare environment."""
        return self.env.unwrapped

    @property
    def episode(self) -> Episode:
        """The episode so far, with whatever the wrappers below add to it."""
        return self.env.episode

    @property
    def max_cycles(self) -> int | None:
        """The turn limit of the bare environment."""
        return self.unwrapped.max_cycles

    @max_cycles.setter
    def max_cycles(self, value: int | None) -> None:
        self.unwrapped.max_cycles = value

    def step(self, actions: Mapping[str, Any]) -> StepResult:
        """Play one cycle."""
        return self.env.step(actions)

    def wrapper_state(self) -> dict[str, Any]:
        """JSON-able state of this wrapper alone."""
        return {}

    def restore_wrapper_state(self, state: Mapping[str, Any]) -> None:
        """Put back what :meth:`wrapper_state` returned."""

    def snapshot(self) -> dict[str, Any]:
        """The state of this wrapper and of everything below it."""
        return {"env": self.env.snapshot(), "wrapper": copy.deepcopy(self.wrapper_state())}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Put back what :meth:`snapshot` returned."""
        if "env" not in snapshot or "wrapper" not in snapshot:
            raise ValueError(f"restore: the snapshot is not of an environment wrapped in {type(self).__name__}")
        self.env.restore(snapshot["env"])
        self.restore_wrapper_state(copy.deepcopy(snapshot["wrapper"]))

    def fork(self, n: int = 1) -> list[Self]:
        """``n`` independent copies in the present state, each with its own environment below."""
        twins = []
        for below in self.env.fork(n):
            twin = copy.copy(self)
            twin.env = below
            twin.restore_wrapper_state(copy.deepcopy(self.wrapper_state()))
            twins.append(twin)
        return twins


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
