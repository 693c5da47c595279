"""One run played by several processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from sotopia_env.rollouts import Run, play_run
from sotopia_env.runs import RunFiles, Shelf


def play_in_processes(
    run: Run,
    processes: int,
    out: str | Path | None,
    *,
    batch_size: int,
    keep_traces: bool,
    tick: Callable[[int], None],
) -> Shelf:
    """Play what is missing of a run, shared among processes.

    They share nothing but the files: each takes episodes that nobody is playing. Where one dies, the others play what
    it had begun, and a warning says so; where one fails, the others are stopped.

    Args:
        run: what to play; names, or objects that can be pickled.
        processes: how many.
        out: as in :func:`~sotopia_env.rollouts.rollout`; ``None`` keeps the files in a temporary folder.
        batch_size: how many episodes each plays side by side, at most; no more than its share.
        keep_traces: keep token traces.
        tick: told how many episodes are finished.

    Raises:
        RuntimeError: a policy failed, or all processes died; what is finished is in ``out``.
    """
    if out is None:
        with tempfile.TemporaryDirectory(prefix="sotopia-env-") as folder:
            kept = Path(folder) / "episodes.jsonl"
            files = play_in_processes(run, processes, kept, batch_size=batch_size, keep_traces=keep_traces, tick=tick)
            shelf, traces = Shelf(), files.traces()
            for index, episode in files.finished.items():
                shelf.put(index, episode, {agent: traces.get((episode.key, agent), []) for agent in episode.agents})
            return shelf
    share = min(batch_size, -(-run.num_episodes // processes))
    team = _Team(processes, (run, str(out), share, keep_traces))
    try:
        team.watch(tick)
    finally:
        team.stop()
    with RunFiles(out, run.seed, store_traces=keep_traces) as files:
        missing = sum(i not in files.finished for i in range(run.num_episodes))
    died = f"{len(team.died)} of {processes} processes died ({', '.join(team.died)})"
    if missing:
        raise RuntimeError(f"{died}, and {missing} episodes are missing from {files.path}; the same call goes on")
    if team.died:
        warnings.warn(f"{died}; the others have played what they had begun", stacklevel=3)
    return files


class _Team:
    """Processes that play one run, and what they tell."""

    def __init__(self, size: int, arguments: tuple[Run, str, int, bool]) -> None:
        context = multiprocessing.get_context("spawn")
        self.died: list[str] = []
        self._members: dict[Connection, SpawnProcess] = {}
        for _ in range(size):
            here, there = context.Pipe(duplex=False)
            member = context.Process(target=_work, args=(there, *arguments))
            try:
                with sharing_cores(size):
                    member.start()
            except (pickle.PicklingError, AttributeError, TypeError) as error:
                self.stop()
                raise ValueError(
                    f"processes={size}: policies, tasks and reward go to other processes, so give names or objects "
                    f"that can be pickled ({error})"
                ) from error
            there.close()
            self._members[here] = member

    def watch(self, tick: Callable[[int], None]) -> None:
        """Pass on how many episodes are finished until all have ended; raise what one of them raised."""
        most = 0
        open_ends: list[Any] = list(self._members)
        while open_ends:
            for end in wait(open_ends):
                assert isinstance(end, Connection)
                try:
                    told = end.recv()
                except EOFError:
                    open_ends.remove(end)
                    self._members[end].join()
                    code = self._members[end].exitcode
                    if code:
                        self.died.append(f"signal {-code}" if code < 0 else f"exit code {code}")
                    continue
                if isinstance(told, BaseException):
                    raise told
                most = max(most, told)
                tick(most)

    def stop(self) -> None:
        """End whoever is still at work; what is finished is on disk."""
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


def _work(connection: Connection, run: Run, out: str, batch_size: int, keep_traces: bool) -> None:
    """What one process does: play what is missing, and tell of it."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        play_run(run, out, batch_size=batch_size, keep_traces=keep_traces, tick=connection.send)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Exception as error:  # noqa: BLE001 - whatever a policy raises is for the parent to raise
        error.add_note(f"In the process that raised it:\n{traceback.format_exc()}")
        connection.send(_portable(error))


def _portable(error: Exception) -> Exception:
    """The error, or where it cannot travel its text."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - what was pickled in this line
    except Exception:  # noqa: BLE001 - an error of anybody's may fail in any way
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _end_with_parent() -> None:
    """A process whose parent was killed plays on for nobody."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
