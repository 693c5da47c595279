"""Sotopia's published pairings, or a task file of the package's own, as tasks."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from sotopia_env.episodes import agent_name
from sotopia_env.families.base import Family, OpenEnded
from sotopia_env.families.craigslist import Craigslist
from sotopia_env.published.files import LISTS, PublishedFiles, find_files, read_json, read_records
from sotopia_env.published.markup import split_markup
from sotopia_env.published.prices import read_prices
from sotopia_env.published.report import Report
from sotopia_env.schema import (
    PublishedCharacter,
    PublishedList,
    PublishedPairing,
    PublishedRecord,
    PublishedScenario,
    RecordError,
    check_record,
    read_task,
)
from sotopia_env.tasks import Character, Scenario, Task

SUBSETS = ("hard", "all", "craigslist")

_KEYS = {"env_id", "agent_id", "combo_id", "pk"}

logger = logging.getLogger(__name__)


def load_tasks(path: str | Path, subset: str | None = None, on_error: str = "report") -> list[Task]:
    """Read tasks from files.

    Args:
        path: a folder with Sotopia's files in the jsonl export or the pk-keyed JSON format, or with such a folder
            inside; or a task file (JSON lines or a JSON list of ``Task.to_dict()`` records).
        subset: of a folder, ``None`` for every pairing of a scenario with characters (450 of Sotopia's), ``"hard"``
            for Sotopia's hard list with the seat it evaluates (100), ``"all"`` for every pairing with every seat
            evaluated in turn (900), or ``"craigslist"`` for the pairings whose prices can be read (50).
        on_error: ``"report"`` warns of a record that cannot be used and skips it; ``"raise"`` raises.

    Returns:
        Tasks in a stable order: by scenario and pairing, or as in the task file.

    Raises:
        FileNotFoundError: there is no such file or folder, or the folder holds no complete set.
        ValueError: a file is not JSON, nothing in it can be used, or the subset is unknown.
        RecordError: a record is wrong and ``on_error`` is ``"raise"``.
    """
    if subset is not None and subset not in SUBSETS:
        raise ValueError(f"load_tasks: subset {subset!r} is none of {', '.join(SUBSETS)}")
    path = Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"load_tasks: there is no file or folder {str(path)!r}")
    report = Report(str(path), on_error)
    if path.is_dir():
        tasks = _published_tasks(find_files(path), subset, report)
    elif subset is not None:
        raise ValueError(f"load_tasks: subset {subset!r} is for a folder of published files, not for the file {path}")
    else:
        tasks = _task_file(path, report)
    report.close(len(tasks))
    if not tasks:
        raise ValueError(f"{path}: there is no task in it" + ("" if subset is None else f" for subset {subset!r}"))
    return tasks


def _task_file(path: Path, report: Report) -> list[Task]:
    tasks: dict[str, Task] = {}
    for where, record in read_records(path, report):
        try:
            if isinstance(record, dict) and "family" not in record and _KEYS & set(record):
                raise RecordError(where, "one of Sotopia's own records; load the folder, not the single file")
            task = read_task(record, where)
            if task.id in tasks:
                raise RecordError(where, f"field 'id': {task.id!r} was used before; give each task an id of its own")
        except RecordError as error:
            report.add(error)
            continue
        tasks[task.id] = task
    return list(tasks.values())


def _published_tasks(files: PublishedFiles, subset: str | None, report: Report) -> list[Task]:
    splits = _splits(files.used)
    templates: dict[str, Task] = {}
    for where, scenario in _checked(PublishedScenario, files.scenarios, report).values():
        try:
            templates[scenario.id] = _template(where, scenario, splits.get(scenario.id, ""), report)
        except RecordError as error:
            report.add(error)
    profiles = _checked(PublishedCharacter, files.characters, report)
    characters = {name: _character(record) for name, (_, record) in profiles.items()}
    tasks: list[Task] = []
    for where, pairing in _checked(PublishedPairing, files.pairings, report).values():
        try:
            tasks.append(_seated(where, pairing, templates.get(pairing.env_id), characters))
        except RecordError as error:
            report.add(error)
    tasks.sort(key=lambda task: (task.scenario.id, task.id))
    logger.info("%s: %d scenarios, %d characters, %d tasks", files.folder, len(templates), len(characters), len(tasks))
    if subset == "hard":
        return _hard(tasks, files, report)
    if subset == "all":
        return [_evaluating(task, seat) for task in tasks for seat in range(task.num_seats)]
    if subset == "craigslist":
        return [task for task in tasks if task.family == Craigslist.name]
    return tasks


Record = TypeVar("Record", bound=PublishedRecord)


def _checked(model: type[Record], path: Path, report: Report) -> dict[str, tuple[str, Record]]:
    """All usable records of a file by id, each with the place where it stands; of two with one id, the first."""
    found: dict[str, tuple[str, Record]] = {}
    for where, raw in read_records(path, report):
        try:
            record = check_record(model, raw, where)
            if record.id in found:
                raise RecordError(where, f"id {record.id!r} was used before, in {found[record.id][0]}; remove one")
        except RecordError as error:
            report.add(error)
            continue
        found[record.id] = (where, record)
    return found


def _template(where: str, record: PublishedScenario, split: str, report: Report) -> Task:
    """The task of a scenario, as yet without characters."""
    situation, notes = _visible(where, "scenario", record.scenario)
    goals = [_visible(where, f"agent_goals.{seat}", goal) for seat, goal in enumerate(record.agent_goals)]
    shown = tuple(goal for goal, _ in goals)
    family: type[Family] = OpenEnded
    hidden: tuple[dict[str, Any], ...] = ()
    if "craigslist" in (record.source + record.codename).lower():
        try:
            hidden = read_prices(situation, shown)
            family = Craigslist
        except ValueError as error:
            report.add(RecordError(where, str(error)), "kept as an open-ended scenario, which rules cannot score")
    return Task(
        id=record.id,
        family=family.name,
        version=family.version,
        split=split,
        scenario=Scenario(
            id=record.id,
            situation=situation,
            goals=shown,
            relationship=record.relationship,
            hidden=hidden,
            notes=" ".join(note for note in (notes, *(note for _, note in goals)) if note),
        ),
        characters=(),
        tags={"codename": record.codename, "source": record.source},
    )


def _visible(where: str, field: str, text: str) -> tuple[str, str]:
    try:
        return split_markup(text)
    except ValueError as error:
        raise RecordError(where, f"field {field!r}: {error}") from None


def _character(record: PublishedCharacter) -> Character:
    values = (record.moral_values, record.schwartz_personal_values)
    return Character(
        id=record.id,
        first_name=record.first_name,
        last_name=record.last_name,
        age=record.age,
        occupation=record.occupation,
        gender=record.gender,
        pronouns=record.gender_pronoun,
        public_info=record.public_info,
        personality=record.personality_and_values,
        values="; ".join(", ".join(value.strip() for value in kind) for kind in values if kind),
        decision_making_style=record.decision_making_style,
        secret=record.secret,
    )


def _seated(where: str, pairing: PublishedPairing, template: Task | None, characters: dict[str, Character]) -> Task:
    """The task of a pairing."""
    if template is None:
        raise RecordError(where, f"field 'env_id': scenario {pairing.env_id!r} is missing or was itself reported")
    absent = [name for name in pairing.agent_ids if name not in characters]
    if absent:
        raise RecordError(where, f"field 'agent_ids': character {absent[0]!r} is missing or was itself reported")
    if len(pairing.agent_ids) != len(template.scenario.goals):
        raise RecordError(
            where,
            f"field 'agent_ids': {len(pairing.agent_ids)} characters for {len(template.scenario.goals)} goals of "
            f"scenario {pairing.env_id!r}; give one each",
        )
    return replace(template, id=pairing.id, characters=tuple(characters[name] for name in pairing.agent_ids))


def _evaluating(task: Task, seat: int) -> Task:
    return replace(task, id=f"{task.id}:{agent_name(seat)}", evaluated_seat=seat)


def _hard(tasks: Iterable[Task], files: PublishedFiles, report: Report) -> list[Task]:
    """The tasks of Sotopia's hard list: each entry is a scenario and the seat it evaluates, with every pairing."""
    if files.lists is None:
        raise FileNotFoundError(
            f"{files.folder}: subset 'hard' needs {LISTS[0]}.jsonl, which only Sotopia's jsonl export holds"
        )
    of_scenario: dict[str, list[Task]] = {}
    for task in tasks:
        of_scenario.setdefault(task.scenario.id, []).append(task)
    chosen: list[Task] = []
    for where, record in _checked(PublishedList, files.lists, report).values():
        if "hard" not in record.name:
            continue
        for scenario, seat in zip(record.environments, record.agent_index, strict=True):
            known = of_scenario.get(scenario, [])
            if not known or not 0 <= seat < known[0].num_seats:
                report.add(RecordError(where, f"scenario {scenario!r} with seat {seat}: no such pairing"))
                continue
            chosen += [_evaluating(task, seat) for task in known]
    return chosen


def _splits(used: Path | None) -> dict[str, str]:
    """The split of each scenario: Sotopia's evaluation sets are ``test``, its development set is ``validation``."""
    if used is None:
        return {}
    content = read_json(used)
    if not isinstance(content, dict) or not all(isinstance(ids, list) for ids in content.values()):
        raise ValueError(f"{used}: an object of set name -> list of scenario ids is needed")
    splits: dict[str, str] = {}
    for name, ids in content.items():
        split = "test" if name.startswith("sotopia") else "validation" if name.startswith("dev") else "train"
        for scenario in ids:
            if splits.setdefault(scenario, split) != split:
                raise ValueError(
                    f"{used}: scenario {scenario!r} is in sets of {splits[scenario]} and {split}; "
                    "training and evaluation must not share a scenario"
                )
    return splits
