"""Evaluation: a policy against a partner, on every seat of tasks that it was not trained on.

Two policies evaluated with the same partner, tasks and seed meet the same partner's draws in the same (task, seat), so
that they can be compared pair by pair (:mod:`sotopia_env.training.comparison`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sotopia_env.episodes import agent_name
from sotopia_env.families.base import Family
from sotopia_env.resolve import family_and_tasks
from sotopia_env.rewards.judges.base import as_judge, judged
from sotopia_env.rollouts.executors import Workers
from sotopia_env.rollouts.plan import EpisodePlan, EpisodePlans, RunContext
from sotopia_env.rollouts.run import Judging, play_plan
from sotopia_env.seeds import seed_of_key
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
    processes: Workers = 1,
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
        processes: who shares the work, as in :func:`~sotopia_env.rollout`; policies must then be names, or picklable.
        progress: show a progress bar on stderr.
        env_options: of the environment, such as ``max_cycles``.

    Raises:
        ValueError: a task of the training split, an id used twice, or ``out`` holds episodes that were played with
            other weights, sampling, partner, family, seed or rules; the error says what differs.
    """
    places = _places(tasks, seats)
    training = _training_episodes(places, allow_train)
    judging = as_judge(judge)
    if family is not None:
        judging = judging.for_family(family)
    plans = []
    for task, seat in places:
        key = f"{seed}-{task.id}-{agent_name(seat)}"
        seated = {agent_name(i): policy if i == seat else partner for i in range(task.num_seats)}
        plans.append(EpisodePlan(key, seed_of_key(key), seated, task))
    context = RunContext(family=family, env_options=env_options)
    roles = {"policy": policy, "partner": partner}
    episodes = play_plan(
        EpisodePlans(plans, context, seed, prefix=f"{seed}-", roles=roles),
        out=out,
        batch_size=batch_size,
        processes=processes,
        judging=Judging(lambda played: judged(played, [judging]), waits=judging.works_beside),
        progress=progress,
        description=name or str(getattr(policy, "name", policy)),
    )
    results = tuple(
        result_of(episode, seat, judging.judgement_of(episode))
        for episode, (_, seat) in zip(episodes, places, strict=True)
    )
    seat = places[0][1]
    made, other = (episodes[0].policies[agent_name(i)] for i in (seat, (seat + 1) % episodes[0].task.num_seats))
    judges = ", ".join(dict.fromkeys(judging.name_in(episode) for episode in episodes))
    return Evaluation(name or made, made, other, judges, seed, results, training, tuple(episodes))


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
            out=None if folder is None else Path(folder) / f"{file_name(match.name)}.jsonl",
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
            "of the test split, or allow it (allow_train=True, --allow-train) to measure on them all the same"
        )
    return len(trained)


def _temperature(value: float) -> str:
    return "greedy" if value == 0 else f"temperature {value:g}"


def file_name(name: str) -> str:
    """A name as that of a file."""
    return "".join(c if c.isalnum() or c in "-." else "_" for c in name)
