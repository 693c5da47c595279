"""``sotopia-env play``: a human in a terminal of 80 columns."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import sotopia_env
from sotopia_env.cli import app


class Terminal:
    """A command in a terminal of 80 columns."""

    def __init__(self, *arguments: object) -> None:
        self._screen, terminal = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sotopia_env.cli", "play", *map(str, arguments)],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env={**os.environ, "COLUMNS": "80", "LINES": "40", "TERM": "xterm"},
            start_new_session=True,
        )
        os.close(terminal)
        self.text = ""

    def read_until(self, pattern: str) -> str:
        """What is shown until it matches, from where the last reading ended; at the latest until the end."""
        start = len(self.text)
        deadline = time.monotonic() + 60
        while not re.search(pattern, self.text[start:]):
            ready, _, _ = select.select([self._screen], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{pattern!r} never appeared in {self.text!r}"
            try:
                found = os.read(self._screen, 65_536).decode()
            except OSError:
                break
            self.text += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", found)
        return self.text[start:]

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._screen, keys.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C, and again if it came just before the command began to wait for keys."""
        while self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=5)

    def end(self) -> int:
        """Read the rest; the exit code."""
        self.read_until("(?!)")
        return self.process.wait(timeout=60)

    def close(self) -> None:
        """Leave nothing behind."""
        self.process.kill()
        self.process.wait()
        os.close(self._screen)


def typed(lines: str, *arguments: str) -> Any:
    """The result of a command that reads its lines from no terminal."""
    return CliRunner().invoke(app, ["play", *arguments], input=lines)


@pytest.fixture
def open_terminal() -> Iterator[Callable[..., Terminal]]:
    """Terminals that are closed whatever happens."""
    with ExitStack() as opened:

        def make(*arguments: object) -> Terminal:
            terminal = Terminal(*arguments)
            opened.callback(terminal.close)
            return terminal

        yield make


def test_a_game_from_brief_to_verdict(open_terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    out = tmp_path / "e.jsonl"
    terminal = open_terminal("bargain", "scripted:firm", "--seat", 0, "--seed", 3, "--out", out)
    assert "You are" in terminal.read_until("You: $")
    terminal.type("How about $120?\n")
    assert "$" in terminal.read_until("You: $")
    terminal.type("/accept\n")
    assert terminal.end() == 0
    (episode,) = sotopia_env.load_episodes(out)
    assert episode.policies == {"agent_0": "human", "agent_1": "scripted:firm"}
    assert [turn.text for turn in episode.own_turns("agent_0")] == ["How about $120?", "accept"]
    assert episode.ending is not None
    assert episode.ending.reason == "agreement"
    (judgement,) = episode.judgements
    text = " ".join(terminal.text.split())
    for goal in judgement.scores["goal"]:
        assert f"{goal:.2f}" in text
    for findings in judgement.evidence["goal"]:
        assert findings[0] in text
    assert "The end: agreement by " in text
    assert max(map(len, terminal.text.splitlines()[:-1])) <= 80


def test_ctrl_c_and_the_end_of_the_input_leave_no_half_game(
    open_terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    out = tmp_path / "e.jsonl"
    terminal = open_terminal("bargain", "scripted:firm", "--out", out)
    terminal.read_until("You: $")
    terminal.interrupt()
    assert terminal.end() == 130
    assert "interrupted: nothing was saved" in terminal.text
    result = typed("Hello.\n", "bargain", "scripted:firm", "--out", str(out))
    assert result.exit_code == 1
    assert "the input ended before the conversation did: nothing was saved" in " ".join(result.stdout.split())
    assert not out.exists() or sotopia_env.load_episodes(out) == []


def test_every_seat_can_be_taken_and_the_verdict_printed_as_json(tmp_path: Path) -> None:
    options = ["--seat", "1", "--max-cycles", "6", "--json", "--out", str(tmp_path / "e.jsonl")]
    runs = [typed("Hello.\n" * 3, "bargain:test", "scripted:warm", *options) for _ in range(2)]
    first, second = (json.loads(run.stdout) for run in runs)
    assert first == second
    assert first["judgement"]["judge"] == "rule"
    assert "was played before" in runs[1].stderr
    (episode,) = sotopia_env.load_episodes(tmp_path / "e.jsonl")
    assert episode.policies == {"agent_0": "scripted:warm", "agent_1": "human"}
    assert [turn.text for turn in episode.own_turns("agent_1")] == ["Hello."] * 3


def test_another_judge_gives_the_verdict_and_the_file_keeps_the_rules(tmp_path: Path) -> None:
    options = ["--max-cycles", "2", "--json", "--judge", "strict", "--out", str(tmp_path / "e.jsonl")]
    run = typed("Hello.\n" * 3, "bargain:test", "scripted:warm", *options)
    assert json.loads(run.stdout)["judgement"]["judge"] == "strict"
    (episode,) = sotopia_env.load_episodes(tmp_path / "e.jsonl")
    assert [judgement.judge for judgement in episode.judgements] == ["rule"]


def test_what_cannot_be_played_is_one_line(call: Callable[..., Any]) -> None:
    for arguments, message in (
        (("bargain", "scripted:firm", "--seat", 2), "there are the seats 0 to 1"),
        (("bargain", "scripted:firm", "--task", "x"), "give another --seed"),
        (("bargain", "scripted:firm", "scripted:warm"), "2 policies for 1 other seats"),
        (("bargain", "scripted:nobody"), "unknown scripted policy"),
        (("bargain", "scripted:firm", "--port", 8000), "--port is of the page; give --web too"),
        (("bargain", "scripted:firm", "--open"), "--open is of the page; give --web too"),
        (("bargain", "scripted:firm", "scripted:warm", "random", "--web"), "3 policies for 1 other seats"),
        (("bargain", "human", "scripted:warm", "--web", "--seat", 1), "2 policies fill every seat"),
    ):
        result = call("play", *arguments)
        assert result.exit_code == 2
        assert message in result.stderr


def test_a_reward_is_told_turn_by_turn_and_any_order_can_be_played(tmp_path: Path) -> None:
    options = ["--reward", "episode", "--action-order", "simultaneous", "--out", str(tmp_path / "e.jsonl")]
    run = typed("Hello.\n/leave\n", "bargain:test", "scripted:warm", *options)
    (episode,) = sotopia_env.load_episodes(tmp_path / "e.jsonl")
    assert episode.action_order == "simultaneous"
    numbers = ", ".join(f"{number:.2f}" for number in episode.rewards["episode"]["agent_0"])
    assert f"Your turns were paid by episode: {numbers}" in run.stdout


def test_without_the_library_of_the_page_the_remedy_is_told(
    call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("sotopia_env.cli.web")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = call("play", "bargain", "scripted:firm", "--web")
    assert result.exit_code == 2
    assert "[web]" in result.stderr


@pytest.mark.skipif("SOTOPIA_ENV_DATA" not in os.environ, reason="SOTOPIA_ENV_DATA names no folder of Sotopia's files")
def test_a_published_scenario_is_chosen_by_its_id_or_by_the_seed(call: Callable[..., Any]) -> None:
    data = os.environ["SOTOPIA_ENV_DATA"]
    tasks = sotopia_env.load_tasks(data)
    assert call("play", data, "scripted:warm", "--task", "none such").exit_code == 2
    result = call("play", data, "scripted:warm", "--task", tasks[7].id)
    assert result.exit_code == 1
    name = tasks[7].characters[0].name
    assert f"You are {name} (agent_0)" in result.stdout
