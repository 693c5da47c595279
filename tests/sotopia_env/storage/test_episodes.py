from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import sotopia_env
from sotopia_env.episodes import Episode
from sotopia_env.errors import DataWarning, RecordError
from sotopia_env.storage.episodes import EpisodeWriter, load_episodes, save_episodes


@pytest.fixture(scope="module")
def episodes() -> list[Episode]:
    played = sotopia_env.rollout("bargain", ["scripted:warm", "random"], num_episodes=6, seed=1, reward="uniform")
    played.append(sotopia_env.rollout("bargain", lambda o, rng: "é—\u2028\n日本\x00", num_episodes=1)[0])
    return played


def test_what_is_saved_is_loaded(episodes: list[Episode], tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder" / "e.jsonl"
    save_episodes(episodes, path)
    assert load_episodes(path) == episodes
    assert len(path.read_bytes().splitlines()) == len(episodes)
    assert [entry.name for entry in path.parent.iterdir()] == ["e.jsonl"]


def test_saving_nothing_makes_an_empty_file(tmp_path: Path) -> None:
    save_episodes([], tmp_path / "e.jsonl")
    assert load_episodes(tmp_path / "e.jsonl") == []


def test_the_writer_appends_and_knows_what_is_finished(episodes: list[Episode], tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    with EpisodeWriter(path) as writer:
        writer.write(episodes[0])
        assert load_episodes(path) == episodes[:1], "an episode is on disk as soon as it is written"
        writer.write(episodes[1])
    with EpisodeWriter(path) as writer:
        assert writer.finished == {episode.key: episode for episode in episodes[:2]}
        writer.write(episodes[2])
    assert load_episodes(path) == episodes[:3]


@pytest.mark.parametrize("kept", [1, 40, -2])
def test_a_last_line_cut_short_is_dropped(episodes: list[Episode], tmp_path: Path, kept: int) -> None:
    path = tmp_path / "e.jsonl"
    save_episodes(episodes[:3], path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]) + lines[2][:kept])
    with pytest.warns(DataWarning, match=r"e\.jsonl: the last line was cut short.* its \d+ bytes were removed"):
        writer = EpisodeWriter(path)
    with writer:
        assert list(writer.finished) == [episode.key for episode in episodes[:2]]
        writer.write(episodes[2])
    assert load_episodes(path) == episodes[:3]


def test_a_line_that_another_process_left_half_written_is_mended(episodes: list[Episode], tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    with EpisodeWriter(path) as writer:
        writer.write(episodes[0])
        with path.open("ab") as file:
            file.write(episodes[1].to_json()[:100_000][:-9])
        with pytest.warns(DataWarning, match="the last line was cut short"):
            writer.write(episodes[1])
    assert load_episodes(path) == episodes[:2]


def test_writers_read_what_others_wrote(episodes: list[Episode], tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    with EpisodeWriter(path) as one, EpisodeWriter(path) as other:
        one.write(episodes[1])
        other.write(episodes[0])
        assert list(one.finished) == ["1-1"]
        one.refresh()
        assert list(one.finished) == ["1-1", "1-0"]
        one.put_in_order(str)
        assert load_episodes(path) == episodes[:2]
        other.write(episodes[2])
        one.refresh()
        assert list(one.finished) == ["1-1", "1-0", "1-2"], "though the file is another since it was put in order"
    assert load_episodes(path) == episodes[:3]


def test_a_file_in_order_is_not_written_anew(episodes: list[Episode], tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    with EpisodeWriter(path) as writer:
        for episode in (episodes[1], episodes[0], episodes[1]):
            writer.write(episode)
        writer.put_in_order(str)
        before = path.stat()
        assert load_episodes(path) == episodes[:2], "one of each"
        writer.put_in_order(str)
        assert path.stat() == before


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{not json}", "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"NaN", "not valid JSON"),
        (b"[1, 2]", "a JSON object is needed, not a list"),
        (b'"text"', "a JSON object is needed, not a str"),
        (b"{}", "format_version is None, this package reads 1"),
        (b'{"format_version": 1}', "field 'task' is missing"),
        (b'{"format_version": 1, "turns": [{"who": 1}]}', "field 'turns.0.who' is unknown"),
        (b'{"format_version": 1, "key": "0-7"}', "episode '0-7': field 'task' is missing"),
    ],
)
def test_a_damaged_line_is_named_by_file_number_and_field(
    episodes: list[Episode], tmp_path: Path, line: bytes, message: str
) -> None:
    path = tmp_path / "e.jsonl"
    save_episodes(episodes[:2], path)
    good = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(good[0] + line + b"\n" + good[1])
    with pytest.raises(RecordError, match=rf"e\.jsonl, line 2.*{message}"):
        load_episodes(path, on_error="raise")
    with pytest.raises(RecordError, match=rf"e\.jsonl, line 2.*{message}"):
        EpisodeWriter(path)
    assert path.read_bytes() == good[0] + line + b"\n" + good[1], "a damaged file is left as it is"
    assert [entry.name for entry in tmp_path.iterdir()] == ["e.jsonl"]


def test_good_episodes_load_and_the_others_are_summed_up(episodes: list[Episode], tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    save_episodes(episodes[:3], path)
    good = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(good[0] + b"{}\n" + good[1] + b"[]\n" + good[2][:-40])
    with pytest.warns(DataWarning) as warned:
        assert load_episodes(path) == episodes[:2]
    told = [str(warning.message) for warning in warned]
    assert [message.partition(": ")[0] for message in told] == [f"{path}, line {n}" for n in (2, 4, 5)] + [str(path)]
    assert "the last line is cut short" in told[2]
    assert told[3].endswith("2 episodes loaded, 3 records skipped")
    assert warned[0].filename == __file__, "the warning points to who loads"


def test_a_file_without_one_good_episode_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_bytes(b"{}\n" * 3)
    with pytest.raises(ValueError, match=r"0 episodes loaded, 3 records skipped; the first: .*line 1: format_version"):
        load_episodes(path)
    with pytest.raises(ValueError, match="'ignore' is neither 'report' nor 'raise'"):
        load_episodes(path, on_error="ignore")


def test_what_json_cannot_say_is_refused_by_name(episodes: list[Episode], tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    save_episodes(episodes[:1], path)
    for changes, field in (
        ({"rewards": {"r": {"agent_0": [float("nan")]}}}, "rewards"),
        ({"config": {"x": object()}}, "config"),
        ({"policies": {"agent_0": "\ud800"}}, "policies"),
    ):
        with pytest.raises(ValueError, match=rf"episode 1-0, field '{field}' cannot be written: "):
            save_episodes([replace(episodes[0], **changes)], path)  # type: ignore[arg-type]
    assert load_episodes(path) == episodes[:1]


def test_lines_are_those_of_to_dict(episodes: list[Episode]) -> None:
    for episode in episodes:
        assert episode.to_json() == json.dumps(episode.to_dict(), ensure_ascii=False).encode()


def test_blank_lines_are_no_episodes(episodes: list[Episode], tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    save_episodes(episodes[:2], path)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\n\n"))
    assert load_episodes(path) == episodes[:2]


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.jsonl"):
        load_episodes(tmp_path / "nothing.jsonl")


# A limit on the size of files fails a write in the middle, just as a full disk does.
FULL_DISK = """
import resource, sys
from sotopia_env.storage.episodes import EpisodeWriter, load_episodes, save_episodes
source, target, kind, limit = sys.argv[1:]
episodes = load_episodes(source)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
try:
    if kind == "save":
        save_episodes(episodes, target)
    else:
        with EpisodeWriter(target) as writer:
            for episode in episodes:
                writer.write(episode)
except OSError as error:
    print(error)
    sys.exit(7)
"""


@pytest.mark.parametrize("kind", ["save", "write"])
def test_a_full_disk_leaves_every_finished_episode_intact(episodes: list[Episode], tmp_path: Path, kind: str) -> None:
    pytest.importorskip("resource")
    source, target = tmp_path / "source.jsonl", tmp_path / "target.jsonl"
    save_episodes(episodes, source)
    if kind == "save":
        save_episodes(episodes[:1], target)
    lines = source.read_bytes().splitlines(keepends=True)
    limit = len(lines[0]) + len(lines[1]) + len(lines[2]) // 2
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(source), str(target), kind, str(limit)],
        capture_output=True, text=True, check=False, cwd=Path(sotopia_env.__file__).parents[1],
    )  # fmt: skip
    assert run.returncode == 7, run.stderr
    if kind == "save":
        assert f"episodes were not saved to {target}" in run.stdout
        assert load_episodes(target) == episodes[:1], "the older file is as it was"
    else:
        assert f"episode {episodes[2].key} was not saved to {target}" in run.stdout
        assert "the 2 before it are safe, run again to go on" in run.stdout
        assert target.read_bytes() == lines[0] + lines[1], "nothing of the third is left"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["source.jsonl", "target.jsonl"]


def test_an_interruption_while_saving_leaves_the_older_file(episodes: list[Episode], tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    save_episodes(episodes[:1], path)

    def interrupted() -> Iterator[Episode]:
        yield episodes[1]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save_episodes(interrupted(), path)
    assert load_episodes(path) == episodes[:1]
    assert [entry.name for entry in tmp_path.iterdir()] == ["e.jsonl"]


def test_a_path_below_a_file_is_a_clear_error(episodes: list[Episode], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="episodes were not saved to"):
        save_episodes(episodes, tmp_path / "file" / "e.jsonl")


def test_datasets_reads_the_file(episodes: list[Episode], tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    path = tmp_path / "e.jsonl"
    save_episodes(episodes, path)
    rows = datasets.load_dataset("json", data_files=str(path), cache_dir=str(tmp_path / "cache"), split="train")
    assert rows["key"][:] == [episode.key for episode in episodes]
    assert [len(turns) for turns in rows["turns"]] == [len(episode.turns) for episode in episodes]
    assert rows[0]["turns"][0]["text"] == episodes[0].turns[0].text


def test_lines_are_json_that_anybody_reads(episodes: list[Episode], tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    save_episodes(episodes, path)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
        assert json.loads(line, parse_constant=refuse)["format_version"] == 1
