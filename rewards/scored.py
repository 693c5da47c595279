"""What rewards share that are made of a judge's score of the whole episode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sotopia_env.episodes import Episode
from sotopia_env.rewards.dimensions import Scale, weighted_score
from sotopia_env.rewards.judges import scores_of
from sotopia_env.rewards.reward import Reward


class ScoredReward(Reward):
    """A reward of G, the weighted mean of a judge's scores. A subclass has the fields judge, dimensions and scale."""

    judge: Any
    dimensions: Mapping[str, float]
    scale: Scale

    def score(self, episode: Episode, agent: str) -> float | None:
        """G of one agent in a finished, judged episode."""
        judgement = self.judge.judgement_of(episode)
        return weighted_score(scores_of(judgement, episode.agents.index(agent)), self.dimensions, self.scale)

    def outcome(self, episodes: Sequence[Episode]) -> list[dict[str, float | None]]:
        """G, and 0 for an agent that never had a turn."""
        return [{a: self.score(e, a) if e.own_turns(a) else 0.0 for a in e.agents} for e in episodes]
