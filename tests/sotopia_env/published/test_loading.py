"""Published sets and task files become tasks; what cannot be used is named and skipped."""

from __future__ import annotations

import json
import os
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sotopia_env.errors import RecordError
from sotopia_env.published import DataWarning, load_tasks
from sotopia_env.tasks import Task

DATA = os.environ.get("SOTOPIA_ENV_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="SOTOPIA_ENV_DATA names no folder with Sotopia's published files")

SCENARIOS: list[dict[str, Any]] = [
    {
        "codename": "shared_ladder",
        "source": "hand-made",
        "scenario": 'Neighbours meet. <p viewer="environment">The ladder is broken.</p>',
        "agent_goals": ["Borrow it (<extra_info>today</extra_info>)", "Keep it"],
        "relationship": 2,
        "occupation_constraint": "nan",
    },
    {
        "codename": "craigslist_bargains_kite",
        "source": "craigslist_bargains",
        "scenario": "A kite is for sale at $40.0.",
        "agent_goals": ["You are the buyer; target $30.", "You are the seller; target $35.5."],
        "relationship": 0,
    },
]
CHARACTERS = [
    {"first_name": "Ada", "last_name": "O'Neil", "age": 30, "gender_pronoun": "She/her", "secret": "nan"},
    {
        "first_name": "Bo",
        "last_name": "Ruiz",
        "moral_values": ["Care", " Fairness"],
        "schwartz_personal_values": ["Joy"],
    },
]
PAIRINGS = [("e0", ["a0", "a1"]), ("e0", ["a1", "a0"]), ("e1", ["a0", "a1"])]


def export(folder: Path) -> Path:
    """The jsonl export, relationship as a string; pairings out of order."""
    folder.mkdir(exist_ok=True)
    scenarios = [{"env_id": f"e{i}", **s, "relationship": str(s["relationship"])} for i, s in enumerate(SCENARIOS)]
    write_lines(folder / "environment_profiles.jsonl", scenarios)
    write_lines(folder / "agent_profiles.jsonl", [{"agent_id": f"a{i}", **c} for i, c in enumerate(CHARACTERS)])
    pairings = [{"combo_id": f"c{i}", "env_id": e, "agent_ids": a} for i, (e, a) in enumerate(PAIRINGS)]
    write_lines(folder / "env_agent_combo_storages.jsonl", pairings[::-1])
    return folder


def export_keyed(folder: Path) -> Path:
    """The pk-keyed JSON format: two objects and a list."""
    folder.mkdir(exist_ok=True)
    write(folder / "envs.json", {f"e{i}": {"pk": f"e{i}", **s} for i, s in enumerate(SCENARIOS)})
    write(folder / "agents.json", {f"a{i}": c for i, c in enumerate(CHARACTERS)})
    write(
        folder / "env_agent_combos.json",
        [{"pk": f"c{i}", "env_id": e, "agent_ids": a} for i, (e, a) in enumerate(PAIRINGS)],
    )
    return folder


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def write_lines(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def quietly(path: Path, **options: Any) -> list[Task]:
    """Load with every warning an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load_tasks(path, **options)


def test_both_formats_give_the_same_tasks(tmp_path: Path) -> None:
    tasks = quietly(export(tmp_path / "export"))
    assert [task.id for task in tasks] == ["c0", "c1", "c2"]
    assert tasks == quietly(export_keyed(tmp_path / "keyed"))


def test_the_fields_of_a_task(tmp_path: Path) -> None:
    first, swapped, kite = quietly(export(tmp_path))
    assert first.scenario.situation == "Neighbours meet."
    assert first.scenario.notes == "The ladder is broken."
    assert first.scenario.goals == ("Borrow it (today)", "Keep it")
    assert first.scenario.relationship == "acquaintance"
    ada, bo = first.characters
    assert swapped.characters == (bo, ada)
    assert (ada.name, ada.age, ada.pronouns, ada.secret) == ("Ada O'Neil", 30, "She/her", "")
    assert bo.values == "Care, Fairness; Joy"
    assert [task.family for task in (first, kite)] == ["sotopia", "craigslist"]
    assert kite.scenario.hidden[1] == {"role": "seller", "target": 35.5, "list_price": 40.0}


def test_a_set_is_found_one_folder_down(tmp_path: Path) -> None:
    export(tmp_path / "set")
    assert len(quietly(tmp_path)) == 3


def test_subsets(tmp_path: Path) -> None:
    export(tmp_path)
    write_lines(
        tmp_path / "environment_lists.jsonl",
        [{"pk": "l", "name": "hard_env_set", "environments": ["e1", "e0"], "agent_index": ["1", "0"]}],
    )
    hard = quietly(tmp_path, subset="hard")
    assert [(task.id, task.evaluated_seat) for task in hard] == [
        ("c2:agent_1", 1),
        ("c0:agent_0", 0),
        ("c1:agent_0", 0),
    ]
    assert [task.evaluated_seat for task in quietly(tmp_path, subset="all")] == [0, 1] * 3
    assert [task.id for task in quietly(tmp_path, subset="craigslist")] == ["c2"]
    with pytest.raises(ValueError, match="'easy' is none of hard, all, checkable, craigslist"):
        load_tasks(tmp_path, "easy")


def test_hard_needs_the_list(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"environment_lists\.jsonl"):
        load_tasks(export_keyed(tmp_path), "hard")


def test_splits_come_from_the_list_of_used_scenarios(tmp_path: Path) -> None:
    export(tmp_path)
    write(tmp_path / "used_env.json", {"sotopia_env": ["e0"], "SFT-round-1": ["e1"]})
    assert [task.split for task in quietly(tmp_path)] == ["test", "test", "train"]
    write(tmp_path / "used_env.json", {"sotopia_env": ["e0"], "SFT-round-1": ["e0"]})
    with pytest.raises(ValueError, match="'e0' is in sets of test and train"):
        load_tasks(tmp_path)


def test_one_bad_record_costs_only_what_needs_it(tmp_path: Path) -> None:
    export(tmp_path)
    path = tmp_path / "environment_profiles.jsonl"
    path.write_text(path.read_text().replace('"relationship": "0"', '"relationship": "9"'))
    with pytest.warns(DataWarning) as caught:
        tasks = load_tasks(tmp_path)
    assert [task.id for task in tasks] == ["c0", "c1"]
    said = [str(warning.message) for warning in caught]
    assert said[0].startswith("environment_profiles.jsonl line 2 (e1): field 'relationship': no relationship")
    assert "(c2): field 'env_id': scenario 'e1' is missing or was itself reported" in said[1]
    assert said[2].endswith("2 tasks loaded, 2 records reported")
    assert caught[0].filename == __file__
    with pytest.raises(RecordError, match="line 2"):
        load_tasks(tmp_path, on_error="raise")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"combo_id": "c9", "env_id"', "line 4: not JSON at column"),
        (b"\xff\xfe", "line 4: not UTF-8"),
        (b"[" * 100_000, "line 4: nested too deeply"),
        (b"[1, 2]", "line 4: a JSON object is needed"),
        (b'{"combo_id": "c9", "env_id": "e0", "agent_ids": ["a0", "a7"]}', "character 'a7' is missing"),
        (b'{"combo_id": "c9", "env_id": "e0", "agent_ids": ["a0", "a1", "a0"]}', "3 characters for 2 goals"),
        (b'{"combo_id": "c0", "env_id": "e0", "agent_ids": ["a0", "a1"]}', "id 'c0' was used before"),
    ],
)
def test_a_bad_line_is_reported_and_skipped(tmp_path: Path, line: bytes, said: str) -> None:
    export(tmp_path)
    with (tmp_path / "env_agent_combo_storages.jsonl").open("ab") as file:
        file.write(line + b"\n\n")
    with pytest.warns(DataWarning) as caught:
        assert len(load_tasks(tmp_path)) == 3
    assert said in str(caught[0].message)


def test_a_leaking_scenario_is_refused(tmp_path: Path) -> None:
    export(tmp_path)
    path = tmp_path / "environment_profiles.jsonl"
    path.write_text(path.read_text().replace("</p>", ""))
    with pytest.warns(DataWarning) as caught:
        assert [task.id for task in load_tasks(tmp_path)] == ["c2"]
    assert "field 'scenario': <p> is never closed" in str(caught[0].message)


def test_prices_that_cannot_be_read_leave_an_open_ended_task(tmp_path: Path) -> None:
    export(tmp_path)
    path = tmp_path / "environment_profiles.jsonl"
    path.write_text(path.read_text().replace("$40.0", "forty"))
    with pytest.warns(DataWarning) as caught:
        assert [task.family for task in load_tasks(tmp_path)] == ["sotopia"] * 3
    assert "no list price" in str(caught[0].message)
    assert "kept as an open-ended" in str(caught[0].message)


def test_many_errors_are_counted_not_all_printed(tmp_path: Path) -> None:
    export(tmp_path)
    with (tmp_path / "env_agent_combo_storages.jsonl").open("a") as file:
        file.write("oops\n" * 200)
    with pytest.warns(DataWarning) as caught:
        load_tasks(tmp_path)
    assert len(caught) == 21
    assert "200 records reported" in str(caught[-1].message)


def test_an_empty_folder_and_a_missing_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="it is empty"):
        load_tasks(tmp_path)
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        load_tasks(tmp_path / "nowhere")


def test_an_incomplete_set_says_what_is_missing(tmp_path: Path) -> None:
    (export(tmp_path) / "agent_profiles.jsonl").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks agent_profiles\.jsonl or agents\.json"):
        load_tasks(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not JSON at line 1"),
        ("3", "neither a list"),
        ('{"a": 1}', "neither a list"),
        ("[" * 100_000, "too deeply"),
    ],
)
def test_a_malformed_json_file_is_an_error(tmp_path: Path, content: str, said: str) -> None:
    (export_keyed(tmp_path) / "envs.json").write_text(content)
    with pytest.raises(ValueError, match=said):
        load_tasks(tmp_path)


def test_task_files_of_our_own(tmp_path: Path) -> None:
    tasks = quietly(export(tmp_path / "export"))
    records = [task.to_dict() for task in tasks]
    assert quietly(write_lines(tmp_path / "tasks.jsonl", records)) == tasks
    assert quietly(write(tmp_path / "tasks.json", records)) == tasks
    with pytest.raises(ValueError, match="is for a folder"):
        load_tasks(tmp_path / "tasks.json", "hard")


def test_a_bad_task_in_a_file_is_reported_and_skipped(tmp_path: Path) -> None:
    records = [task.to_dict() for task in quietly(export(tmp_path / "export"))]
    records[1] = {**records[1], "id": "c0"}
    records[2] = {**records[2], "scenario": None}
    with pytest.warns(DataWarning) as caught:
        assert [task.id for task in load_tasks(write_lines(tmp_path / "tasks.jsonl", records))] == ["c0"]
    assert "tasks.jsonl line 2 (c0): field 'id': 'c0' was used before" in str(caught[0].message)
    assert "tasks.jsonl line 3 (c2): field 'scenario'" in str(caught[1].message)


def test_a_file_without_any_task_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no task in it"):
        load_tasks(write(tmp_path / "none.json", []))
    with pytest.raises(ValueError, match="load the folder, not the single file"):
        load_tasks(export(tmp_path) / "environment_profiles.jsonl")


def test_on_error_is_checked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'ignore' is neither"):
        load_tasks(export(tmp_path), on_error="ignore")


@needs_data
def test_the_published_pairings_load_alike_from_both_formats() -> None:
    tasks = quietly(Path(str(DATA)))
    assert len(tasks) == 450
    assert len({task.id for task in tasks}) == 450
    assert set(Counter(task.scenario.id for task in tasks).values()) == {5}
    assert len({task.scenario.id for task in tasks}) == 90
    assert {task.split for task in tasks} == {"test"}
    keyed = quietly(Path(str(DATA)) / "sotopia_pk")
    # Only the export says which scenarios are for evaluation.
    assert [replace(task, split="") for task in tasks] == keyed


@needs_data
def test_the_published_evaluation_sets() -> None:
    hard = quietly(Path(str(DATA)), subset="hard")
    assert len(hard) == len({task.id for task in hard}) == 100
    assert Counter(task.evaluated_seat for task in hard) == {0: 55, 1: 45}
    assert len({task.scenario.id for task in hard}) == 14
    assert len({task.scenario.id for task in hard if task.family == "craigslist"}) == 4
    assert len(quietly(Path(str(DATA)), subset="all")) == 900


@needs_data
def test_the_published_texts_show_no_markup_and_no_answer() -> None:
    tasks = quietly(Path(str(DATA)))
    with_notes = [task for task in tasks if task.scenario.notes]
    assert len(with_notes) == 50
    assert {task.tags["source"] for task in with_notes} == {"mutual_friends"}
    for task in tasks:
        shown = " ".join((task.scenario.situation, *task.scenario.goals))
        assert "<" not in shown
        assert not task.scenario.notes or task.scenario.notes not in shown
    counts = Counter(task.scenario.relationship for task in tasks)
    assert counts == {
        "friend": 230,
        "stranger": 125,
        "acquaintance": 50,
        "romantic_relationship": 25,
        "know_by_name": 20,
    }


@needs_data
def test_the_published_craigslist_prices() -> None:
    tasks = quietly(Path(str(DATA)), subset="craigslist")
    assert len(tasks) == 50
    prices = set()
    for task in tasks:
        target = {own["role"]: own["target"] for own in task.scenario.hidden}
        prices.add((task.scenario.hidden[0]["list_price"], target["buyer"], target["seller"]))
    assert prices == {
        (15.0, 9.0, 8.0),
        (20.0, 14.0, 17.3),
        (50.0, 46.0, 26.5),
        (60.0, 30.0, 58.6),
        (125.0, 112.0, 76.9),
        (200.0, 152.0, 172.5),
        (349.0, 174.0, 263.0),
        (550.0, 418.0, 312.0),
        (650.0, 454.0, 610.0),
        (5000.0, 4600.0, 3260.0),
    }
    assert sum(buyer < seller for _, buyer, seller in prices) == 5


@needs_data
def test_pairs_that_do_not_satisfy_the_relationship_load_all_the_same() -> None:
    folder = Path(str(DATA)) / "sotopia"
    known = {}
    for line in (folder / "relationship_profiles.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        known[frozenset((record["agent1_id"], record["agent2_id"]))] = int(record["relationship"])
    numbers = {"stranger": 0, "know_by_name": 1, "acquaintance": 2, "friend": 3, "romantic_relationship": 4}
    unlike = [
        task
        for task in quietly(folder)
        if known.get(frozenset(c.id for c in task.characters), 0) != numbers[task.scenario.relationship]
    ]
    assert len(unlike) == 10


@needs_data
def test_published_names_and_profiles_survive() -> None:
    people = {c.id: c for task in quietly(Path(str(DATA))) for c in task.characters}
    assert len(people) == 40
    assert {"Finnegan O'Malley", "Esmeralda Solis"} <= {c.name for c in people.values()}
    assert all(c.age and c.personality and c.values and c.secret and c.pronouns for c in people.values())


@needs_data
def test_published_tasks_round_trip_as_a_task_file(tmp_path: Path) -> None:
    tasks = quietly(Path(str(DATA)), subset="hard")
    assert quietly(write_lines(tmp_path / "hard.jsonl", [task.to_dict() for task in tasks])) == tasks
