"""A judge's scores as a reward: paid in the course of the episode, or at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sotopia_env.episodes import Episode, Judgement
from sotopia_env.rewards.credit.progress import spans_of, values_at
from sotopia_env.rewards.designs import Kind, Timing
from sotopia_env.rewards.dimensions import Scale, check_weights, goal_alone, suffix, weighted_score
from sotopia_env.rewards.judges.base import Judge, as_judge, scores_of
from sotopia_env.rewards.reward import Reward
from sotopia_env.rewards.turn_rewards import TurnRewards, by_agent


@dataclass(frozen=True)
class JudgeScores(Reward):
    """Pays the changes of a judge's score: a causal return that sums to the score of the whole episode.

    The judge reads the dialogue so far once every n-th own turn was replied to, and at the end. Such a turn is paid
    the score less that of the reading before (the first one less 0), the turns in between 0. Paid as they are, scores
    would add up with the length of the talk, and an agent could earn by going on. Other than an outcome spread over
    its turns, each number is known before the episode goes on; other than
    :class:`~sotopia_env.rewards.Progress`, one judge says both what is paid in between and what it sums to.

    With more than two seats, the last own turn is read like any other, see there.

    The judge must be able to judge running episodes, as an ``LLMJudge`` or a function can. Where it does not know a
    score, such as the rule judge a goal before the end, the changes to and from it are unknown: ``None``, ``nan``
    through ``step``, never 0. In play each state is asked for about twice: give a model's judge a cache. A judge that
    grades single utterances in one call is an attributor: see :class:`~sotopia_env.rewards.Attribution`.

    Args:
        judge: one that can judge running episodes; see :class:`~sotopia_env.rewards.Outcome` for its forms.
        every: n, in own turns; ``None`` reads the whole episode alone, which is ``Outcome("episode")``.
        dimensions: ``{dimension: weight}``.
        scale: ``"unit"`` or ``"native"``.
        name: what infos and stored episodes call it; by default the judge's, with n and the dimensions where they are
            not every turn and the goal alone.
    """

    judge: Any
    every: int | None = 1
    dimensions: Mapping[str, float] = field(default_factory=goal_alone)
    scale: Scale = "unit"
    name: str = ""

    kind: ClassVar[Kind] = "return"  # type: ignore[misc]
    timing: ClassVar[Timing] = "causal"  # type: ignore[misc]

    def __post_init__(self) -> None:
        """Check the arguments and make the judge of its name."""
        check_weights(self.dimensions, self.scale)
        if self.every is not None and self.every < 1:
            raise ValueError(f"every: {self.every} is not a positive number of own turns; None reads the end alone")
        object.__setattr__(self, "judge", as_judge(self.judge))
        if not self.name:
            often = {None: "/end", 1: ""}.get(self.every, f"/{self.every}")
            object.__setattr__(self, "name", f"judge@{self.judge.name}{often}{suffix(self.dimensions)}")

    def rewards(self, episodes: Sequence[Episode]) -> list[TurnRewards]:
        """The changes at every own turn; of a running episode at those that were replied to."""
        numbers = self.recent(episodes, [0] * len(episodes))
        return [by_agent(episode, values) for episode, values in zip(episodes, numbers, strict=True)]

    def recent(self, episodes: Sequence[Episode], settled: Sequence[int]) -> list[list[float | None]]:
        """The changes at the latest turns: the judge is asked for the states around them alone."""
        readings = [self._readings(episode) for episode in episodes]
        wanted = []
        for episode, changes, start in zip(episodes, readings, settled, strict=True):
            states = {state for index, change in changes.items() if index >= start for state in change}
            # Nothing was said at state 0, and the end was judged with the whole episode.
            wanted.append(states - {0} - ({len(episode.turns)} if episode.ending is not None else set()))
        scores = values_at(self, episodes, wanted)
        for episode, known in zip(episodes, scores, strict=True):
            if episode.ending is not None:
                known[len(episode.turns)] = self._scores(episode, self.judge.judgement_of(episode))
            known[0] = dict.fromkeys(episode.agents, 0.0)
        return [
            [_change(readings[i].get(turn.global_index), scores[i], turn.agent) for turn in episode.turns[settled[i] :]]
            for i, episode in enumerate(episodes)
        ]

    def values(self, episodes: Sequence[Episode]) -> list[dict[str, float | None]]:
        """What the judge says of the episodes as they stand."""
        judgements = self.judge.judge(episodes) if episodes else []
        return [self._scores(e, judgement) for e, judgement in zip(episodes, judgements, strict=True)]

    def judges(self) -> tuple[Judge, ...]:
        """Its judge."""
        return (self.judge,)

    def _readings(self, episode: Episode) -> dict[int, tuple[int, int]]:
        """For each turn that was replied to the states between which it is paid; 0 and 0 where nothing is read."""
        latest = dict.fromkeys(range(episode.task.num_seats), 0)
        changes: dict[int, tuple[int, int]] = {}
        for index, (_, stop) in spans_of(episode).items():
            turn = episode.turns[index]
            over = episode.ending is not None and stop == len(episode.turns)
            if over or (self.every is not None and (turn.own_index + 1) % self.every == 0):
                changes[index] = (latest[turn.seat], stop)
                latest[turn.seat] = stop
            else:
                changes[index] = (0, 0)
        return changes

    def _scores(self, episode: Episode, judgement: Judgement) -> dict[str, float | None]:
        return {
            agent: weighted_score(scores_of(judgement, seat), self.dimensions, self.scale)
            for seat, agent in enumerate(episode.agents)
        }


def _change(
    between: tuple[int, int] | None, scores: Mapping[int, Mapping[str, float | None]], agent: str
) -> float | None:
    if between is None:
        return None
    before, after = (scores[state][agent] for state in between)
    return None if before is None or after is None else after - before
