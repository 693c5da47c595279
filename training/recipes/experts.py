"""Whose dialogues are cloned: choosing among episodes, and the best of each scenario and seat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sotopia_env.episodes import Episode, Judgement
from sotopia_env.rewards.dimensions import overall
from sotopia_env.rewards.judges.base import Judge, judged, scores_of
from sotopia_env.training.recipes.schema import Experts
from sotopia_env.training.recipes.tasks import scenarios_of


class StoredScores(Judge):
    """The scores of the latest judgement that an episode holds, such as those it was published with."""

    name = "stored"

    def judge(self, episodes: Sequence[Episode]) -> list[Judgement]:
        """What stands there.

        Raises:
            ValueError: an episode holds no judgement.
        """
        bare = next((episode.key for episode in episodes if not episode.judgements), None)
        if bare is not None:
            raise ValueError(f"episode {bare!r} holds no scores; let a judge score it: scores: judge in the recipe")
        return [replace(episode.judgements[-1], judge=self.name, version="") for episode in episodes]


@dataclass(frozen=True)
class Choice:
    """A side of a dialogue that is cloned.

    Args:
        episode: its key.
        agent: whose words.
        scenario: of which.
        goal: its score.
        overall: the mean of the seven; ``None`` where one is unknown.
    """

    episode: str
    agent: str
    scenario: str
    goal: float
    overall: float | None


def chosen_experts(episodes: Sequence[Episode], given: Experts, data: Path | None) -> list[Episode]:
    """The finished episodes that a section asks for.

    Raises:
        ValueError: none is left, or a set of scenarios is asked for that nothing names.
    """
    kept = [episode for episode in episodes if episode.ending is not None]
    if given.policies is not None:
        kept = [episode for episode in kept if set(episode.policies.values()) <= set(given.policies)]
    if given.scenarios is not None:
        if data is None:
            raise ValueError(
                f"experts.scenarios: {given.scenarios!r} is named by used_env.json; give its folder: --data"
            )
        wanted = set(scenarios_of(given.scenarios, data))
        kept = [episode for episode in kept if episode.task.scenario.id in wanted]
    if not kept:
        raise ValueError(f"experts: none of the {len(episodes)} episodes of {given.episodes} is finished and asked for")
    return kept


def best(episodes: Sequence[Episode], judge: Judge, top: int) -> tuple[list[Choice], int]:
    """The best sides of dialogues of each scenario and seat, by goal, then by the overall score, then as they stand.

    Args:
        episodes: finished ones.
        judge: who scores them.
        top: so many of each scenario and seat.

    Returns:
        Them, and how many sides were left out since their goal is unknown.
    """
    found: dict[tuple[str, str], list[Choice]] = {}
    unknown = 0
    for episode in judged(episodes, [judge]):
        for seat, agent in enumerate(episode.agents):
            scores = scores_of(judge.judgement_of(episode), seat)
            goal = scores.get("goal")
            if goal is None:
                unknown += 1
                continue
            scenario = episode.task.scenario.id
            choice = Choice(episode.key, agent, scenario, goal, overall(scores))
            found.setdefault((scenario, agent), []).append(choice)
    kept = [choice for sides in found.values() for choice in sorted(sides, key=_worst_last)[:top]]
    return kept, unknown


def _worst_last(choice: Choice) -> tuple[float, float]:
    return -choice.goal, -(choice.overall if choice.overall is not None else float("-inf"))
