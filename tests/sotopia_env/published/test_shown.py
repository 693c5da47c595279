"""What the agents of a published episode were shown decides what its questions show, and who heard what."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sotopia_env.actions import Action
from sotopia_env.episodes import Episode, Turn
from sotopia_env.published import DataWarning, episode_log, full_record, load_published, training_pairs
from sotopia_env.rendering import read_output, render
from sotopia_env.tasks import Task
from sotopia_env.views import view

BACKGROUND = "Zoë bakes at night."


def loaded(path: Path, raw: dict[str, Any], tasks: Iterable[Task] | None = None) -> tuple[Episode, list[str]]:
    path.write_text(json.dumps(raw))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        (episode,) = load_published(path, tasks, on_error="raise")
    assert all(issubclass(warning.category, DataWarning) for warning in caught)
    return episode, [str(warning.message) for warning in caught]


def by_a_later_release(raw: dict[str, Any]) -> dict[str, Any]:
    """The log of an episode in which nobody was shown anything of the other, as Sotopia 0.1.5 plays them."""
    lines = [message[2].split("\n") for message in raw["messages"][0][:2]]
    for own, shown in enumerate(lines):
        for number, line in enumerate(shown):
            if "'s background: " in line and not line.startswith(("Ada O'Neil", "Zoë Ruiz")[own]):
                shown[number] = line.split(": ")[0] + ": Unknown"
        raw["messages"][0][own][2] = "\n".join(shown)
    return raw


def test_questions_show_no_more_of_the_partner_than_its_agents_were_shown(
    tmp_path: Path, episode: Episode, tasks: list[Task]
) -> None:
    path = tmp_path / "log.json"
    usual, said = loaded(path, {"01A": episode_log(episode)}, tasks)
    assert not said
    assert BACKGROUND in training_pairs([usual])[0].input
    raw = by_a_later_release(episode_log(episode))
    blind, said = loaded(path, {"01A": raw}, tasks)
    assert not said
    assert blind.task.scenario.relationship == "acquaintance"
    assert blind.task.shown_as == "stranger"
    for style in ("sotopia", "native"):
        assert BACKGROUND not in training_pairs([blind], style)[0].input
    assert BACKGROUND in training_pairs([blind])[1].input  # its own
    assert episode_log(blind) == raw


def test_a_relationship_that_nothing_tells_is_warned_of(tmp_path: Path, episode: Episode) -> None:
    blind, said = loaded(tmp_path / "log.json", {"01A": by_a_later_release(episode_log(episode))})
    assert blind.task.scenario.relationship == "stranger"
    assert len(said) == 1
    assert "it does not tell how the agents are related; they are taken for strangers" in said[0]
    short = {name: value for name, value in full_record(episode).items() if not name.startswith("raw_")}
    assert "they are taken for strangers" in loaded(tmp_path / "short.json", {"s": short})[1][0]
    stranger = replace(episode.task, scenario=replace(episode.task.scenario, relationship="stranger"))
    assert not loaded(tmp_path / "log.json", {"01A": episode_log(replace(episode, task=stranger))})[1]


def test_goals_that_the_profiles_do_not_tell_are_those_of_the_episode(
    tmp_path: Path, episode: Episode, tasks: list[Task]
) -> None:
    goals = ("Sing", "Keep the ladder")
    other = replace(episode, task=replace(episode.task, scenario=replace(episode.task.scenario, goals=goals)))
    for raw in (full_record(other), episode_log(other)):
        found, said = loaded(tmp_path / "one.json", {"x": raw}, tasks)
        assert found.task.scenario.goals == goals
        assert found.task.characters == episode.task.characters
        assert "other goals or another situation than in the profile of scenario 'e0'" in said[0]


def private(episode: Episode, recipients: tuple[int, ...] | None, seats: int = 3) -> Episode:
    cy = replace(episode.task.characters[0], id="a2", first_name="Cy", last_name="Poe")
    people = (*episode.task.characters, cy)[:seats]
    scenario = replace(episode.task.scenario, goals=("one", "two", "three")[:seats])
    task = replace(episode.task, characters=people, scenario=scenario, tags={"published": {}})
    turns = [Turn(0, 0, 0, "speak", "psst", recipients=recipients), Turn(1, 0, 1, "action", "nods")]
    return replace(episode, task=task, turns=tuple(turns), ending=None, judgements=())


@pytest.mark.parametrize("recipients", [None, (), (1,), (2,), (1, 2)])
@pytest.mark.parametrize("marked", [True, False])
def test_private_acts_come_back_private(
    tmp_path: Path, episode: Episode, recipients: tuple[int, ...] | None, marked: bool
) -> None:
    told = private(episode, recipients)
    raw = episode_log(told)
    if not marked:  # who was shown it tells as much
        text = json.dumps(raw)
        for mark in ("[private to nobody] ", "[private to Zo\\u00eb Ruiz] ", "[private to Cy Poe] "):
            text = text.replace(mark, "")
        raw = json.loads(text.replace("[private to Zo\\u00eb Ruiz, Cy Poe] ", ""))
    found, said = loaded(tmp_path / "log.json", {"x": raw})
    assert not said
    expected = None if recipients == (1, 2) and not marked else recipients
    assert found.turns[0].recipients == expected
    assert found.turns[1].recipients is None
    for seat in range(3):
        heard = recipients is None or seat == 0 or seat in recipients
        assert ("psst" in render(view(found, f"agent_{seat}"))) is heard
    assert episode_log(found) == raw


def test_a_mark_alone_is_read_and_one_for_a_stranger_is_refused(tmp_path: Path, episode: Episode) -> None:
    raw = full_record(private(episode, (1,), seats=2))
    assert 'Ada O\'Neil [private to Zoë Ruiz] said: "psst"' in raw["social_interactions"]
    short = {name: value for name, value in raw.items() if name != "raw_messages"}
    found, _ = loaded(tmp_path / "short.json", {"x": short})
    assert [turn.recipients for turn in found.turns] == [(1,), None]
    bad = json.loads(json.dumps(raw).replace("to Zo\\u00eb Ruiz]", "to Mo]"))
    with pytest.raises(ValueError, match="messages of turn 0: private to 'Mo', who is none of Ada O'Neil, Zoë Ruiz"):
        loaded(tmp_path / "bad.json", {"x": bad})


@pytest.mark.parametrize("style", ["sotopia", "native"])
def test_training_pairs_say_whom_private_words_are_for(episode: Episode, style: str) -> None:
    told = private(episode, (1,))
    first, second = training_pairs([told], style)
    observation = {**view(told, "agent_0", 0).observation(), "recipients": ()}
    assert read_output(first.output, observation) == (Action("speak", "psst", (1,)), None)
    assert read_output(second.output, observation) == (Action("action", "nods"), None)
    assert "psst" in second.input


@pytest.mark.parametrize(("dimension", "score"), [("goal", 11), ("secret", 1), ("relationship", -5.5)])
@pytest.mark.parametrize("kind", ["full", "short", "log"])
def test_a_score_out_of_its_range_is_unknown_and_named(
    tmp_path: Path, episode: Episode, kind: str, dimension: str, score: float
) -> None:
    raw = episode_log(episode) if kind == "log" else full_record(episode)
    wrong = {"knowledge": 3, dimension: score, "overall_score": 4.0}
    if kind == "short":
        raw = {name: value for name, value in raw.items() if not name.startswith("raw_")}
        raw["rewards"] = [wrong, {"knowledge": 2}]
    else:
        raw["raw_rewards" if kind == "full" else "rewards"] = [[4.0, wrong], [2.0, {"knowledge": 2}]]
    found, said = loaded(tmp_path / "one.json", {"01A": raw})
    scores = found.judgements[0].scores
    assert scores[dimension][0] is None
    assert scores["knowledge"] == [3.0, 2.0]
    told = next(message for message in said if "rewards.0" in message)
    assert "one.json record '01A'" in told and f"field 'rewards.0.{dimension}': {score:g} is not within" in told
