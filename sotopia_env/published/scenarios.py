"""Sotopia's scenarios and characters as parts of tasks, each scenario with the family that can judge it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sotopia_env.episodes import agent_name
from sotopia_env.errors import RecordError
from sotopia_env.families.bargain.craigslist import Craigslist, read_prices
from sotopia_env.families.base import Family, OpenEnded
from sotopia_env.families.divide.deal_or_no_deal import DealOrNoDeal, read_division_task
from sotopia_env.families.markup import split_markup
from sotopia_env.families.mutual_friends import MutualFriends
from sotopia_env.families.mutual_friends.tables import read_table
from sotopia_env.published.records import PublishedCharacter, PublishedScenario
from sotopia_env.published.report import Report
from sotopia_env.tasks import Character, Scenario, Task

Hidden = tuple[dict[str, Any], ...]

JUDGED = (Craigslist.name, DealOrNoDeal.name, MutualFriends.name)
"""The families that can tell the outcome of a published scenario from its text."""

_COMMON = re.compile(r"common friends?: *([^\n.,]+)")


def scenario_task(where: str, record: PublishedScenario, split: str, report: Report) -> Task:
    """The task of a scenario, as yet without characters.

    ``scenario.notes`` takes what only the judge may read. ``tags["markup"]`` takes the texts with their tags, where
    they have any, so that the scenario can be written back.

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
    if (situation, *shown) != (record.scenario, *record.agent_goals):
        tags["markup"] = {"scenario": record.scenario, "agent_goals": list(record.agent_goals)}
    scenario = Scenario(record.id, situation, shown, record.relationship, hidden, notes)
    return Task(record.id, family.name, family.version, split, scenario, characters=(), tags=tags)


def character(record: PublishedCharacter) -> Character:
    """A character."""
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


def read_friends(goals: Sequence[str], notes: str) -> Hidden:
    """The friends of each seat and the one they share, from the goals and the text for the judge.

    Args:
        goals: one per seat, each with a table of friends.
        notes: names the common friend.

    Raises:
        ValueError: a table or the answer is missing, or the answer is not in every table.
    """
    answer = _COMMON.search(notes)
    if answer is None:
        raise ValueError("the text for the judge names no common friend, such as 'common friends: Alma'")
    common = answer[1].strip()
    tables = [read_table(goal) for goal in goals]
    for seat, table in enumerate(tables):
        if common not in (friend.name for friend in table):
            raise ValueError(f"goal {seat}: no table of friends with the common friend {common!r} in it")
    return tuple({"friends": [friend.to_dict() for friend in table], "common": common} for table in tables)


def _judged(record: PublishedScenario, situation: str, goals: Sequence[str], notes: str) -> tuple[type[Family], Hidden]:
    """The family that can tell the outcome from the text, and what it needs to know."""
    kind = f"{record.source} {record.codename}".lower()
    if "craigslist" in kind:
        return Craigslist, read_prices(situation, goals)
    if "deal-or-no-deal" in kind or (not record.source and record.codename.startswith("divide_")):
        return DealOrNoDeal, read_division_task(situation, goals)
    if "mutual_friend" in kind:
        return MutualFriends, read_friends(goals, notes)
    return OpenEnded, ()


def _visible(where: str, field: str, text: str, viewer: str | None) -> tuple[str, str]:
    try:
        return split_markup(text, viewer)
    except ValueError as error:
        raise RecordError(where, f"field {field!r}: {error}") from None


def marked_texts(task: Task) -> Mapping[str, Any]:
    """Scenario and goals with their tags, as Sotopia publishes them: ``{"scenario": ..., "agent_goals": [...]}``."""
    markup = task.tags.get("markup")
    if isinstance(markup, Mapping):
        return markup
    notes = f' <p viewer="environment">{task.scenario.notes}</p>' if task.scenario.notes else ""
    return {"scenario": task.scenario.situation + notes, "agent_goals": list(task.scenario.goals)}
