"""Published episodes replay to the very texts that their agents were shown."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from sotopia_env import view
from sotopia_env.environment import SotopiaParallelEnv
from sotopia_env.episodes import Episode, agent_name
from sotopia_env.families import OpenEnded
from sotopia_env.published import full_record, load_pairs, load_published, load_tasks, training_pairs
from sotopia_env.published.episodes import KnownTasks, read_episode
from sotopia_env.published.report import Report
from sotopia_env.rendering import news, prompt
from sotopia_env.turns import cycles_of

DATA = os.environ.get("SOTOPIA_ENV_DATA")
pytestmark = pytest.mark.skipif(not DATA, reason="SOTOPIA_ENV_DATA names no folder with Sotopia's published files")


def squeezed(text: str) -> str:
    return " ".join(text.split())


def raw_episodes() -> list[dict[str, Any]]:
    path = Path(str(DATA)) / "episodes" / "sotopia_v1_full.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module", params=["profiles", "own texts"])
def episodes(request: pytest.FixtureRequest) -> list[Episode]:
    """The full episodes: on the tasks of the published profiles, or on what the episodes tell themselves."""
    tasks = load_tasks(str(DATA)) if request.param == "profiles" else None
    return load_published(Path(str(DATA)) / "episodes" / "sotopia_v1_full.jsonl", tasks)


def test_a_replay_shows_both_agents_every_published_text(episodes: list[Episode]) -> None:
    compared = 0
    for raw, episode in zip(raw_episodes(), episodes, strict=True):
        env = SotopiaParallelEnv(OpenEnded(), tasks=[episode.task], max_stale=20, **episode.config)
        env.reset(seed=0)
        cycles = cycles_of(episode.turns, episode.config["action_order"])
        assert len(cycles) == len(raw["raw_messages"]) - 1
        for cycle, messages in zip([*cycles, []], raw["raw_messages"], strict=True):
            shown = {receiver: text for sender, receiver, text in messages if sender == "Environment"}
            for seat, character in enumerate(episode.task.characters):
                text = news(env.view(agent_name(seat)))
                assert squeezed(text) == squeezed(shown[character.name])
                compared += 1
            if cycle:
                env.step({turn.agent: {"action_type": turn.type, "argument": turn.text} for turn in cycle})
        assert [(t.type, t.text) for t in env.episode.turns] == [(t.type, t.text) for t in episode.turns]
    assert compared == 2 * sum(len(raw["raw_messages"]) for raw in raw_episodes()) == 222


def test_texts_differ_from_the_published_ones_in_white_space_at_most_once(episodes: list[Episode]) -> None:
    differing = [
        episode.task.tags["codename"]
        for episode in episodes
        if "raw_messages" in episode.judgements[0].latent["record"]
    ]
    assert differing == ["mutual_friend_00009"]


def test_writing_a_published_episode_back_loses_nothing(episodes: list[Episode]) -> None:
    assert [full_record(episode) for episode in episodes] == raw_episodes()


def test_scores_are_those_published(episodes: list[Episode]) -> None:
    assert [episode.judgements[0].judge for episode in episodes] == ["gpt-4"] * 8
    assert episodes[1].judgements[0].scores["goal"] == [0.0, 10.0]
    assert episodes[7].judgements[0].scores["secret"] == [-2.0, 0.0]
    endings = [episode.ending.reason for episode in episodes if episode.ending]
    assert endings == ["stale", "left", "stale", "stale", "left", "left", "left", "left"]


def test_relationships_are_told_apart_by_what_was_shown(episodes: list[Episode]) -> None:
    found = [episode.task.scenario.relationship for episode in episodes]
    assert found == ["friend"] * 4 + ["stranger"] * 2 + ["know_by_name", "friend"]


def test_the_published_question_is_asked_with_the_published_template() -> None:
    rows = load_pairs(Path(str(DATA)) / "episodes" / "sft_prompt_sample.json")
    assert len(rows) == 4
    first = rows[0].input
    start, end = first.index("\nHere is") + 1, first.index("\n.\n")
    name = first.split("Participants: ")[1].split(" and ")[0]
    template = first[:start].replace(name, "{agent}") + "{history}" + first[end:].replace("#0.", "#{turn}.")
    for row in rows:
        record = _record_of(row.input, row.output)
        own = training_pairs([record], template=template)[-1]
        assert squeezed(own.input) == squeezed(row.input)
        assert json.loads(own.output) == json.loads(row.output)


def _record_of(question: str, answer: str) -> Episode:
    """The episode behind a published pair, from the texts of the pair alone."""
    opening, *turns = question[question.index("\nHere is") :].split("\n.\n")[0].split("\n\nTurn #")
    names = opening.split("Participants: ")[1].split("\n")[0].split(" and ")
    messages: list[list[list[str]]] = [[["Environment", name, opening] for name in names]]
    acts = [turn.split(": ", 1)[1] for turn in turns]
    said = json.loads(answer)
    acts.append(f'{names[len(acts) % 2]} said: "{said["argument"]}"')
    for number, act in enumerate(acts):
        name = names[number % 2]
        messages[-1].append([name, "Environment", act.removeprefix(f"{name} ").rstrip("\n")])
        messages.append([["Environment", name, ""] for name in names])
    raw = {"pk": "x", "environment": "e", "agents": ["a", "b"], "messages": messages, "rewards": [0.0, 0.0]}
    return read_episode(raw, "pair", Report("pair"), KnownTasks())


def test_a_view_ends_before_the_turn_it_is_of(episodes: list[Episode]) -> None:
    episode = episodes[0]
    seen = view(episode, "agent_1", 1)
    assert [turn.global_index for turn in seen.turns] == [0]
    assert seen.characters[0].secret == "" != seen.characters[1].secret
    assert episode.task.characters[0].secret not in prompt(seen)
    assert episode.task.scenario.goals[0] not in prompt(seen)
