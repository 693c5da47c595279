"""The outcome of an episode as a reward, spread over its turns by a design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sotopia_env.episodes import Episode, Turn
from sotopia_env.families.base import Family
from sotopia_env.rewards.designs import DESIGNS, Timing, check_design
from sotopia_env.rewards.dimensions import Scale, check_weights, goal_alone, suffix, weighted_score
from sotopia_env.rewards.judges.base import Judge, as_judge, scores_of
from sotopia_env.rewards.reward import Reward
from sotopia_env.rewards.turn_rewards import TurnRewards, first_open_turn
from sotopia_env.tasks import Task


class ScoredReward(Reward):
    """A reward of G, the weighted mean of a judge's scores. A subclass has the fields judge, dimensions and scale."""

    judge: Any
    dimensions: Mapping[str, float]
    scale: Scale

    def check(self, family: Family, tasks: Sequence[Task] | None = None) -> None:
        """Check the judge, and whether it can know the dimensions."""
        super().check(family, tasks)
        self.judge.check_dimensions(family, list(self.dimensions))

    def score(self, episode: Episode, agent: str) -> float | None:
        """G of one agent in a finished, judged episode."""
        judgement = self.judge.judgement_of(episode)
        return weighted_score(scores_of(judgement, episode.agents.index(agent)), self.dimensions, self.scale)

    def judges(self) -> tuple[Judge, ...]:
        """Its judge."""
        return (self.judge,)

    def outcome(self, episodes: Sequence[Episode]) -> list[dict[str, float | None]]:
        """G, and 0 for an agent that never had a turn."""
        return [{a: self.score(e, a) if e.own_turns(a) else 0.0 for a in e.agents} for e in episodes]


@dataclass(frozen=True)
class Outcome(ScoredReward):
    """G, the judge's score of the whole episode, spread over the agent's own turns.

    G is the weighted mean of one or several dimensions, each mapped from its native range to [0, 1] (a goal of 7 on
    0..10 is 0.7) unless ``scale="native"``.

    Args:
        design: ``"episode"`` (G at the last own turn, causal return), ``"uniform"`` (G / T at every turn, hindsight
            return or credit), ``"broadcast"`` (G at every turn, hindsight credit) or ``"discounted"``
            (G · γ^(T-1-t), hindsight credit).
        dimensions: ``{dimension: weight}``; only the ratios matter.
        judge: a name such as ``"rule"``, a ``Judge``, or a function ``(episode, agent) -> {dimension: score}``.
        scale: ``"unit"`` or ``"native"``.
        kind: ``"return"`` or ``"credit"``; by default the first of those the design allows.
        gamma: γ of the discounted design.
        name: what infos and stored episodes call it; by default the design, with its dimensions where they are not
            the goal alone.

    Example:
        >>> reward = Outcome("uniform", dimensions={"goal": 1, "relationship": 1}, kind="credit")
        >>> reward.name, reward.kind, reward.timing
        ('uniform:goal,relationship', 'credit', 'hindsight')
    """

    design: str = "episode"
    dimensions: Mapping[str, float] = field(default_factory=goal_alone)
    judge: Any = "rule"
    scale: Scale = "unit"
    kind: Any = None
    gamma: float = 0.9
    name: str = ""

    def __post_init__(self) -> None:
        """Check the arguments and fill in what the design decides."""
        check_design(self.design, DESIGNS)
        check_weights(self.dimensions, self.scale)
        kinds = DESIGNS[self.design].kinds
        if self.kind is None:
            object.__setattr__(self, "kind", kinds[0])
        if self.kind not in kinds:
            raise ValueError(f"kind: the {self.design} design is a {' or a '.join(kinds)}, not a {self.kind!r}")
        if not 0 <= self.gamma <= 1:
            raise ValueError(f"gamma: {self.gamma} is not between 0 and 1")
        object.__setattr__(self, "judge", as_judge(self.judge))
        if not self.name:
            object.__setattr__(self, "name", f"{self.design}{suffix(self.dimensions)}")

    @property
    def timing(self) -> Timing:  # type: ignore[override]
        """That of the design."""
        return DESIGNS[self.design].timing

    @property
    def turnwise(self) -> bool:  # type: ignore[override]
        """The terminal design alone knows the turns of a running episode: 0 for all that were replied to."""
        return self.timing == "causal"

    def rewards(self, episodes: Sequence[Episode]) -> list[TurnRewards]:
        """The design's numbers; of a running episode only what is certain."""
        return [self._running(e) if e.ending is None else self._finished(e) for e in episodes]

    def of_turn(self, turn: Turn, replied: bool) -> float | None:
        """0 for a turn that was not the last one."""
        return 0.0 if replied else None

    def _finished(self, episode: Episode) -> TurnRewards:
        formula = DESIGNS[self.design].formula
        options = {"gamma": self.gamma} if self.design == "discounted" else {}
        return {a: formula(self.score(episode, a), len(episode.own_turns(a)), **options) for a in episode.agents}

    def _running(self, episode: Episode) -> TurnRewards:
        still_open = first_open_turn(episode)
        return {
            agent: [0.0 if self.turnwise and t.global_index < still_open else None for t in episode.own_turns(agent)]
            for agent in episode.agents
        }
