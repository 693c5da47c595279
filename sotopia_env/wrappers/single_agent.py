"""The single-agent Gymnasium view: one seat learns, partner policies play the others."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import gymnasium

from sotopia_env.episodes import Episode, seat_of
from sotopia_env.make import INTERFACES, parallel_env
from sotopia_env.policies import Context, Decision, Policy
from sotopia_env.resolve import make_policy
from sotopia_env.rollouts.seeds import turn_generator
from sotopia_env.wrappers.text import prompt_space

Played = tuple[Any, float, bool, bool, dict[str, Any]]
"""What the agent sees of one or more cycles: observation, reward, terminated, truncated, info."""


class SotopiaEnv(gymnasium.Env[Any, Any]):
    """One seat of a parallel environment; one step is the agent's own turn and the partners' replies.

    Args:
        family: a family in any form, as in ``parallel_env``; a file or list of tasks will do as well.
        tasks: fixed tasks for that family to watch and score.
        agent: the seat that acts.
        partner: the policy of all other seats, as a name or an object.
        reward: what ``step`` pays, as in ``parallel_env``; the sum over the cycles that one step plays.
        interface: ``"text"`` (a rendered prompt in, raw model output out, parsed tolerantly), ``"dict"`` or
            ``"menu"`` (features in, the number of a dialogue act out).
        render_mode: ``"human"``, ``"ansi"`` or ``None``.
        options: further arguments of ``parallel_env``.

    Example:
        >>> env = gymnasium.make("sotopia_env:sotopia/Bargain-v0", agent="agent_0", partner="scripted:firm",
        ...                      reward="episode")
    """

    metadata: dict[str, Any] = {"render_modes": ["human", "ansi"], "render_fps": 1}  # noqa: RUF012

    def __init__(
        self,
        family: Any = "bargain",
        *,
        tasks: Any = None,
        agent: str = "agent_0",
        partner: Any = "scripted:firm",
        reward: Any = "episode",
        interface: str = "text",
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        """Build the parallel environment and the partner."""
        if interface not in INTERFACES:
            raise ValueError(f"interface: {interface!r} is none of {', '.join(INTERFACES)}")
        given = (family, None) if tasks is None else (tasks, family)
        options |= {"reward": reward, "interface": interface, "render_mode": render_mode}
        self.parallel = parallel_env(given[0], family=given[1], **options)
        if agent not in self.parallel.possible_agents:
            raise ValueError(f"agent: {agent!r} is none of {', '.join(self.parallel.possible_agents)}")
        self.agent = agent
        self.partner: Policy = make_policy(partner)
        self.interface = interface
        self.render_mode = render_mode
        # Gymnasium, other than PettingZoo, takes a bare text for an observation.
        self.observation_space = prompt_space() if interface == "text" else self.parallel.observation_space(agent)
        self.action_space = self.parallel.action_space(agent)
        self._partner_seed = 0
        self._early: Played | None = None

    @property
    def episode(self) -> Episode:
        """The episode so far."""
        return self.parallel.unwrapped.episode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; partners whose turn comes first have spoken.

        Where a partner ends the episode before the agent's first turn, the first ``step`` plays nothing and says so.
        """
        super().reset(seed=seed)
        self._partner_seed = int(self.np_random.integers(2**62))
        observations, infos = self.parallel.reset(seed=int(self.np_random.integers(2**62)), options=options)
        played = self._partners_play((observations[self.agent], 0.0, False, False, infos[self.agent]))
        self._early = played if played[2] or played[3] else None
        # What step returns in the end is nothing that reset has given away.
        observation, _, _, _, info = copy.deepcopy(played)
        return self._shown(observation), info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take the agent's turn, then let the partners reply.

        Args:
            action: raw model output (text interface), the number of an act (menu), or whatever ``parallel_env.step``
                takes (dict interface).

        Returns:
            Observation, reward (the sum over the cycles played), terminated, truncated, info.
        """
        if self._early is not None:
            played, self._early = self._early, None
        else:
            first = self._cycle({self.agent: action})
            observation, total, terminated, truncated, info = self._partners_play(first)
            played = observation, total, terminated, truncated, {**info, "invalid_action": first[4]["invalid_action"]}
        return self._shown(played[0]), *played[1:]

    def render(self) -> Any:
        """The transcript, as in the parallel environment."""
        return self.parallel.unwrapped.render()

    def close(self) -> None:
        """Close the parallel environment."""
        self.parallel.close()

    def _partners_play(self, played: Played) -> Played:
        """Cycles in which the agent has no turn, their rewards added up."""
        observation, total, terminated, truncated, info = played
        bare = self.parallel.unwrapped
        while bare.acting and self.agent not in bare.acting:
            observation, reward, terminated, truncated, info = self._cycle({})
            total += reward
        return observation, total, terminated, truncated, info

    def _cycle(self, own: Mapping[str, Any]) -> Played:
        """One cycle of the parallel environment, as the agent sees it."""
        bare = self.parallel.unwrapped
        actions = {agent: self._partner_decision(agent) for agent in bare.acting if agent != self.agent}
        results = self.parallel.step({**actions, **own})
        observation, reward, terminated, truncated, info = (result[self.agent] for result in results)
        return observation, float(reward), terminated, truncated, info

    def _partner_decision(self, agent: str) -> Decision:
        bare = self.parallel.unwrapped
        turn = bare.own_turns_played(agent)
        rng = turn_generator(self._partner_seed, seat_of(agent), turn)
        context = Context(f"{self._partner_seed:016x}", agent, turn, rng)
        return self.partner.act([bare.observe(agent)], [context])[0]

    def _shown(self, observation: Any) -> Any:
        return observation["prompt"] if self.interface == "text" else observation
