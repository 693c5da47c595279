"""Work on finished dialogues while others are still played: judges wait for servers, and policies for nobody."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Beside(Generic[T]):
    """Has a function work on what is finished, in a thread of its own, in the order in which it was given.

    What is given while it works is its next batch. Without a thread it works once, on all together, when
    :meth:`rest` is called.

    Args:
        work: takes a batch, and may change its members. What it raises is raised by the next call here.
        threaded: whether it works beside the caller: worth it where it waits for others, such as servers, and not
            where it computes what the caller's models compute with.
    """

    def __init__(self, work: Callable[[Sequence[T]], None], *, threaded: bool) -> None:
        self._work = work
        self._threaded = threaded
        self._given: queue.SimpleQueue[T | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[list[T] | Exception] = queue.SimpleQueue()
        self._waiting: list[T] = []
        self._open = 0
        self._thread: threading.Thread | None = None

    def give(self, item: T) -> None:
        """Hand over something that is finished."""
        self._open += 1
        if not self._threaded:
            self._waiting.append(item)
            return
        if self._thread is None:
            # A daemon: who interrupts the run does not wait for a server's answer.
            self._thread = threading.Thread(target=self._run, name="beside", daemon=True)
            self._thread.start()
        self._given.put(item)

    def ready(self) -> list[T]:
        """Returns what has been worked on since it was last asked, without waiting."""
        found: list[T] = []
        while not self._done.empty():
            found += self._taken()
        return found

    def rest(self) -> list[T]:
        """Returns all that was not returned yet, when it has been worked on."""
        if self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                self._work(batch)
            except Exception:
                self._open = 0
                raise
            self._done.put(batch)
        found: list[T] = []
        while self._open:
            found += self._taken()
        return found

    def _taken(self) -> list[T]:
        batch = self._done.get()
        if isinstance(batch, Exception):
            self._open = 0
            raise batch
        self._open -= len(batch)
        return batch

    def _run(self) -> None:
        more = True
        while more:
            batch = [self._given.get()]
            while not self._given.empty():
                batch.append(self._given.get())
            more = None not in batch
            given = [item for item in batch if item is not None]
            try:
                if given:
                    self._work(given)
                    self._done.put(given)
            except Exception as error:  # noqa: BLE001 - whatever it raises is for the caller to raise
                self._done.put(error)
                return

    def __enter__(self) -> Self:
        """Use as a context manager."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Have the thread end when it has worked on what it has."""
        self._given.put(None)
