"""Sotopia's scenarios and characters as parts of tasks, each scenario with the family that can judge it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sotopia_env.episodes import agent_name
from sotopia_env.errors import RecordError
from sotopia_env.families import FAMILIES
from sotopia_env.families.base import Family, OpenEnded
from sotopia_env.families.markup import split_markup
from sotopia_env.published.records import PublishedCharacter, PublishedScenario
from sotopia_env.published.report import Report
from sotopia_env.tasks import Character, Scenario, Task

Hidden = tuple[dict[str, Any], ...]

JUDGED = tuple(sorted(name for name, family in FAMILIES.items() if "read_published" in vars(family)))
"""The families that can tell the outcome of a published scenario from its text."""


def scenario_task(where: str, record: PublishedScenario, split: str, report: Report) -> Task:
    """The task of a scenario, as yet without characters.

    ``scenario.notes`` takes what only the judge may read. ``tags["markup"]`` takes the texts with their tags, where
    they have any, and ``tags["published"]`` the fields that no task needs, so that the scenario can be written back.

    Args:
        where: names the record in an error.
        record: the scenario.
        split: of its tasks.
        report: takes scenarios that ought to be judged by rule and cannot.

    Raises:
        RecordError: the markup of a text could show an answer.
    """
    situation, notes = _visible(where, "scenario", record.scenario, None)
    goals = [_visible(where, f"agent_goals.{i}", goal, agent_name(i)) for i, goal in enumerate(record.agent_goals)]
    shown = tuple(goal for goal, _ in goals)
    notes = " ".join(note for note in (notes, *(note for _, note in goals)) if note)
    family: type[Family] = OpenEnded
    hidden: Hidden = ()
    try:
        family, hidden = _judged(record, situation, shown, notes)
    except ValueError as error:
        report.add(RecordError(where, str(error)), "kept as an open-ended scenario, which rules cannot score")
    tags: dict[str, Any] = {"codename": record.codename, "source": record.source}
    tags["published"] = {"scenario": record.further}
    if (situation, *shown) != (record.scenario, *record.agent_goals):
        tags["markup"] = {"scenario": record.scenario, "agent_goals": list(record.agent_goals)}
    scenario = Scenario(record.id, situation, shown, record.relationship, hidden, notes)
    return Task(record.id, family.name, family.version, split, scenario, characters=(), tags=tags)


@dataclass(frozen=True)
class Profile:
    """A published character.

    Args:
        character: what a task needs of it.
        further: what else its record holds, moral and Schwartz values apart from each other included.
    """

    character: Character
    further: Mapping[str, Any]


def profile(record: PublishedCharacter) -> Profile:
    """The character of a record, and what else the record holds."""
    kinds = {"moral_values": record.moral_values, "schwartz_personal_values": record.schwartz_personal_values}
    character = Character(
        id=record.id,
        first_name=record.first_name,
        last_name=record.last_name,
        age=record.age,
        occupation=record.occupation,
        gender=record.gender,
        pronouns=record.gender_pronoun,
        public_info=record.public_info,
        personality=record.personality_and_values,
        values=joined_values(kinds.values()),
        decision_making_style=record.decision_making_style,
        secret=record.secret,
    )
    return Profile(character, {**record.further, **{name: values for name, values in kinds.items() if values}})


def joined_values(kinds: Iterable[Sequence[str]]) -> str:
    """Moral and Schwartz values as one text."""
    return "; ".join(", ".join(value.strip() for value in kind) for kind in kinds if kind)


def seated(template: Task, identity: str, profiles: Sequence[Profile]) -> Task:
    """The task of a scenario and those who play it.

    Args:
        template: the scenario, as a task without characters.
        identity: id of the task.
        profiles: one per seat.
    """
    further = {profile.character.id: profile.further for profile in profiles}
    published = {**template.tags.get("published", {}), "characters": further}
    people = tuple(profile.character for profile in profiles)
    return replace(template, id=identity, characters=people, tags={**template.tags, "published": published})


def _judged(record: PublishedScenario, situation: str, goals: Sequence[str], notes: str) -> tuple[type[Family], Hidden]:
    """The family that can tell the outcome from the text, and what it needs to know."""
    for family in FAMILIES.values():
        hidden = family.read_published(record.source, record.codename, situation, goals, notes)
        if hidden is not None:
            return family, hidden
    return OpenEnded, ()


def _visible(where: str, field: str, text: str, viewer: str | None) -> tuple[str, str]:
    try:
        return split_markup(text, viewer)
    except ValueError as error:
        raise RecordError(where, f"field {field!r}: {error}") from None
