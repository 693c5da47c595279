"""Play many episodes in lockstep: one batched call per policy and turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sotopia_env.episodes import Episode
from sotopia_env.rollouts.run import Run, play_run
from sotopia_env.rollouts.seeds import episode_key
from sotopia_env.storage.traces import Traces


def rollout(
    tasks: Any,
    policies: Sequence[Any] | Any,
    *,
    num_episodes: int,
    seed: int = 0,
    split: str = "train",
    reward: Any = None,
    out: str | Path | None = None,
    batch_size: int = 64,
    processes: int = 1,
    progress: bool = False,
    traces: Traces | bool | None = None,
    command: Sequence[str] = (),
    **env_options: Any,
) -> list[Episode]:
    """Play episodes and judge them by rule.

    With ``out`` the run is durable: each episode is written as it finishes, and the same call goes on after a kill.
    Several processes, on one machine or on many that share the folder, may make the same call at the same time: no
    episode is played twice, and what a process that died was playing is played by the others. The finished file is
    the same, byte for byte, however the run was cut up. Beside it stand the manifest (``e.manifest.json``) and, where
    asked for, the token traces (``e.traces.jsonl``).

    Args:
        tasks: whatever ``parallel_env`` takes: a family, a name, a path, tasks. Fixed tasks are played in turn.
        policies: one policy (self-play) or one per seat; names or objects.
        num_episodes: how many to play.
        seed: decides tasks, turn orders and every draw of the policies.
        split: of the family's tasks.
        reward: a reward to be paid while playing; its numbers are stored in the episodes.
        out: a file of JSON lines, or of parquet where the name ends in ``.parquet``.
        batch_size: how many are played side by side.
        processes: how many processes share the work; policies, tasks and reward must then be names, or picklable.
        progress: show a progress bar on stderr.
        traces: a dict that is filled with token traces, where policies give them, or ``True``; both store them beside
            ``out``.
        command: what the user typed, for the manifest.
        env_options: passed to ``parallel_env``.

    Returns:
        ``num_episodes`` episodes, in order, whatever order they finished in.

    Raises:
        RuntimeError: a policy failed; the error names the policy, the task and the turn.
        ValueError: ``out`` holds another run (tasks, policies, seed, rules or rewards); the error says what differs.
    """
    for name, value in (("num_episodes", num_episodes), ("batch_size", batch_size), ("processes", processes)):
        if value < 1:
            raise ValueError(f"{name}: {value} is not a positive number")
    if traces is True and out is None:
        raise ValueError("traces=True stores token traces beside the episodes; give out, or a dict to be filled")
    run = Run(tasks, policies, num_episodes, seed, {"split": split, "reward": reward, **env_options}, tuple(command))
    keep_traces = traces is not None and traces is not False
    with _ProgressBar(progress, num_episodes) as tick:
        if processes > 1:
            from sotopia_env.rollouts.run import play_in_processes

            shelf = play_in_processes(run, processes, out, batch_size=batch_size, keep_traces=keep_traces, tick=tick)
        else:
            shelf = play_run(run, out, batch_size=batch_size, keep_traces=keep_traces, tick=tick)
    if isinstance(traces, dict):
        keys = {episode_key(seed, i) for i in range(num_episodes)}
        traces |= {place: turns for place, turns in shelf.traces().items() if place[0] in keys}
    return [shelf.finished[i] for i in range(num_episodes)]


class _ProgressBar:
    """A progress bar on stderr, or nothing; it is told how many episodes are finished."""

    def __init__(self, show: bool, total: int) -> None:
        self._total = total
        self._show = show
        self._bar: Any = None

    def __enter__(self) -> Callable[[int], None]:
        if not self._show:
            return lambda finished: None
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._bar.start()
        task = self._bar.add_task("episodes", total=self._total)
        return lambda finished: self._bar.update(task, completed=finished)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
