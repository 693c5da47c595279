"""Parquet holds episodes without loss, and `datasets` reads both formats."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import sotopia_env
from sotopia_env.episodes import Episode
from sotopia_env.errors import DataWarning, RecordError
from sotopia_env.storage.episodes import load_episodes, save_episodes
from sotopia_env.storage.parquet import episode_schema, load_parquet, save_parquet
from sotopia_env.tasks import Task

pa = pytest.importorskip("pyarrow")


@pytest.fixture
def mixed(make_task: Callable[..., Task]) -> list[Episode]:
    """Episodes of two families, with and without rewards, scores, invalid turns and recipients."""
    policies = ["scripted:warm", "random"]
    episodes = sotopia_env.rollout("bargain", policies, num_episodes=3, seed=1, reward="uniform")
    episodes += sotopia_env.rollout([make_task()], lambda o, rng: "é—\u2028\n日本\x00" if rng.random() < 0.5 else 3,
                                    num_episodes=2, max_cycles=6)  # fmt: skip
    turns = tuple(replace(turn, recipients=(0,), raw="raw") for turn in episodes[0].turns)
    episodes.append(replace(episodes[0], turns=turns, ending=None, seed=None, judgements=()))
    return episodes


def test_what_is_saved_is_loaded(mixed: list[Episode], tmp_path: Path) -> None:
    path = tmp_path / "folder" / "e.parquet"
    save_episodes(iter(mixed), path)
    assert load_episodes(path) == load_parquet(path) == mixed
    assert [episode.to_json() for episode in load_parquet(path)] == [episode.to_json() for episode in mixed]
    assert [entry.name for entry in path.parent.iterdir()] == ["e.parquet"]
    save_parquet([], path)
    assert load_parquet(path) == []


def test_the_columns_are_the_fields_of_an_episode() -> None:
    assert episode_schema().names == list(Episode.__dataclass_fields__)
    assert [field.name for field in episode_schema().field("turns").type.value_type] == list(
        sotopia_env.Turn.__dataclass_fields__
    )


def test_a_damaged_row_is_named_and_the_others_load(mixed: list[Episode], tmp_path: Path) -> None:
    from pyarrow import parquet

    path = tmp_path / "e.parquet"
    save_parquet(mixed, path)
    columns = parquet.read_table(path).to_pydict()
    columns["task"][1] = "{"
    columns["turns"][2][0]["type"] = "shout"
    parquet.write_table(pa.table(columns, schema=episode_schema()), path)
    with pytest.warns(DataWarning) as warned:
        assert load_parquet(path) == [mixed[0], *mixed[3:]]
    told = [str(warning.message) for warning in warned]
    assert told[0].startswith(f"{path}, row 2: field 'task': not valid JSON")
    assert told[1].startswith(f"{path}, row 3, episode '1-2': field 'turns.0.type': 'shout' is none of")
    assert told[2] == f"{path}: 4 episodes loaded, 2 records skipped"
    with pytest.raises(RecordError, match="row 2"):
        load_parquet(path, on_error="raise")


def test_errors_name_the_file_and_leave_it(mixed: list[Episode], tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    path.write_bytes(b"no parquet at all")
    with pytest.raises(ValueError, match=r"e\.parquet is no parquet file"):
        load_parquet(path)
    with pytest.raises(FileNotFoundError, match=r"none\.parquet"):
        load_parquet(tmp_path / "none.parquet")
    save_parquet(mixed[:1], path)
    with pytest.raises(ValueError, match="episode 1-0, field 'rewards' cannot be written"):
        save_parquet([mixed[1], replace(mixed[0], rewards={"r": {"agent_0": [float("inf")]}})], path)
    assert load_parquet(path) == mixed[:1]
    with pytest.raises(OSError, match="episodes were not saved to"):
        save_parquet(mixed, path / "below" / "a.parquet")
    assert [entry.name for entry in tmp_path.iterdir()] == ["e.parquet"]


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for call in (lambda: save_parquet([], tmp_path / "e.parquet"), lambda: load_parquet(tmp_path / "e.parquet")):
        with pytest.raises(ModuleNotFoundError, match="parquet needs pyarrow: pip install pyarrow"):
            call()


@pytest.fixture
def load_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """``datasets.load_dataset`` of a file, without a network."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)

    def load(kind: str, path: Path, features: bool = False) -> Any:
        given = datasets.Features.from_arrow_schema(episode_schema()) if features else None
        cache = str(tmp_path / "cache")
        return datasets.load_dataset(kind, data_files=str(path), split="train", features=given, cache_dir=cache)

    return load


def test_datasets_reads_parquet_of_several_families(
    mixed: list[Episode], tmp_path: Path, load_dataset: Callable[..., Any]
) -> None:
    path = tmp_path / "e.parquet"
    save_parquet(mixed, path)
    rows = load_dataset("parquet", path)
    assert [row["key"] for row in rows] == [episode.key for episode in mixed]
    assert rows[0]["turns"][1]["text"] == mixed[0].turns[1].text
    assert rows[0]["task"]["scenario"]["hidden"][0]["limit"] == mixed[0].task.scenario.hidden[0]["limit"]
    # Python objects again; `datasets` rounds the numbers in JSON columns to 15 digits.
    for row, episode in zip(rows, mixed, strict=True):
        again = Episode.from_dict(row)
        assert replace(again, judgements=(), rewards={}) == replace(episode, judgements=(), rewards={})
        for name, by_agent in episode.rewards.items():
            for agent, numbers in by_agent.items():
                expected = [value if value is None else pytest.approx(value, rel=1e-12) for value in numbers]
                assert again.rewards[name][agent] == expected


def test_datasets_reads_json_lines_of_one_run_as_they_are(tmp_path: Path, load_dataset: Callable[..., Any]) -> None:
    path = tmp_path / "e.jsonl"
    episodes = sotopia_env.rollout("bargain", "scripted:mixed", num_episodes=5, out=path, reward="uniform")
    rows = load_dataset("json", path)
    assert [[turn["text"] for turn in row["turns"]] for row in rows] == [
        [turn.text for turn in episode.turns] for episode in episodes
    ]


def test_datasets_reads_json_lines_of_any_episodes_with_the_columns_given(
    mixed: list[Episode], tmp_path: Path, load_dataset: Callable[..., Any]
) -> None:
    path = tmp_path / "e.jsonl"
    # What is null in the first 10 MB and a text only later is refused by `datasets` unless it knows the columns.
    late = replace(mixed[0], turns=tuple(replace(turn, invalid="late") for turn in mixed[0].turns))
    padded = replace(mixed[1], key="x" * 100_000)
    save_episodes([*mixed[:3], *[padded] * 110, *mixed[3:], late], path)
    rows = load_dataset("json", path, features=True)
    assert len(rows) == 117
    assert Episode.from_dict(rows[0]).turns == mixed[0].turns
    assert Episode.from_dict(rows[-1]).turns == late.turns
