"""Every option of every command with values that are none: one clear line, and nothing is begun."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace, UnionType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
import typer
from typer.models import OptionInfo

import sotopia_env
from sotopia_env.cli import app
from sotopia_env.rewards.audit.collect import collect_audit

Run = Callable[..., Any]

NEEDED = {
    "quickstart": ["--out", "OUT"],
    "rollout": ["bargain", "random"],
    "play": ["bargain", "random"],
    "train bc": ["EPISODES", "--out", "OUT"],
    "train rm": ["EPISODES", "--out", "OUT"],
    "train grpo": ["EMPTY", "--out", "OUT"],
    "evaluate": ["random"],
    "compare": ["episode", "--out", "OUT"],
    "check": ["random"],
    "view": ["EPISODES"],
    "relabel": ["EPISODES", "--reward", "episode", "--out", "OUT.jsonl"],
    "attack-judge": ["rule"],
    "audit": ["bargain", "--policy", "random", "--out", "OUT.jsonl"],
    "fidelity": ["AUDIT", "episode"],
    "audit-model": ["EMPTY", "AUDIT"],
    "convert": ["EPISODES", "OUT.jsonl", "--format", "reward"],
    "recipe": ["small", "--model", "MODEL", "--judge", "llm:m@http://127.0.0.1:9/v1", "--out", "OUT"],
    "results": ["--out", "OUT"],
}
"""What each command cannot do without."""

MADE = {"out", "cache", "ledger"}
"""Files and folders that need not be there."""

LATER = {("train grpo", "partner"), ("convert", "profiles"), ("convert", "tag")}
"""Looked at once the model is loaded, for published episodes alone, or a word of one's own."""


def commands() -> Iterator[tuple[str, Callable[..., Any]]]:
    for one in app.registered_commands:
        yield str(one.name), one.callback  # type: ignore[misc]
    for group in app.registered_groups:
        for one in group.typer_instance.registered_commands:  # type: ignore[union-attr]
            yield f"{group.name} {one.name}", one.callback  # type: ignore[misc]


def options() -> Iterator[tuple[str, str, str, type]]:
    """Command, name of the argument, option and type, of all options but switches."""
    for command, name, written, kind, _ in described_options():
        yield command, name, written, kind


def described_options() -> Iterator[tuple[str, str, str, type, OptionInfo]]:
    """Likewise, with what typer knows of each."""
    for command, function in commands():
        hints = get_type_hints(function, include_extras=True)
        for name in inspect.signature(function).parameters:
            if get_origin(hints[name]) is not Annotated:
                continue
            kind, *extras = get_args(hints[name])
            option = next((extra for extra in extras if isinstance(extra, OptionInfo)), None)
            if option is None:
                continue
            if get_origin(kind) is UnionType:
                kind = next(one for one in get_args(kind) if one is not type(None))
            given = (option.default, *(option.param_decls or ()))
            written = [text for text in given if isinstance(text, str) and text.startswith("--")]
            if kind is not bool:
                yield command, name, written[0] if written else f"--{name.replace('_', '-')}", kind, option


def bad_values() -> Iterator[tuple[str, str, str]]:
    for command, name, option, kind in options():
        if kind in (int, float):
            yield from ((command, option, value) for value in ("-1", "some"))
        if kind is float:
            yield from ((command, option, value) for value in ("nan", "inf"))
        elif kind is not int and name not in MADE and (command, name) not in LATER:
            yield command, option, "no-such-thing"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    made = {
        "EPISODES": folder / "e.jsonl",
        "AUDIT": folder / "a.jsonl",
        "EMPTY": folder / "empty",
        "MODEL": folder / "model",
    }
    sotopia_env.rollout("bargain", "scripted:mixed", num_episodes=2, seed=0, out=made["EPISODES"])
    sizes = {"num_turns": 2, "candidates": 2, "continuations": 4, "label_continuations": 2}
    collect_audit("bargain:test", "scripted:mixed", out=made["AUDIT"], **sizes)
    made["EMPTY"].mkdir()
    made["MODEL"].mkdir()
    (made["MODEL"] / "config.json").write_text("{}")
    return made


@pytest.mark.parametrize(("command", "option", "value"), list(bad_values()))
def test_a_value_that_is_none_is_refused_in_words(
    call: Run, files: dict[str, Path], tmp_path: Path, command: str, option: str, value: str
) -> None:
    if command.startswith("train"):
        pytest.importorskip("trl")
    given = {**files, "OUT": tmp_path / "out", "OUT.jsonl": tmp_path / "out.jsonl"}
    needed = [given.get(word, word) for word in NEEDED.get(command, ())]
    if option in needed:
        place = needed.index(option)
        del needed[place : place + 2]
    result = call(*command.split(), *needed, option, value)
    assert result.exit_code == 2, (result.exit_code, result.stdout, result.stderr, result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    said = " ".join(result.stderr.replace("│", " ").split())
    assert "Traceback" not in said
    assert option.removeprefix("--") in said or value in said
    assert not list(tmp_path.rglob("*.jsonl"))


OF_WHAT_IS_THERE = {"play --seat", "relabel --levels"}
"""Numbers that name one of a few; the walk above gives them wrong ones."""

NUMBERS = [
    (f"{command} {written}", info)
    for command, _, written, kind, info in described_options()
    if kind in (int, float) and f"{command} {written}" not in OF_WHAT_IS_THERE
]


@pytest.mark.parametrize(("written", "info"), NUMBERS, ids=[written for written, _ in NUMBERS])
def test_no_number_is_so_large_that_a_command_never_ends(written: str, info: OptionInfo, capsys: Any) -> None:
    """Not by running it: what was not refused would run."""
    if info.callback is None:
        pytest.fail(f"{written} takes any number")
    for value in (10**12, 10**400):
        with pytest.raises(typer.Exit):
            info.callback(SimpleNamespace(opts=[written]), value)
        assert f"{written}: {value} is not between" in "".join(capsys.readouterr().err.split("\n"))


def test_the_walk_meets_every_command() -> None:
    assert {command for command, *_ in options()} == {name for name, _ in commands()} - {"list", "show"}


FILES = [
    ("rollout", "PLAYED random"),
    ("play", "PLAYED random"),
    ("gates", "bargain --clone FILE"),
    ("train bc", "FILE --out OUT"),
    ("train rm", "FILE --out OUT"),
    ("train grpo", "FILE --out OUT"),
    ("evaluate", "random --on PLAYED"),
    ("compare", "episode --on PLAYED --out OUT"),
    ("relabel", "FILE --reward episode --out OUT.jsonl"),
    ("attack-judge", "rule FILE"),
    ("audit", "PLAYED --policy random --out OUT.jsonl"),
    ("fidelity", "FILE episode"),
    ("audit-model", "FILE AUDIT"),
    ("convert", "FILE OUT.jsonl --format sft"),
    ("recipe", "FILE --out OUT"),
    ("measure-agreement", "FILE"),
    ("view", "FILE"),
    ("show", "FILE"),
]
"""Where each command reads a file or a folder."""


@pytest.mark.parametrize("kind", ["absent", "folder", "blank", "binary"])
@pytest.mark.parametrize(("command", "arguments"), FILES, ids=[f"{name} {rest}" for name, rest in FILES])
def test_a_file_that_is_none_is_refused_by_its_name(
    call: Run, files: dict[str, Path], tmp_path: Path, command: str, arguments: str, kind: str
) -> None:
    if command.startswith("train"):
        pytest.importorskip("trl")
    bad = tmp_path / f"{kind}.jsonl"
    if kind == "folder":
        bad.mkdir()
    elif kind != "absent":
        bad.write_bytes(b"" if kind == "blank" else bytes(range(128, 256)) * 20)
    given = {**files, "FILE": bad, "PLAYED": bad, "OUT": tmp_path / "out", "OUT.jsonl": tmp_path / "out.jsonl"}
    result = call(*command.split(), *(given.get(word, word) for word in arguments.split()))
    assert result.exit_code == 2, (result.exit_code, result.stdout, result.stderr, result.exception)
    said = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(said) == 1, result.stderr
    assert bad.name in said[0]
    assert not (tmp_path / "out.jsonl").exists()


OUTS = ["rollout", "audit", "relabel", "compare", "results", "convert", "quickstart", "train bc"]


@pytest.mark.parametrize("command", OUTS)
def test_an_output_below_a_file_is_refused_before_work(
    call: Run, files: dict[str, Path], tmp_path: Path, command: str
) -> None:
    if command.startswith("train"):
        pytest.importorskip("trl")
    (tmp_path / "file").write_text("kept")
    below = tmp_path / "file" / "out"
    given = {**files, "OUT": below, "OUT.jsonl": below.with_suffix(".jsonl")}
    needed = [given.get(word, word) for word in NEEDED[command]]
    if command == "rollout":
        needed += ["--out", given["OUT.jsonl"], "-n", "1"]
    result = call(*command.split(), *needed)
    assert result.exit_code == 2, (result.exit_code, result.stdout, result.stderr, result.exception)
    assert "error: " in result.stderr
    assert str(tmp_path / "file") in result.stderr
    assert (tmp_path / "file").read_text() == "kept"
