"""Evaluation: a policy against a partner, on every seat of tasks that it was not trained on.

Two policies evaluated with the same partner, tasks and seed meet the same partner's draws in the same (task, seat), so
that they can be compared pair by pair (:mod:`sotopia_env.training.comparison`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console
from rich.progress import Progress

from sotopia_env.environment import SotopiaParallelEnv
from sotopia_env.episodes import Episode, agent_name
from sotopia_env.families import family_of, family_of_all
from sotopia_env.families.base import Family
from sotopia_env.policies import Policy
from sotopia_env.resolve import family_and_tasks, make_policy
from sotopia_env.rewards.judges.base import Judge, as_judge, judged
from sotopia_env.rollouts.lockstep import play
from sotopia_env.rollouts.manifest import Manifest, as_stored
from sotopia_env.storage.episodes import EpisodeWriter, save_episodes
from sotopia_env.tasks import Task
from sotopia_env.training.results import Evaluation, result_of

Seats = Literal["both", "evaluated"]

_DRAWN = 100
"""So many tasks are drawn of a family by default."""

_MOST_REPEATS = 500
"""After so many draws in a row without a new task, a family has no more."""

TEMPERATURES = (1.0, 0.7, 0.5, 0.3, 0.0)
"""Where a clone is tried: sharpening alone may look like learning. 0 is greedy."""


@dataclass(frozen=True)
class Match:
    """A row to be played: the evaluated policy and its partner, as names or objects."""

    name: str
    policy: Any
    partner: Any


def evaluate(
    policy: Any,
    partner: Any,
    tasks: Sequence[Task],
    *,
    name: str | None = None,
    seats: Seats | Sequence[int] = "both",
    seed: int = 0,
    batch_size: int = 64,
    judge: Any = "rule",
    family: Family | None = None,
    allow_train: bool = False,
    out: str | Path | None = None,
    progress: bool = False,
    **env_options: Any,
) -> Evaluation:
    """Play every seat of every task against a partner, and judge.

    Args:
        policy: the evaluated one, by name or object.
        partner: sits on all other seats, by name or object.
        tasks: fixed tasks with ids of their own (:func:`draw_tasks`).
        name: of the row; the policy's by default.
        seats: ``"both"`` for every seat of each task, ``"evaluated"`` for the one the task names, or seat numbers.
        seed: decides every draw, with task and seat: two policies meet the same partner.
        batch_size: how many episodes are played side by side.
        judge: a judge in any form ``as_judge`` takes.
        family: of the tasks, where it is not one the package ships.
        allow_train: evaluate on tasks of the training split all the same; the result then says so.
        out: a JSON-lines file that takes each episode as it finishes, with a manifest beside it; what it holds
            already is not played again. More tasks and seats may be asked for later, and another judge.
        progress: show a progress bar on stderr.
        env_options: of the environment, such as ``max_cycles``.

    Raises:
        ValueError: a task of the training split, an id used twice, or ``out`` holds episodes that were played with
            other weights, sampling, partner, family, seed or rules; the error says what differs.
    """
    places = _places(tasks, seats)
    training = _training_episodes(places, allow_train)
    judging = as_judge(judge)
    made = make_policy(policy)
    other = made if partner is policy or (isinstance(partner, str) and partner == policy) else make_policy(partner)
    found: dict[str, Episode] = {}
    keys = [f"{seed}-{task.id}-{agent_name(seat)}" for task, seat in places]
    seated = [{agent_name(i): made if i == seat else other for i in range(task.num_seats)} for task, seat in places]
    with (
        EpisodeWriter(out) if out is not None else nullcontext() as writer,
        Progress(console=Console(stderr=True), disable=not progress) as bar,
        ExitStack() as session,
    ):
        manifest = None
        if writer is not None:
            manifest = Manifest(writer.path, writer.locks, made="evaluated")
            env = _environment(places[0][0], family, 0, env_options)
            run = as_stored(
                {"seed": seed, "family": family or family_of_all(tasks), "policy": made, "partner": other,
                 "rules": env.config}
            )  # fmt: skip
            manifest.check(run)
            found = _resumed(writer, keys, seated, [task for task, _ in places], family, env_options)
            session.enter_context(manifest.session(run, len(keys)))
        shown = bar.add_task(name or made.name, total=len(places), completed=len(found))

        def finished(episode: Episode) -> None:
            found[episode.key] = episode
            if writer is not None:
                writer.write(episode)
            bar.advance(shown)

        todo = [i for i, key in enumerate(keys) if key not in found]
        for start in range(0, len(todo), batch_size):
            batch = todo[start : start + batch_size]
            envs = [_environment(places[i][0], family, _seed(keys[i]), env_options) for i in batch]
            _play(envs, [seated[i] for i in batch], [keys[i] for i in batch], finished)
        if manifest is not None:
            manifest.close("complete", len(todo), [found[key] for key in keys])
    episodes = _judged([found[key] for key in keys], judging, family)
    if out is not None:
        save_episodes(episodes, out)
    results = tuple(
        result_of(episode, seat, judging.judgement_of(episode))
        for episode, (_, seat) in zip(episodes, places, strict=True)
    )
    return Evaluation(name or made.name, made.name, other.name, judging.name, seed, results, training, tuple(episodes))


def evaluate_many(matches: Iterable[Match], tasks: Sequence[Task], **options: Any) -> list[Evaluation]:
    """Evaluate several rows on the same tasks, seats and seed.

    Args:
        matches: the rows.
        tasks: as in :func:`evaluate`.
        options: the other arguments of :func:`evaluate`; ``out`` is a folder here, with one file for each row.
    """
    folder = options.pop("out", None)
    return [
        evaluate(
            match.policy,
            match.partner,
            tasks,
            name=match.name,
            out=None if folder is None else Path(folder) / f"{_file_name(match.name)}.jsonl",
            **options,
        )
        for match in matches
    ]


def sharpened(make: Callable[[float], Any], partner: Any, temperatures: Sequence[float] = TEMPERATURES) -> list[Match]:
    """The rows of one policy at several temperatures.

    Args:
        make: the policy at a temperature; 0 is greedy.
        partner: whom it meets, which stays as it is.
        temperatures: to be tried.
    """
    return [Match(f"clone, {_temperature(value)}", make(value), partner) for value in temperatures]


def draw_tasks(source: Any = "bargain:test", number: int | None = None, seed: int = 0) -> list[Task]:
    """A fixed set of tasks to evaluate on.

    Args:
        source: a family, with its split (``"bargain:test"``; ``"test"`` where none is named), or a file of tasks.
        number: how many to draw from a family, 100 by default, or all where it has fewer; of fixed tasks, the first so
            many, all by default.
        seed: of the draw.
    """
    family, fixed, split = family_and_tasks(source, "test")
    if fixed is not None:
        return list(fixed[:number])
    number = _DRAWN if number is None else number
    generator = np.random.default_rng(seed)
    tasks: dict[str, Task] = {}
    repeats = 0
    # A family of hand-written tasks has no more than it has.
    while len(tasks) < number and repeats < _MOST_REPEATS:
        task = family.generate(generator, split)
        repeats = repeats + 1 if task.id in tasks else 0
        tasks.setdefault(task.id, task)
    return list(tasks.values())


def _places(tasks: Sequence[Task], seats: Seats | Sequence[int]) -> list[tuple[Task, int]]:
    if not tasks:
        raise ValueError("evaluate: the list of tasks is empty")
    twice = [task_id for task_id, count in Counter(task.id for task in tasks).items() if count > 1]
    if twice:
        raise ValueError(
            f"evaluate: task {twice[0]!r} is listed {Counter(t.id for t in tasks)[twice[0]]} times; once is enough"
        )
    places = []
    for task in tasks:
        if seats == "both":
            wanted: Sequence[int] = range(task.num_seats)
        elif seats == "evaluated":
            if task.evaluated_seat is None:
                raise ValueError(f"evaluate: task {task.id!r} names no seat to evaluate; give seats='both'")
            wanted = (task.evaluated_seat,)
        elif isinstance(seats, str):
            raise ValueError(f"evaluate: seats {seats!r} is neither 'both' nor 'evaluated' nor seat numbers")
        else:
            wanted = seats
        for seat in wanted:
            if not 0 <= seat < task.num_seats:
                raise ValueError(f"evaluate: task {task.id!r} has {task.num_seats} seats, so none is number {seat}")
            places.append((task, seat))
    return places


def _training_episodes(places: Sequence[tuple[Task, int]], allow_train: bool) -> int:
    trained = [task.id for task, _ in places if task.split == "train"]
    if trained and not allow_train:
        raise ValueError(
            f"evaluate: task {trained[0]!r} and {len(set(trained)) - 1} others are of the training split; draw tasks "
            "of the test split, or give allow_train=True to measure on them all the same"
        )
    return len(trained)


def _seed(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode("utf-8")).digest()[:8], "big") >> 1


def _environment(task: Task, family: Family | None, seed: int, options: Mapping[str, Any]) -> SotopiaParallelEnv:
    env = SotopiaParallelEnv(family or family_of(task), tasks=(task,), **options)
    env.reset(seed=seed, options={"task": task})
    return env


def _play(
    envs: Sequence[SotopiaParallelEnv],
    seated: Sequence[Mapping[str, Policy]],
    keys: Sequence[str],
    finished: Callable[[Episode], None],
) -> None:
    seeds = [_seed(key) for key in keys]

    def on_finish(i: int, env: Any, _: Mapping[str, Any]) -> None:
        names = {agent: policy.name for agent, policy in seated[i].items()}
        finished(replace(env.episode, key=keys[i], seed=seeds[i], policies=names))

    play(envs, seated, seeds, keys=keys, on_finish=on_finish)


def _resumed(
    writer: EpisodeWriter,
    keys: Sequence[str],
    seated: Sequence[Mapping[str, Policy]],
    tasks: Sequence[Task],
    family: Family | None,
    env_options: Mapping[str, Any],
) -> dict[str, Episode]:
    """The episodes a file holds already, if they are those that would be played now."""
    found = {}
    for key, policies, task in zip(keys, seated, tasks, strict=True):
        old = writer.finished.get(key)
        if old is None:
            continue
        new = _environment(task, family, 0, env_options).episode
        names = {agent: policy.name for agent, policy in policies.items()}
        if (dict(old.policies), old.task, dict(old.config)) != (names, new.task, dict(new.config)):
            raise ValueError(
                f"evaluate: {writer.path} holds episode {key!r} of other policies ({dict(old.policies)}), of another "
                "task or with other limits; give each row a file of its own"
            )
        found[key] = old
    return found


def _judged(episodes: Sequence[Episode], judge: Judge, family: Family | None) -> list[Episode]:
    return judged(episodes, [judge if family is None else judge.for_family(family)])


def _temperature(value: float) -> str:
    return "greedy" if value == 0 else f"temperature {value:g}"


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-." else "_" for c in name)
