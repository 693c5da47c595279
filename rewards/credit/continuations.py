"""What rewards share that play episodes on: who plays, how often, and what the ends are worth."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Self

from sotopia_env.describe import HOW, Description, typed
from sotopia_env.episodes import Episode
from sotopia_env.families.base import Family
from sotopia_env.policies import Policy
from sotopia_env.resolve import make_policy
from sotopia_env.rewards.dimensions import Scale, check_weights, goal_alone
from sotopia_env.rewards.judges.base import as_judge, is_shipped, judged
from sotopia_env.rewards.outcome import ScoredReward
from sotopia_env.rollouts.rollout import continue_episodes
from sotopia_env.tasks import Task


@dataclass(frozen=True)
class ContinuationReward(ScoredReward):
    """A reward that plays episodes to their ends, in lockstep, and judges them. A subclass says from where.

    Args:
        policies: who plays: one for every seat, or one per seat; names or objects.
        k: how often each situation is played.
        dimensions: ``{dimension: weight}``.
        seed: of everything that is played.
        judge: see :class:`~sotopia_env.rewards.Outcome`.
        scale: ``"unit"`` or ``"native"``.
        batch_size: how many episodes are played side by side.
        family: of the tasks, where it is one of your own; an environment made from it gives it.
        name: what infos and stored episodes call it.
    """

    policies: Any
    k: int = 8
    dimensions: Mapping[str, float] = field(default_factory=goal_alone)
    seed: int = 0
    judge: Any = "rule"
    scale: Scale = "unit"
    batch_size: int = 512
    family: Family | None = None
    name: str = "continuations"

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

    def check(self, family: Family, tasks: Sequence[Task] | None = None) -> None:
        """Check judge and seats."""
        super().check(family, tasks)
        for task in tasks or ():
            self.seated(task)

    def for_family(self, family: Family) -> Self:
        """The same with a family at hand that its name alone would not lead to."""
        if is_shipped(family) or self.family is not None:
            return self
        # Not dataclasses.replace: it would make, and perhaps load, the policies once more.
        bound = copy.copy(self)
        object.__setattr__(bound, "family", family)
        object.__setattr__(bound, "judge", self.judge.for_family(family))
        return bound

    def describe(self) -> Description:
        """What it is, its policies as they were made of their names."""
        own = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in HOW}
        return typed(self, **{**own, "policies": self._players})  # type: ignore[attr-defined]

    def seated(self, task: Task) -> dict[str, Policy]:
        """Who plays each seat of a task.

        Raises:
            ValueError: there are neither as many policies as seats nor a single one.
        """
        players: tuple[Policy, ...] = self._players  # type: ignore[attr-defined]
        if len(players) not in (1, task.num_seats):
            raise ValueError(f"task {task.id!r}: {len(players)} policies for {task.num_seats} seats")
        return {f"agent_{seat}": players[seat % len(players)] for seat in range(task.num_seats)}

    def scores_played_on(
        self, begun: Sequence[Episode], seated: Sequence[Mapping[str, Policy]], seeds: Sequence[int]
    ) -> list[dict[str, float | None]]:
        """Play episodes to their ends, some side by side, and tell what each is worth to each agent.

        Args:
            begun: N episodes without an ending.
            seated: for each the policy of every agent.
            seeds: of the policies' generators.

        Returns:
            For each episode and agent G.
        """
        scores: list[dict[str, float | None]] = []
        for start in range(0, len(begun), self.batch_size):
            batch = slice(start, start + self.batch_size)
            played = continue_episodes(
                begun[batch], seated[batch], seeds[batch], family=self.family, batch_size=self.batch_size
            )
            for episode in judged(played, self.judges()):
                scores.append({agent: self.score(episode, agent) for agent in episode.agents})
        return scores


def state_numbers(episode: Episode, seed: int) -> list[int]:
    """One number per state of an episode, before its first turn and after each: equal states have equal ones.

    Args:
        episode: running or finished.
        seed: other seeds give other numbers.
    """
    task = episode.task
    head = [seed, task.family, task.version, task.id, dict(episode.config)]
    running = hashlib.blake2b(json.dumps(head, sort_keys=True).encode(), digest_size=8)
    states = [int.from_bytes(running.digest(), "big")]
    for turn in episode.turns:
        running.update(json.dumps([turn.seat, turn.type, turn.text, turn.recipients]).encode())
        states.append(int.from_bytes(running.digest(), "big"))
    return states
