"""The audit set: turns whose true advantage is measured, to say of any reward how well it tells good turns from bad.

The truth is Monte-Carlo: from forks of a state and of each turn that could be played in it, both policies play on k
times. Labels are read from other continuations, whose seeds have nothing to do with those of the truth.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from sotopia_env.environment import SotopiaParallelEnv
from sotopia_env.episodes import Episode, Turn, agent_name
from sotopia_env.errors import DataWarning
from sotopia_env.families.base import Family
from sotopia_env.make import parallel_env
from sotopia_env.policies import Context, Policy
from sotopia_env.progress import ProgressBar
from sotopia_env.rewards.audit.storage import AuditedTurn, AuditFile, Candidate, Scores, load_audit, save_audit
from sotopia_env.rewards.judges.base import RuleJudge, scores_of
from sotopia_env.rollouts.executors import (
    Executor,
    InThisProcess,
    RayCluster,
    Work,
    Workers,
    as_finished,
    executor_of,
    runs_models,
)
from sotopia_env.rollouts.manifest import describe_run
from sotopia_env.rollouts.plan import EpisodePlan, EpisodePlans, RunContext, seat
from sotopia_env.rollouts.run import OnProgress, play_plan
from sotopia_env.rollouts.workers import WorkerPool
from sotopia_env.seeds import episode_key, episode_seed, generator_of, seeds_of
from sotopia_env.storage.locks import WAIT

__all__ = ["AuditedTurn", "Candidate", "Scores", "collect_audit", "load_audit", "save_audit"]

ATTEMPTS = 8
"""So often is a policy asked for siblings that differ; one that always does the same has none."""

EPISODES_PER_TURN = 8
"""So many episodes are played at most for each turn asked for; one in which the audited seat never moves has none."""

_SENT = "tasks and policies"
"""What goes to other processes, for errors."""

_TRUTH, _LABELS, _SIBLINGS, _PLACES = range(4)

_AHEAD = 8
"""So many turns may one process have finished before those that precede them."""


def collect_audit(
    tasks: Any,
    policies: Any,
    *,
    num_turns: int,
    candidates: int = 4,
    continuations: int = 64,
    label_continuations: int = 8,
    turns_per_episode: int = 3,
    dimensions: Sequence[str] | None = None,
    split: str = "test",
    seed: int = 0,
    out: str | Path | None = None,
    batch_size: int = 512,
    processes: Workers = 1,
    progress: bool = False,
    **env_options: Any,
) -> list[AuditedTurn]:
    """Measure the true advantage of turns and of their siblings by playing on from forks, both policies live.

    Episodes are played, one seat of each is audited (the evaluated one, or else one that is drawn), and some of its
    turns are drawn. In each of these states the seat's policy is asked again until there are enough different turns.
    The truth is about the policies that play: where one draws a character for each episode, the continuations keep it.

    Args:
        tasks: whatever ``parallel_env`` takes: a family, a name, a path, tasks.
        policies: one for all seats or one per seat; names or objects.
        num_turns: how many turns to audit.
        candidates: how many different turns per state, the one that was played among them. Where a policy does not
            have so many, there are fewer.
        continuations: k, per state and per candidate; 64 or more for a truth that is to be trusted.
        label_continuations: r, per candidate.
        turns_per_episode: at most so many of one episode are audited. Intervals are over tasks, comparisons of turns
            within an episode need two or more.
        dimensions: whose scores are kept; by default all that the rule judge gives.
        split: of the family's tasks.
        seed: decides everything.
        out: a file of JSON lines, written turn by turn; the same call goes on after a kill, and plays nothing where
            the file holds all that is asked for.
        batch_size: continuations played side by side.
        processes: who shares the work, as in :func:`~sotopia_env.rollout`, in ``out``; tasks and policies must then
            be names, or picklable. Several calls with the same ``out`` share it too.
        progress: show a progress bar on stderr.
        env_options: passed to ``parallel_env``.

    Returns:
        ``num_turns`` audited turns, those of an episode one after the other. Where the policies do not play so many
        in eight episodes for each turn asked for, there are fewer, and a ``DataWarning`` says how many.

    Raises:
        ValueError: an argument is out of its range, the tasks have no rules to be judged by, turns are not taken one
            after the other, ``out`` was collected with other settings, or no turn was played at all.
    """
    smallest = {"num_turns": 1, "candidates": 1, "continuations": 2, "label_continuations": 1, "turns_per_episode": 1}
    smallest |= {"batch_size": 1, "processes": 1}
    number = 1 if isinstance(processes, RayCluster) else processes
    given = (num_turns, candidates, continuations, label_continuations, turns_per_episode, batch_size, number)
    for (name, least), value in zip(smallest.items(), given, strict=True):
        if value < least:
            raise ValueError(f"{name}: {value} is less than {least}")
    if processes != 1 and out is None:
        raise ValueError(f"processes: {processes} processes meet in a file; give out")
    env = parallel_env(tasks, split=split, reward=None, **env_options).unwrapped
    RuleJudge().check(env.family, env.tasks)
    RuleJudge().check_dimensions(env.family, ("goal",) if dimensions is None else dimensions)
    if env.rules.action_order != "round-robin":
        raise ValueError(f"action_order: {env.rules.action_order!r}; turns are audited one after the other")
    seated = seat(policies, env.possible_agents)
    auditor = _Auditor(env.family, seated, dimensions, candidates, continuations, label_continuations, seed, batch_size)
    described = describe_run(env, seated, seed=seed, traces=False)
    settings = {
        **{name: described[name] for name in ("family", "tasks", "rules", "policies")},
        "dimensions": None if dimensions is None else list(dimensions),
        "seed": seed,
        "candidates": candidates,
        "continuations": continuations,
        "label_continuations": label_continuations,
        "turns_per_episode": turns_per_episode,
    }
    with nullcontext() if out is None else AuditFile(out, settings) as file:
        if file is not None and len(file.finished) >= num_turns:
            return list(file.finished.values())[:num_turns]
        cluster = processes if isinstance(processes, RayCluster) else None
        places = _played_places(env, seated, num_turns, turns_per_episode, seed, cluster)
        with ProgressBar("turns audited", len(places), show=progress) as bar:
            if file is None:
                return [_counted(auditor.audit(place), bar) for place in places]
            auditing = partial(_auditing, replace(auditor, policies={}), policies, env.possible_agents)
            if cluster is None and number > 1:
                sent = (auditing, places, str(out), settings)
                pool = WorkerPool(number, _audit_in_process, sent, _SENT)
                pool.run(bar.update)
                if pool.deaths:
                    warnings.warn(f"{pool.deaths}; this one audits what they had begun", stacklevel=2)
                file.find()
            here = InThisProcess(auditor.audit)
            models = runs_models(*seated.values())
            with here if cluster is None else executor_of(cluster, auditing, models=models, sent=_SENT) as executor:
                _audit_missing(executor, places, file, bar.update)
        return [file.finished[place.key] for place in places]


def _audit_in_process(
    on_progress: OnProgress,
    index: int,
    auditing: Work,
    places: Sequence[_Place],
    path: str,
    settings: Mapping[str, Any],
) -> None:
    """What one of several processes does."""
    with AuditFile(path, settings) as file:
        _audit_missing(InThisProcess(auditing()), places, file, on_progress)


def _auditing(auditor: _Auditor, policies: Any, agents: Sequence[str]) -> Callable[[_Place], AuditedTurn]:
    """Returns what audits a turn, its policies made in the process that asks."""
    return replace(auditor, policies=seat(policies, agents)).audit


def _counted(turn: AuditedTurn, bar: ProgressBar) -> AuditedTurn:
    bar.advance()
    return turn


def _audit_missing(executor: Executor, places: Sequence[_Place], file: AuditFile, on_progress: OnProgress) -> None:
    """Audit what nobody has audited; what is finished before those that precede it waits until they are written."""
    numbers = {place.key: number for number, place in enumerate(places)}
    ready: dict[int, AuditedTurn] = {}
    taken: set[int] = set()

    def take() -> _Place | None:
        open_numbers = range(len(file.finished), len(places)) if len(ready) < _AHEAD else ()
        free = (n for n in open_numbers if n not in taken and file.take(n, places[n].key))
        number = next(free, None)
        if number is None:
            return None
        taken.add(number)
        return places[number]

    def write() -> None:
        file.find()
        while (written := len(file.finished)) in ready:
            file.write(written, ready.pop(written))
        on_progress(written)

    write()
    while len(file.finished) < len(places):
        for place, turn in as_finished(executor, take):
            ready[numbers[place.key]] = turn
            write()
        if len(file.finished) < len(places):
            # Other processes are at what is missing. Should one of them die, its turns are free to be taken.
            time.sleep(WAIT)
            write()


@dataclass(frozen=True)
class _Place:
    """One turn that is to be audited, and the episode with its number in the run."""

    episode: Episode
    index: int
    turn: Turn

    @property
    def key(self) -> str:
        """That of the audited turn."""
        return f"{self.episode.key}/{self.turn.agent}/{self.turn.own_index}"


@dataclass(frozen=True)
class _Auditor:
    """Audits turns: the policies, how often they play on, and the seed of it all."""

    family: Family
    policies: Mapping[str, Policy]
    dimensions: Sequence[str] | None
    candidates: int
    continuations: int
    label_continuations: int
    seed: int
    batch_size: int

    def audit(self, place: _Place) -> AuditedTurn:
        """The state before a turn, the turn and its siblings, each played on from."""
        turn, turns = place.turn, place.episode.turns
        before = replace(place.episode, turns=turns[: turn.global_index], ending=None, judgements=())
        states = [self._played(before, turn), *self._siblings(before, place)]
        jobs = [(before, seed) for seed in self._seeds(place, _TRUTH, 0, self.continuations)]
        for number, one in enumerate(states, 1):
            jobs += [(one, seed) for seed in self._seeds(place, _TRUTH, number, self.continuations)]
            jobs += [(one, seed) for seed in self._seeds(place, _LABELS, number, self.label_continuations)]
        finished = iter(self._played_on(jobs))
        value = self._scores(islice(finished, self.continuations), turn.seat)
        candidates = []
        for one in states:
            truth = self._scores(islice(finished, self.continuations), turn.seat)
            candidates.append(Candidate(one, tuple(islice(finished, self.label_continuations)), truth))
        return AuditedTurn(place.key, turn.agent, turn.own_index, before, value, tuple(candidates))

    def _played(self, state: Episode, turn: Turn) -> Episode:
        """The state after a turn."""
        after = replace(state, turns=(*state.turns, turn))
        return replace(after, ending=SotopiaParallelEnv.from_episode(after, self.family).ending)

    def _siblings(self, state: Episode, place: _Place) -> list[Episode]:
        """The states after other turns that the policy takes in this one."""
        agent, own_index = place.turn.agent, place.turn.own_index
        env = SotopiaParallelEnv.from_episode(state, self.family)
        policy, observation = self.policies[agent], env.observe(agent)
        found: list[Episode] = []
        known = {_doing(place.turn)}
        seeds = iter(self._seeds(place, _SIBLINGS, 0, ATTEMPTS * self.candidates))
        for _ in range(ATTEMPTS):
            asked = list(islice(seeds, self.candidates - len(known)))
            keys = [f"{state.key}~{seed}" for seed in asked]
            contexts = [
                Context(key, agent, own_index, np.random.default_rng(seed))
                for key, seed in zip(keys, asked, strict=True)
            ]
            for decision in policy.act([observation] * len(asked), contexts) if asked else ():
                after = env.fork()[0]
                after.step({agent: decision})
                (turn,) = after.last_turns
                if _doing(turn) not in known:
                    known.add(_doing(turn))
                    found.append(replace(state, turns=(*state.turns, turn), ending=after.ending))
        return found

    def _played_on(self, jobs: Sequence[tuple[Episode, int]]) -> list[Episode]:
        """Episodes that go on from states to their ends, judged; many are played side by side."""
        plans = [EpisodePlan(f"{state.key}~{seed}", seed, self.policies, begun=state) for state, seed in jobs]
        episodes = play_plan(EpisodePlans(plans, RunContext(family=self.family)), batch_size=self.batch_size)
        # Nobody reads the evidence, and it is longer than the dialogue.
        return [
            episode.with_judgement(replace(judgement, evidence={}, latent={}))
            for episode, judgement in zip(episodes, self._judge.judge(episodes), strict=True)
        ]

    @property
    def _judge(self) -> RuleJudge:
        return RuleJudge(self.family)

    def _scores(self, episodes: Iterable[Episode], seat: int) -> Scores:
        by_episode = [scores_of(self._judge.judgement_of(episode), seat) for episode in episodes]
        names = by_episode[0] if self.dimensions is None else self.dimensions
        return {name: tuple(scores.get(name) for scores in by_episode) for name in names}

    def _seeds(self, place: _Place, purpose: int, number: int, count: int) -> list[int]:
        """Seeds of one purpose in one state, independent of all others and of those of the episodes."""
        return seeds_of(count, self.seed, place.index, place.turn.own_index, purpose, number)


def _played_places(
    env: SotopiaParallelEnv,
    policies: Mapping[str, Policy],
    num_turns: int,
    turns_per_episode: int,
    seed: int,
    cluster: RayCluster | None,
) -> list[_Place]:
    """The turns that are audited, of as few episodes as have them: those that ``rollout`` plays with this seed."""
    places: list[_Place] = []
    played, most = 0, EPISODES_PER_TURN * num_turns
    while len(places) < num_turns and played < most:
        needed = math.ceil((num_turns - len(places)) / turns_per_episode)
        indices = range(played, min(played + needed, most))
        plans = [
            EpisodePlan(
                episode_key(seed, i),
                episode_seed(seed, i),
                policies,
                env.tasks[i % len(env.tasks)] if env.tasks else None,
            )
            for i in indices
        ]
        episodes = play_plan(EpisodePlans(plans, RunContext(env)), processes=cluster or 1)
        for i, episode in zip(indices, episodes, strict=True):
            places += _places(episode, i, seed, turns_per_episode)
        played += len(indices)
    if not places:
        raise ValueError(f"num_turns: the audited seats took no turn in {played} episodes")
    if len(places) < num_turns:
        told = f"num_turns: {num_turns} were asked for, {len(places)} were played in {played} episodes"
        warnings.warn(told, DataWarning, stacklevel=3)
    return places[:num_turns]


def _places(episode: Episode, index: int, seed: int, turns_per_episode: int) -> list[_Place]:
    """The turns of one episode that are audited, all of one seat."""
    rng = generator_of(seed, index, 0, _PLACES)
    drawn = int(rng.integers(episode.task.num_seats))
    own = episode.own_turns(agent_name(drawn if episode.task.evaluated_seat is None else episode.task.evaluated_seat))
    chosen = rng.choice(len(own), size=min(turns_per_episode, len(own)), replace=False)
    return [_Place(episode, index, own[number]) for number in sorted(chosen)]


def _doing(turn: Turn) -> tuple[Any, ...]:
    """What makes a turn differ from another one for those who see it."""
    return turn.type, turn.text, turn.invalid is None, turn.recipients
