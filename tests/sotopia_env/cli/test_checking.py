from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

PARTS = """
import random

import sotopia_env


def greets(observation, rng):
    return f"Hello, {rng.integers(100)} times."


def dice(observation, rng):
    return f"Hello, {random.randint(0, 10**9)} times."


def talk(episodes):
    return [{a: [float(len(t.text)) for t in e.own_turns(a)] for a in e.agents} for e in episodes]


def unnamed(first, second):
    return "Hello."


number = 3
"""


@pytest.fixture
def own_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of the user's own in the folder where the command is run."""
    (tmp_path / "my_own_parts.py").write_text(PARTS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    monkeypatch.delitem(sys.modules, "my_own_parts", raising=False)
    return "my_own_parts"


def test_a_part_that_keeps_the_rules(own_parts: str, done: Run) -> None:
    shown = done("check", f"{own_parts}:greets").splitlines()
    assert shown[0] == "policy 'greets': 11 passed"
    assert shown[-1] == "ok      every process says the same: 2 processes"


def test_a_part_that_breaks_a_rule(own_parts: str, call: Run) -> None:
    result = call("check", f"{own_parts}:dice", "--seed", 3)
    assert result.exit_code == 1
    assert result.stderr == ""
    assert "FAILED  equal calls give equal decisions: act depends on a global generator" in result.stdout
    assert "          remedy: Draw from the generator you are given" in result.stdout
    again = call("check", f"{own_parts}:dice", "--not-deterministic", "--json")
    assert again.exit_code == 0
    data = json.loads(again.stdout)
    assert (data["kind"], data["name"], data["passed"]) == ("policy", "dice", True)
    assert {finding["status"] for finding in data["findings"]} == {"passed", "skipped"}


def test_failures_as_json(own_parts: str, call: Run) -> None:
    result = call("check", f"{own_parts}:dice", "--json")
    assert result.exit_code == 1
    failed = [finding for finding in json.loads(result.stdout)["findings"] if finding["status"] == "failed"]
    assert all(finding["what"] and finding["remedy"] for finding in failed)


def test_kind_tasks_and_tolerance_are_options(own_parts: str, done: Run) -> None:
    shown = done("check", f"{own_parts}:talk", "--tasks", "bargain:test", "--tolerance", 1e-4)
    assert shown.startswith("reward 'talk': ")
    assert "of task bargain-train" not in shown
    assert done("check", f"{own_parts}:unnamed", "--kind", "policy").startswith("policy 'unnamed': 11 passed")


def test_what_cannot_be_checked_is_one_line(own_parts: str, refused: Run) -> None:
    assert "nothing tells what kind of part it is" in refused("check", f"{own_parts}:number")
    assert "nothing tells what kind of part it is" in refused("check", f"{own_parts}:unnamed")
    assert "has no attribute 'absent'" in refused("check", f"{own_parts}:absent")
    assert "no module 'no_such_module'" in refused("check", "no_such_module:part")
    assert "kind: 'plugin' is none of policy" in refused("check", f"{own_parts}:greets", "--kind", "plugin")
    assert "is no policy" in refused("check", f"{own_parts}:number", "--kind", "policy")
    assert "'polite' is no name of this package" in refused("check", "polite")
    assert "a policy takes no tolerance" in refused("check", "random", "--tolerance", 0.1)
    assert "there is no file or folder" in refused("check", "sotopia", "--tasks", "none.json")
    assert "cannot score open-ended tasks" in refused("check", "episode", "--tasks", _open_ended())


def _open_ended() -> str:
    from sotopia_env.testing.material import open_ended_task

    path = Path("tea.json")
    path.write_text(json.dumps([open_ended_task(2).to_dict()]), encoding="utf-8")
    return str(path)
