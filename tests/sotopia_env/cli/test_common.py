from __future__ import annotations

import json
import select
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy
import pytest

from sotopia_env.cli.common import in_mode
from sotopia_env.families import Bargain
from sotopia_env.families.formal import MODES, is_formal
from sotopia_env.installing import install_command
from sotopia_env.published import save_tasks

Run = Callable[..., Any]


@pytest.mark.parametrize(
    ("tasks", "agreement", "default", "made"),
    [
        ("bargain", None, None, "bargain"),
        ("bargain", None, "formal", "bargain?agreement=formal"),
        ("divide:test?coupling=0.5", None, "formal", "divide:test?coupling=0.5&agreement=formal"),
        ("divide:test", "plain", "formal", "divide:test?agreement=plain"),
        ("bargain?agreement=plain", None, "formal", "bargain?agreement=plain"),
        ("mini", None, "formal", "mini"),
    ],
)
def test_a_mode_is_added_to_a_name(tasks: str, agreement: str | None, default: str | None, made: str) -> None:
    assert in_mode(tasks, agreement, default) == made


def test_tasks_of_a_file_are_played_as_they_are_unless_a_mode_is_asked_for(tmp_path: Path) -> None:
    drawn = [Bargain(agreement=mode).generate(numpy.random.default_rng(i), "test") for i, mode in enumerate(MODES)]
    path = tmp_path / "tasks.jsonl"
    save_tasks(drawn, path)
    assert in_mode(str(path), None, "formal") == in_mode(str(path), None) == str(path)
    for mode in MODES:
        assert [is_formal(task) for task in in_mode(str(path), mode)] == [mode == "formal"] * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rollout", "bargain", "random", "--agreement", "loose"), "agreement: 'loose' is none of plain, formal"),
        (("evaluate", "random", "--on", "bargain?agreement=plain", "--agreement", "formal"), "say it once"),
        (("rollout", "mini", "random", "--agreement", "formal"), "'agreement' is no option of mini"),
        (("list", "nonsense"), "'nonsense' is none of tasks, policies, rewards, judges"),
        (("rollout", "nowhere", "random"), "unknown family 'nowhere'; one of bargain"),
        (("rollout", "bargain:dusk", "random"), "'dusk' is no split; one of train, validation, test"),
        (("rollout", "no/such.json", "random"), "there is no file or folder 'no/such.json'"),
        (("rollout", "no_such_module:Family", "random"), "no module 'no_such_module'"),
        (("rollout", "bargain", "polite"), "unknown policy 'polite'; one of random, erratic, scripted:mixed"),
        (("rollout", "bargain", "scripted:polite"), "unknown scripted policy 'polite'; one of firm"),
        (("rollout", "bargain", "random", "random", "random"), "3 given for 2 seats"),
        (("rollout", "bargain", "random", "--reward", "gold"), "unknown reward 'gold'; one of episode"),
        (("rollout", "bargain", "random", "-n", 0), "--num-episodes: 0 is not 1 or more"),
        (("rollout", "bargain", "random", "--batch-size", 0), "--batch-size: 0 is not 1 or more"),
        (("evaluate", "polite"), "unknown policy 'polite'"),
        (("evaluate", "random", "--partner", "polite"), "unknown policy 'polite'"),
        (("evaluate", "random", "--judge", "jury"), "unknown judge 'jury'"),
        (("evaluate", "random", "--on", "bargain:train"), "training split"),
        (("evaluate", "random", "-n", 0), "--tasks: 0 is not 1 or more"),
        (("gates", "nowhere"), "'nowhere': only bargain"),
    ],
)
def test_what_a_user_can_mend_is_one_line(refused: Run, arguments: tuple[object, ...], message: str) -> None:
    assert message in refused(*arguments)


def test_files_and_folders_that_do_not_fit_are_named(refused: Run, tmp_path: Path) -> None:
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


@pytest.mark.parametrize("arguments", [("rollout", "bargain", "random", "--nope"), ("rollout",), ("dance",)])
def test_a_wrong_argument_ends_with_its_usage(call: Run, arguments: tuple[str, ...]) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr
    assert "Traceback" not in result.stderr


def test_a_message_is_one_line_in_a_narrow_terminal_and_its_brackets_stay(
    refused: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    folder = tmp_path / "a [leave] b"
    folder.mkdir()
    line = refused("rollout", folder, "random")
    assert "a [leave] b: neither this folder" in line
    assert len(line) > 120


@pytest.mark.skipif(not hasattr(select, "poll"), reason="a closed pipe cannot be told here")
@pytest.mark.parametrize("arguments", [("list",), ("rollout", "bargain", "random", "-n", 1)])
def test_who_reads_no_further_hears_no_complaint(start: Run, arguments: tuple[object, ...]) -> None:
    process = start(*arguments)
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait(timeout=60) == 1
    assert "rror" not in errors and "pipe" not in errors


def test_a_run_with_another_seed_is_told_by_both(done: Run, refused: Run, tmp_path: Path) -> None:
    command = ("rollout", "bargain", "random", "-n", 1, "--out", tmp_path / "e.jsonl")
    done(*command)
    assert "was played with other seed (0, not 1)" in refused(*command, "--seed", 1)


def test_the_module_runs_as_a_program(start: Run) -> None:
    process = start("rollout", "bargain", "scripted:warm", "-n", 2, "--json")
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert json.loads(out)["episodes"] == 2
    assert "2/2" in errors
    process = start("rollout", "nowhere", "random")
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert errors.splitlines()[-1].startswith("error: unknown family 'nowhere'")
    assert "Traceback" not in errors


def test_an_object_of_the_wrong_kind_is_one_line(refused: Run) -> None:
    assert "is no policy" in refused("rollout", "bargain", "math:pi")
    assert "is no family" in refused("rollout", "math:pi", "random")
    assert "is no reward" in refused("rollout", "bargain", "random", "--reward", "math:pi")


@pytest.mark.parametrize(
    "fault",
    [
        lambda: int("many"),
        lambda: len(3),  # type: ignore[arg-type]
        lambda: {}["absent"],
        lambda: numpy.zeros(2) + numpy.zeros(3),
        lambda: 1 / 0,
        lambda: import_module("nowhere_at_all"),
    ],
    ids=["int", "len", "key", "numpy", "zero", "import"],
)
def test_a_fault_keeps_its_traceback(call: Run, monkeypatch: pytest.MonkeyPatch, fault: Callable[[], object]) -> None:
    def rollout(*_: object, **__: object) -> None:
        fault()

    monkeypatch.setattr("sotopia_env.rollouts.rollout.rollout", rollout)
    result = call("rollout", "bargain", "random")
    assert result.exit_code == 1
    assert result.exception is not None
    assert not isinstance(result.exception, SystemExit)
    assert "error: " not in result.stderr


def test_the_extra_of_a_missing_library_is_named(refused: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def rollout(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'trl'", name="trl.trainer")

    monkeypatch.setattr("sotopia_env.rollouts.rollout.rollout", rollout)
    assert f"needs more: {install_command('train')}" in refused("rollout", "bargain", "random")


def test_ray_and_its_options_are_refused_where_they_make_no_sense(
    refused: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert install_command("ray") in refused("rollout", "bargain", "random", "-n", 2, "--ray", "local")
    assert "with --ray the cluster shares the work" in refused(
        "evaluate", "random", "-n", 2, "--ray", "auto", "--processes", 2
    )
    assert "--gpus-per-task is of tasks on Ray; give --ray too" in refused("results", "--gpus-per-task", 1)


@pytest.mark.parametrize(
    ("command", "called", "after"),
    [
        (("rollout", "bargain", "random"), "sotopia_env.rollouts.rollout.rollout", "interrupted\n"),
        (
            ("rollout", "bargain", "random", "--out", "e.jsonl"),
            "sotopia_env.rollouts.rollout.rollout",
            "interrupted: finished episodes are in the file, and the same command goes on\n",
        ),
        (("evaluate", "random"), "sotopia_env.training.evaluation.evaluate_many", "interrupted\n"),
    ],
)
def test_an_interrupted_command_says_what_is_left(
    call: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], called: str, after: str
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(called, interrupt)
    result = call(*command)
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", after)
