"""Monte-Carlo credit: what a turn changed, measured by playing on from before and after it."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from sotopia_env.episodes import Episode
from sotopia_env.families.base import Family
from sotopia_env.policies import Policy
from sotopia_env.resolve import make_policy
from sotopia_env.rewards.designs import Kind, Timing
from sotopia_env.rewards.dimensions import Scale, check_weights, weighted_score
from sotopia_env.rewards.judges import Judge, as_judge, is_shipped, judged, scores_of
from sotopia_env.rewards.reward import Reward
from sotopia_env.rewards.utterances import Utterances, by_agent
from sotopia_env.rollouts import continue_episodes, episode_seed
from sotopia_env.tasks import Task

Estimate = tuple[float | None, float | None]
"""A mean and its standard error; ``None`` where unknown."""


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

    def credit(self, agent: str, turn: int) -> Estimate:
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
class MonteCarlo(Reward):
    """Credit of an own turn t: mean G of k continuations after t minus mean G of k independent ones before it.

    At the end V is G itself. Both policies play on: an estimate of the advantage under *them* (VinePPO's estimator,
    arXiv 2410.01679, for turns of a dialogue). The generators of a state follow from its text, so that equal states
    share one estimate, other states are independent, and labelling later gives the numbers of play.

    Args:
        policies: who plays on: one for every seat, or one per seat; names or objects.
        k: continuations per state.
        dimensions: ``{dimension: weight}``.
        seed: of all continuations.
        judge: see :class:`~sotopia_env.rewards.outcome.Outcome`.
        scale: ``"unit"`` or ``"native"``.
        batch_size: how many continuations are played side by side.
        family: of the tasks, where it is one of your own; an environment made from it gives it.
        name: what infos and stored episodes call it.
    """

    policies: Any
    k: int = 8
    dimensions: Mapping[str, float] = field(default_factory=lambda: {"goal": 1.0})
    seed: int = 0
    judge: Any = "rule"
    scale: Scale = "unit"
    batch_size: int = 512
    family: Family | None = None
    name: str = "monte-carlo"

    kind: ClassVar[Kind] = "credit"  # type: ignore[misc]
    timing: ClassVar[Timing] = "causal"  # type: ignore[misc]
    needs: ClassVar[tuple[str, ...]] = ("continuations",)

    def __post_init__(self) -> None:
        """Check the arguments, and make policies and judge of their names."""
        check_weights(self.dimensions, self.scale)
        if self.k < 1 or self.batch_size < 1:
            raise ValueError(f"k and batch_size must be positive, not {self.k} and {self.batch_size}")
        given = self.policies
        given = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
        if not given:
            raise ValueError("policies: give one for every seat, or one per seat")
        object.__setattr__(self, "policies", tuple(given))
        named = {policy: make_policy(policy) for policy in given if isinstance(policy, str)}
        made = [named[policy] if isinstance(policy, str) else make_policy(policy) for policy in given]
        object.__setattr__(self, "_players", tuple(made))
        judge = as_judge(self.judge)
        object.__setattr__(self, "judge", judge if self.family is None else judge.for_family(self.family))

    def rewards(self, episodes: Sequence[Episode]) -> list[Utterances]:
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

    def judges(self) -> tuple[Judge, ...]:
        """Its judge."""
        return (self.judge,)

    def check(self, family: Family, tasks: Sequence[Task] | None = None) -> None:
        """Check judge and seats."""
        super().check(family, tasks)
        for task in tasks or ():
            self._seated(task)

    def for_family(self, family: Family) -> MonteCarlo:
        """The same with a family at hand that its name alone would not lead to."""
        if is_shipped(family) or self.family is not None:
            return self
        # Not dataclasses.replace: it would make, and perhaps load, the policies once more.
        bound = copy.copy(self)
        object.__setattr__(bound, "family", family)
        object.__setattr__(bound, "judge", self.judge.for_family(family))
        return bound

    def _seated(self, task: Task) -> dict[str, Policy]:
        players: tuple[Policy, ...] = self._players  # type: ignore[attr-defined]
        if len(players) not in (1, task.num_seats):
            raise ValueError(f"task {task.id!r}: {len(players)} policies for {task.num_seats} seats")
        return {f"agent_{seat}": players[seat % len(players)] for seat in range(task.num_seats)}

    def _estimate(self, episodes: Sequence[Episode], firsts: Sequence[int]) -> list[StateValues]:
        prefixes: dict[int, Episode] = {}
        numbers = []
        for episode, first in zip(episodes, firsts, strict=True):
            states = self._states(episode)
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
                estimates.append({agent: (self._score(episode, agent), 0.0) for agent in episode.agents})
            names = {agent: policy.name for agent, policy in self._seated(episode.task).items()}
            values = {agent: tuple(e[agent][0] for e in estimates) for agent in episode.agents}
            stderr = {agent: tuple(e[agent][1] for e in estimates) for agent in episode.agents}
            results.append(StateValues(first, values, stderr, names, self.k))
        return results

    def _states(self, episode: Episode) -> list[int]:
        """One number per state of an episode: equal states have equal ones, and they seed the continuations."""
        task = episode.task
        head = [self.seed, task.family, task.version, task.id, dict(episode.config)]
        running = hashlib.blake2b(json.dumps(head, sort_keys=True).encode(), digest_size=8)
        states = [int.from_bytes(running.digest(), "big")]
        for turn in episode.turns:
            running.update(json.dumps([turn.seat, turn.type, turn.text, turn.recipients]).encode())
            states.append(int.from_bytes(running.digest(), "big"))
        return states

    def _play_on(self, prefixes: Mapping[int, Episode]) -> dict[int, dict[str, Estimate]]:
        jobs = [(state, episode_seed(state, j)) for state in prefixes for j in range(self.k)]
        scores: dict[int, dict[str, list[float | None]]] = {
            state: {agent: [] for agent in prefix.agents} for state, prefix in prefixes.items()
        }
        for start in range(0, len(jobs), self.batch_size):
            batch = jobs[start : start + self.batch_size]
            begun = [prefixes[state] for state, _ in batch]
            seated = [self._seated(episode.task) for episode in begun]
            played = continue_episodes(begun, seated, [seed for _, seed in batch], family=self.family)
            for (state, _), episode in zip(batch, judged(played, self.judges()), strict=True):
                for agent in episode.agents:
                    scores[state][agent].append(self._score(episode, agent))
        return {state: {agent: _mean(g) for agent, g in by_seat.items()} for state, by_seat in scores.items()}

    def _score(self, episode: Episode, agent: str) -> float | None:
        judgement = self.judge.judgement_of(episode)
        return weighted_score(scores_of(judgement, episode.agents.index(agent)), self.dimensions, self.scale)


def _mean(scores: Sequence[float | None]) -> Estimate:
    known = [score for score in scores if score is not None]
    # What is left out of a mean is seldom left out at random: one unknown score makes the value unknown.
    if len(known) < len(scores):
        return None, None
    if len(known) == 1:
        return known[0], None
    return float(np.mean(known)), float(np.std(known, ddof=1) / math.sqrt(len(known)))
