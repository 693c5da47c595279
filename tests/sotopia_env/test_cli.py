"""The command line: results on stdout, progress and errors on stderr, exit codes, interruption, resumption."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import sotopia_env
from sotopia_env.cli import app

ROOT = Path(__file__).parents[2]


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def done(*arguments: object) -> str:
    result = call(*arguments)
    assert result.exit_code == 0, result.stderr
    return str(result.stdout)


def refused(*arguments: object) -> str:
    """The one line on stderr of a command that the user has to mend."""
    result = call(*arguments)
    assert result.exit_code == 2, (result.exit_code, result.stdout, result.stderr)
    assert "Traceback" not in result.stderr
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, result.stderr
    assert result.stdout == ""
    return str(errors[0])


def start(*arguments: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "sotopia_env.cli", *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("kind", "some"),
    [
        ("tasks", "bargain:test"),
        ("policies", "scripted:warm"),
        ("rewards", "episode"),
        ("judges", "rule"),
    ],
)
def test_every_kind_of_name_is_listed(kind: str, some: str) -> None:
    names = done("list", kind).split("\n")
    assert some in names
    assert json.loads(done("list", kind, "--json")) == {kind: names[:-1]}
    assert f"  {some}" in done("list").split("\n")


def test_listed_scripted_policies_play() -> None:
    for name in done("list", "policies").split():
        if name.startswith("scripted:") or name == "random":
            assert done("rollout", "bargain:test", name, "-n", 1)


def test_a_rollout_fills_a_file_and_goes_on_where_it_was(tmp_path: Path) -> None:
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
    again = path.read_bytes()
    assert json.loads(done(*more)) == summary
    assert path.read_bytes() == again
    expected = sotopia_env.rollout("bargain", ["scripted:warm", "scripted:firm"], num_episodes=7, seed=3)
    # Episodes stand in the file in the order in which they ended.
    assert sorted(sotopia_env.load_episodes(path), key=lambda episode: episode.key) == expected


def test_a_rollout_pays_a_reward_and_keeps_a_turn_limit(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    done("rollout", "bargain", "random", "-n", 2, "--out", path, "--reward", "uniform", "--max-cycles", 4)
    for episode in sotopia_env.load_episodes(path):
        assert set(episode.rewards) == {"uniform"}
        assert len(episode.turns) <= 4


def test_policies_are_evaluated_and_compared(tmp_path: Path) -> None:
    command = ("evaluate", "scripted:soft", "scripted:firm", "-n", 6, "--partner", "scripted:warm", "--out", tmp_path)
    data = json.loads(done(*command, "--json"))
    assert [row["name"] for row in data["rows"]] == ["scripted:soft", "scripted:firm"]
    assert [row["episodes"] for row in data["rows"]] == [12, 12]
    found = data["differences"]["scripted:firm"]["goal"]
    assert set(found) >= {"mean", "low", "high"}
    assert found["low"] <= found["mean"] <= found["high"]
    assert len(list(tmp_path.glob("*.jsonl"))) == 2
    assert f"goal of scripted:firm - scripted:soft: {found['mean']:+.2f}" in done(*command)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("list", "nonsense"), "'nonsense' is none of tasks, policies, rewards, judges"),
        (("rollout", "nowhere", "random"), "unknown family 'nowhere'; one of bargain"),
        (("rollout", "bargain:dusk", "random"), "'dusk' is no split; one of train, validation, test"),
        (("rollout", "no/such.json", "random"), "there is no file or folder 'no/such.json'"),
        (("rollout", "no_such_module:Family", "random"), "no module 'no_such_module'"),
        (("rollout", "bargain", "polite"), "unknown policy 'polite'; one of random, scripted:mixed"),
        (("rollout", "bargain", "scripted:polite"), "unknown scripted policy 'polite'; one of firm"),
        (("rollout", "bargain", "random", "random", "random"), "3 given for 2 seats"),
        (("rollout", "bargain", "random", "--reward", "gold"), "unknown reward 'gold'; one of episode"),
        (("rollout", "bargain", "random", "-n", 0), "num_episodes: 0 is not a positive number"),
        (("rollout", "bargain", "random", "--batch-size", 0), "batch_size: 0 is not a positive number"),
        (("evaluate", "polite"), "unknown policy 'polite'"),
        (("evaluate", "random", "--partner", "polite"), "unknown policy 'polite'"),
        (("evaluate", "random", "--judge", "jury"), "unknown judge 'jury'"),
        (("evaluate", "random", "--on", "bargain:train"), "training split"),
        (("evaluate", "random", "-n", 0), "the list of tasks is empty"),
        (("gates", "nowhere"), "only bargain has gates"),
    ],
)
def test_what_a_user_can_mend_is_one_line(arguments: tuple[object, ...], message: str) -> None:
    assert message in refused(*arguments)


def test_files_and_folders_that_do_not_fit_are_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert f"{empty}: neither this folder nor a sub-folder holds" in refused("rollout", empty, "random")
    malformed = tmp_path / "tasks.json"
    malformed.write_text('{"a": [1', encoding="utf-8")
    assert str(malformed) in refused("rollout", malformed, "random")
    malformed.write_text('[{"situation": "[red]Here[/red]"}]', encoding="utf-8")
    assert str(malformed) in refused("evaluate", "random", "--on", malformed)
    cut = tmp_path / "e.jsonl"
    cut.write_text('{"key": \n', encoding="utf-8")
    assert f"{cut}, line 1: not valid JSON" in refused("rollout", "bargain", "random", "--out", cut)


def test_episodes_of_another_run_are_not_mixed_in(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    done("rollout", "bargain", "scripted:warm", "-n", 2, "--out", path)
    before = path.read_bytes()
    assert "was played with other policies" in refused("rollout", "bargain", "scripted:firm", "-n", 2, "--out", path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("arguments", [("rollout", "bargain", "random", "--nope"), ("rollout",), ("dance",)])
def test_a_wrong_argument_ends_with_its_usage(arguments: tuple[str, ...]) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr
    assert "Traceback" not in result.stderr


def test_a_message_is_one_line_in_a_narrow_terminal_and_its_brackets_stay(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    folder = tmp_path / "a [leave] b"
    folder.mkdir()
    line = refused("rollout", folder, "random")
    assert "a [leave] b: neither this folder" in line
    assert len(line) > 120


def test_the_module_runs_as_a_program() -> None:
    process = start("rollout", "bargain", "scripted:warm", "-n", 2, "--json")
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert json.loads(out)["episodes"] == 2
    assert "2/2" in errors
    process = start("rollout", "nowhere", "random")
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert errors.startswith("error: unknown family 'nowhere'")
    assert errors.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_an_interrupted_rollout_keeps_what_is_finished_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    command = ("rollout", "bargain", "scripted:mixed", "-n", 1200, "--batch-size", 8, "--out", path)
    process = start(*command)
    deadline = time.monotonic() + 60
    while not path.exists() or path.read_bytes().count(b"\n") < 40:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert "interrupted: finished episodes are in the file, and the same command goes on" in " ".join(errors.split())
    kept = path.read_bytes()
    finished = len(sotopia_env.load_episodes(path))
    assert 40 <= finished < 1200
    assert "1200 episodes: " in done(*command)
    assert path.read_bytes().startswith(kept)
    assert len({episode.key for episode in sotopia_env.load_episodes(path)}) == 1200


@pytest.fixture(scope="module")
def experts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("experts") / "e.jsonl"
    done("rollout", "bargain", "scripted:mixed", "-n", 6, "--max-cycles", 6, "--out", path)
    return path


def test_settings_of_training_are_checked_before_anything_is_done(experts: Path, tmp_path: Path) -> None:
    pytest.importorskip("trl")
    out = tmp_path / "out"
    clone = ("train", "bc", experts, "--out", out)
    assert "--max_stepz: CloningConfig has no setting of that name; did you mean max_steps" in refused(
        *clone, "--max_stepz", 2
    )
    assert "--max_steps: 'many' does not fit" in refused(*clone, "--max_steps", "many")
    assert "'stray' belongs to no option" in refused(*clone, "stray")
    assert "there is no file" in refused(*clone, "--config", tmp_path / "none.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("learning_rate: [1", encoding="utf-8")
    assert f"{broken} is no YAML" in refused(*clone, "--config", broken)
    broken.write_text("learning_rates: 0.1", encoding="utf-8")
    assert f"{broken}: learning_rates: CloningConfig has no setting" in refused(*clone, "--config", broken)
    assert "none.jsonl" in refused("train", "bc", tmp_path / "none.jsonl", "--out", out)
    nothing = tmp_path / "nothing.jsonl"
    nothing.write_text("", encoding="utf-8")
    assert f"{nothing} holds no episode" in refused("train", "bc", nothing, "--out", out)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert f"the directory {empty} is empty" in refused("train", "grpo", empty, "--out", out, "--max_steps", 1)
    assert "huge' is none of default, small" in refused("quickstart", "--preset", "huge", "--out", out)
    assert not out.exists()


@pytest.mark.slow
def test_a_clone_and_a_learner_are_trained_and_evaluated(experts: Path, tmp_path: Path) -> None:
    config = tmp_path / "bc.yaml"
    config.write_text("learning_rate: 3e-3\nmax_steps: 9\nlogging_steps: 1\n", encoding="utf-8")
    clone, learner = tmp_path / "bc", tmp_path / "grpo"
    command = ("train", "bc", experts, "--out", clone, "--config", config, "--per_device_train_batch_size", 4)
    first = call(*command, "--max_steps", 2)
    assert first.exit_code == 0, first.stderr
    assert f"use it as local:{clone}" in first.stderr
    assert json.loads((clone / "complete.json").read_text(encoding="utf-8"))["steps"] == 2
    weights = (clone / "model.safetensors").read_bytes()
    done(*command, "--max_steps", 2)
    assert (clone / "model.safetensors").read_bytes() == weights
    assert "written by a run with other data or settings" in refused(*command, "--max_steps", 3)

    sizes = ("--max_steps", 2, "--per_device_train_batch_size", 4, "--num_generations", 2, "--max_turn_tokens", 4)
    trained = call("train", "grpo", clone, "--out", learner, "--tasks", "bargain:train", *sizes, "--seats", "[0]")
    assert trained.exit_code == 0, trained.stderr
    assert "model shards" not in trained.stderr
    assert "Loading weights" not in trained.stderr
    assert len((learner / "metrics.jsonl").read_text(encoding="utf-8").splitlines()) >= 2
    rows = json.loads(done("evaluate", f"local:{learner}", "-n", 2, "--partner", "scripted:firm", "--json"))["rows"]
    assert rows[0]["episodes"] == 4
