"""Whose dialogues are cloned, and which tasks are played."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import sotopia_env
from sotopia_env.dimensions import DIMENSIONS
from sotopia_env.episodes import Episode
from sotopia_env.published.reading import any_episodes
from sotopia_env.rewards import FunctionJudge
from sotopia_env.training.recipes.experts import StoredScores, best, chosen_experts
from sotopia_env.training.recipes.schema import Evaluated, Experts, TasksFrom
from sotopia_env.training.recipes.tasks import evaluation_tasks, expected_tasks, recipe_tasks

DATA = Path(os.environ.get("SOTOPIA_ENV_DATA", ""))
needs_data = pytest.mark.skipif(Path() == DATA, reason="SOTOPIA_ENV_DATA names no folder of Sotopia's published files")


def test_the_best_sides_by_goal_then_by_the_overall_score() -> None:
    played = sotopia_env.rollout(
        [sotopia_env.rollout("bargain", "scripted:warm", num_episodes=1, seed=0)[0].task],
        "scripted:warm",
        num_episodes=5,
        seed=0,
        max_cycles=2,
    )
    goals = {"agent_0": [5.0, 7.0, None, 7.0, 9.0], "agent_1": [1.0, 2.0, 3.0, 4.0, 5.0]}
    manners = [0.0, 2.0, 0.0, 3.0, 0.0]
    index = {episode.key: i for i, episode in enumerate(played)}

    def score(episode: Episode, agent: str) -> dict[str, float | None]:
        i = index[episode.key]
        return {**dict.fromkeys(DIMENSIONS, 0.0), "goal": goals[agent][i], "relationship": manners[i]}

    chosen, unknown = best(played, FunctionJudge(score), 2)
    assert [(c.agent, index[c.episode], c.goal) for c in chosen] == [
        ("agent_0", 4, 9.0),
        # Of two with the same goal the one whose mean of the seven is higher.
        ("agent_0", 3, 7.0),
        ("agent_1", 4, 5.0),
        ("agent_1", 3, 4.0),
    ]
    assert chosen[1].overall == pytest.approx((7 + 3) / 7)
    assert unknown == 1


def test_stored_scores_are_those_that_stand_there() -> None:
    (episode,) = sotopia_env.rollout("bargain", "scripted:warm", num_episodes=1, seed=0, max_cycles=2)
    (judgement,) = StoredScores().judge([episode])
    assert judgement.scores == episode.judgements[-1].scores
    bare = episode.__class__(**{**vars(episode), "judgements": ()})
    with pytest.raises(ValueError, match="holds no scores; let a judge score it"):
        StoredScores().judge([bare])


@needs_data
def test_published_episodes_are_read_in_place_and_chosen_by_who_played_and_what() -> None:
    path = DATA / "episodes" / "sotopia_v1_full.jsonl"
    episodes = any_episodes(path, DATA)
    given: dict[str, Any] = {"episodes": str(path)}
    assert len(chosen_experts(episodes, Experts(**given), DATA)) == 8
    mine = chosen_experts(episodes, Experts(**given, policies=["gpt-4"]), DATA)
    assert [set(episode.policies.values()) for episode in mine] == [{"gpt-4"}] * 2
    chosen, unknown = best(mine, StoredScores(), 1)
    assert [choice.goal for choice in chosen] == [10.0, 10.0, 2.0, 10.0]
    assert unknown == 0
    with pytest.raises(ValueError, match="none of the 8 episodes"):
        chosen_experts(episodes, Experts(**given, scenarios="SFT-round-1"), DATA)
    with pytest.raises(ValueError, match="names no set 'SFT'; its used_env.json has sotopia_env, SFT-round-1"):
        chosen_experts(episodes, Experts(**given, scenarios="SFT"), DATA)


@needs_data
def test_evaluation_tasks_are_pairings_once_with_both_seats() -> None:
    hard = evaluation_tasks(Evaluated(tasks=TasksFrom(name="sotopia:hard")), DATA, 0)
    # 20 entries over 14 scenarios, of 5 pairings each.
    assert (len(hard), {task.evaluated_seat for task in hard}) == (70, {None})
    assert set(Counter(task.scenario.id for task in hard).values()) == {5}
    assert len(evaluation_tasks(Evaluated(tasks=TasksFrom(name="sotopia:hard"), seats="listed"), DATA, 0)) == 100
    assert len(evaluation_tasks(Evaluated(tasks=TasksFrom(name="sotopia:all", pairings=1)), DATA, 0)) == 90
    few = evaluation_tasks(Evaluated(tasks=TasksFrom(name="sotopia:hard", pairings=1, number=3)), DATA, 0)
    assert len({task.scenario.id for task in few}) == 3


@needs_data
def test_training_tasks_share_no_scenario_with_what_is_left_out() -> None:
    given = TasksFrom(name="sotopia", without="hard", pairings=2)
    tasks = recipe_tasks(given, DATA, 0)
    assert len(tasks) == (90 - 14) * 2
    hard = {task.scenario.id for task in recipe_tasks(TasksFrom(name="sotopia:hard"), DATA, 0)}
    assert not hard & {task.scenario.id for task in tasks}
    missing = expected_tasks(TasksFrom(name="sotopia:train", scenarios="SFT-round-1", pairings=5), DATA, 0)
    assert (missing.number, missing.scenarios, missing.tasks) == (500, 100, ())
    assert "the run needs them" in missing.note
