"""Writing Sotopia's files, so that its users can load what was played here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sotopia_env.episodes import Episode, agent_name
from sotopia_env.published.export import episode_log, full_record
from sotopia_env.published.files import CHARACTERS, EPISODES, FILES, PAIRINGS, SCENARIOS, USED
from sotopia_env.published.scenarios import marked_texts
from sotopia_env.storage.journal import replace_file
from sotopia_env.tasks import RELATIONSHIPS, Character, Task

_IDS = {SCENARIOS: "env_id", CHARACTERS: "agent_id", PAIRINGS: "combo_id"}
_SETS = {"test": "sotopia_env", "validation": "dev", "train": "train", "transfer": "sotopia_env_transfer"}


def save_published(episodes: Iterable[Episode], path: str | Path, judge: str | None = None) -> int:
    """Write episodes for Sotopia.

    Args:
        episodes: of any family.
        path: a file ``.jsonl`` takes the published format of 15 fields, one episode a line; a folder takes Sotopia's
            local storage, ``EpisodeLog/PK.json`` and the profiles it refers to.
        judge: whose scores to write; by default those the episode was published with, else the last ones.

    Returns:
        How many were written.

    Raises:
        ValueError: an episode has no such judgement, or two profiles of one id differ.
    """
    path, episodes = Path(path), list(episodes)
    if path.suffix == ".jsonl":
        _write_lines(path, [full_record(episode, judge) for episode in episodes])
        return len(episodes)
    if path.suffix:
        raise ValueError(
            f"{path}: name a file .jsonl for the published format, or a folder for Sotopia's local storage"
        )
    kinds = profiles(episode.task for episode in episodes)
    kinds[EPISODES] = {episode.key: episode_log(episode, judge) for episode in episodes}
    for kind, records in kinds.items():
        for identity, record in records.items():
            text = json.dumps(record, indent=2, ensure_ascii=False)
            replace_file(path / kind / f"{_file_name(identity)}.json", [text.encode()])
    return len(episodes)


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
        ValueError: two scenarios or characters of one id differ.
    """
    folder, tasks = Path(path), list(tasks)
    if folder.suffix == ".jsonl":
        _write_lines(folder, [task.to_dict() for task in tasks])
        return len(tasks)
    kinds = profiles(tasks)
    for kind, records in kinds.items():
        lines = [{_IDS[kind]: identity, **_exported(record)} for identity, record in records.items()]
        _write_lines(folder / f"{FILES[kind][0]}.jsonl", lines)
    used: dict[str, list[str]] = {}
    for scenario, split in {task.scenario.id: task.split for task in tasks}.items():
        if split:
            used.setdefault(_SETS[split], []).append(scenario)
    replace_file(folder / USED, [json.dumps(used, indent=1).encode()])
    return len(kinds[PAIRINGS])


def profiles(tasks: Iterable[Task]) -> dict[str, dict[str, dict[str, Any]]]:
    """The profiles and pairings behind tasks: ``{class: {pk: record}}``.

    Raises:
        ValueError: two records of one id differ.
    """
    kinds: dict[str, dict[str, dict[str, Any]]] = {SCENARIOS: {}, CHARACTERS: {}, PAIRINGS: {}}
    for task in tasks:
        identity = (
            task.id if task.evaluated_seat is None else task.id.removesuffix(f":{agent_name(task.evaluated_seat)}")
        )
        pairing = {"pk": identity, "env_id": task.scenario.id, "agent_ids": [c.id for c in task.characters]}
        records = [(SCENARIOS, environment_profile(task)), (PAIRINGS, pairing)]
        records += [(CHARACTERS, agent_profile(character)) for character in task.characters]
        for kind, record in records:
            if kinds[kind].setdefault(record["pk"], record) != record:
                raise ValueError(f"task {task.id!r}: another {kind} has the id {record['pk']!r}; give each its own")
    return kinds


def environment_profile(task: Task) -> dict[str, Any]:
    """The scenario of a task as Sotopia's ``EnvironmentProfile``."""
    return {
        "pk": task.scenario.id,
        "codename": task.tags.get("codename", ""),
        "source": task.tags.get("source", task.family),
        **marked_texts(task),
        "relationship": RELATIONSHIPS.index(task.scenario.relationship),
        "age_constraint": None,
        "occupation_constraint": None,
        "agent_constraint": None,
    }


def agent_profile(character: Character) -> dict[str, Any]:
    """A character as Sotopia's ``AgentProfile``; an age of 0 is Sotopia's for "not told"."""
    return {
        "pk": character.id,
        "first_name": character.first_name,
        "last_name": character.last_name,
        "age": character.age or 0,
        "occupation": character.occupation,
        "gender": character.gender,
        "gender_pronoun": character.pronouns,
        "public_info": character.public_info,
        "big_five": "",
        "moral_values": [character.values] if character.values else [],
        "schwartz_personal_values": [],
        "personality_and_values": character.personality,
        "decision_making_style": character.decision_making_style,
        "secret": character.secret,
    }


def _exported(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record in the spelling of the jsonl export: numbers of relationships and absent constraints are texts."""
    exported = {name: value for name, value in record.items() if name != "pk"}
    if "relationship" in exported:
        exported["relationship"] = str(exported["relationship"])
        exported |= dict.fromkeys(("age_constraint", "occupation_constraint", "agent_constraint"), "nan")
    return exported


def _write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    replace_file(path, (json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records))


def _file_name(identity: str) -> str:
    return "".join(c if c.isalnum() or c in "-_.:" else "_" for c in identity)
