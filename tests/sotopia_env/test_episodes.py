from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

import sotopia_env
from sotopia_env.episodes import Episode, Judgement, agent_name, seat_of
from sotopia_env.tasks import Task


def played(**options: Any) -> Episode:
    return sotopia_env.rollout("bargain", ["scripted:warm", "random"], num_episodes=1, seed=3, **options)[0]


def test_an_episode_survives_json(make_task: Callable[..., Task]) -> None:
    for episode in (played(), played(reward="uniform", action_order="random")):
        again = Episode.from_dict(json.loads(json.dumps(episode.to_dict())))
        assert again == episode
        assert again.to_dict() == episode.to_dict()
    task = make_task(3, max_cycles=4, evaluated_seat=1, tags={"difficulty": "hard"})
    assert Task.from_dict(json.loads(json.dumps(task.to_dict()))) == task


def test_plain_data_shares_nothing_with_the_episode() -> None:
    episode = played()
    record = episode.to_dict()
    record["task"]["scenario"]["hidden"][0]["limit"] = -1
    record["turns"][0]["text"] = "changed"
    record["config"]["max_cycles"] = -1
    assert episode.task.scenario.hidden[0]["limit"] > 0
    assert episode.turns[0].text != "changed"
    assert episode.config["max_cycles"] is None


def test_episodes_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        played().key = "x"  # type: ignore[misc]


def test_another_format_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"episode '3-0': format_version is 99, this package reads 1"):
        Episode.from_dict({**played().to_dict(), "format_version": 99})


def test_own_turns_count_per_agent_and_in_order() -> None:
    episode = played()
    for seat, agent in enumerate(episode.agents):
        own = episode.own_turns(agent)
        assert [turn.own_index for turn in own] == list(range(len(own)))
        assert {turn.seat for turn in own} == {seat}
    assert sum(len(episode.own_turns(agent)) for agent in episode.agents) == len(episode.turns)


def test_a_newer_judgement_of_the_same_judge_replaces_the_older() -> None:
    episode = played()
    assert [judgement.judge for judgement in episode.judgements] == ["rule"]
    for value in (1.0, 2.0):
        episode = episode.with_judgement(Judgement("mine", "1", {"goal": [value, None]}))
    assert [(j.judge, j.scores["goal"]) for j in episode.judgements][1:] == [("mine", [2.0, None])]
    assert len(episode.with_judgement(Judgement("mine", "2", {})).judgements) == 3


def test_labelling_returns_a_new_episode() -> None:
    episode = played()
    labelled = episode.with_rewards("mine", {"agent_0": [1.0], "agent_1": []})
    assert "mine" not in episode.rewards
    assert labelled.rewards["mine"] == {"agent_0": [1.0], "agent_1": []}


def test_agents_are_named_by_seat() -> None:
    assert [agent_name(seat) for seat in range(3)] == ["agent_0", "agent_1", "agent_2"]
    assert seat_of("agent_12") == 12
