"""The bases of our wrappers. PettingZoo's forwards unknown attributes to the bare environment, past the wrapper."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from pettingzoo.utils import BaseParallelWrapper

from sotopia_env.environment import SotopiaParallelEnv, StepResult
from sotopia_env.episodes import Episode
from sotopia_env.policies import Decision, Observation
from sotopia_env.rendering import read_output


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

    @staticmethod
    def step_many(envs: Sequence[Any], actions: Sequence[Mapping[str, Any]]) -> list[StepResult]:
        """As :meth:`SotopiaParallelEnv.step_many`; a wrapper that gains from stepping many at once overrides it."""
        return SotopiaParallelEnv.step_many(envs, actions)

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


class InterfaceWrapper(ParallelWrapper):
    """Another form of observations and actions.

    A subclass says what the spaces are (:meth:`_spaces`), what the environment below is told for an action
    (:meth:`_told`), and what is shown for its observations (:meth:`_shown`).

    Args:
        env: a parallel environment of this package with the dict interface, with or without other wrappers.
    """

    def __init__(self, env: Any) -> None:
        """Build the spaces, the same for every task."""
        super().__init__(env)
        made = {agent: self._spaces() for agent in env.possible_agents}
        self.observation_spaces = {agent: observation for agent, (observation, _) in made.items()}
        self.action_spaces = {agent: action for agent, (_, action) in made.items()}

    def observation_space(self, agent: str) -> Any:
        """The observation space of an agent: the same object every call."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Any:
        """The action space of an agent: the same object every call."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Begin an episode."""
        observations, infos = self.env.reset(seed=seed, options=options)
        return self._shown(observations, infos), infos

    def step(self, actions: Mapping[str, Any]) -> StepResult:
        """Play one cycle.

        Args:
            actions: for each acting agent an element of its action space. What the environment below takes besides
                (an ``Action``, a ``Decision``) is passed on, so that a partner need not speak this interface.
        """
        told = {agent: self._told(agent, given) for agent, given in actions.items()}
        observations, rewards, terminations, truncations, infos = self.env.step(told)
        return self._shown(observations, infos), rewards, terminations, truncations, infos

    def fork(self, n: int = 1) -> list[Self]:
        """``n`` independent copies in the present state, each with spaces of its own."""
        twins = super().fork(n)
        for twin in twins:
            twin.observation_spaces = copy.deepcopy(self.observation_spaces)
            twin.action_spaces = copy.deepcopy(self.action_spaces)
        return twins

    def _read(self, agent: str | None, raw: str, *, opened: bool = False) -> Decision:
        """What a model's raw output says, and to whom where messages may be private."""
        private = agent in self.possible_agents and self.unwrapped.rules.private_messages
        seen = self.unwrapped.observe(agent) if agent is not None and private else None
        action, reason = read_output(raw, seen, opened=opened)
        return Decision(action, raw=raw, invalid=reason)

    @abstractmethod
    def _spaces(self) -> tuple[Any, Any]:
        """New spaces of one agent's observations and actions."""

    @abstractmethod
    def _told(self, agent: str, given: Any) -> Any:
        """What the environment below is told for an action."""

    @abstractmethod
    def _shown(self, observations: Mapping[str, Observation], infos: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        """What is shown for observations of the dict interface; infos may be added to."""


class SelectInfos(ParallelWrapper):
    """Infos hold the chosen keys, as far as they are there, and nothing else.

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
        # Some keys stand in the last infos alone.
        return {agent: {key: info[key] for key in self.keys if key in info} for agent, info in infos.items()}
