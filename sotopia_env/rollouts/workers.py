"""Processes of this machine that work on one thing."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any


class WorkerPool:
    """Processes that all do the same, and what they tell.

    Where one raises, the error is raised here, and the others are stopped.

    Args:
        size: how many.
        work: called in each as ``work(tell, index, *arguments)``; what it tells reaches :meth:`run`.
        arguments: can be pickled.
        sent: what these are, for the error where they cannot.

    Raises:
        ValueError: the arguments cannot be pickled.
    """

    def __init__(self, size: int, work: Callable[..., None], arguments: tuple[Any, ...], sent: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.died: list[str] = []
        self._members: dict[Connection, SpawnProcess] = {}
        for index in range(size):
            here, there = context.Pipe(duplex=False)
            member = context.Process(target=_member, args=(there, work, index, arguments))
            try:
                with sharing_cores(size):
                    member.start()
            except (pickle.PicklingError, AttributeError, TypeError) as error:
                self.stop()
                raise ValueError(
                    f"processes={size}: {sent} go to other processes, so give names or objects that can be pickled "
                    f"({error})"
                ) from error
            there.close()
            self._members[here] = member

    def run(self, heard: Callable[[Any], None], *, together: bool = False) -> None:
        """Passes on what the processes tell until all have ended, and raises what one of them raised. None is left.

        Args:
            heard: called with all that is told.
            together: none can go on without the others, so that a death ends it.
        """
        try:
            self._watch(heard, together)
        finally:
            self.stop()

    @property
    def deaths(self) -> str:
        """Says how many processes have died, and of what; empty where none has."""
        return f"{len(self.died)} of {len(self._members)} processes died ({', '.join(self.died)})" if self.died else ""

    def _watch(self, heard: Callable[[Any], None], together: bool) -> None:
        open_ends: list[Any] = list(self._members)
        while open_ends:
            for end in wait(open_ends):
                assert isinstance(end, Connection)
                try:
                    told = end.recv()
                except (EOFError, OSError):
                    # A process that was killed may have been in the middle of a message.
                    open_ends.remove(end)
                    self._members[end].join()
                    code = self._members[end].exitcode
                    if code:
                        self.died.append(f"signal {-code}" if code < 0 else f"exit code {code}")
                        if together:
                            return
                    continue
                if isinstance(told, BaseException):
                    raise told
                heard(told)

    def stop(self) -> None:
        """Ends the processes that still run."""
        for end, member in self._members.items():
            member.terminate()
            member.join()
            end.close()


@contextmanager
def sharing_cores(size: int) -> Iterator[None]:
    """The environment in which one of several processes is started.

    Libraries of linear algebra start a thread for each core, in every process, unless they are told before they are
    imported, which happens as soon as a process takes its arguments.
    """
    told = "OMP_NUM_THREADS" in os.environ
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // size)))
    try:
        yield
    finally:
        if not told:
            del os.environ["OMP_NUM_THREADS"]


def _member(connection: Connection, work: Callable[..., None], index: int, arguments: tuple[Any, ...]) -> None:
    """Does the work in one process, and sends the parent what it raises."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        work(connection.send, index, *arguments)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Exception as error:  # noqa: BLE001 - whatever the work raises is for the parent to raise
        error.add_note(f"In the process that raised it:\n{traceback.format_exc()}")
        connection.send(portable(error))


def portable(error: Exception) -> Exception:
    """The error, or where it cannot travel its text."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - what was pickled in this line
    except Exception:  # noqa: BLE001 - an error of anybody's may fail in any way
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _end_with_parent() -> None:
    """Ends this process once its parent has ended, so that it does not outlive a parent that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
