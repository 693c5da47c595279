"""The single-agent Gymnasium view: one seat learns, partner policies play the others."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Self

import gymnasium
import numpy as np

from sotopia_env.episodes import Episode
from sotopia_env.resolve import make_policy
from sotopia_env.wrappers.partners import WithPartners
from sotopia_env.wrappers.text import prompt_space


class SingleAgentEnv(gymnasium.Env[Any, Any]):
    """One seat of a parallel environment; one step is the agent's own turn and the partners' replies.

    Args:
        env: a parallel environment of this package, with its wrappers and whatever interface.
        agent: the seat that acts.
        partner: who plays the other seats, as names or objects: one for all, a list with one for each in their order,
            or a mapping from agents.

    Example:
        >>> import sotopia_env
        >>> env = SingleAgentEnv(sotopia_env.parallel_env("bargain", reward="episode"), "agent_1", "scripted:warm")
        >>> observation, info = env.reset(seed=0)
        >>> observation["agent"]
        'agent_1'
    """

    metadata: dict[str, Any] = {"render_modes": ["human", "ansi"], "render_fps": 1}  # noqa: RUF012

    def __init__(self, env: Any, agent: str = "agent_0", partner: Any = "scripted:firm") -> None:
        """Seat the partners."""
        if agent not in env.possible_agents:
            raise ValueError(f"agent: {agent!r} is none of {', '.join(env.possible_agents)}")
        self.agent = agent
        self.parallel = env
        others = [other for other in env.possible_agents if other != agent]
        self._partners = WithPartners(env, _seated(partner, others))
        self.render_mode = env.unwrapped.render_mode
        self._make_spaces()

    @property
    def partnered(self) -> WithPartners:
        """The parallel environment of the one seat, its partners around all that was put around ``parallel`` since."""
        self._partners.env = self.parallel
        return self._partners

    @property
    def episode(self) -> Episode:
        """The episode so far; once over, with its judgements and rewards where one is paid."""
        return self.parallel.episode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; partners whose turn comes first have spoken.

        Where a partner ends the episode before the agent's first turn, the first ``step`` plays nothing and says so.

        Args:
            seed: re-seeds everything; ``None`` goes on with the generator.
            options: of :meth:`~sotopia_env.wrappers.partners.WithPartners.reset`.
        """
        super().reset(seed=seed)
        options = {"partner_seed": int(self.np_random.integers(2**62)), **(options or {})}
        observations, infos = self.partnered.reset(seed=int(self.np_random.integers(2**62)), options=options)
        # What step returns in the end is nothing that reset has given away.
        return copy.deepcopy((self._shown(observations[self.agent]), infos[self.agent]))

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take the agent's turn, then let the partners reply.

        Args:
            action: raw model output (text interface), the number of an act (menu), or whatever ``parallel_env.step``
                takes (dict interface).

        Returns:
            Observation, reward (the sum over the cycles played), terminated, truncated, info.
        """
        observations, rewards, terminations, truncations, infos = self.partnered.step({self.agent: action})
        me = self.agent
        return self._shown(observations[me]), rewards[me], terminations[me], truncations[me], infos[me]

    def render(self) -> Any:
        """The transcript, as in the parallel environment."""
        return self.parallel.unwrapped.render()

    def close(self) -> None:
        """Close the parallel environment."""
        self.parallel.close()

    def snapshot(self) -> dict[str, Any]:
        """The whole state as plain JSON-able data; :meth:`restore` puts it back, in any process."""
        return {"parallel": self.partnered.snapshot(), "generator": copy.deepcopy(self.np_random.bit_generator.state)}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go back, or over, to the state of a snapshot.

        Raises:
            ValueError: the snapshot is of another kind of environment.
        """
        if "parallel" not in snapshot or "generator" not in snapshot:
            raise ValueError(f"restore: the snapshot is not of a {type(self).__name__}")
        self.partnered.restore(snapshot["parallel"])
        generator = np.random.Generator(np.random.PCG64())
        generator.bit_generator.state = copy.deepcopy(dict(snapshot["generator"]))
        self.np_random = generator

    def fork(self, n: int = 1) -> list[Self]:
        """``n`` independent environments in the present state, generators included; partners are shared."""
        twins = []
        for partners in self.partnered.fork(n):
            twin = copy.copy(self)
            twin.parallel, twin._partners = partners.env, partners
            twin.np_random = copy.deepcopy(self.np_random)
            twin._make_spaces()
            twins.append(twin)
        return twins

    def _make_spaces(self) -> None:
        space = self.parallel.observation_space(self.agent)
        # Gymnasium, other than PettingZoo, takes a bare text for an observation.
        self._bare_text = "prompt" in getattr(space, "spaces", ())
        self.observation_space = prompt_space() if self._bare_text else space
        self.action_space = self.parallel.action_space(self.agent)

    def _shown(self, observation: Any) -> Any:
        return observation["prompt"] if self._bare_text else observation


def _seated(partner: Any, others: Sequence[str]) -> dict[str, Any]:
    """Who plays each of the other seats."""
    if isinstance(partner, Mapping):
        given = dict(partner)
    elif isinstance(partner, Sequence) and not isinstance(partner, str):
        given = dict(zip(others, partner, strict=False)) if len(partner) == len(others) else {}
    else:
        given = dict.fromkeys(others, make_policy(partner))
    if set(given) != set(others):
        raise ValueError(f"partner: give one for all, or one for each of {', '.join(others)}")
    return given
