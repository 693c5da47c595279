"""Tasks as plain data: a scenario, its characters, and which seat is evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

RELATIONSHIPS = ("stranger", "know_by_name", "acquaintance", "friend", "romantic_relationship", "family_member")
"""Sotopia's six relationships, by their published number."""


@dataclass(frozen=True)
class Character:
    """Who sits on a seat. Everything but ``id`` and ``first_name`` may be empty."""

    id: str
    first_name: str
    last_name: str = ""
    age: int | None = None
    occupation: str = ""
    gender: str = ""
    pronouns: str = ""
    public_info: str = ""
    personality: str = ""
    values: str = ""
    decision_making_style: str = ""
    secret: str = ""

    @property
    def name(self) -> str:
        """First and last name."""
        return f"{self.first_name} {self.last_name}".strip()


@dataclass(frozen=True)
class Scenario:
    """A situation with one private goal per seat.

    Args:
        id: unique within its source.
        situation: text that every seat reads.
        goals: one text per seat, read by that seat alone.
        relationship: one of :data:`RELATIONSHIPS`.
        hidden: one JSON-able mapping per seat, with the values a judge needs (limits, facts, keywords). No agent ever
            sees it: what a seat may know of it stands in its goal or its character.
        notes: text for the judge alone (published scenarios hold the answer there).
    """

    id: str
    situation: str
    goals: tuple[str, ...]
    relationship: str = "stranger"
    hidden: tuple[Mapping[str, Any], ...] = ()
    notes: str = ""


@dataclass(frozen=True)
class Task:
    """One thing to play: a scenario, its characters, and which seat is evaluated.

    Args:
        id: unique and stable; ``reset(options={"task": id})`` chooses it.
        family: name of the family that generates and scores it (``"bargain"``), or ``"sotopia"``.
        version: version of that family; scores of different versions do not compare.
        split: ``"train"``, ``"validation"``, ``"test"`` or ``""``.
        scenario: situation, goals, hidden values.
        characters: one per seat.
        evaluated_seat: index of the seat a benchmark looks at, or ``None``.
        max_cycles: the task's own turn limit, used where the environment is given none.
    """

    id: str
    family: str
    version: str
    split: str
    scenario: Scenario
    characters: tuple[Character, ...]
    evaluated_seat: int | None = None
    max_cycles: int | None = None
    tags: Mapping[str, Any] = field(default_factory=dict)

    @property
    def num_seats(self) -> int:
        """How many agents play."""
        return len(self.characters)

    @property
    def shown_as(self) -> str:
        """The relationship by which the characters are shown to each other: their own, as a rule.

        Sotopia 0.1.5 shows nobody anything of the others; an episode that it played says so in its tags.
        """
        return str(self.tags.get("shown_as", self.scenario.relationship))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Task:
        """The task of a record that :meth:`to_dict` made. Files from outside go through :mod:`sotopia_env.schema`."""
        scenario = dict(record["scenario"])
        scenario["goals"] = tuple(scenario["goals"])
        scenario["hidden"] = tuple(dict(h) for h in scenario["hidden"])
        return cls(
            **{
                **record,
                "scenario": Scenario(**scenario),
                "characters": tuple(Character(**c) for c in record["characters"]),
                "tags": dict(record.get("tags", {})),
            }
        )
