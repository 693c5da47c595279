"""Files broken in every way: the error names file, record and field, the good records load, nothing else escapes."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sotopia_env.episodes import Episode
from sotopia_env.published import DataWarning, full_record, load_pairs, load_published, load_tasks
from sotopia_env.published.json_records import read_records
from sotopia_env.published.report import Report

Write = dict[str, Callable[[Path, Any], Path]]

JUNK = st.sampled_from([None, 3, -1.5, "", "nan", "\x00", [], {}, [None], {"a": 1}, True, "x" * 5000, "</p>", [[]]])
QUIET = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def loaded(load: Callable[..., list[Any]], path: Path) -> tuple[list[Any], list[str]]:
    """What was loaded and what was said; an error stands for nothing loaded."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = load(path)
        except (ValueError, FileNotFoundError) as error:
            return [], [str(error)]
    assert all(warning.category is DataWarning for warning in caught)
    return found, [str(warning.message) for warning in caught]


@pytest.mark.parametrize("name", ["export", "keyed", "lists", "storage", "dump"])
@QUIET
@given(data=st.data())
def test_a_wrong_field_costs_the_tasks_that_need_it(
    name: str, tmp_path_factory: pytest.TempPathFactory, write: Write, classes: Any, data: st.DataObject
) -> None:
    broken = copy.deepcopy(classes)
    kind = data.draw(st.sampled_from(sorted(broken)))
    pk = data.draw(st.sampled_from(sorted(broken[kind])))
    field = data.draw(st.sampled_from(sorted(broken[kind][pk])))
    if data.draw(st.booleans()):
        broken[kind][pk][field] = data.draw(JUNK)
    else:
        del broken[kind][pk][field]
    found, said = loaded(load_tasks, write[name](tmp_path_factory.mktemp(name), broken))
    untouched = {"c0", "c1", "c2", "c3"} - users_of(kind, pk)
    assert untouched <= {task.id for task in found}
    if len(found) < 4:
        assert any(pk in line for line in said), said
        assert any(field in line for line in said), said
        assert not found or "records reported" in said[-1]


def users_of(kind: str, pk: str) -> set[str]:
    if kind == "EnvironmentProfile":
        return {"e0": {"c0", "c1"}, "e1": {"c2"}, "e2": {"c3"}}[pk]
    return {pk} if kind == "EnvAgentComboStorage" else {"c0", "c1", "c2", "c3"}


@pytest.mark.parametrize("name", ["export", "keyed", "lists", "storage", "dump"])
@QUIET
@given(data=st.data())
def test_broken_bytes_are_reported(
    name: str, tmp_path_factory: pytest.TempPathFactory, write: Write, classes: Any, data: st.DataObject
) -> None:
    path = write[name](tmp_path_factory.mktemp(name), classes)
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    file = data.draw(st.sampled_from(files))
    content = file.read_bytes()
    at = data.draw(st.integers(0, len(content) - 1))
    kind = data.draw(st.sampled_from(["cut", "byte", "insert", "empty"]))
    changed = {
        "cut": content[:at],
        "byte": content[:at] + bytes([data.draw(st.integers(0, 255))]) + content[at + 1 :],
        "insert": content[:at] + b"\xff\xfe" + content[at:],
        "empty": b"",
    }[kind]
    file.write_bytes(changed)
    found, said = loaded(load_tasks, path)
    assert len(found) <= 4
    if len(found) < 4 and not (file.suffix == ".jsonl" and kind == "cut" and ends_after_a_line(changed)):
        assert said
    if kind == "insert":
        assert any(file.name in line for line in said), said


def ends_after_a_line(content: bytes) -> bool:
    """Whether nobody can tell that lines are missing."""
    try:
        return isinstance(json.loads(content.splitlines()[-1]), dict)
    except (ValueError, IndexError):
        return False


def test_records_before_a_break_are_read(tmp_path: Path, write: Write, classes: Any) -> None:
    folder = write["keyed"](tmp_path, classes)
    path = folder / "env_agent_combos.json"
    path.write_text(path.read_text()[:-20])
    with pytest.warns(DataWarning) as caught:
        assert [task.id for task in load_tasks(folder)] == ["c0", "c1", "c2"]
    assert "env_agent_combos.json: not JSON at line 1, column" in str(caught[0].message)
    assert "3 records stand before it; the rest is skipped" in str(caught[0].message)


def test_a_record_that_is_not_utf8_costs_no_other(tmp_path: Path, write: Write, classes: Any) -> None:
    folder = write["lists"](tmp_path, classes)
    path = folder / "envs.json"
    path.write_bytes(path.read_bytes().replace(b"A kite", b"A k\xefte"))
    with pytest.warns(DataWarning) as caught:
        assert [task.id for task in load_tasks(folder)] == ["c0", "c1", "c3"]
    assert "envs.json record 1: not UTF-8" in str(caught[0].message)


def test_a_key_that_stands_twice_is_reported(tmp_path: Path, write: Write, classes: Any) -> None:
    folder = write["keyed"](tmp_path, classes)
    path = folder / "agents.json"
    again = json.dumps({"a0": {"first_name": "Impostor"}})[1:]
    path.write_text(f"{path.read_text()[:-1]}, {again}")
    with pytest.warns(DataWarning) as caught:
        assert load_tasks(folder)[0].characters[0].first_name == "Ada"
    assert "agents.json record 'a0': id 'a0' was used before" in str(caught[0].message)


def test_null_records_are_reported(tmp_path: Path, write: Write, classes: Any) -> None:
    folder = write["keyed"](tmp_path, classes)
    path = folder / "agents.json"
    path.write_text(f'{{"a9": null, {path.read_text()[1:]}')
    with pytest.warns(DataWarning) as caught:
        assert len(load_tasks(folder)) == 4
    assert "agents.json record 'a9': a JSON object is needed, not a NoneType" in str(caught[0].message)


def test_a_dump_of_strange_values(tmp_path: Path) -> None:
    strange = {":sotopia.a.AgentProfile:x": "{", ":sotopia.a.AgentProfile:y": None, ":sotopia.": 1}
    path = tmp_path / "dump.json"
    path.write_text(json.dumps(strange))
    found, said = loaded(load_tasks, path)
    assert not found
    assert "0 tasks loaded, 3 records reported; the first" in said[0]
    path.write_text(
        json.dumps({":sotopia.database.logs.EpisodeLog:index:hash": "5f1c", ":sotopia.a AgentProfile:z": {}})
    )
    assert "':sotopia.a AgentProfile:z': its key names no class" in loaded(load_tasks, path)[1][0]
    path.write_text(json.dumps([":sotopia.a.AgentProfile:x"]))
    assert "not a list" in loaded(load_tasks, path)[1][0]


@QUIET
@given(junk=JUNK, field=st.sampled_from(["raw_messages", "agents_background", "rewards", "reasoning", "agent_ids"]))
def test_a_wrong_field_of_an_episode_costs_no_other(
    tmp_path_factory: pytest.TempPathFactory, episode: Episode, junk: Any, field: str
) -> None:
    good = full_record(episode)
    path = tmp_path_factory.mktemp("episodes") / "episodes.jsonl"
    bad = {**good, "episode_id": "bad", field: junk}
    path.write_text(f"{json.dumps(bad)}\n{json.dumps(good)}\n")
    found, said = loaded(load_published, path)
    assert found[-1].key == good["episode_id"]
    if len(found) == 1:
        assert "episodes.jsonl line 1 (bad)" in said[0]
        assert field in said[0], said


@QUIET
@given(content=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    for name in ("a.json", "a.jsonl"):
        (folder / name).write_bytes(content)
        for load in (load_tasks, load_published, load_pairs):
            found, said = loaded(load, folder / name)
            assert not found
            assert name in " ".join(said)


@QUIET
@given(records=st.lists(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3)))
def test_whole_records_are_all_read(tmp_path_factory: pytest.TempPathFactory, records: list[Any]) -> None:
    path = tmp_path_factory.mktemp("records") / "records.json"
    path.write_text(json.dumps(records), encoding="utf-8")
    whole = [record for _, record in read_records(path, Report("x", "raise"))]
    assert whole == records
    path.write_text(json.dumps(records)[:-1], encoding="utf-8")
    if records:
        report = Report("x")
        assert [record for _, record in read_records(path, report)] == records
        assert len(report.errors) == 1
