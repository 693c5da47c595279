"""Files of lines that several processes append to, and that survive being killed in the middle of a line."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sotopia_env.episodes import Episode
from sotopia_env.errors import DataWarning, RecordError
from sotopia_env.storage.locks import ProcessLocks


@dataclass(frozen=True)
class Line:
    """One line of a file.

    Args:
        number: from 1.
        content: without the newline.
        end: byte after it, its newline included.
        whole: whether a newline ends it; the last line of a file may have been cut short.
    """

    number: int
    content: bytes
    end: int
    whole: bool = True


def read_lines(file: BinaryIO, *, start: int = 0, stop: int | None = None, number: int = 1) -> Iterator[Line]:
    """The lines of a file that are not blank.

    Args:
        file: opened for reading.
        start: byte to begin at.
        stop: byte to end at; the end of the file by default.
        number: of the first line.
    """
    file.seek(start)
    for content in file:
        if stop is not None and start >= stop:
            return
        start += len(content)
        if content.strip():
            yield Line(number, content.rstrip(b"\r\n"), start, content.endswith(b"\n"))
        number += 1


class Journal:
    """A file of lines. Each is written whole or not at all, by whichever process.

    Args:
        path: made, with its folders, when the first line is appended.
        locks: of the run the file belongs to; shared by all its files.
    """

    def __init__(self, path: Path, locks: ProcessLocks) -> None:
        """Nothing is read yet."""
        self.path = path
        self.locks = locks
        self._read_to = 0
        self._number = 1
        self._inode: int | None = None

    def unread(self) -> Iterator[Line]:
        """The lines appended, by whomever, since this was last called; a line cut short is removed and reported."""
        with self.locks.writing():
            if not self.path.exists():
                return
            self._repair()
            file = self.path.open("rb")
        with file:
            status = os.fstat(file.fileno())
            if status.st_ino != self._inode:
                # Another process has put the file in order: whatever was read from the old one stands elsewhere now.
                self._inode, self._read_to, self._number = status.st_ino, 0, 1
            for line in read_lines(file, start=self._read_to, stop=status.st_size, number=self._number):
                yield line
                self._read_to, self._number = line.end, line.number + 1

    def append(self, content: bytes) -> None:
        """Append one line; if the disk is full, whatever was written of it is taken back.

        Raises:
            OSError: it could not be written.
        """
        with self.locks.writing():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._repair()
            # Unbuffered, or closing the file would try once more to write what did not fit on a full disk.
            with self.path.open("ab", buffering=0) as file:
                position = file.seek(0, os.SEEK_END)
                left = memoryview(content + b"\n")
                try:
                    while left:
                        left = left[file.write(left) :]
                except BaseException:
                    if left:
                        file.truncate(position)
                    raise
                status = os.fstat(file.fileno())
            if position == self._read_to and self._inode in (None, status.st_ino):
                self._inode, self._read_to, self._number = status.st_ino, status.st_size, self._number + 1

    def replace(self, lines: Iterable[bytes]) -> None:
        """Put other lines in place of all. The caller holds the lock for writing; the file changes whole or not."""
        replace_file(self.path, (line + b"\n" for line in lines))

    def _repair(self) -> None:
        """Remove what a process killed while writing has left of its last line. The lock for writing is held."""
        if not self.path.exists():
            return
        with self.path.open("r+b") as file:
            size = end = file.seek(0, os.SEEK_END)
            if end == 0 or _byte_before(file, end) == b"\n":
                return
            while end and _byte_before(file, end) != b"\n":
                start = max(0, end - 65_536)
                file.seek(start)
                end = start + file.read(end - start).rfind(b"\n") + 1
            file.truncate(end)
        cut = f"the last line was cut short, as when a process is killed; its {size - end} bytes were removed"
        warnings.warn(f"{self.path}: {cut}, and what it told of is done again", DataWarning, stacklevel=2)


def _byte_before(file: BinaryIO, end: int) -> bytes:
    file.seek(end - 1)
    return file.read(1)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that appears whole or not at all: until then, and if it fails, an older one stays as it was."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def replace_file(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file of several parts that appears whole or not at all."""
    with replacing(path) as file:
        for part in parts:
            file.write(part)


MAX_WARNINGS = 20
"""So many records are named one by one; the summary counts them all."""


def read_all(readers: Iterable[Callable[[], Episode]], source: str, on_error: str) -> list[Episode]:
    """The episodes of those records that are any; the others are warned of, and summed up.

    Args:
        readers: for each record a function that reads it, or raises a ``RecordError``.
        source: the file, for the summary.
        on_error: as in :func:`load_episodes`.
    """
    episodes: list[Episode] = []
    errors: list[RecordError] = []
    for read in readers:
        try:
            episodes.append(read())
        except RecordError as error:
            if on_error == "raise":
                raise
            errors.append(error)
    if errors:
        summary = f"{source}: {len(episodes)} episodes loaded, {len(errors)} records skipped"
        if not episodes:
            raise ValueError(f"{summary}; the first: {errors[0]}") from errors[0]
        for skipped in errors[:MAX_WARNINGS]:
            warnings.warn(f"{skipped}; skipped", DataWarning, stacklevel=3)
        warnings.warn(summary, DataWarning, stacklevel=3)
    return episodes
