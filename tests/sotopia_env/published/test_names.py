"""Published tasks by name, wherever tasks may be named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sotopia_env
from sotopia_env.published import load_named, published_names
from sotopia_env.resolve import family_and_tasks, list_names
from sotopia_env.training.evaluation import draw_tasks, evaluate

Write = dict[str, Callable[[Path, Any], Path]]


@pytest.fixture
def data(tmp_path: Path, write: Write, classes: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small set as the data folder, e1 for training."""
    folder = write["export"](tmp_path / "data", classes)
    (folder / "used_env.json").write_text(json.dumps({"sotopia_env": ["e0", "e2"], "SFT-round-1": ["e1"]}))
    entry = {"pk": "l", "name": "hard_env_set", "environments": ["e0", "e0"], "agent_index": [1, 0]}
    (folder / "environment_lists.jsonl").write_text(json.dumps(entry))
    monkeypatch.setenv("SOTOPIA_ENV_DATA", str(folder))
    return folder


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("sotopia", ["c0", "c1", "c2", "c3"]),
        ("sotopia:hard", ["c0:agent_1", "c1:agent_1", "c0:agent_0", "c1:agent_0"]),
        ("sotopia:craigslist", ["c2"]),
        ("sotopia:mutual-friends", ["c3"]),
        ("sotopia:train", ["c2"]),
        ("craigslist", ["c2"]),
    ],
)
def test_a_name_stands_for_its_tasks(data: Path, name: str, ids: list[str]) -> None:
    family, tasks, _ = family_and_tasks(name, "test")
    assert tasks is not None
    assert [task.id for task in tasks] == ids
    assert callable(family.score)
    env = sotopia_env.parallel_env(name)
    env.reset(seed=0)
    assert env.unwrapped.episode.task in tasks


def test_a_rollout_takes_a_name(data: Path) -> None:
    episodes = sotopia_env.rollout("sotopia:hard", "random", num_episodes=4, max_cycles=2)
    assert [episode.task.id for episode in episodes] == ["c0:agent_1", "c1:agent_1", "c0:agent_0", "c1:agent_0"]


def test_an_evaluation_refuses_what_is_for_training_unless_told(data: Path) -> None:
    held_out = draw_tasks("sotopia:hard", 10, seed=0)
    played = evaluate("random", "scripted:warm", held_out, seats="evaluated")
    assert [played.summary[field] for field in ("episodes", "training_episodes")] == [4, 0]
    trained = draw_tasks("sotopia:train", 10, seed=0)
    with pytest.raises(ValueError, match="of the training split"):
        evaluate("random", "scripted:warm", trained)
    told = evaluate("random", "scripted:warm", trained, allow_train=True)
    assert [told.summary[field] for field in ("episodes", "training_episodes")] == [2, 2]


def test_unknown_names_and_a_missing_folder_say_what_to_do(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="'sotopia:easy': 'easy' is no subset; one of hard, all"):
        load_named("sotopia:easy")
    with pytest.raises(ValueError, match="all published tasks of craigslist are for evaluation"):
        load_named("craigslist:train")
    monkeypatch.delenv("SOTOPIA_ENV_DATA")
    with pytest.raises(ValueError, match="set SOTOPIA_ENV_DATA to the folder"):
        sotopia_env.parallel_env("sotopia:hard")


def test_the_names_are_listed() -> None:
    names = list_names()["tasks"]()
    assert set(published_names()) <= set(names)
    assert "sotopia:all" in names
    assert "bargain:test" in names
    assert not {"sotopia:None", "craigslist:train"} & set(names)
