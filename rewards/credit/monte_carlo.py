"""Monte-Carlo credit: what a turn changed, measured by playing on from before and after it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from sotopia_env.episodes import Episode
from sotopia_env.rewards.credit.continuations import ContinuationReward, state_numbers
from sotopia_env.rewards.designs import Kind, Timing
from sotopia_env.rewards.judges.base import judged
from sotopia_env.rewards.turn_rewards import TurnRewards, by_agent
from sotopia_env.seeds import episode_seed
from sotopia_env.statistics import MeanAndError, mean_and_error


@dataclass(frozen=True)
class StateValues:
    """Estimated values of the states of one episode: the evidence behind its Monte-Carlo credit.

    Args:
        first: state i is the one after i turns; this is the first that was estimated.
        values: ``{agent: [V of state first, first + 1, ..., N]}``, N being the number of turns.
        stderr: their standard errors: 0 for the end of a finished episode, ``None`` for a single continuation.
        policies: ``{agent: name}`` of those that played the continuations; labels age with them.
        k: continuations per state.
    """

    first: int
    values: Mapping[str, tuple[float | None, ...]]
    stderr: Mapping[str, tuple[float | None, ...]]
    policies: Mapping[str, str]
    k: int

    def credit(self, agent: str, turn: int) -> MeanAndError:
        """V after a turn minus V before it, for one agent.

        Args:
            agent: whose value; over the turns of *both* speakers the differences sum to G - V of state 0.
            turn: global index of the turn.

        Returns:
            The difference and its standard error, √(s1²/k + s0²/k).
        """
        index = turn - self.first
        before, after = self.values[agent][index : index + 2]
        errors = self.stderr[agent][index : index + 2]
        if before is None or after is None:
            return None, None
        known = [error for error in errors if error is not None]
        return after - before, math.hypot(*known) if len(known) == 2 else None


@dataclass(frozen=True)
class MonteCarlo(ContinuationReward):
    """Credit of an own turn t: mean G of k continuations after t minus mean G of k independent ones before it.

    At the end V is G itself. Both policies play on: an estimate of the advantage under *them* (VinePPO's estimator,
    arXiv 2410.01679, for turns of a dialogue). The generators of a state follow from its text, so that equal states
    share one estimate, other states are independent, and labelling later gives the numbers of play.

    Args:
        policies: who plays on: one for every seat, or one per seat; names or objects.
        k: continuations per state.
        dimensions: ``{dimension: weight}``.
        seed: of all continuations.
        judge: see :class:`~sotopia_env.rewards.Outcome`.
        scale: ``"unit"`` or ``"native"``.
        batch_size: how many continuations are played side by side.
        family: of the tasks, where it is one of your own; an environment made from it gives it.
        name: what infos and stored episodes call it.
    """

    name: str = "monte-carlo"

    kind: ClassVar[Kind] = "credit"  # type: ignore[misc]
    timing: ClassVar[Timing] = "causal"  # type: ignore[misc]

    def rewards(self, episodes: Sequence[Episode]) -> list[TurnRewards]:
        """The credit of every own turn."""
        numbers = self.recent(episodes, [0] * len(episodes))
        return [by_agent(episode, values) for episode, values in zip(episodes, numbers, strict=True)]

    def recent(self, episodes: Sequence[Episode], settled: Sequence[int]) -> list[list[float | None]]:
        """The credit of the latest turns: only the states around them are played on from."""
        estimates = self._estimate(episodes, settled)
        return [
            [estimate.credit(turn.agent, turn.global_index)[0] for turn in episode.turns[start:]]
            for episode, estimate, start in zip(episodes, estimates, settled, strict=True)
        ]

    def estimate(self, episodes: Sequence[Episode]) -> list[StateValues]:
        """The values of all states with their standard errors, from which the credit is made."""
        return self._estimate(judged(episodes, self.judges()), [0] * len(episodes))

    def values(self, episodes: Sequence[Episode]) -> list[dict[str, float | None]]:
        """The value of the latest state of each episode for each agent: a potential for progress."""
        estimates = self._estimate(judged(episodes, self.judges()), [len(episode.turns) for episode in episodes])
        return [{agent: values[-1] for agent, values in estimate.values.items()} for estimate in estimates]

    def _estimate(self, episodes: Sequence[Episode], firsts: Sequence[int]) -> list[StateValues]:
        prefixes: dict[int, Episode] = {}
        numbers = []
        for episode, first in zip(episodes, firsts, strict=True):
            states = state_numbers(episode, self.seed)
            open_states = states if episode.ending is None else states[:-1]
            for length in range(first, len(open_states)):
                if states[length] not in prefixes:
                    prefixes[states[length]] = replace(episode, turns=episode.turns[:length], ending=None)
            numbers.append(states)
        played = self._play_on(prefixes)
        results = []
        for episode, first, states in zip(episodes, firsts, numbers, strict=True):
            estimates = [played[state] for state in states[first : len(states) - (episode.ending is not None)]]
            if episode.ending is not None:
                estimates.append({agent: (self.score(episode, agent), 0.0) for agent in episode.agents})
            names = {agent: policy.name for agent, policy in self.seated(episode.task).items()}
            values = {agent: tuple(e[agent][0] for e in estimates) for agent in episode.agents}
            stderr = {agent: tuple(e[agent][1] for e in estimates) for agent in episode.agents}
            results.append(StateValues(first, values, stderr, names, self.k))
        return results

    def _play_on(self, prefixes: Mapping[int, Episode]) -> dict[int, dict[str, MeanAndError]]:
        jobs = [(state, episode_seed(state, j)) for state in prefixes for j in range(self.k)]
        begun = [prefixes[state] for state, _ in jobs]
        seated = [self.seated(episode.task) for episode in begun]
        found: dict[int, dict[str, list[float | None]]] = {
            state: {agent: [] for agent in prefix.agents} for state, prefix in prefixes.items()
        }
        scores = self.scores_played_on(begun, seated, [seed for _, seed in jobs])
        for (state, _), by_seat in zip(jobs, scores, strict=True):
            for agent, score in by_seat.items():
                found[state][agent].append(score)
        return {state: {agent: mean_and_error(g) for agent, g in by_seat.items()} for state, by_seat in found.items()}
