"""Reading the scenarios and characters of ``mini`` from their two TOML files, checked as files from outside are."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from sotopia_env.errors import RecordError
from sotopia_env.families.base import check_split
from sotopia_env.families.markup import split_markup
from sotopia_env.schema import check_record, read_task
from sotopia_env.tasks import Task

CATEGORIES = ("negotiation", "exchange", "competition", "collaboration", "accommodation", "persuasion")
"""What kind of social task a scenario is (Sotopia, arXiv 2310.11667, section 2)."""

Text = Annotated[str, StringConstraints(min_length=1)]
Pair = Annotated[list[Text], Field(min_length=2, max_length=2)]


class _ScenarioRecord(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    id: Text
    split: Literal["train", "validation", "test"]
    category: Literal["negotiation", "exchange", "competition", "collaboration", "accommodation", "persuasion"]
    relationship: Text
    situation: Text
    goals: Pair
    pairs: Annotated[list[Pair], Field(min_length=1)]


class _RelationshipsRecord(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    kind: Text
    pairs: Annotated[list[Pair], Field(min_length=1)]


@cache
def load_mini(name: str, version: str) -> tuple[Task, ...]:
    """Every scenario with every pair of characters that plays it, in the order of the files.

    Args:
        name: of the family.
        version: of the family.

    Raises:
        RecordError: a record of the files is wrong, or a pair does not have the scenario's relationship.
    """
    people = _read("characters.toml")
    characters = {str(record.get("id")): record for record in people["characters"]}
    known: dict[frozenset[str], str] = {}
    for number, raw in enumerate(people["relationships"]):
        record = check_record(_RelationshipsRecord, raw, f"characters.toml relationships {number}")
        for pair in record.pairs:
            if frozenset(pair) in known:
                raise RecordError(f"characters.toml relationships {number}", f"{pair} stands there twice")
            known[frozenset(pair)] = record.kind
    tasks: dict[str, Task] = {}
    for number, raw in enumerate(_read("scenarios.toml")["scenarios"]):
        where = f"scenarios.toml scenario {number} ({raw.get('id')})"
        scenario = check_record(_ScenarioRecord, raw, where)
        for pair in scenario.pairs:
            _check_pair(where, pair, scenario.relationship, characters, known)
            task = _task(where, scenario, [characters[person] for person in pair], name, version)
            if task.id in tasks:
                raise RecordError(where, f"task {task.id!r} was made before; give each scenario an id of its own")
            tasks[task.id] = task
    return tuple(tasks.values())


def _read(file: str) -> dict[str, Any]:
    return tomllib.loads(files("sotopia_env.families.mini").joinpath(file).read_text(encoding="utf-8"))


def _check_pair(
    where: str, pair: list[str], relationship: str, characters: dict[str, Any], known: dict[frozenset[str], str]
) -> None:
    absent = [person for person in pair if person not in characters]
    if absent or pair[0] == pair[1]:
        raise RecordError(where, f"field 'pairs': {pair} are not two characters of characters.toml")
    found = known.get(frozenset(pair), "stranger")
    if found != relationship:
        raise RecordError(where, f"field 'pairs': {pair} are {found}, the scenario is for {relationship}")


def _task(where: str, scenario: _ScenarioRecord, people: list[dict[str, Any]], name: str, version: str) -> Task:
    names = {"first": people[0]["first_name"], "second": people[1]["first_name"]}
    if scenario.relationship == "stranger" and any(f"{{{key}}}" in scenario.situation for key in names):
        raise RecordError(where, "field 'situation': strangers do not know each other's names; leave them out")
    parts = [split_markup(text) for text in (scenario.situation.format(**names), *scenario.goals)]
    texts, notes = [" ".join(shown.split()) for shown, _ in parts], [note for _, note in parts if note]
    tags: dict[str, Any] = {"category": scenario.category, "codename": scenario.id, "source": name}
    if texts != [parts[0][0], *scenario.goals]:
        tags["markup"] = {"scenario": texts[0], "agent_goals": list(scenario.goals)}
    return read_task(
        {
            "id": f"{name}-{scenario.id}-{people[0]['id']}-{people[1]['id']}",
            "family": name,
            "version": version,
            "split": scenario.split,
            "scenario": {
                "id": f"{name}-{scenario.id}",
                "situation": texts[0],
                "goals": texts[1:],
                "relationship": scenario.relationship,
                "notes": " ".join(notes),
            },
            "characters": people,
            "tags": tags,
        },
        where,
    )


def tasks_of(name: str, version: str, split: str) -> tuple[Task, ...]:
    """The tasks of one split."""
    check_split(split)
    return tuple(task for task in load_mini(name, version) if task.split == split)
