"""Tasks as the profiles and pairings of Sotopia that are behind them.

What was read from Sotopia's files goes back with every field that it came with, and under its own id. In Sotopia a
scenario is one text for all who play it; here one of several texts may stand under the id of a scenario, so that the
id of what the package made itself is followed by a digest of what the profile says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from sotopia_env.episodes import agent_name, plain_json
from sotopia_env.families.markup import split_markup
from sotopia_env.published.files import CHARACTERS, PAIRINGS, SCENARIOS
from sotopia_env.published.records import PublishedCharacter, PublishedScenario
from sotopia_env.published.scenarios import joined_values
from sotopia_env.tasks import RELATIONSHIPS, Character, Task

_VALUES = ("moral_values", "schwartz_personal_values")


def profiles(tasks: Iterable[Task]) -> dict[str, dict[str, dict[str, Any]]]:
    """The profiles and pairings behind tasks: ``{class: {pk: record}}``.

    Raises:
        ValueError: two records of one id differ.
    """
    kinds: dict[str, dict[str, dict[str, Any]]] = {SCENARIOS: {}, CHARACTERS: {}, PAIRINGS: {}}
    for task in tasks:
        scenario = environment_profile(task)
        further = task.tags.get("published", {}).get("characters", {})
        records = [(SCENARIOS, scenario), (PAIRINGS, _pairing(task, scenario["pk"]))]
        records += [(CHARACTERS, agent_profile(person, further.get(person.id))) for person in task.characters]
        for kind, record in records:
            if kinds[kind].setdefault(record["pk"], record) != record:
                raise ValueError(f"task {task.id!r}: another {kind} has the id {record['pk']!r}; give each its own")
    return kinds


def environment_profile(task: Task) -> dict[str, Any]:
    """The scenario of a task as Sotopia's ``EnvironmentProfile``."""
    profile = {
        "codename": task.tags.get("codename", task.scenario.id),
        "source": task.tags.get("source", task.family),
        **_marked_texts(task),
        "relationship": RELATIONSHIPS.index(task.scenario.relationship),
        **PublishedScenario.untold,
        **task.tags.get("published", {}).get("scenario", {}),
    }
    return {"pk": _identity(task, task.scenario.id, profile), **profile}


def agent_profile(character: Character, further: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A character as Sotopia's ``AgentProfile``; an age that nobody knows is left out.

    Args:
        character: of a task.
        further: what else its record held.
    """
    kept = dict(further or {})
    if joined_values(kept.get(name, []) for name in _VALUES) != character.values:
        kept = {name: value for name, value in kept.items() if name not in _VALUES}
    return {
        "pk": character.id,
        "first_name": character.first_name,
        "last_name": character.last_name,
        **({} if character.age is None else {"age": character.age}),
        "occupation": character.occupation,
        "gender": character.gender,
        "gender_pronoun": character.pronouns,
        "public_info": character.public_info,
        **dict(zip(_VALUES, _kinds_of(character.values), strict=True)),
        "personality_and_values": character.personality,
        "decision_making_style": character.decision_making_style,
        "secret": character.secret,
        **PublishedCharacter.untold,
        **kept,
    }


def digest(value: Any) -> str:
    """Ten characters that tell plain data, dataclasses in it included, from any other."""
    return hashlib.sha256(plain_json(value)).hexdigest()[:10]


def _pairing(task: Task, scenario: str) -> dict[str, Any]:
    seat = task.evaluated_seat
    name = task.id if seat is None else task.id.removesuffix(f":{agent_name(seat)}")
    pairing = {"env_id": scenario, "agent_ids": [character.id for character in task.characters]}
    return {"pk": _identity(task, name, pairing), **pairing}


def _identity(task: Task, name: str, record: Mapping[str, Any]) -> str:
    # In older files these two tags alone tell a published task.
    published = "published" in task.tags or set(task.tags) - {"markup"} == {"codename", "source"}
    return name if published else f"{name}-{digest(record)}"


def _marked_texts(task: Task) -> dict[str, Any]:
    """Scenario and goals as Sotopia publishes them: with their tags, wherever the tagged text still says the same."""
    texts = [task.scenario.situation, *task.scenario.goals]
    markup = task.tags.get("markup", {})
    tagged = [markup.get("scenario", ""), *markup.get("agent_goals", ()), *[""] * len(texts)]
    notes, found = task.scenario.notes, []
    for number, (text, marked) in enumerate(zip(texts, tagged, strict=False)):
        said, note = split_markup(marked, agent_name(number - 1) if number else None)
        same = said.split() == text.split() and note in notes
        if same and note:
            notes = notes.replace(note, "", 1).strip()
        found.append(marked if same else text)
    if notes:
        found[0] += f' <p viewer="environment">{notes}</p>'
    return {"scenario": found[0], "agent_goals": found[1:]}


def _kinds_of(values: str) -> tuple[list[str], list[str]]:
    """Moral and Schwartz values, taken apart where the text tells them apart."""
    moral, _, schwartz = values.partition("; ")
    kinds = (moral.split(", ") if moral else [], schwartz.split(", ") if schwartz else [])
    return kinds if joined_values(kinds) == values else ([values] if values else [], [])
