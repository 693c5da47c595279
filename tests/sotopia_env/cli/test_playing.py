from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import sotopia_env

Run = Callable[..., Any]


@pytest.mark.parametrize(
    ("kind", "some"),
    [
        ("tasks", "bargain:test"),
        ("policies", "scripted:warm"),
        ("rewards", "episode"),
        ("judges", "rule"),
    ],
)
def test_every_kind_of_name_is_listed(done: Run, kind: str, some: str) -> None:
    names = [line.split("  ")[0] for line in done("list", kind).splitlines()]
    assert some in names
    assert json.loads(done("list", kind, "--json")) == {kind: names}
    assert f"  {some} " in done("list")


def test_what_was_paid_is_told(done: Run) -> None:
    name = "uniform + 0.5 * length"
    command = ("rollout", "bargain:test", "scripted:mixed", "-n", 3, "--reward", name)
    paid = json.loads(done(*command, "--json"))["paid"]
    assert (paid["reward"], paid["known"], paid["of"]) == (name, 6, 6)
    assert f"paid by {name}: mean {paid['mean']:.4g} a turn (6 of 6 dialogues known)" in done(*command)


def test_listed_scripted_policies_play(done: Run) -> None:
    for name in done("list", "policies").split():
        if name.startswith("scripted:") or name == "random":
            assert done("rollout", "bargain:test", name, "-n", 1)


def test_a_rollout_fills_a_file_and_goes_on_where_it_was(done: Run, tmp_path: Path) -> None:
    path = tmp_path / "folder" / "e.jsonl"
    shown = done("rollout", "bargain", "scripted:warm", "scripted:firm", "-n", 4, "--out", path, "--seed", 3)
    assert "believability" in shown
    assert "4 episodes: " in shown
    first = path.read_text(encoding="utf-8")
    more = ("rollout", "bargain", "scripted:warm", "scripted:firm", "-n", 7, "--out", path, "--seed", 3, "--json")
    summary = json.loads(done(*more))
    assert path.read_text(encoding="utf-8").startswith(first)
    assert summary["episodes"] == sum(summary["endings"].values()) == len(sotopia_env.load_episodes(path)) == 7
    assert summary["invalid_turns"] == 0
    assert len(summary["scores"]) == 7
    assert summary["scores"]["believability"] == [10.0, 10.0]
    assert summary["known"]["believability"] == [7, 7]
    again = path.read_bytes()
    assert json.loads(done(*more)) == summary
    assert path.read_bytes() == again
    seated = ["scripted:warm", "scripted:firm"]
    expected = sotopia_env.rollout("bargain?agreement=formal", seated, num_episodes=7, seed=3)
    assert sotopia_env.load_episodes(path) == expected


@pytest.mark.parametrize(
    ("tasks", "options", "made"),
    [
        ("bargain", (), "formal"),
        ("bargain", ("--agreement", "plain"), "plain"),
        ("bargain?agreement=plain", (), "plain"),
        ("bargain?zones=wide", (), "formal"),
        ("mini", (), ""),
    ],
)
def test_a_rollout_is_formal_unless_it_is_told_otherwise(
    done: Run, tasks: str, options: tuple[str, ...], made: str
) -> None:
    command = ("rollout", tasks, "scripted:warm", "-n", 2, *options)
    assert json.loads(done(*command, "--json"))["agreement"] == made
    assert (f"({made} agreements)" in done(*command)) == bool(made)


def test_goals_in_empty_zones_stand_apart(done: Run) -> None:
    played = json.loads(done("rollout", "bargain:transfer?zones=empty", "scripted:firm", "-n", "3", "--json"))
    assert played["scores"]["goal"] == [None, None]
    assert None not in played["scores"]["believability"]


def test_a_rollout_may_be_parquet_with_token_traces(done: Run, refused: Run, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "e.parquet"
    done("rollout", "bargain", "scripted:warm", "-n", 2, "--out", path, "--traces")
    assert len(sotopia_env.load_episodes(path)) == 2
    manifest = json.loads((tmp_path / "e.manifest.json").read_text(encoding="utf-8"))
    assert manifest["run"]["traces"] is True
    assert manifest["sessions"][0]["command"].startswith("sotopia-env")
    assert "give out" in refused("rollout", "bargain", "scripted:warm", "-n", 2, "--traces")


@pytest.mark.slow
def test_a_rollout_may_be_shared_among_processes(done: Run, tmp_path: Path) -> None:
    one, two = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    for path, processes in ((one, 1), (two, 2)):
        done("rollout", "bargain", "scripted:mixed", "-n", 20, "--out", path, "--processes", processes)
    assert one.read_bytes() == two.read_bytes()


def test_a_rollout_pays_a_reward_and_keeps_a_turn_limit(done: Run, tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    done("rollout", "bargain", "random", "-n", 2, "--out", path, "--reward", "uniform", "--max-cycles", 4)
    for episode in sotopia_env.load_episodes(path):
        assert set(episode.rewards) == {"uniform"}
        assert len(episode.turns) <= 4


def test_episodes_of_another_run_are_not_mixed_in(done: Run, refused: Run, tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    done("rollout", "bargain", "scripted:warm", "-n", 2, "--out", path)
    before = path.read_bytes()
    assert "was played with other policies" in refused("rollout", "bargain", "scripted:firm", "-n", 2, "--out", path)
    assert path.read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_an_interrupted_rollout_keeps_what_is_finished_and_goes_on(done: Run, start: Run, tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    command = ("rollout", "bargain", "scripted:mixed", "-n", 1200, "--batch-size", 8, "--out", path)
    process = start(*command)
    deadline = time.monotonic() + 60
    while not path.exists() or path.read_bytes().count(b"\n") < 40:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    # One in some fifty is swallowed: NumPy's `choice` clears a KeyboardInterrupt that comes while it looks at a list.
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=2)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert "interrupted: finished episodes are in the file, and the same command goes on" in " ".join(errors.split())
    kept = path.read_bytes()
    finished = len(sotopia_env.load_episodes(path))
    assert 40 <= finished < 1200
    assert "1200 episodes: " in done(*command)
    assert set(kept.splitlines()) <= set(path.read_bytes().splitlines())
    assert len({episode.key for episode in sotopia_env.load_episodes(path)}) == 1200


def test_the_version_is_printed(done: Run) -> None:
    assert done("--version") == f"sotopia-env {sotopia_env.__version__}\n"
