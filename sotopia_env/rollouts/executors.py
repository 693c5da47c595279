"""Where work is done: in this process, in others of this machine, or on the machines of a Ray cluster.

Work is stateless: it takes an argument and returns a result, so that whatever is lost with a process or a machine is
done again elsewhere. Who asks for it keeps the results, and alone writes files.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import pickle
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import lru_cache
from types import ModuleType, TracebackType
from typing import Any, Protocol, Self

from sotopia_env.rollouts.workers import portable, sharing_cores

Work = Callable[[], Callable[[Any], Any]]
"""Called once in each process that does the work, to make what is costly, such as policies: returns what is done."""

_ADDRESS = re.compile(r"local|auto|(ray://)?[^\s:/]+:\d+")

RETRIES = 3
"""So often is a task done again whose process or machine died."""


class Executor(Protocol):
    """Does work, some of it side by side."""

    @property
    def in_flight(self) -> int:
        """How many tasks it can be given before one of them is finished."""
        ...

    def submit(self, argument: Any) -> Future[Any]:
        """Have one argument worked on."""
        ...

    def __enter__(self) -> Self:
        """Use as a context manager."""
        ...

    def __exit__(self, *error: Any) -> None:
        """Drop what is not finished."""
        ...


@dataclass(frozen=True)
class RayCluster:
    """The machines of a Ray cluster, wherever ``processes`` may be given.

    The first use joins the cluster, and the process stays in it; one that is in a cluster already stays in that one.

    Args:
        address: ``"local"`` for a cluster on this machine alone, ``"auto"`` for the one it is part of, ``HOST:PORT``,
            or ``ray://HOST:PORT``.
        gpus_per_task: how many GPUs each task holds, or which share of one. By default 1 where models run in the
            tasks and the cluster has GPUs, else none.
    """

    address: str = "local"
    gpus_per_task: float | None = None

    def __post_init__(self) -> None:
        """Check both.

        Raises:
            ValueError: the address has no form of one, or the number is below 0.
        """
        if not _ADDRESS.fullmatch(self.address):
            raise ValueError(
                f"ray: {self.address!r} is no address of a cluster; give local, auto, HOST:PORT or ray://HOST:PORT"
            )
        if self.gpus_per_task is not None and self.gpus_per_task < 0:
            raise ValueError(f"gpus_per_task: {self.gpus_per_task} is not 0 or more")

    def executor(self, work: Work, *, models: bool, sent: str) -> Executor:
        """Join the cluster, and have it do some work.

        Args:
            work: what is to be done; it can be pickled.
            models: whether models run in it.
            sent: what travels with it, for errors.

        Raises:
            ModuleNotFoundError: Ray is not installed.
            ValueError: the work cannot be pickled, or tasks hold GPUs and the cluster has none.
        """
        if self.address == "local":
            # Nothing is told to anybody, and nobody else on the network is listened to. Ray is told so by its
            # environment alone; the second variable is what makes it use 127.0.0.1, on every system.
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        import ray

        if not ray.is_initialized():
            alone = {"include_dashboard": False} if self.address == "local" else {}
            ray.init(self.address, log_to_driver=False, logging_level="WARNING", **alone)
        has_gpus = ray.cluster_resources().get("GPU", 0.0) > 0
        gpus = float(models and has_gpus) if self.gpus_per_task is None else self.gpus_per_task
        if gpus and not has_gpus:
            raise ValueError(f"gpus_per_task: {gpus:g}, but the cluster has no GPU; give 0")
        return _RayExecutor(ray, _packed(work, ray.cloudpickle.dumps, f"ray={self.address}: {sent}"), gpus)


Workers = int | RayCluster
"""Who shares some work: so many processes of this machine, or the machines of a cluster."""


def executor_of(workers: Workers, work: Work, *, models: bool, sent: str) -> Executor:
    """Who does some work.

    Args:
        workers: 1 is this process itself.
        work: what is to be done; it can be pickled, unless this process does it.
        models: whether models run in it.
        sent: what travels with it, for errors.
    """
    if isinstance(workers, RayCluster):
        return workers.executor(work, models=models, sent=sent)
    return InThisProcess(work()) if workers == 1 else _ProcessExecutor(workers, work, sent)


def as_finished(executor: Executor, take: Callable[[], Any]) -> Iterator[tuple[Any, Any]]:
    """Arguments with their results, as they are finished.

    Args:
        executor: is kept busy.
        take: returns what to do next; ``None`` where there is nothing now. It is asked again after each result.

    Raises:
        Exception: what the work raised.
    """
    running: dict[Future[Any], Any] = {}
    while True:
        while len(running) < executor.in_flight and (argument := take()) is not None:
            running[executor.submit(argument)] = argument
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            argument, result = running.pop(future), future.result()
            if isinstance(result, _Raised):
                raise result.error from result.cause
            yield argument, result


def runs_models(*parts: Any) -> bool:
    """Whether policies, rewards or what they are made of hold the weights of a model."""
    seen: dict[int, Any] = {}
    left = list(parts)
    while left:
        part = left.pop()
        if isinstance(part, type) or id(part) in seen:
            continue
        if callable(getattr(type(part), "state_dict", None)):
            return True
        # Kept, so that no other object gets its id.
        seen[id(part)] = part
        if isinstance(part, Mapping):
            left += part.values()
        elif isinstance(part, list | tuple):
            left += part
        elif not isinstance(part, ModuleType):
            left += getattr(part, "__dict__", {}).values()
    return False


class InThisProcess:
    """Does work at once, in this process."""

    in_flight = 1

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function

    def submit(self, argument: Any) -> Future[Any]:
        """Do it."""
        future: Future[Any] = Future()
        future.set_result(self._function(argument))
        return future

    def __enter__(self) -> Self:
        """Use as a context manager."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Everything is finished."""


class _ProcessExecutor:
    """Processes of this machine. One that dies ends the work."""

    def __init__(self, number: int, work: Work, sent: str) -> None:
        self.in_flight = 2 * number
        self._number = number
        self._work = _packed(work, pickle.dumps, f"processes={number}: {sent}")
        self._pool = ProcessPoolExecutor(number, multiprocessing.get_context("spawn"))

    def submit(self, argument: Any) -> Future[Any]:
        with sharing_cores(self._number):
            return self._pool.submit(_perform, self._work, argument)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)


class _RayExecutor:
    """Tasks of a Ray cluster, each on one core and on so many GPUs.

    A process that held a GPU ends with its task, which is Ray's own rule: its memory is free for the next one.
    """

    def __init__(self, ray: Any, work: _Packed, gpus: float) -> None:
        self._ray, self._gpus = ray, gpus
        self._work = ray.put(work)
        self._task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)(_perform)
        self._running: dict[Future[Any], Any] = {}

    @property
    def in_flight(self) -> int:
        """One at work and one waiting on each core or GPU; machines may join at any time, and leave."""
        resources = self._ray.cluster_resources()
        places = resources.get("CPU", 0.0)
        if self._gpus:
            places = min(places, resources.get("GPU", 0.0) / self._gpus)
        return 2 * max(1, int(places))

    def submit(self, argument: Any) -> Future[Any]:
        task = self._task.remote(self._work, argument)
        future: Future[Any] = task.future()
        self._running[future] = task
        future.add_done_callback(self._running.pop)
        return future

    def __enter__(self) -> Self:
        # Ray tells of machines that died on stdout, where a command's answer belongs.
        self._told = redirect_stdout(sys.stderr)
        self._told.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._told.__exit__(kind, error, trace)
        for task in list(self._running.values()):
            self._ray.cancel(task, force=True)


@dataclass(frozen=True)
class _Packed:
    """Work as it travels; equal work is made once in a process."""

    digest: bytes
    pickled: bytes = field(compare=False, repr=False)


@dataclass(frozen=True)
class _Raised:
    """What the work raised: it travels as a result, so that it is raised here as it was there."""

    error: Exception
    cause: Exception | None


def _packed(work: Work, dumps: Callable[[Any], bytes], sent: str) -> _Packed:
    try:
        pickled = dumps(work)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(
            f"{sent} go to other processes, so give names or objects that can be pickled ({error})"
        ) from error
    return _Packed(hashlib.blake2b(pickled, digest_size=16).digest(), pickled)


# One at a time: the models of work that is finished make room for the next ones.
@lru_cache(maxsize=1)
def _made(work: _Packed) -> Callable[[Any], Any]:
    function: Callable[[Any], Any] = pickle.loads(work.pickled)()  # noqa: S301 - what another process of ours pickled
    return function


def _perform(work: _Packed, argument: Any) -> Any:
    try:
        return _made(work)(argument)
    except Exception as error:  # noqa: BLE001 - whatever the work raises is for who asked for it
        error.add_note(f"In the process that raised it:\n{traceback.format_exc()}")
        cause = error.__cause__
        return _Raised(portable(error), portable(cause) if isinstance(cause, Exception) else None)
