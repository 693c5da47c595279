"""A run survives kills, and several processes play it without playing anything twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sotopia_env
from sotopia_env import rollout
from sotopia_env.policies import Observation
from sotopia_env.rollouts.manifest import manifest_path
from sotopia_env.rollouts.workers import sharing_cores
from sotopia_env.storage.traces import load_traces, traces_path

ROOT = Path(sotopia_env.__file__).parents[1]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

# A script as a user's: its policy notes in a file which process was asked about which episode, and takes its time.
SCRIPT = """
import json, os, signal, sys, time
from pathlib import Path
import sotopia_env
from sotopia_env import Decision, leave, speak
from sotopia_env.policies import TokenTrace

class Logged:
    name = "logged"

    def __init__(self, folder, kill_at):
        self.folder, self.kill_at, self.asked = Path(folder), kill_at, 0

    def describe(self):
        return {"name": self.name}

    def act(self, observations, contexts):
        self.asked += 1
        if self.asked == self.kill_at and not (self.folder / "killed").exists():
            (self.folder / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        with (self.folder / "asked").open("a") as file:
            for context in contexts:
                if (context.agent, context.turn) == ("agent_0", 0):
                    file.write(f"{context.episode} {os.getpid()}\\n")
        time.sleep(0.01)
        return [
            Decision(leave() if context.rng.random() < 0.2 else speak(str(context.rng.random())),
                     trace=TokenTrace((1, context.turn), (2,), (-0.5,)))
            for context in contexts
        ]

    def act_one(self, observation, context=None):
        raise NotImplementedError

if __name__ == "__main__":
    folder, options = sys.argv[1], json.loads(sys.argv[2])
    policy = Logged(folder, options.pop("kill_at", -1))
    (Path(folder) / f"ready-{os.getpid()}").touch()
    team = options.pop("team", 1)
    while len(list(Path(folder).glob("ready-*"))) < team:
        time.sleep(0.01)
    episodes = sotopia_env.rollout("bargain", [policy], num_episodes=60, batch_size=4, out=f"{folder}/e.jsonl",
                                   traces=True, **options)
    print(len(episodes), flush=True)
"""


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start the script, which plays 60 episodes into ``e.jsonl``."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)

    def run(**options: Any) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(script), str(tmp_path), json.dumps(options)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return run


def ended(process: subprocess.Popen[str]) -> str:
    """What a process that succeeded has printed."""
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return out.strip()


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait_for(process: subprocess.Popen[str], path: Path, number: int) -> None:
    deadline = time.monotonic() + 60
    while lines(path) < number:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "script.py").write_text(SCRIPT)
    subprocess.run(
        [sys.executable, "script.py", ".", "{}"], cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True
    )
    assert Counter((folder / "asked").read_text().split()[::2]) == {f"0-{i}": 1 for i in range(60)}
    return folder / "e.jsonl"


def same_run(path: Path, other: Path) -> None:
    assert path.read_bytes() == other.read_bytes()
    assert traces_path(path).read_bytes() == traces_path(other).read_bytes()
    assert {key for key, _ in load_traces(traces_path(path))} == {f"0-{i}" for i in range(60)}
    assert not list(path.parent.glob(".*")), "neither locks nor parts of files are left"


def test_a_run_killed_again_and_again_ends_in_the_same_file(
    start: Callable[..., subprocess.Popen[str]], whole: Path, tmp_path: Path
) -> None:
    path = tmp_path / "e.jsonl"
    for finished in (1, 30):
        process = start()
        wait_for(process, path, finished)
        process.kill()
        process.communicate()
    # A kill in the middle of a line, of each file.
    for cut in (path, traces_path(path)):
        cut.write_bytes(cut.read_bytes()[:-30])
    kept = lines(path)
    process = start()
    out, errors = process.communicate(timeout=120)
    assert (process.returncode, out) == (0, "60\n"), errors
    assert "e.jsonl: the last line was cut short" in errors
    same_run(path, whole)
    sessions = json.loads(manifest_path(path).read_text())["sessions"]
    assert [session["outcome"] for session in sessions] == [None, None, "complete"]
    assert sessions[-1]["played"] == 60 - kept


def test_three_processes_share_a_run_and_play_what_a_killed_one_had_begun(
    start: Callable[..., subprocess.Popen[str]], whole: Path, tmp_path: Path
) -> None:
    path = tmp_path / "e.jsonl"
    doomed = start(kill_at=9, team=3)
    others = [start(team=3), start(team=3)]
    doomed.communicate(timeout=120)
    assert doomed.returncode == -signal.SIGKILL
    assert [ended(process) for process in others] == ["60", "60"], "each has all episodes in the end"
    same_run(path, whole)
    asked = [line.split() for line in (tmp_path / "asked").read_text().splitlines()]
    by_process = {pid: [episode for episode, other in asked if other == pid] for _, pid in asked}
    assert len(by_process) == 3, "all three have played"
    survivors = [episode for pid, played in by_process.items() if pid != str(doomed.pid) for episode in played]
    assert len(survivors) == len(set(survivors)), "no episode is played twice"
    twice = set(survivors) & set(by_process[str(doomed.pid)])
    assert 0 < len(twice) <= 4, "but those that died unfinished"
    sessions = json.loads(manifest_path(path).read_text())["sessions"]
    assert sorted(str(session["outcome"]) for session in sessions) == ["None", "complete", "complete"]


@pytest.mark.slow
def test_one_call_with_three_processes_outlives_the_death_of_one(
    start: Callable[..., subprocess.Popen[str]], whole: Path, tmp_path: Path
) -> None:
    process = start(processes=3, kill_at=9)
    out, errors = process.communicate(timeout=120)
    assert (process.returncode, out) == (0, "60\n"), errors
    assert "1 of 3 processes died (signal 9); the others have played what they had begun" in errors
    same_run(tmp_path / "e.jsonl", whole)


@pytest.mark.slow
def test_processes_end_with_the_call_that_started_them(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    path = tmp_path / "e.jsonl"
    process = start(processes=2)
    wait_for(process, path, 3)
    process.kill()
    process.communicate(timeout=60)
    pids = {int(pid) for pid in (tmp_path / "asked").read_text().split()[1::2]}
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert lines(path) < 60


def test_processes_give_what_one_gives() -> None:
    arguments: dict[str, Any] = {"policies": "scripted:mixed", "num_episodes": 30, "reward": "uniform", "seed": 3}
    traces: dict[Any, Any] = {}
    assert rollout("bargain", processes=2, traces=traces, **arguments) == rollout("bargain", **arguments)
    assert traces == {}


def test_what_fails_in_a_process_is_raised_where_it_was_called(tmp_path: Path) -> None:
    def local(observation: Observation, rng: Any) -> str:
        return "word"

    with pytest.raises(ValueError, match=r"processes=2: policies, tasks and reward .* that can be pickled"):
        rollout("bargain", local, num_episodes=2, processes=2)
    out = tmp_path / "e.jsonl"
    rollout("bargain", "random", num_episodes=2, out=out)
    with pytest.raises(ValueError, match=r"was played with other policies\..* give another file"):
        rollout("bargain", "scripted:warm", num_episodes=2, out=out, processes=2)


def test_a_policy_that_fails_in_a_process_is_reported_with_task_and_turn(tmp_path: Path) -> None:
    # `operator.truediv` is a policy that every process can import, and that fails.
    import operator

    with pytest.raises(RuntimeError, match="policy 'truediv' failed .* at task bargain-train-.*own turn 0") as failed:
        rollout("bargain", operator.truediv, num_episodes=2, processes=2, out=tmp_path / "e.jsonl")
    notes = "\n".join(failed.value.__notes__)
    assert "0 episodes are finished in" in notes
    assert "In the process that raised it:\nTraceback" in notes
    assert "truediv" in manifest_path(tmp_path / "e.jsonl").read_text()


def test_processes_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with sharing_cores(2):
        assert os.environ["OMP_NUM_THREADS"] == str(max(1, (os.cpu_count() or 1) // 2))
    assert "OMP_NUM_THREADS" not in os.environ
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    with sharing_cores(2):
        assert os.environ["OMP_NUM_THREADS"] == "3"
