"""Locks between processes: numbered places of a lock file, which the operating system frees when a process dies."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_WRITING = 0
"""The place held while a file of the run is changed; the places after it are for the caller."""

_POLL = 0.001
"""Seconds between two tries."""

WAIT = 0.1
"""Seconds until a process that found nothing to take looks again whether the others have finished, or died."""


class ProcessLocks:
    """Numbered places of one lock file, each held by one process at a time.

    The locks are record locks: they need no clean-up after a ``kill -9``, work over NFS, and belong to a process, not
    to a thread. The file holds nothing; it is removed when the last process is done with it.

    Args:
        path: the lock file; made when the first place is taken.
    """

    def __init__(self, path: Path) -> None:
        """Nothing is held or opened yet."""
        self.path = path
        self._descriptor: int | None = None

    def take(self, place: int) -> bool:
        """Hold a place (0, 1, ...) if no other process does; ``False`` if one does."""
        return self._try(place + 1)

    def release(self, place: int) -> None:
        """Let a place go."""
        if self._descriptor is not None:
            _unlock(self._descriptor, place + 1)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only process that changes the files of the run. Not to be nested."""
        while not self._try(_WRITING):
            time.sleep(_POLL)
        try:
            yield
        finally:
            if self._descriptor is not None:
                _unlock(self._descriptor, _WRITING)

    def close(self) -> None:
        """Let everything go, and remove the file unless another process holds a place."""
        if self._descriptor is None:
            return
        # Nobody else can hold a place of a file that is locked as a whole, and who takes one later looks at the path.
        if _lock(self._descriptor, 0, 0):
            with suppress(OSError):
                self.path.unlink()
        os.close(self._descriptor)
        self._descriptor = None

    def _try(self, byte: int) -> bool:
        while True:
            if self._descriptor is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            if not _lock(self._descriptor, byte, 1):
                return False
            if self._still_there():
                return True
            # Another process has removed the file meanwhile: nothing was held, so nothing is lost with it.
            os.close(self._descriptor)
            self._descriptor = None

    def _still_there(self) -> bool:
        try:
            there = os.stat(self.path)
        except FileNotFoundError:
            return False
        assert self._descriptor is not None
        return os.path.samestat(there, os.fstat(self._descriptor))


def _no_locks(error: OSError) -> OSError:
    return OSError(error.errno, f"this file system cannot lock files ({error.strerror}); write to another one")


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int, start: int, length: int) -> bool:
        os.lseek(descriptor, start, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, length or 2**30)
        except OSError:
            return False
        return True

    def _unlock(descriptor: int, start: int) -> None:
        os.lseek(descriptor, start, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int, start: int, length: int) -> bool:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return False
            raise _no_locks(error) from error
        return True

    def _unlock(descriptor: int, start: int) -> None:
        fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, start)
