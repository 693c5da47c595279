"""Play plans: one way for all, durable where a file is given, and shared among processes where that is asked for."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from sotopia_env.environment import SotopiaParallelEnv
from sotopia_env.episodes import Episode, Turn
from sotopia_env.policies import TokenTrace
from sotopia_env.progress import ProgressBar
from sotopia_env.rollouts.beside import Beside
from sotopia_env.rollouts.executors import RayCluster, Workers, as_finished, executor_of, runs_models
from sotopia_env.rollouts.files import EpisodeStore, RunFiles
from sotopia_env.rollouts.free_running import calls_at_once, play_freely
from sotopia_env.rollouts.lockstep import Game, play
from sotopia_env.rollouts.plan import Opened, Plan
from sotopia_env.rollouts.workers import WorkerPool
from sotopia_env.storage.locks import WAIT
from sotopia_env.storage.traces import Traces
from sotopia_env.tasks import Task

OnProgress = Callable[[int], None]
"""Told how many episodes are finished, each time there are more."""

OnPut = Callable[[Sequence[int]], None]
"""Told the numbers of episodes that were put away just now."""


@dataclass(frozen=True)
class Judging:
    """Judges episodes when they are finished.

    Args:
        judge: the same episodes with what is to be written beside them.
        waits: whether it asks a server, so that episodes are judged while others are still played. It may then be
            called several times, from another thread.
    """

    judge: Callable[[Sequence[Episode]], list[Episode]]
    waits: bool = False


_SENT = "policies, tasks and reward"
"""What goes to other processes, for errors."""


def play_plan(
    plan: Plan,
    *,
    out: str | Path | None = None,
    batch_size: int = 64,
    processes: Workers = 1,
    traces: Traces | bool | None = None,
    judging: Judging | None = None,
    progress: bool = False,
    description: str = "episodes",
) -> list[Episode]:
    """Play the episodes of a plan.

    With ``out`` they are durable: each is written as it finishes, and the same call goes on after a kill. Several
    processes, on one machine or on many that share the folder, may make the same call at the same time: no episode is
    played twice, and what a process that died was playing is played by the others. The finished file is the same, byte
    for byte, however the run was cut up.

    Args:
        plan: what to play.
        out: a file of JSON lines, or of parquet where the name ends in ``.parquet``.
        batch_size: how many episodes are played side by side.
        processes: how many processes share the work, or a :class:`~sotopia_env.RayCluster` whose
            machines do; what the plan holds must then be names, or picklable.
        traces: a dict that is filled with token traces, where policies give them, or ``True``; both store them beside
            ``out``.
        judging: judges the episodes when they are finished; what it returns is written in their places in the end.
        progress: show a progress bar on stderr.
        description: stands beside it.

    Returns:
        The episodes, in the order of the plan, whatever order they finished in.

    Raises:
        RuntimeError: a policy failed; the error names the policy, the task and the turn.
        ValueError: ``out`` holds another run; the error says what differs.
    """
    for name, value in (("batch_size", batch_size), ("processes", processes)):
        if isinstance(value, int) and value < 1:
            raise ValueError(f"{name}: {value} is not a positive number")
    if traces is True and out is None:
        raise ValueError("traces=True stores token traces beside the episodes; give out, or a dict to be filled")
    if not len(plan):
        return []
    keep_traces = traces is not None and traces is not False
    if isinstance(processes, int) and processes > 1:
        way = partial(_in_processes, processes)
    else:
        way = partial(_in_this_process, processes if isinstance(processes, RayCluster) else None)
    with ProgressBar(description, len(plan), show=progress) as bar:
        store = way(plan, out, batch_size, keep_traces, judging, bar.update)
    episodes = [store.finished[i] for i in range(len(plan))]
    if isinstance(traces, dict):
        keys = {episode.key for episode in episodes}
        traces |= {place: turns for place, turns in store.traces().items() if place[0] in keys}
    return episodes


def _in_this_process(
    cluster: RayCluster | None,
    plan: Plan,
    out: str | Path | None,
    batch_size: int,
    keep_traces: bool,
    judging: Judging | None,
    on_progress: OnProgress,
) -> EpisodeStore:
    """Play what is missing of a plan until nothing is missing, here or on a cluster; files are written here."""
    opened = plan.opened()
    way = _play_here if cluster is None else partial(_play_on_cluster, cluster, plan)
    play_missing = partial(way, batch_size, keep_traces)
    if out is None:
        store = EpisodeStore()
        store.finished |= _played_and_judged(play_missing, opened, store, judging, on_progress)
        return store
    if len({episode.key for episode in opened.episodes}) < len(plan):
        raise ValueError(f"{out}: two episodes of the plan have one key; a file needs a key for each")
    described = opened.describe(keep_traces)
    with RunFiles(out, plan.place, plan.first_key, store_traces=keep_traces, run=described) as files:
        _check_played(opened, files)
        files.manifest.open(described, len(plan), opened.command)
        files.complete(_played_and_judged(play_missing, opened, files, judging, on_progress))
    return files


def _in_processes(
    processes: int,
    plan: Plan,
    out: str | Path | None,
    batch_size: int,
    keep_traces: bool,
    judging: Judging | None,
    on_progress: OnProgress,
) -> EpisodeStore:
    """Play what is missing of a plan, shared among processes.

    They share nothing but the files: each takes episodes that nobody is playing. Where one dies, the others play what
    it had begun, and a warning says so; where one fails, the others are stopped.
    """
    if out is None:
        with tempfile.TemporaryDirectory(prefix="sotopia-env-") as folder:
            kept = Path(folder) / "episodes.jsonl"
            files = _in_processes(processes, plan, kept, batch_size, keep_traces, judging, on_progress)
            store, traces = EpisodeStore(), files.traces()
            for index, episode in files.finished.items():
                store.put(index, episode, {agent: traces.get((episode.key, agent), []) for agent in episode.agents})
            return store
    share = min(batch_size, -(-len(plan) // processes))
    pool = WorkerPool(processes, _work, (plan, str(out), share, keep_traces), _SENT)
    most = 0

    def finished(number: int) -> None:
        nonlocal most
        most = max(most, number)
        on_progress(most)

    pool.run(finished)
    with RunFiles(out, plan.place, plan.first_key, store_traces=keep_traces) as files:
        missing = sum(i not in files.finished for i in range(len(plan)))
        if missing:
            raise RuntimeError(
                f"{pool.deaths}, and {missing} episodes are missing from {files.path}; the same call goes on"
            )
        if judging is not None:
            files.complete(_judged(files, len(plan), judging))
    if pool.deaths:
        warnings.warn(f"{pool.deaths}; the others have played what they had begun", stacklevel=4)
    return files


def _work(on_progress: OnProgress, index: int, plan: Plan, out: str, batch_size: int, keep_traces: bool) -> None:
    """What one process does: play what is missing, and tell of it."""
    _in_this_process(None, plan, out, batch_size, keep_traces, None, on_progress)


def _judged(store: EpisodeStore, number: int, judging: Judging | None) -> dict[int, Episode]:
    if judging is None:
        return {}
    # Another process may have judged them meanwhile.
    store.find()
    return dict(enumerate(judging.judge([store.finished[i] for i in range(number)])))


def _played_and_judged(
    play_missing: Callable[[Opened, EpisodeStore, OnPut], None],
    opened: Opened,
    store: EpisodeStore,
    judging: Judging | None,
    on_progress: OnProgress,
) -> dict[int, Episode]:
    """Play what nobody has finished; returns the episodes that were judged, meanwhile or afterwards."""
    number = len(opened.episodes)
    # A file may hold more than is asked for.
    further = sum(i >= number for i in store.finished)
    judged: dict[int, Episode] = {}

    def judge(indices: Sequence[int]) -> None:
        assert judging is not None
        judged.update(zip(indices, judging.judge([store.finished[i] for i in indices]), strict=True))

    with Beside(judge, threaded=True) as early:
        hurry = judging is not None and judging.waits

        def put(indices: Sequence[int]) -> None:
            on_progress(len(store.finished) - further)
            for i in indices if hurry else ():
                early.give(i)
            # What it could not do is told at once, and not when all is played.
            early.ready()

        put([i for i in range(number) if i in store.finished])
        play_missing(opened, store, put)
        on_progress(number)
        early.rest()
    if not hurry:
        return _judged(store, number, judging)
    if late := [i for i in range(number) if i not in judged]:
        judge(late)
    return judged


def _play_here(batch_size: int, keep_traces: bool, opened: Opened, store: EpisodeStore, on_put: OnPut) -> None:
    """Play what nobody has finished, in this process."""
    while missing := [i for i in range(len(opened.episodes)) if i not in store.finished]:
        if not _Table(opened, store, missing, keep_traces, on_put).play(batch_size):
            # Other processes are playing the rest. Should one of them die, its episodes are free to be taken.
            time.sleep(WAIT)


def _play_on_cluster(
    cluster: RayCluster,
    plan: Plan,
    batch_size: int,
    keep_traces: bool,
    opened: Opened,
    store: EpisodeStore,
    on_put: OnPut,
) -> None:
    """Play what nobody has finished in tasks of a cluster, each a batch; their episodes are put away here."""
    number = len(opened.episodes)
    missing = [i for i in range(number) if i not in store.finished]
    if not missing:
        return
    policies = [policy for episode in opened.episodes for policy in episode.policies.values()]
    models = runs_models(policies, getattr(opened.context.env, "reward", None))
    with executor_of(cluster, partial(_Player, plan, keep_traces), models=models, sent=_SENT) as executor:
        # Small enough that all have something to do, and little is lost with a machine.
        share = min(batch_size, -(-len(missing) // executor.in_flight))
        while any(i not in store.finished for i in missing):
            for indices, played in as_finished(executor, lambda: store.take(missing, share) or None):
                for index, (episode, traces) in zip(indices, played, strict=True):
                    store.put(index, episode, traces)
                store.give_back(indices)
                on_put(indices)
            if any(i not in store.finished for i in missing):
                # Other calls are playing the rest. Should one of them die, its episodes are free to be taken.
                time.sleep(WAIT)


class _Player:
    """Plays episodes of a plan, wherever it is; its policies are made once.

    Args:
        plan: of many episodes.
        keep_traces: whether token traces come back beside the episodes.
    """

    def __init__(self, plan: Plan, keep_traces: bool) -> None:
        self._opened = plan.opened()
        self._keep_traces = keep_traces

    def __call__(self, indices: Sequence[int]) -> list[tuple[Episode, dict[str, Sequence[TokenTrace]]]]:
        """The episodes of some numbers, with the traces of their agents."""
        store = EpisodeStore()
        _Table(self._opened, store, indices, self._keep_traces, lambda _: None).play(len(indices))
        traces, played = store.traces(), [store.finished[i] for i in indices]
        return [(one, {agent: traces.get((one.key, agent), []) for agent in one.agents}) for one in played]


class _Table:
    """Episodes that are played side by side; where one is over, the next one of those that are missing joins in."""

    def __init__(
        self,
        opened: Opened,
        store: EpisodeStore,
        missing: Sequence[int],
        keep_traces: bool,
        on_put: OnPut,
    ) -> None:
        self._opened, self._store, self._on_put = opened, store, on_put
        self._missing = iter(missing)
        self._states: dict[int, SotopiaParallelEnv] = {}
        self._traces: Traces | None = {} if keep_traces else None
        paying = opened.context.paying
        # What step itself asks a judge for is asked for many dialogues at once, in lockstep.
        asks_alone = paying is not None or getattr(opened.context.env, "reward", None) is None
        policies = {id(policy): policy for plan in opened.episodes for policy in plan.policies.values()}
        calls = calls_at_once(policies.values()) if asks_alone else 1
        self._way = play if calls == 1 else partial(play_freely, calls=calls)
        self._payment = Beside(self._pay, threaded=paying is not None and paying.waits)

    def play(self, size: int) -> bool:
        """Play all that nobody else is playing; returns whether there was any.

        Args:
            size: at most so many at a time.
        """
        games = self._join(size)
        try:
            with self._payment:
                # Games that are shown are played in lockstep.
                on_cycle = self._opened.context.on_cycle
                way = self._way if on_cycle is None else partial(play, on_cycle=on_cycle)
                way(games, traces=self._traces, on_finish=self._finish, join=self._join)
                self._put_away(self._payment.rest())
        except Exception:
            # A policy has failed, say: what is over is not lost with it.
            self._put_away(self._payment.rest())
            raise
        return bool(games)

    def _join(self, room: int) -> list[Game]:
        self._put_away(self._payment.ready())
        taken: list[int] = []
        while len(taken) < room and (some := list(islice(self._missing, room - len(taken)))):
            taken += self._store.take(some, len(some))
        plans = [self._opened.episodes[i] for i in taken]
        # Of the states that episodes go on from, those of these plans alone are kept.
        begun = {id(plan.begun) for plan in plans}
        self._states = {key: state for key, state in self._states.items() if key in begun}
        context = self._opened.context
        envs = context.begin(plans, self._states)
        if context.paying is not None:
            context.paying.begin(envs)
        games = [
            Game(env, plan.policies, plan.seed, plan.key, i) for env, plan, i in zip(envs, plans, taken, strict=True)
        ]
        over = [game for game in games if not game.env.unwrapped.acting]
        for game in over:
            self._finish(game)
        return games

    def _finish(self, game: Game, _: Any = None) -> None:
        if self._opened.context.paying is None:
            self._put_away([game])
        else:
            self._payment.give(game)

    def _pay(self, games: Sequence[Game]) -> None:
        paying = self._opened.context.paying
        assert paying is not None
        paying.pay([game.env for game in games])

    def _put_away(self, games: Sequence[Game]) -> None:
        for game in games:
            plan = self._opened.episodes[game.index]
            traces = {} if self._traces is None else self._traces
            own = {agent: traces.pop((plan.key, agent), []) for agent in plan.policies}
            self._store.put(game.index, self._opened.context.finished(game.env, plan), own)
            self._store.give_back([game.index])
            self._on_put([game.index])


def _said(turns: Sequence[Turn]) -> list[tuple[int, str, str]]:
    return [(turn.seat, turn.type, turn.text) for turn in turns]


def _check_played(opened: Opened, files: RunFiles) -> None:
    """Refuse to go on with a file whose episodes are not those of the plan, manifest or no manifest."""
    reward = getattr(opened.context.env, "reward", None)
    for i, episode in files.finished.items():
        if i >= len(opened.episodes):
            continue
        plan = opened.episodes[i]
        (env,) = opened.context.begin([plan])
        new = env.episode
        names = {agent: policy.name for agent, policy in plan.policies.items()}
        missing = [] if reward is None or reward.name in episode.rewards else [reward.name]
        begun = () if plan.begun is None else plan.begun.turns
        for what, before, now in (
            ("tasks", episode.task, new.task),
            ("policies", dict(episode.policies), names),
            ("rules", dict(episode.config), dict(new.config)),
            ("rewards", list(episode.rewards), [*episode.rewards, *missing]),
            ("first turns", _said(episode.turns[: len(begun)]), _said(begun)),
        ):
            if before != now:
                told = (before.id, now.id) if isinstance(before, Task) and isinstance(now, Task) else (before, now)
                raise ValueError(
                    f"{files.path} was played with other {what} (episode {episode.key}: {told[0]}, not {told[1]}); "
                    "give another file, or remove this one"
                )
