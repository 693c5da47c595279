"""Lines are whole, whoever appends them and whoever is killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import sotopia_env
from sotopia_env.errors import DataWarning
from sotopia_env.storage.journal import Journal, replace_file
from sotopia_env.storage.locks import ProcessLocks

ROOT = Path(sotopia_env.__file__).parents[1]

WRITER = """
import sys
from pathlib import Path
from sotopia_env.storage.journal import Journal
from sotopia_env.storage.locks import ProcessLocks
path, name = Path(sys.argv[1]), sys.argv[2]
journal = Journal(path, ProcessLocks(path.with_name("lock")))
for number in range(60):
    journal.append(f"{name} {number} ".encode() + name.encode() * (number * 40))
"""


def journal(path: Path) -> Journal:
    return Journal(path, ProcessLocks(path.with_name("lock")))


def contents(given: Journal) -> list[bytes]:
    return [line.content for line in given.unread()]


def test_processes_append_whole_lines_and_lose_none(tmp_path: Path) -> None:
    path = tmp_path / "j"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), name], cwd=ROOT) for name in "abc"]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    found = contents(journal(path))
    assert len(found) == 180
    for name in "abc":
        own = [line for line in found if line.startswith(name.encode())]
        assert own == [f"{name} {i} ".encode() + name.encode() * (i * 40) for i in range(60)]


def test_lines_are_read_once_with_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "j"
    one, other = journal(path), journal(path)
    assert contents(one) == []
    one.append(b"first")
    assert contents(one) == [], "one's own lines are known"
    other.append(b"second")
    one.append(b"third")
    assert [(line.number, line.content) for line in one.unread()] == [(2, b"second"), (3, b"third")]
    assert [(line.number, line.content) for line in other.unread()] == [(1, b"first"), (2, b"second"), (3, b"third")]
    path.write_bytes(path.read_bytes() + b"\n\r\nfourth\r\n")
    assert [(line.number, line.content) for line in one.unread()] == [(6, b"fourth")]
    one.append(b"fifth")
    assert [(line.number, line.content) for line in other.unread()] == [(6, b"fourth"), (7, b"fifth")]


@pytest.mark.parametrize("tail", [b"x", b"y" * 200_000, b"\0" * 70_000])
@pytest.mark.parametrize("before", [b"", b"first\n", b"z" * 65_535 + b"\n", b"z" * 65_536 + b"\n"])
def test_a_cut_line_is_removed_and_reported(tmp_path: Path, before: bytes, tail: bytes) -> None:
    path = tmp_path / "j"
    path.write_bytes(before + tail)
    with pytest.warns(DataWarning, match=rf"j: the last line was cut short.* its {len(tail)} bytes were removed"):
        assert contents(journal(path)) == ([before[:-1]] if before else [])
    assert path.read_bytes() == before


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "f"
    replace_file(path, [b"a", b"b"])
    assert path.read_bytes() == b"ab"
    with pytest.raises(ZeroDivisionError):
        replace_file(path, (bytes([1 // number]) for number in (1, 0)))
    assert path.read_bytes() == b"ab"
    assert [entry.name for entry in path.parent.iterdir()] == ["f"]
