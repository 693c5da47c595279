"""The tasks that a recipe plays: of the folder of published files, of a family, or of a file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from sotopia_env.published import load_tasks
from sotopia_env.published.loading import scenario_sets
from sotopia_env.tasks import Task
from sotopia_env.training.evaluation import draw_tasks
from sotopia_env.training.recipes.schema import Evaluated, TasksFrom


def recipe_tasks(given: TasksFrom, data: Path | None, seed: int) -> list[Task]:
    """The tasks of a section, in a stable order.

    Args:
        given: which.
        data: the folder of Sotopia's published files.
        seed: of what a family draws.

    Raises:
        ValueError: published tasks are wanted and there is no folder, it has no such set, or nothing is left.
    """
    if not given.published:
        return draw_tasks(given.name, given.number, seed)
    if data is None:
        raise ValueError(f"tasks {given.name!r} are published: give the folder of Sotopia's files with --data")
    tasks = load_tasks(data, given.name.partition(":")[2] or None)
    if given.scenarios is not None:
        wanted = set(scenarios_of(given.scenarios, data))
        tasks = [task for task in tasks if task.scenario.id in wanted]
    if given.without is not None:
        others = {task.scenario.id for task in load_tasks(data, given.without)}
        tasks = [task for task in tasks if task.scenario.id not in others]
    if given.pairings is not None:
        tasks = _first_pairings(tasks, given.pairings)
    if not tasks:
        raise ValueError(f"{data} holds no task of {described(given)}; give a folder with those scenarios")
    return _spread(tasks, given.number)


def evaluation_tasks(given: Evaluated, data: Path | None, seed: int) -> list[Task]:
    """The tasks of an evaluation: with both seats each pairing once, whatever seats a published list names.

    Raises:
        ValueError: the listed seats are asked for, and a task lists none.
    """
    if given.seats == "listed":
        listed = recipe_tasks(given.tasks, data, seed)
        if any(task.evaluated_seat is None for task in listed):
            raise ValueError(f"evaluation.sets: the tasks of {given.tasks.name!r} list no seat; give seats: both")
        return listed
    # Of pairings, not of seats, the first so many.
    whole = given.tasks.model_copy(update={"pairings": None, "number": None})
    tasks: dict[str, Task] = {}
    for task in recipe_tasks(whole if given.tasks.published else given.tasks, data, seed):
        seat = f":agent_{task.evaluated_seat}"
        identity = task.id if task.evaluated_seat is None else task.id.removesuffix(seat)
        tasks.setdefault(identity, replace(task, id=identity, evaluated_seat=None))
    found = list(tasks.values())
    if given.tasks.pairings is not None:
        found = _first_pairings(found, given.tasks.pairings)
    return _spread(found, given.tasks.number)


def scenarios_of(name: str, data: Path) -> list[str]:
    """The ids of the scenarios of a set of ``used_env.json``.

    Raises:
        ValueError: the folder names no such set.
    """
    sets = scenario_sets(data)
    if name not in sets:
        raise ValueError(f"scenarios: {data} names no set {name!r}; its used_env.json has {', '.join(sets) or 'none'}")
    return sets[name]


@dataclass(frozen=True)
class Expected:
    """How many tasks a section has, as far as that can be told.

    Args:
        number: of tasks; ``None`` where nobody knows.
        scenarios: that they are of.
        tasks: themselves, where they are there.
        note: what was assumed, or is missing.
    """

    number: int | None
    scenarios: int | None
    tasks: tuple[Task, ...] = ()
    note: str = ""


def expected_tasks(given: TasksFrom, data: Path | None, seed: int) -> Expected:
    """The tasks of a section, or how many there would be: published sets are named in files that may be alone."""
    try:
        return known_tasks(recipe_tasks(given, data, seed))
    except (ValueError, OSError) as error:
        said = str(error)
    if data is not None and given.scenarios is not None and given.pairings is not None:
        try:
            number = len(scenarios_of(given.scenarios, data))
        except (ValueError, OSError):
            return Expected(None, None, note=said)
        wanted = number * given.pairings
        note = (
            f"{given.scenarios}: counted as {number} scenarios x {given.pairings} pairings; the run needs them: {said}"
        )
        return Expected(min(wanted, given.number or wanted), number, note=note)
    return Expected(None, None, note=said)


def known_tasks(tasks: list[Task]) -> Expected:
    """What is expected where the tasks are there."""
    return Expected(len(tasks), len({task.scenario.id for task in tasks}), tuple(tasks))


def described(given: TasksFrom) -> str:
    """A section of tasks in words."""
    parts = [
        given.name,
        *(f"{key} {value}" for key, value in given.model_dump(exclude_none=True).items() if key != "name"),
    ]
    return ", ".join(parts)


def _spread(tasks: list[Task], number: int | None) -> list[Task]:
    """So many tasks, evenly spaced; all where there are no more."""
    if number is None or number >= len(tasks):
        return tasks
    return [tasks[i * len(tasks) // number] for i in range(number)]


def _first_pairings(tasks: list[Task], number: int) -> list[Task]:
    met: Counter[str] = Counter()
    kept = []
    for task in tasks:
        met[task.scenario.id] += 1
        if met[task.scenario.id] <= number:
            kept.append(task)
    return kept
