"""The AEC API: PettingZoo's agents act one after the other, and each reads what the one before it just said.

PettingZoo's own conversion collects the actions of a whole cycle first: where one agent acts a cycle, every other
selection would be of somebody who may only pass. Here the agents asked to act are selected alone, and a cycle is played
as soon as they have acted. In simultaneous order they act unseen by each other, and read it all in the next cycle.

## Version history
* v0: initial version.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from pettingzoo import AECEnv
from pettingzoo.utils.wrappers import OrderEnforcingWrapper

from sotopia_env.environment import SotopiaParallelEnv
from sotopia_env.episodes import Episode


class SotopiaAECEnv(AECEnv[str, Any, Any]):
    """A parallel environment of the package, with whatever wrappers, as an AEC environment.

    Args:
        parallel: the environment below; its wrappers pay, render and show as they do there.
        ask_all: select every agent in every cycle, also those that may only pass, in the order of the seats. A cycle
            is then played once all were asked, as ``pettingzoo.utils.aec_to_parallel`` and drivers that count on every
            agent expect. Without it ``metadata["is_parallelizable"]`` holds in simultaneous order alone, as long as
            nobody can leave the others behind.
    """

    metadata: dict[str, Any] = SotopiaParallelEnv.metadata

    def __init__(self, parallel: Any, *, ask_all: bool = False) -> None:
        """Nothing is played before ``reset``."""
        super().__init__()
        if not isinstance(getattr(parallel, "unwrapped", None), SotopiaParallelEnv):
            raise TypeError(f"the AEC API is one of parallel environments of this package, not of {parallel!r:.80}")
        self.parallel = parallel
        self.ask_all = ask_all
        # A cycle of PettingZoo's parallel wrapper asks every agent; here that holds for some only.
        rules = parallel.unwrapped.rules
        stays = len(parallel.possible_agents) == 2 or "leave" not in rules.action_types
        together = ask_all or (rules.action_order == "simultaneous" and stays)
        self.metadata = {**type(self).metadata, "is_parallelizable": together}
        self.possible_agents: list[str] = list(parallel.possible_agents)
        self.state_space = parallel.state_space
        self.render_mode = parallel.render_mode
        self.agents: list[str] = []
        self.agent_selection = ""
        self.rewards: dict[str, float] = {}
        self.terminations: dict[str, bool] = {}
        self.truncations: dict[str, bool] = {}
        self.infos: dict[str, dict[str, Any]] = {}
        self._cumulative_rewards: dict[str, float] = {}
        self._observations: dict[str, Any] = {}
        self._actions: dict[str, Any] = {}
        self._queue: list[str] = []

    # PettingZoo's API

    def observation_space(self, agent: str) -> Any:
        """The observation space of an agent: the same object every call."""
        return self.parallel.observation_space(agent)

    def action_space(self, agent: str) -> Any:
        """The action space of an agent: the same object every call."""
        return self.parallel.action_space(agent)

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Begin an episode; the arguments are those of the parallel environment."""
        self._observations, infos = self.parallel.reset(seed=seed, options=options)
        self._begin(infos)

    def step(self, action: Any) -> None:
        """Take the selected agent's action; the last one asked in a cycle has it played.

        Args:
            action: whatever ``step`` of the parallel environment takes; ``None`` once the agent is done.
        """
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)
            return
        self._cumulative_rewards[agent] = 0.0
        self._actions[agent] = action
        self._queue = self._queue[1:]
        if self._queue:
            self._clear_rewards()
            self.agent_selection = self._queue[0]
            return
        played = self.parallel.step(self._actions)
        self._observations, self.rewards, self.terminations, self.truncations, infos = played
        self.infos = {name: infos[name] for name in self.agents}
        self._accumulate_rewards()
        self._ask()

    def observe(self, agent: str) -> Any:
        """What an agent knows after the last cycle, as a new object."""
        return _fresh(self._observations[agent])

    def render(self) -> Any:
        """The transcript, as in the parallel environment."""
        return self.parallel.render()

    def state(self) -> Any:
        """Everything that is known to anyone, as in the parallel environment."""
        return self.parallel.state()

    def close(self) -> None:
        """Close the parallel environment."""
        self.parallel.close()

    # Episodes and branching

    @property
    def episode(self) -> Episode:
        """The episode so far, with whatever the wrappers below add to it."""
        return self.parallel.episode

    @property
    def max_cycles(self) -> int | None:
        """The turn limit in cycles."""
        return self.parallel.unwrapped.max_cycles

    @max_cycles.setter
    def max_cycles(self, value: int | None) -> None:
        self.parallel.unwrapped.max_cycles = value

    def messages(self, agent: str) -> list[dict[str, str]]:
        """The chat messages of one seat, built on demand."""
        return self.parallel.unwrapped.messages(agent)

    def fork(self, n: int = 1) -> list[Self]:
        """``n`` independent copies in the present state, wrappers included."""
        twins = []
        for below in self.parallel.fork(n):
            twin = copy.copy(self)
            own = {name: value for name, value in vars(self).items() if name != "parallel"}
            twin.__dict__.update(copy.deepcopy(own), parallel=below)
            twins.append(twin)
        return twins

    # The machinery

    def _begin(self, infos: Mapping[str, Any]) -> None:
        self.agents = list(self.parallel.agents)
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self.infos = {agent: infos[agent] for agent in self.agents}
        self._skip_agent_selection = None
        self._ask()

    def _ask(self) -> None:
        """Select the agents of the next cycle, or all of them a last time once the episode is over."""
        acting = self.parallel.unwrapped.acting
        self._actions = {}
        self._queue = list(self.agents if self.ask_all or not acting else acting)
        self.agent_selection = self._queue[0]


class OrderEnforcing(OrderEnforcingWrapper[str, Any, Any]):
    """PettingZoo's check of the order of calls, which :meth:`fork` carries along."""

    def fork(self, n: int = 1) -> list[Self]:
        """``n`` independent copies in the present state, wrappers included."""
        twins = []
        for below in self.env.fork(n):
            twin = copy.copy(self)
            twin.env = below
            twins.append(twin)
        return twins

    def __str__(self) -> str:
        """The name of the environment, as of PettingZoo's own wrapper."""
        return str(self.env)


def _fresh(observation: Any) -> Any:
    """A copy that shares no array with the original."""
    if isinstance(observation, dict):
        return {name: _fresh(value) for name, value in observation.items()}
    return observation.copy() if isinstance(observation, np.ndarray) else observation
