"""Seats played by policies: what remains is a parallel environment of the other seats.

For learners that know the parallel API and are to meet a partner that does not learn. The single-agent Gymnasium view
of one seat is :class:`sotopia_env.SotopiaEnv`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sotopia_env.environment import StepResult
from sotopia_env.episodes import seat_of
from sotopia_env.policies import Context, Decision, Policy
from sotopia_env.resolve import make_policy
from sotopia_env.seeds import seed_of_name, turn_generator
from sotopia_env.wrappers.base import ParallelWrapper


class WithPartners(ParallelWrapper):
    """Policies play some of the seats; one step is a turn of the others and the partners' replies to it.

    A partner's draws follow from the episode's key, or the seed that ``reset`` was given for them, its seat and its
    turn, so forks and snapshots go on alike. Where the partners end an episode before anyone else has acted, the first
    step plays nothing and says so.

    Args:
        env: a parallel environment of this package, of whatever interface: partners see the dict interface.
        partners: for each seat that is played the policy, by name or object.

    Example:
        >>> import sotopia_env
        >>> env = WithPartners(sotopia_env.parallel_env("bargain", reward="episode"), {"agent_1": "scripted:firm"})
        >>> env.possible_agents
        ['agent_0']
    """

    def __init__(self, env: Any, partners: Mapping[str, Any]) -> None:
        """Make the policies."""
        super().__init__(env)
        unknown = [agent for agent in partners if agent not in env.possible_agents]
        if unknown or not partners:
            given = f"{unknown[0]!r} is none of" if unknown else "give a policy for at least one of"
            raise ValueError(f"partners: {given} {', '.join(env.possible_agents)}")
        self.partners: dict[str, Policy] = {agent: make_policy(policy) for agent, policy in partners.items()}
        self.possible_agents = [agent for agent in env.possible_agents if agent not in partners]
        if not self.possible_agents:
            raise ValueError(
                "partners: every seat has one and nobody is left to learn; play such episodes with rollout"
            )
        self._opening: tuple[str, StepResult] | None = None
        """Of an episode that is over before anyone else could act: its key, and what the first step says of it."""
        self._partner_seed: int | None = None

    @property
    def agents(self) -> list[str]:
        """The agents that are not played; empty once the episode is over and they have been told."""
        return self.possible_agents[:] if self._opening is not None or self.env.agents else []

    @agents.setter
    def agents(self, value: list[str]) -> None:
        """PettingZoo's classes set it; it follows from the environment."""

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Begin an episode; partners whose turn comes first have spoken.

        Args:
            seed: as in the environment.
            options: as in the environment, and ``partner_seed``: of the partners' draws, where they are not to follow
                from the episode's key.
        """
        self._partner_seed = (options or {}).get("partner_seed")
        observations, infos = self.env.reset(seed=seed, options=options)
        nothing = dict.fromkeys(self.possible_agents, 0.0)
        never = dict.fromkeys(self.possible_agents, False)
        played = self._partners_play((observations, nothing, never, never, infos))
        self._opening = None if self.env.agents else (self.unwrapped.episode.key, self._of_others(played))
        # What step returns in the end is nothing that reset has given away.
        return self._mine(played[0]), {agent: dict(info) for agent, info in self._mine(played[4]).items()}

    def step(self, actions: Mapping[str, Any]) -> StepResult:
        """Play a turn of the agents that are not played, and the partners' replies; rewards are summed.

        Raises:
            KeyError: an action of a seat that a partner plays.
        """
        played = [agent for agent in actions if agent in self.partners]
        if played:
            raise KeyError(f"step: {played[0]!r} is played by {self.partners[played[0]].name}")
        if self._opening is not None:
            (_, result), self._opening = self._opening, None
            return result
        first = self.env.step({**actions, **self._decisions()})
        # What a wrapper below has left out of the infos stays out.
        infos = self._mine(first[4])
        reasons = {agent: info["invalid_action"] for agent, info in infos.items() if "invalid_action" in info}
        result = self._of_others(self._partners_play(first))
        for agent, reason in reasons.items():
            result[4][agent]["invalid_action"] = reason
        return result

    def wrapper_state(self) -> dict[str, Any]:
        """The seed of the partners, and whether they ended the episode before anyone else could act."""
        return {"over_at_once": self._opening is not None, "partner_seed": self._partner_seed}

    def restore_wrapper_state(self, state: Mapping[str, Any]) -> None:
        """Put back what :meth:`wrapper_state` returned."""
        if state["over_at_once"] and (self._opening is None or self._opening[0] != self.unwrapped.episode.key):
            raise ValueError(
                "restore: the snapshot is of an episode that the partners ended before anyone else had acted"
            )
        if not state["over_at_once"]:
            self._opening = None
        self._partner_seed = state.get("partner_seed")

    def _partners_play(self, played: StepResult) -> StepResult:
        """Cycles in which only partners act, their rewards and the parts of them added up."""
        totals = {agent: float(played[1].get(agent, 0.0)) for agent in self.possible_agents}
        acting = self.unwrapped.acting
        while acting and all(agent in self.partners for agent in acting):
            before = played[4]
            played = self.env.step(self._decisions())
            for agent in self.possible_agents:
                totals[agent] += played[1][agent]
                parts = played[4][agent].get("reward_parts", {})
                parts |= {name: amount + before[agent]["reward_parts"][name] for name, amount in parts.items()}
            acting = self.unwrapped.acting
        return played[0], totals, played[2], played[3], played[4]

    def _decisions(self) -> dict[str, Decision]:
        """What the partners whose turn it is decide."""
        bare = self.unwrapped
        key, seed = bare.episode.key, self._partner_seed
        key, seed = (key, seed_of_name(key)) if seed is None else (f"{seed:016x}", seed)
        decisions = {}
        for agent in bare.acting:
            if agent in self.partners:
                turn = bare.own_turns_played(agent)
                rng = turn_generator(seed, seat_of(agent), turn)
                context = Context(key, agent, turn, rng, bare.information_of(agent))
                decisions[agent] = self.partners[agent].act([bare.observe(agent)], [context])[0]
        return decisions

    def _of_others(self, played: StepResult) -> StepResult:
        observations, rewards, terminations, truncations, infos = map(self._mine, played)
        return observations, rewards, terminations, truncations, infos

    def _mine(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {agent: values[agent] for agent in self.possible_agents}
