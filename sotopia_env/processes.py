"""One run played by several processes of this machine."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

from sotopia_env.rollouts import Run, play_run
from sotopia_env.runs import RunFiles, Shelf
from sotopia_env.team import Team


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
    team = Team(processes, _play, (run, str(out), share, keep_traces), "policies, tasks and reward")
    most = 0

    def finished(number: int) -> None:
        nonlocal most
        most = max(most, number)
        tick(most)

    try:
        team.watch(finished)
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


def _play(tell: Callable[[int], None], index: int, run: Run, out: str, batch_size: int, keep_traces: bool) -> None:
    """What one process does: play what is missing, and tell of it."""
    play_run(run, out, batch_size=batch_size, keep_traces=keep_traces, tick=tell)
