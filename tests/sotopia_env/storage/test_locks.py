"""Places are held by one process at a time, and are free as soon as it is gone."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import sotopia_env
from sotopia_env.storage.locks import ProcessLocks

ROOT = Path(sotopia_env.__file__).parents[1]

HOLDER = """
import sys, time
from pathlib import Path
from sotopia_env.storage.locks import ProcessLocks
locks = ProcessLocks(Path(sys.argv[1]))
print(*(locks.take(place) for place in map(int, sys.argv[2:])), flush=True)
sys.stdin.readline()
locks.close()
"""


def holder(path: Path, *places: int) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-c", HOLDER, str(path), *map(str, places)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_a_place_is_held_by_one_process_and_free_when_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "lock"
    locks = ProcessLocks(path)
    assert locks.take(1)
    process, took = holder(path, 0, 1, 2)
    try:
        assert took == "True False True"
        assert [locks.take(place) for place in (0, 2, 3)] == [False, False, True]
    finally:
        process.send_signal(signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)
        process.communicate()
    assert locks.take(0)
    with locks.writing():
        pass
    locks.close()
    assert not path.exists()


def test_the_file_stays_while_another_process_holds_a_place(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    locks = ProcessLocks(path)
    assert locks.take(0)
    process, took = holder(path, 7)
    assert took == "True"
    locks.close()
    assert path.exists()
    locks.close()
    assert not locks.take(7)
    process.communicate("\n")
    assert locks.take(7)


def test_a_removed_file_is_made_anew_so_that_all_look_at_the_same(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    locks = ProcessLocks(path)
    assert locks.take(0)
    locks.release(0)
    path.unlink()
    assert locks.take(0)
    process, took = holder(path, 0)
    process.communicate("\n")
    assert took == "False"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX record locks")
def test_a_file_system_without_locks_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno
    import fcntl

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with pytest.raises(OSError, match=r"cannot lock files \(No locks available\); write to another one"):
        ProcessLocks(tmp_path / "lock").take(0)
