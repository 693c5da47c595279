"""Sotopia's published pairings, or a task file of the package's own, as tasks."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from sotopia_env.episodes import agent_name
from sotopia_env.errors import RecordError
from sotopia_env.families import FAMILIES
from sotopia_env.families.base import SPLITS
from sotopia_env.families.resolve import check_hidden
from sotopia_env.published.files import (
    CHARACTERS,
    FILES,
    LISTS,
    PAIRINGS,
    SCENARIOS,
    PublishedFiles,
    data_folder,
    find_files,
    local_path,
)
from sotopia_env.published.json_records import is_dump, read_json, read_records
from sotopia_env.published.records import (
    PublishedCharacter,
    PublishedList,
    PublishedPairing,
    PublishedRecord,
    PublishedScenario,
)
from sotopia_env.published.report import Report
from sotopia_env.published.scenarios import JUDGED, Profile, profile, scenario_task, seated
from sotopia_env.schema import check_record, read_task
from sotopia_env.tasks import Task

SUBSETS = ("hard", "all", "checkable", *JUDGED, *SPLITS)
"""The parts of a folder of published files."""

_KEYS = {"env_id", "agent_id", "combo_id", "pk"}

logger = logging.getLogger(__name__)


def load_tasks(path: str | Path, subset: str | None = None, on_error: str = "report") -> list[Task]:
    """Read tasks from files.

    Args:
        path: a folder with Sotopia's files (the jsonl export, the pk-keyed JSON format, or local storage), or with
            such a folder inside; a Redis dump as JSON; the id of a data set on the Hugging Face hub; or a task file
            (JSON lines or a JSON list of ``Task.to_dict()`` records).
        subset: of Sotopia's files, ``None`` for every pairing of a scenario with characters (450 of them), ``"hard"``
            for Sotopia's hard list with the seat it evaluates (100), ``"all"`` for every pairing that is not for
            training, with every seat evaluated in turn (900), ``"checkable"`` for the pairings whose outcome rules can
            tell (150), one of its three families by name (50 each), or a split.
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
    path = local_path(path)
    report = Report(str(path), on_error)
    if path.is_dir() or is_dump(path):
        tasks = _published_tasks(find_files(path, report), subset, report)
    elif subset is not None:
        raise ValueError(f"load_tasks: subset {subset!r} is for a folder of published files, not for the file {path}")
    else:
        tasks = _task_file(path, report)
    report.close(len(tasks))
    if not tasks:
        raise ValueError(f"{path}: there is no task in it" + ("" if subset is None else f" for subset {subset!r}"))
    return tasks


def load_named(name: str) -> list[Task]:
    """Published tasks by name, from the folder that ``SOTOPIA_ENV_DATA`` names.

    Args:
        name: ``"sotopia"`` for all pairings, ``"sotopia:hard"`` or another of :data:`SUBSETS`, or a family whose tasks
            are published (``"craigslist"``).

    Raises:
        ValueError: the variable is not set, or there is no such subset.
    """
    family, _, subset = name.partition(":")
    if family != "sotopia" and subset not in ("", "test"):
        raise ValueError(f"{name!r}: all published tasks of {family} are for evaluation; write {family!r}")
    wanted = (subset or None) if family == "sotopia" else family
    if wanted is not None and wanted not in SUBSETS:
        raise ValueError(f"{name!r}: {wanted!r} is no subset; one of {', '.join(SUBSETS)}")
    return load_tasks(data_folder(), wanted)


def published_names() -> list[str]:
    """Every name that :func:`load_named` takes, in its shortest form."""
    return ["sotopia", *(f"sotopia:{subset}" for subset in SUBSETS)]


def _task_file(path: Path, report: Report) -> list[Task]:
    tasks: dict[str, Task] = {}
    for where, record in read_records(path, report):
        try:
            if isinstance(record, dict) and "family" not in record and _KEYS & set(record):
                raise RecordError(where, "one of Sotopia's own records; load the folder, not the single file")
            task = read_task(record, where)
            if task.family in FAMILIES:
                check_hidden(FAMILIES[task.family], task, where)
            if task.id in tasks:
                raise RecordError(where, f"field 'id': {task.id!r} was used before; give each task an id of its own")
        except RecordError as error:
            report.add(error)
            continue
        tasks[task.id] = task
    return list(tasks.values())


def _published_tasks(files: PublishedFiles, subset: str | None, report: Report) -> list[Task]:
    templates, characters = read_profiles(files, report)
    tasks = read_pairings(files, templates, characters, report)
    logger.info("%s: %d scenarios, %d characters, %d tasks", files.place, len(templates), len(characters), len(tasks))
    if subset == "hard":
        return _hard(tasks, files, report)
    if subset == "all":
        held_out = [task for task in tasks if task.split in ("", "test")]
        return [_evaluating(task, seat) for task in held_out for seat in range(task.num_seats)]
    if subset == "checkable":
        return [task for task in tasks if task.family in JUDGED]
    return [task for task in tasks if subset is None or subset in (task.family, task.split)]


def read_profiles(files: PublishedFiles, report: Report) -> tuple[dict[str, Task], dict[str, Profile]]:
    """Scenarios, as tasks without characters, and characters, each by id."""
    splits = _splits(files.used)
    templates: dict[str, Task] = {}
    for where, scenario in _checked(PublishedScenario, SCENARIOS, files, report).values():
        try:
            templates[scenario.id] = scenario_task(where, scenario, splits.get(scenario.id, ""), report)
        except RecordError as error:
            report.add(error)
    characters = _checked(PublishedCharacter, CHARACTERS, files, report)
    return templates, {name: profile(record) for name, (_, record) in characters.items()}


def read_pairings(
    files: PublishedFiles, templates: Mapping[str, Task], characters: Mapping[str, Profile], report: Report
) -> list[Task]:
    """The tasks of all pairings, by scenario and id."""
    tasks: list[Task] = []
    for where, pairing in _checked(PublishedPairing, PAIRINGS, files, report).values():
        try:
            tasks.append(_seated(where, pairing, templates.get(pairing.env_id), characters))
        except RecordError as error:
            report.add(error)
    tasks.sort(key=lambda task: (task.scenario.id, task.id))
    return tasks


Record = TypeVar("Record", bound=PublishedRecord)


def _checked(model: type[Record], kind: str, files: PublishedFiles, report: Report) -> dict[str, tuple[str, Record]]:
    """All usable records of a class by id, each with the place where it stands; of two with one id, the first."""
    found: dict[str, tuple[str, Record]] = {}
    for where, raw in files.records(kind, report):
        try:
            record = check_record(model, raw, where)
            if record.id in found:
                raise RecordError(where, f"id {record.id!r} was used before, in {found[record.id][0]}; remove one")
        except RecordError as error:
            report.add(error)
            continue
        found[record.id] = (where, record)
    return found


def _seated(where: str, pairing: PublishedPairing, template: Task | None, characters: Mapping[str, Profile]) -> Task:
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
    return seated(template, pairing.id, [characters[name] for name in pairing.agent_ids])


def _evaluating(task: Task, seat: int) -> Task:
    return replace(task, id=f"{task.id}:{agent_name(seat)}", evaluated_seat=seat)


def _hard(tasks: Iterable[Task], files: PublishedFiles, report: Report) -> list[Task]:
    """The tasks of Sotopia's hard list: each entry is a scenario and the seat it evaluates, with every pairing."""
    if not files.has(LISTS):
        raise FileNotFoundError(
            f"{files.place}: subset 'hard' needs {FILES[LISTS][0]}.jsonl, which Sotopia's jsonl export holds"
        )
    of_scenario: dict[str, list[Task]] = {}
    for task in tasks:
        of_scenario.setdefault(task.scenario.id, []).append(task)
    chosen: list[Task] = []
    for where, record in _checked(PublishedList, LISTS, files, report).values():
        if "hard" not in record.name:
            continue
        for scenario, seat in zip(record.environments, record.agent_index, strict=True):
            known = of_scenario.get(scenario, [])
            if known and known[0].split not in ("", "test"):
                report.add(RecordError(where, f"scenario {scenario!r} is for {known[0].split} by {files.used}"))
                continue
            if not known or not 0 <= seat < known[0].num_seats:
                report.add(RecordError(where, f"scenario {scenario!r} with seat {seat}: no such pairing"))
                continue
            chosen += [_evaluating(task, seat) for task in known]
    return chosen


def scenario_sets(path: str | Path) -> dict[str, list[str]]:
    """The sets of scenarios that ``used_env.json`` names, such as ``"SFT-round-1"``, by their ids; none without it.

    Args:
        path: a folder or dump that :func:`load_tasks` takes.
    """
    path = local_path(path)
    return _sets(find_files(path, Report(str(path), "report")).used)


def _sets(used: Path | None) -> dict[str, list[str]]:
    if used is None:
        return {}
    content = read_json(used)
    if not isinstance(content, dict) or not all(isinstance(ids, list) for ids in content.values()):
        raise ValueError(f"{used}: an object of set name -> list of scenario ids is needed")
    return content


def _splits(used: Path | None) -> dict[str, str]:
    """The split of each scenario: Sotopia's evaluation sets are ``test``, its development set is ``validation``."""
    splits: dict[str, str] = {}
    for name, ids in _sets(used).items():
        split = "test" if name.startswith("sotopia") else "validation" if name.startswith("dev") else "train"
        for scenario in ids:
            if splits.setdefault(scenario, split) != split:
                raise ValueError(
                    f"{used}: scenario {scenario!r} is in sets of {splits[scenario]} and {split}; "
                    "training and evaluation must not share a scenario"
                )
    return splits
