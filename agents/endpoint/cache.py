"""Replies of models on disk, so that nothing is asked and paid for twice."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_TABLE = "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, model TEXT NOT NULL, text TEXT NOT NULL)"
_BUSY = 60.0
_AT_ONCE = 500


class ReplyCache:
    """A file with replies, which any number of processes share.

    It is an SQLite database: each reply is written as a whole or not at all, so a process may be killed at any time.
    It holds replies and digests of what was asked, no dialogue and no key of an account.

    Args:
        path: the file; made, with its folders, when the first reply is kept.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def find(self, keys: Iterable[str]) -> dict[str, str]:
        """The replies that are there, by key.

        Raises:
            OSError: the file cannot be read, or is no such cache.
        """
        wanted = list(dict.fromkeys(keys))
        if not wanted or not self.path.exists():
            return {}
        found: dict[str, str] = {}
        with self._open() as database:
            for start in range(0, len(wanted), _AT_ONCE):
                some = wanted[start : start + _AT_ONCE]
                places = ", ".join("?" * len(some))
                found.update(database.execute(f"SELECT key, text FROM replies WHERE key IN ({places})", some))
        return found

    def keep(self, model: str, replies: Mapping[str, str]) -> dict[str, str]:
        """Keep replies, all of them in one go, but none where another process kept one first.

        Args:
            model: who replied.
            replies: by key; lone surrogates, which no file can hold, become question marks.

        Returns:
            The replies that count from now on, by key: the first ones.

        Raises:
            OSError: the file cannot be written, or is no such cache.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._open() as database:
            rows = [(key, model, storable(text)) for key, text in replies.items()]
            database.executemany("INSERT OR IGNORE INTO replies VALUES (?, ?, ?)", rows)
        return self.find(replies)

    @contextmanager
    def keeping(self, model: str) -> Iterator[Callable[[str, str], None]]:
        """Keep replies while they come in, without holding up whoever hands them over.

        A disk may take longer for a write than a server for a reply, so what comes in during one write goes into the
        next. All are on disk at the end of the ``with`` block.

        Args:
            model: who replied.

        Yields:
            A function that takes a key and a reply.

        Raises:
            OSError: as :meth:`keep`.
        """
        pending: deque[tuple[str, str]] = deque()
        writes: list[Future[None]] = []

        def write() -> None:
            replies = dict(pending.popleft() for _ in range(len(pending)))
            if replies:
                self.keep(model, replies)

        def take(key: str, text: str) -> None:
            pending.append((key, text))
            writes.append(writer.submit(write))

        with ThreadPoolExecutor(1) as writer:
            yield take
        for done in writes:
            done.result()

    def __len__(self) -> int:
        if not self.path.exists():
            return 0
        with self._open() as database:
            return int(database.execute("SELECT COUNT(*) FROM replies").fetchone()[0])

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection for one piece of work: none is carried through forks, threads, copies and pickles."""
        try:
            database = sqlite3.connect(self.path, timeout=_BUSY)
            try:
                with database:
                    database.execute(_TABLE)
                    yield database
            finally:
                database.close()
        except sqlite3.Error as error:
            raise OSError(f"the cache of replies {self.path}: {error}; is it such a cache, and writable?") from error


def reply_key(model: str, messages: Sequence[Mapping[str, str]], parameters: Mapping[str, Any]) -> str:
    """A digest of all that decides a reply. The address of the server is no part of it: a server may move.

    Args:
        model: its name on the server.
        messages: the chat, which holds the rubric.
        parameters: of sampling, and of the form of the reply.
    """
    asked = [model, [dict(message) for message in messages], dict(parameters)]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def storable(text: str) -> str:
    """A text that every file can hold: lone surrogates become question marks."""
    return text.encode("utf-8", "replace").decode()
