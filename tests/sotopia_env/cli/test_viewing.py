from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sotopia_env.resolve import make_policy
from sotopia_env.rollouts.rollout import rollout
from sotopia_env.storage.episodes import save_episodes


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "e.jsonl"
    policies = [make_policy("scripted:firm"), make_policy("scripted:warm")]
    save_episodes(rollout("bargain:test?agreement=formal", policies, num_episodes=3), path)
    return path


def test_show_prints_what_print_does(file: Path, done: Callable[..., str]) -> None:
    episode = rollout(
        "bargain:test?agreement=formal", [make_policy("scripted:firm"), make_policy("scripted:warm")], num_episodes=1
    )[0]
    shown = done("show", file, "0-0")
    assert [line.rstrip() for line in shown.splitlines()] == str(episode).splitlines()
    assert "\x1b" not in shown


def test_show_lists_the_episodes_of_a_file_or_folder(file: Path, done: Callable[..., str]) -> None:
    listed = done("show", file)
    assert [line.split("  ")[0] for line in listed.splitlines() if line.startswith("0-")] == ["0-0", "0-1", "0-2"]
    save_episodes(rollout("mini:test", [make_policy("random")], num_episodes=1), file.parent / "more" / "m.jsonl")
    both = done("show", file.parent)
    assert [line for line in both.splitlines() if line.endswith(":")] == [
        f"{file.parent.name}/e.jsonl:",
        f"{file.parent.name}/more/m.jsonl:",
    ]


def test_a_list_that_nobody_reads_to_its_end_is_no_error(file: Path) -> None:
    command = [sys.executable, "-m", "sotopia_env.cli", "show", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


def test_view_writes_a_page_beside_the_file(file: Path, call: Callable[..., Any]) -> None:
    result = call("view", file, "--reward", "uniform")
    assert result.exit_code == 0, result.stderr
    page = file.with_suffix(".html")
    assert result.stdout == f"{page}\n"
    assert result.stderr.startswith("3 episodes, ")
    # A page of its own is written anew; nothing else is written over.
    assert call("view", file).exit_code == 0
    assert not list(file.parent.glob(".*"))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["view", "FILE", "--out", "NOTES"], "notes.txt exists and is no page of this command"),
        (["view", "FILE", "--out", "FOLDER"], "is a folder; name a file in it"),
        (["view", "FOLDER/none.jsonl"], "there is no file or folder"),
        (["view", "NOTES", "--out", "FOLDER/n.html"], "notes.txt: not JSON at line 1"),
        (["view", "EMPTY"], "empty.jsonl is empty"),
        (["view", "FILE", "--out", "FOLDER/n.html", "--reward", "nonsense"], "unknown reward 'nonsense'"),
        (["show", "EMPTY"], "empty.jsonl is empty"),
        (["show", "FILE", "0-7"], "no episode has the key '0-7'; did you mean 0-"),
        (["show", "FILE", "0"], "'0' is 3 episodes: 0-0, 0-1, 0-2"),
    ],
)
def test_what_cannot_be_shown_is_one_line(
    arguments: list[str], error: str, file: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "empty.jsonl").touch()
    places = {"FILE": file, "NOTES": tmp_path / "notes.txt", "EMPTY": tmp_path / "empty.jsonl", "FOLDER": tmp_path}
    named = []
    for argument in arguments:
        for name, path in places.items():
            argument = argument.replace(name, str(path))
        named.append(argument)
    assert error in refused(*named)
    assert (tmp_path / "notes.txt").read_text() == "notes"
