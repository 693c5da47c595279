"""Profiles load alike from every format, and each format is found where its users have it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sotopia_env.errors import RecordError
from sotopia_env.published import DataWarning, load_tasks
from sotopia_env.published.files import data_folder

DATA = os.environ.get("SOTOPIA_ENV_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="SOTOPIA_ENV_DATA names no folder with Sotopia's published files")

Write = dict[str, Callable[[Path, Any], Path]]
Quietly = Callable[..., Any]


def test_every_format_gives_the_same_tasks(tmp_path: Path, write: Write, classes: Any, quietly: Quietly) -> None:
    expected = quietly(load_tasks, write["export"](tmp_path / "first", classes))
    assert [task.id for task in expected] == ["c0", "c1", "c2", "c3"]
    assert [task.family for task in expected] == ["sotopia", "sotopia", "craigslist", "mutual-friends"]
    for name, writer in write.items():
        assert quietly(load_tasks, writer(tmp_path / name, classes)) == expected


def test_a_folder_around_a_set_is_enough(tmp_path: Path, write: Write, classes: Any, quietly: Quietly) -> None:
    for name, writer in write.items():
        writer(tmp_path / name / "inside", classes)
        assert len(quietly(load_tasks, tmp_path / name)) == 4


def test_a_dump_as_lines_of_key_and_value(tmp_path: Path, write: Write, classes: Any, quietly: Quietly) -> None:
    dump = json.loads(write["dump"](tmp_path, classes).read_text())
    lines = [json.dumps({"key": key, "type": "ReJSON-RL", "value": value}) for key, value in dump.items()]
    path = tmp_path / "lines" / "dump.jsonl"
    path.parent.mkdir()
    path.write_text("\n".join(lines))
    assert quietly(load_tasks, path) == quietly(load_tasks, tmp_path / "dump.json")


def test_what_only_the_judge_may_read_stands_in_the_notes_alone(tmp_path: Path, write: Write, classes: Any) -> None:
    task = load_tasks(write["storage"](tmp_path, classes), "mutual-friends")[0]
    assert task.scenario.notes == "They have 1 common friends: Una."
    assert task.scenario.situation == "Two people meet."
    assert [own["common"] for own in task.scenario.hidden] == ["Una", "Una"]
    assert task.scenario.hidden[1]["friends"][1] == {"name": "Cal", "attributes": {"hobby": "Judo"}}
    assert task.tags["markup"]["scenario"].endswith("Una.</p>")


def test_an_answer_that_is_no_friend_leaves_an_open_ended_task(tmp_path: Path, write: Write, classes: Any) -> None:
    changed = json.loads(json.dumps(classes).replace("common friends: Una", "common friends: Eve"))
    with pytest.warns(DataWarning) as caught:
        assert [task.family for task in load_tasks(write["keyed"](tmp_path, changed))][-1] == "sotopia"
    assert "goal 0: no table of friends with the common friend 'Eve'" in str(caught[0].message)


def test_subsets_by_family_and_split(tmp_path: Path, write: Write, classes: Any) -> None:
    folder = write["export"](tmp_path, classes)
    used = {"sotopia_env": ["e0"], "SFT-round-1": ["e1"], "dev-round-1": ["e2"]}
    (folder / "used_env.json").write_text(json.dumps(used))
    ids = {
        subset: [task.id for task in load_tasks(folder, subset)]
        for subset in ("all", "checkable", "craigslist", "mutual-friends", "train", "validation", "test")
    }
    assert ids == {
        "all": ["c0:agent_0", "c0:agent_1", "c1:agent_0", "c1:agent_1"],
        "checkable": ["c2", "c3"],
        "craigslist": ["c2"],
        "mutual-friends": ["c3"],
        "train": ["c2"],
        "validation": ["c3"],
        "test": ["c0", "c1"],
    }


def test_a_hard_list_with_a_training_scenario_is_reported(tmp_path: Path, write: Write, classes: Any) -> None:
    folder = write["export"](tmp_path, classes)
    (folder / "used_env.json").write_text(json.dumps({"sotopia_env": ["e0"], "SFT-round-1": ["e1"]}))
    entry = {"pk": "l", "name": "hard_env_set", "environments": ["e1", "e0"], "agent_index": [0, 1]}
    (folder / "environment_lists.jsonl").write_text(json.dumps(entry))
    with pytest.warns(DataWarning) as caught:
        assert [task.id for task in load_tasks(folder, "hard")] == ["c0:agent_1", "c1:agent_1"]
    assert "scenario 'e1' is for train" in str(caught[0].message)


def test_sets_that_share_a_scenario_are_refused(tmp_path: Path, write: Write, classes: Any) -> None:
    folder = write["export"](tmp_path, classes)
    (folder / "used_env.json").write_text(json.dumps({"sotopia_env": ["e0"], "SFT-round-1": ["e0"]}))
    with pytest.raises(ValueError, match="training and evaluation must not share a scenario"):
        load_tasks(folder)


def test_the_data_folder_is_set_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SOTOPIA_ENV_DATA", raising=False)
    with pytest.raises(ValueError, match="set SOTOPIA_ENV_DATA to the folder"):
        data_folder()
    monkeypatch.setenv("SOTOPIA_ENV_DATA", str(tmp_path))
    assert data_folder() == tmp_path


def test_on_error_raise_names_the_record(tmp_path: Path, write: Write, classes: Any) -> None:
    folder = write["storage"](tmp_path, classes)
    (folder / "AgentProfile" / "a1.json").write_text('{"pk": "a1", "first_name": 3}')
    with pytest.raises(RecordError, match=r"AgentProfile/a1\.json: field 'first_name'"):
        load_tasks(folder, on_error="raise")


@needs_data
def test_all_formats_load_to_the_same_published_pairings(tmp_path: Path, write: Write, quietly: Quietly) -> None:
    folder = Path(str(DATA))
    expected = [replace(task, split="") for task in quietly(load_tasks, folder / "sotopia")]
    assert len(expected) == 450
    assert quietly(load_tasks, folder / "sotopia_pk") == expected
    keyed = folder / "sotopia_pk"
    pairings = json.loads((keyed / "env_agent_combos.json").read_text(encoding="utf-8"))
    published = {
        "EnvironmentProfile": json.loads((keyed / "envs.json").read_text(encoding="utf-8")),
        "AgentProfile": json.loads((keyed / "agents.json").read_text(encoding="utf-8")),
        "EnvAgentComboStorage": {record["pk"]: record for record in pairings},
    }
    for name in ("lists", "storage", "dump"):
        assert quietly(load_tasks, write[name](tmp_path / name, published)) == expected


@needs_data
def test_thirty_published_scenarios_can_be_checked() -> None:
    tasks = load_tasks(str(DATA), "checkable")
    scenarios = {task.scenario.id: task.family for task in tasks}
    assert len(tasks) == 150
    assert sorted(scenarios.values()) == ["craigslist"] * 10 + ["deal-or-no-deal"] * 10 + ["mutual-friends"] * 10
    hard = {task.scenario.id: task.family for task in load_tasks(str(DATA), "hard")}
    assert (len(hard), sum(family != "sotopia" for family in hard.values())) == (14, 5)
    for task in tasks:
        shown = " ".join((task.scenario.situation, *task.scenario.goals))
        assert "viewer=" not in shown
        assert "common friends" not in shown


@needs_data
def test_published_training_scenarios_are_none_of_the_evaluation_ones() -> None:
    used = json.loads((Path(str(DATA)) / "sotopia" / "used_env.json").read_text())
    evaluated = {task.scenario.id for task in load_tasks(str(DATA), "all")}
    assert evaluated == set(used["sotopia_env"])
    assert set(used["sotopia_hard_env"]) < evaluated
    training = [scenario for name, ids in used.items() if not name.startswith("sotopia") for scenario in ids]
    assert len(training) == 410
    assert not evaluated & set(training)
