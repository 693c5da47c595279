"""No time is asserted, and no peer installed: only how rounds are played and what is made of them."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sotopia_env import benchmark_peers as peers
from sotopia_env.families import Bargain

ARGUMENTS = json.dumps((["Hello.", "Well."], [Bargain().generate(np.random.default_rng(0)).to_dict()], 5))
PEER = """
print("a library that prints")
def play():
    return 7 * len(tasks), 0.0
"""


def test_processes_play_in_turn_what_they_are_told() -> None:
    ours = peers.OURS.format(source="tasks", options="{'task': task}")
    with ExitStack() as stack:
        players = [stack.enter_context(peers.player(sys.executable, code, ARGUMENTS, None)) for code in (ours, PEER)]
        rounds = peers.in_rounds(players, 2)
    assert [[steps for steps, _, _ in played] for played in rounds] == [[50, 70], [50, 70]]
    assert all(0 < resets < seconds for ((_, seconds, resets), _) in rounds)


def test_a_process_that_stops_is_told() -> None:
    told = pytest.raises(RuntimeError, match="a process that plays stopped")
    with peers.player(sys.executable, "import no_such_peer", ARGUMENTS, None) as player, told:
        peers.in_rounds([player], 1)


def test_rounds_are_compared_one_by_one() -> None:
    rounds = [
        [(20, 2.0, 1.0), (20, 4.0, 2.0), (20, 8.0, 4.0)],
        [(20, 2.0, 1.0), (20, 6.0, 2.0), (20, 6.0, 4.0)],
        [(20, 2.0, 1.0), (20, 2.0, 1.0), (20, 2.0, 1.0)],
    ]
    whole, drawn, alone = peers.compared("peer==1", rounds, 2.5)
    assert (whole.value, whole.met, whole.target) == (2.0, False, ">= 2.5")
    assert whole.note == "10 over 5 /s; 1.00 to 3.00 in 3 rounds"
    assert (drawn.value, drawn.met) == (1.0, None)
    assert alone.value == 2.0


def test_what_is_installed_already_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **options: Any) -> None:
        commands.append(command)
        tmp_path.joinpath("peer").mkdir(exist_ok=True)

    monkeypatch.setattr(subprocess, "run", run)
    python = peers.prepared(tmp_path / "peer", "peer==1")
    assert python == str(tmp_path / "peer" / "bin" / "python")
    assert [command[1:3] for command in commands] == [["-m", "venv"], ["-m", "pip"]]
    assert commands[1][-1] == "peer==1"
    peers.prepared(tmp_path / "peer", "peer==1")
    assert len(commands) == 2
    peers.prepared(tmp_path / "peer", "peer==2")
    assert len(commands) == 4
