"""Writing Sotopia's files, so that its users can load what was played here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sotopia_env.episodes import Episode
from sotopia_env.published.export import TAG, episode_log, full_record
from sotopia_env.published.files import CHARACTERS, EPISODES, FILES, PAIRINGS, SCENARIOS, USED
from sotopia_env.published.profiles import environment_profile, profiles
from sotopia_env.published.store import add_to_store
from sotopia_env.storage.journal import replace_file
from sotopia_env.tasks import Task

_IDS = {SCENARIOS: "env_id", CHARACTERS: "agent_id", PAIRINGS: "combo_id"}
_SETS = {"test": "sotopia_env", "validation": "dev", "train": "train", "transfer": "sotopia_env_transfer"}


def save_published(episodes: Iterable[Episode], path: str | Path, judge: str | None = None, tag: str = TAG) -> int:
    """Write episodes for Sotopia.

    Args:
        episodes: of any family.
        path: a file ``.jsonl`` takes the published format of 15 fields, one episode a line; a folder takes Sotopia's
            local storage, ``EpisodeLog/PK.json`` and the profiles it refers to. What the folder holds already stays as
            it is: what is there and equal is not written again, and nothing is written at all where anything differs.
        judge: whose scores to write; by default those the episode was published with, else the last ones.
        tag: of the experiment, for episodes that have none.

    Returns:
        How many the file or the folder holds of them.

    Raises:
        ValueError: an episode has no such judgement, or two records of one id differ, here or in the folder.
    """
    path, episodes = Path(path), list(episodes)
    if path.suffix == ".jsonl":
        replace_file(path, [_lines(full_record(episode, judge, tag) for episode in episodes)])
        return len(episodes)
    if path.suffix:
        raise ValueError(
            f"{path}: name a file .jsonl for the published format, or a folder for Sotopia's local storage"
        )
    kinds = profiles(episode.task for episode in episodes)
    logs = kinds.setdefault(EPISODES, {})
    for log in (episode_log(episode, judge, tag) for episode in episodes):
        if logs.setdefault(log["pk"], log) != log:
            raise ValueError(f"another episode has the id {log['pk']!r}; give each its own")
    add_to_store(path, kinds)
    return len(logs)


def save_tasks(tasks: Iterable[Task], path: str | Path) -> int:
    """Write tasks, as a task file of the package's own or as Sotopia's jsonl export.

    Args:
        tasks: of any family.
        path: a file ``.jsonl`` takes tasks with all they hold, one a line, which :func:`load_tasks` gives back. A
            folder takes the four files of the export: scenarios, characters, pairings, and which are for training.
            Values for a rule judge have no place there: a generated task is read back as an open-ended scenario.

    Returns:
        How many tasks or pairings were written.

    Raises:
        ValueError: two scenarios or characters of one id differ, or the folder holds such files with other records.
    """
    folder, tasks = Path(path), list(tasks)
    if folder.suffix == ".jsonl":
        replace_file(folder, [_lines(task.to_dict() for task in tasks)])
        return len(tasks)
    kinds = profiles(tasks)
    files = {
        folder / f"{FILES[kind][0]}.jsonl": _lines({_IDS[kind]: pk, **_exported(each)} for pk, each in records.items())
        for kind, records in kinds.items()
    }
    used: dict[str, list[str]] = {}
    for scenario, split in {environment_profile(task)["pk"]: task.split for task in tasks}.items():
        if split:
            used.setdefault(_SETS[split], []).append(scenario)
    files[folder / USED] = json.dumps(used, indent=1).encode()
    for path, content in files.items():
        if path.exists() and path.read_bytes() != content:
            raise ValueError(f"{path} holds other records and is left as it is; name another folder")
    for path, content in files.items():
        replace_file(path, [content])
    return len(kinds[PAIRINGS])


def _exported(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record in the spelling of the jsonl export, which has no tags and writes relationships as texts."""
    exported = {name: value for name, value in record.items() if name != "pk" and (name, value) != ("tag", "")}
    if "relationship" in exported:
        exported["relationship"] = str(exported["relationship"])
        exported["agent_constraint"] = exported["agent_constraint"] or "none"
    if "first_name" in exported:
        # Sotopia's reader of the export asks for a number; 0 stands there for an age that nobody told.
        exported.setdefault("age", 0)
    return exported


def _lines(records: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records)
