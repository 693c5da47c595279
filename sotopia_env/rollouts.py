"""Play many episodes in lockstep: one batched call per policy and turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sotopia_env.environment import SotopiaParallelEnv
from sotopia_env.episodes import Episode, seat_of
from sotopia_env.families.base import Family
from sotopia_env.manifest import describe_run
from sotopia_env.policies import Context, Decision, Policy
from sotopia_env.runs import RunFiles, Shelf, episode_key
from sotopia_env.tasks import Task
from sotopia_env.traces import Traces

_WAIT = 0.1
"""Seconds until a process looks again whether the others have finished, or died."""


def turn_generator(seed: int, seat: int, turn: int) -> np.random.Generator:
    """The generator of one turn: it depends on nothing but the episode's seed, the seat and the own turn."""
    return np.random.default_rng((seed, seat, turn))


def play(
    envs: Sequence[Any],
    policies: Sequence[Mapping[str, Policy]],
    seeds: Sequence[int],
    *,
    keys: Sequence[str] | None = None,
    traces: Traces | None = None,
    on_finish: Callable[[int, Any, dict[str, dict[str, Any]]], None] | None = None,
) -> None:
    """Play environments to their ends, in lockstep.

    Args:
        envs: N environments, reset or in mid-episode, wrapped or bare.
        policies: for each environment the policy of every agent.
        seeds: for each environment the seed of its policies' generators.
        keys: for each environment the key that contexts and traces carry; the episode's own by default.
        traces: filled with the token traces of policies that give them.
        on_finish: called with index, environment and last infos as soon as an episode is over.
    """
    keys = [env.unwrapped.episode.key for env in envs] if keys is None else keys
    live = [i for i, env in enumerate(envs) if env.unwrapped.acting]
    while live:
        decisions = _decide([envs[i].unwrapped for i in live], live, policies, seeds, keys)
        if traces is not None:
            for (i, agent), decision in decisions.items():
                if decision.trace is not None:
                    traces.setdefault((keys[i], agent), []).append(decision.trace)
        actions = [{agent: decisions[i, agent] for agent in envs[i].unwrapped.acting} for i in live]
        infos = _step_all([envs[i] for i in live], actions)
        still = []
        for i, info in zip(live, infos, strict=True):
            if envs[i].unwrapped.acting:
                still.append(i)
            elif on_finish is not None:
                on_finish(i, envs[i], info)
        live = still


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
            from sotopia_env.processes import play_in_processes

            shelf = play_in_processes(run, processes, out, batch_size=batch_size, keep_traces=keep_traces, tick=tick)
        else:
            shelf = play_run(run, out, batch_size=batch_size, keep_traces=keep_traces, tick=tick)
    if isinstance(traces, dict):
        keys = {episode_key(seed, i) for i in range(num_episodes)}
        traces |= {place: turns for place, turns in shelf.traces().items() if place[0] in keys}
    return [shelf.finished[i] for i in range(num_episodes)]


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


def continue_episodes(
    episodes: Sequence[Episode],
    policies: Sequence[Mapping[str, Policy]] | Mapping[str, Policy],
    seeds: Sequence[int],
    *,
    family: Family | None = None,
) -> list[Episode]:
    """Play episodes that were cut short to their ends: the continuations of Monte-Carlo credit.

    Args:
        episodes: N episodes; each goes on after its last turn, finished ones are returned as they are.
        policies: the policy of every agent, for all episodes or one mapping for each.
        seeds: N seeds of the policies' generators.
        family: of the tasks, where it is not one the package ships.
    """
    from sotopia_env.families import family_of

    seated = [policies] * len(episodes) if isinstance(policies, Mapping) else list(policies)
    envs = [
        SotopiaParallelEnv.from_episode(episode, family or family_of(episode.task), seed=seed)
        for episode, seed in zip(episodes, seeds, strict=True)
    ]
    play(envs, seated, seeds, keys=[f"{episode.key}~{seed}" for episode, seed in zip(episodes, seeds, strict=True)])
    return [env.episode for env in envs]


def episode_seed(seed: int, index: int) -> int:
    """The seed of one episode of a run: independent of how many are played and in which batch."""
    return int(np.random.SeedSequence((seed, index)).generate_state(1, np.uint64)[0] >> np.uint64(1))


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


def _decide(
    envs: Sequence[SotopiaParallelEnv],
    indices: Sequence[int],
    policies: Sequence[Mapping[str, Policy]],
    seeds: Sequence[int],
    keys: Sequence[str],
) -> dict[tuple[int, str], Decision]:
    batches: dict[int, tuple[Policy, list[tuple[int, str]], list[Any], list[Context]]] = {}
    for env, i in zip(envs, indices, strict=True):
        for agent in env.acting:
            policy = policies[i][agent]
            _, places, observations, contexts = batches.setdefault(id(policy), (policy, [], [], []))
            turn = env.own_turns_played(agent)
            places.append((i, agent))
            observations.append(env.observe(agent))
            contexts.append(Context(keys[i], agent, turn, turn_generator(seeds[i], seat_of(agent), turn)))
    decisions: dict[tuple[int, str], Decision] = {}
    for policy, places, observations, contexts in batches.values():
        try:
            made = policy.act(observations, contexts)
        except Exception as error:
            tasks = {i: env.episode.task.id for env, i in zip(envs, indices, strict=True)}
            asked = [
                f"task {tasks[i]}, episode {context.episode}, {agent}, own turn {context.turn}"
                for (i, agent), context in zip(places, contexts, strict=True)
            ]
            where = "; ".join(asked[:3]) + (f" and {len(asked) - 3} more" if len(asked) > 3 else "")
            failure = f"{type(error).__name__}: {error}"
            raise RuntimeError(f"policy {policy.name!r} failed ({failure}) at {where}") from error
        if len(made) != len(places):
            raise ValueError(f"policy {policy.name!r} made {len(made)} decisions for {len(places)} observations")
        for decision in made:
            if not isinstance(decision, Decision):
                raise TypeError(f"policy {policy.name!r}: act returned a {type(decision).__name__}, not a Decision")
        decisions.update(zip(places, made, strict=True))
    return decisions


def _step_all(envs: Sequence[Any], actions: Sequence[Mapping[str, Any]]) -> list[dict[str, dict[str, Any]]]:
    step_many = getattr(type(envs[0]), "step_many", None)
    if step_many is not None:
        return [result[4] for result in step_many(envs, actions)]
    return [env.step(action)[4] for env, action in zip(envs, actions, strict=True)]


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
