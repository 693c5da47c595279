"""Token traces on disk: exact, and each token written once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sotopia_env.errors import DataWarning, RecordError
from sotopia_env.policies import TokenTrace
from sotopia_env.storage.locks import ProcessLocks
from sotopia_env.storage.traces import TraceWriter, load_traces, traces_path

GROWING = [
    TokenTrace((1, 2, 3), (4, 5), (-0.1, -2.5e-17)),
    TokenTrace((1, 2, 3, 4, 5, 6, 7), (8,), (0.0,), truncated=True),
    TokenTrace((1, 2, 9), (), None),
    TokenTrace((), (1,), (-1.0,)),
]


def writer(path: Path) -> TraceWriter:
    return TraceWriter(path, ProcessLocks(path.with_name("lock")))


def test_traces_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "e.traces.jsonl"
    writer(path).write("0-0", {"agent_0": GROWING, "agent_1": [], "agent_2": GROWING[:1]})
    assert load_traces(path) == {("0-0", "agent_0"): GROWING, ("0-0", "agent_2"): GROWING[:1]}
    turns = json.loads(path.read_text().splitlines()[0])["turns"]
    assert [(turn["shared"], turn["prompt_ids"]) for turn in turns] == [(0, [1, 2, 3]), (5, [6, 7]), (2, [9]), (0, [])]


def test_the_last_traces_of_an_episode_count_and_are_put_in_order(tmp_path: Path) -> None:
    path = tmp_path / "e.traces.jsonl"
    for key, turns in (("0-10", GROWING[:2]), ("0-2", GROWING[:1]), ("0-10", GROWING[:1])):
        writer(path).write(key, {"agent_1": turns, "agent_0": turns})
    writer(path).put_in_order(lambda key: int(key[2:]))
    assert list(load_traces(path).items()) == [
        ((key, agent), GROWING[:1]) for key in ("0-2", "0-10") for agent in ("agent_0", "agent_1")
    ]
    writer(tmp_path / "none").put_in_order(str)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{", "not valid JSON"),
        (b"[]", "a JSON object is needed, not a list"),
        (b'{"episode": "0-0", "agent": "agent_0"}', "field 'turns' is missing"),
        (b'{"episode": "0-0", "agent": "agent_0", "turns": [{"ids": ["a"]}]}', "field 'turns.0.ids.0'"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: bytes, said: str) -> None:
    path = tmp_path / "e.traces.jsonl"
    writer(path).write("0-0", {"agent_0": GROWING})
    with path.open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(RecordError, match=rf"e\.traces\.jsonl, line 2: .*{said}"):
        load_traces(path)


def test_a_cut_line_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "e.traces.jsonl"
    writer(path).write("0-0", {"agent_0": GROWING})
    path.write_bytes(path.read_bytes() + b'{"episode": "0-')
    with pytest.warns(DataWarning, match="line 2: cut short"):
        assert set(load_traces(path)) == {("0-0", "agent_0")}


def test_the_file_stands_beside_the_episodes() -> None:
    assert traces_path("runs/e.jsonl") == Path("runs/e.traces.jsonl")
    assert traces_path("e.v2.parquet") == Path("e.v2.traces.jsonl")
