"""What is to be played, and the playing of what is missing of it, by one process or several."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sotopia_env.episodes import Episode
from sotopia_env.policies import Policy
from sotopia_env.rollouts.files import RunFiles, Shelf
from sotopia_env.rollouts.lockstep import play
from sotopia_env.rollouts.manifest import describe_run
from sotopia_env.rollouts.seeds import episode_key, episode_seed
from sotopia_env.rollouts.workers import Team
from sotopia_env.storage.traces import Traces
from sotopia_env.tasks import Task

_WAIT = 0.1
"""Seconds until a process looks again whether the others have finished, or died."""


@dataclass(frozen=True)
class Run:
    """What is to be played, as the arguments of :func:`rollout` say it."""

    tasks: Any
    policies: Any
    num_episodes: int
    seed: int
    env_options: Mapping[str, Any]
    command: tuple[str, ...] = ()


def play_run(
    run: Run, out: str | Path | None, *, batch_size: int, keep_traces: bool, tick: Callable[[int], None]
) -> Shelf:
    """Play what is missing of a run, in this process, until nothing is missing.

    Args:
        run: what to play.
        out: as in :func:`rollout`.
        batch_size: how many are played side by side.
        keep_traces: keep token traces.
        tick: told how many episodes are finished, each time there are more.

    Returns:
        What holds the finished episodes, and the traces.
    """
    from sotopia_env.make import parallel_env

    template = parallel_env(run.tasks, **run.env_options)
    table = _Table(template, _seated(run.policies, template.possible_agents), run.seed, keep_traces)
    if out is None:
        shelf = Shelf()
        _play_missing(table, shelf, run.num_episodes, batch_size, tick)
        return shelf
    with RunFiles(out, run.seed, store_traces=keep_traces) as files:
        described = describe_run(template, table.policies, seed=run.seed, traces=keep_traces)
        files.manifest.check(described)
        _check_played(table, files)
        files.manifest.open(described, run.num_episodes, run.command)
        _play_missing(table, files, run.num_episodes, batch_size, tick)
        files.complete()
    return files


@dataclass(frozen=True)
class _Table:
    """Where a run is played: the environment to fork, who sits where, and the seed."""

    env: Any
    policies: Mapping[str, Policy]
    seed: int
    keep_traces: bool

    def begin(self, env: Any, index: int) -> None:
        """Reset an environment to the task of one episode of the run."""
        fixed = env.unwrapped.tasks
        task = {"task": fixed[index % len(fixed)]} if fixed else None
        env.reset(seed=episode_seed(self.seed, index), options=task)

    def finished(self, env: Any, index: int) -> Episode:
        """The episode with what a reward wrapper paid for it, and judged by its family."""
        names = {agent: policy.name for agent, policy in self.policies.items()}
        key, seed = episode_key(self.seed, index), episode_seed(self.seed, index)
        episode = replace(env.episode, key=key, seed=seed, policies=names)
        return episode.with_judgement(env.unwrapped.family.score(episode))


def _play_missing(table: _Table, shelf: Shelf, num_episodes: int, batch_size: int, tick: Callable[[int], None]) -> None:
    """Play what nobody has finished, batch by batch."""
    while missing := [i for i in range(num_episodes) if i not in shelf.finished]:
        indices = shelf.take(missing, batch_size)
        others = num_episodes - sum(i not in shelf.finished for i in missing) - shelf.played
        tick(others + shelf.played)
        if indices:
            _play_batch(table, shelf, indices, others, tick)
            shelf.give_back(indices)
        else:
            # Other processes are playing the rest. Should one of them die, its episodes are free to be taken.
            time.sleep(_WAIT)
    tick(num_episodes)


def _play_batch(table: _Table, shelf: Shelf, indices: Sequence[int], others: int, tick: Callable[[int], None]) -> None:
    """Play some episodes of a run in lockstep; each is put away as soon as it is over.

    ``others`` is how many were finished by other processes and earlier calls.
    """
    envs = table.env.fork(len(indices))
    keys = [episode_key(table.seed, i) for i in indices]
    traces: Traces = {}

    def finished(position: int, env: Any, _: Any) -> None:
        own = {agent: traces.pop((keys[position], agent), []) for agent in table.policies}
        shelf.put(indices[position], table.finished(env, indices[position]), own)
        tick(others + shelf.played)

    for i, env in zip(indices, envs, strict=True):
        table.begin(env, i)
    play(
        envs,
        [table.policies] * len(envs),
        [episode_seed(table.seed, i) for i in indices],
        keys=keys,
        traces=traces if table.keep_traces else None,
        on_finish=finished,
    )


def _seated(policies: Any, agents: Sequence[str]) -> dict[str, Policy]:
    """The policy of every agent: one given is for all, else one for each."""
    from sotopia_env.resolve import make_policy

    given = [policies] if isinstance(policies, str) or not isinstance(policies, Sequence) else list(policies)
    if len(given) not in (1, len(agents)):
        raise ValueError(f"policies: {len(given)} given for {len(agents)} seats; give one for all or one for each")
    made = [make_policy(policy) for policy in given]
    return dict(zip(agents, made * len(agents) if len(made) == 1 else made, strict=True))


def _check_played(table: _Table, files: RunFiles) -> None:
    """Refuse to go on with a file whose episodes are not those of this run, manifest or no manifest."""
    names = {agent: policy.name for agent, policy in table.policies.items()}
    reward = getattr(table.env, "reward", None)
    env = table.env.fork()[0]
    for i, episode in files.finished.items():
        table.begin(env, i)
        new = env.episode
        missing = [] if reward is None or reward.name in episode.rewards else [reward.name]
        for what, before, now in (
            ("tasks", episode.task, new.task),
            ("policies", dict(episode.policies), names),
            ("rules", dict(episode.config), dict(new.config)),
            ("rewards", list(episode.rewards), [*episode.rewards, *missing]),
        ):
            if before != now:
                told = (before.id, now.id) if isinstance(before, Task) and isinstance(now, Task) else (before, now)
                raise ValueError(
                    f"{files.path} was played with other {what} (episode {episode.key}: {told[0]}, not {told[1]}); "
                    "give another file, or remove this one"
                )


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
        out: as in :func:`~sotopia_env.rollout`; ``None`` keeps the files in a temporary folder.
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
