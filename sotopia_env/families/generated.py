"""What families that draw their own tasks share: people, couplings, chances, draws."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np

from sotopia_env.families import conduct
from sotopia_env.families.base import Family
from sotopia_env.families.formal import checked_mode, with_agreement
from sotopia_env.tasks import Character, Scenario, Task

T = TypeVar("T")


@dataclass(frozen=True)
class Coupling:
    """How far each channel moves a side's concessions, from -0.5 to 1."""

    manners: float = 1.0
    questions: float = 1.0
    leaks: float = 1.0

    def __post_init__(self) -> None:
        """Refuse values outside the range the world was measured in."""
        for name in ("manners", "questions", "leaks"):
            if not -0.5 <= getattr(self, name) <= 1.0:
                raise ValueError(f"coupling: {name} is {getattr(self, name)}; it lies in [-0.5, 1]")

    def sentence(self) -> str:
        """How it stands in a goal; one number where all channels agree."""
        if self.manners == self.questions == self.leaks:
            return f"Sway: {self.manners:g}."
        return f"Sway: manners {self.manners:g}, questions {self.questions:g}, leaks {self.leaks:g}."


def _as_coupling(given: AnyCoupling) -> Coupling:
    if isinstance(given, int | float):
        return Coupling(given, given, given)
    if isinstance(given, Coupling):
        return given
    channels = [field.name for field in fields(Coupling)]
    if not isinstance(given, Mapping) or set(given) - set(channels):
        raise ValueError(f"coupling: {given!r} is neither a number nor numbers for some of {', '.join(channels)}")
    return Coupling(**given)


AnyCoupling = float | Coupling | Mapping[str, float]

PEOPLE: tuple[tuple[str, str, str], ...] = (
    ("Mara", "Lind", "carpenter"),
    ("Tobias", "Okoro", "bus driver"),
    ("Ines", "Varga", "dentist"),
    ("Jonah", "Petrov", "baker"),
    ("Leila", "Sato", "surveyor"),
    ("Emeka", "Duarte", "florist"),
    ("Signe", "Halloran", "translator"),
    ("Ravi", "Moreau", "plumber"),
    ("Yara", "Kowal", "pharmacist"),
    ("Anton", "Reyes", "welder"),
    ("Noor", "Fischer", "archivist"),
    ("Petra", "Adeyemi", "vet"),
    ("Luca", "Haddad", "gardener"),
    ("Freya", "Mendes", "tailor"),
    ("Omar", "Lindqvist", "electrician"),
    ("Hana", "Bishop", "librarian"),
)
"""First name, last name, occupation."""

KNOWN = "You know: {facts}."
"""How its facts stand in the goal of a seat."""


def draw_people(
    family: str, secrets: Sequence[str], rng: np.random.Generator, people: Sequence[tuple[str, str, str]] = PEOPLE
) -> tuple[Character, ...]:
    """Two of the people, each with one of the secrets; their ids begin with the name of the family."""
    chosen = rng.choice(len(people), size=2, replace=False)
    kept = rng.choice(len(secrets), size=2, replace=False)
    drawn = []
    for person, secret in zip(chosen, kept, strict=True):
        first, last, occupation = people[person]
        identity = f"{family}-{person}-{secret}"
        drawn.append(Character(identity, first, last, occupation=occupation, secret=secrets[secret]))
    return tuple(drawn)


class GeneratedFamily(Family):
    """A family that draws its own tasks; a subclass draws their scenario.

    Args:
        coupling: one number for all channels, a :class:`Coupling`, or a mapping of its fields.
        max_cycles: turn limit of the tasks, in turns of the table.
        judge_bank: whose words the relationship score counts: ``"evaluation"`` or ``"training"``. The tasks that it
            draws say so, and a family that was given none judges each task as it says, by the evaluation's words where
            it says nothing: so episodes are scored alike while they are played and when they are read again.
        agreement: how the agreements of its tasks are made, ``"plain"`` or ``"formal"``
            (:mod:`sotopia_env.families.formal`).
    """

    def __init__(self, coupling: AnyCoupling, max_cycles: int, judge_bank: str | None, agreement: str) -> None:
        """Check the arguments."""
        self.agreement = checked_mode(agreement)
        self.coupling = _as_coupling(coupling)
        self.max_cycles = max_cycles
        self.judge_bank = None if judge_bank is None else conduct.checked_bank(judge_bank)

    def bank_of(self, task: Task) -> str:
        """Returns the bank of words by which an episode of a task is judged."""
        return self.judge_bank or conduct.bank_of(task)

    def judge_name(self, task: Task, name: str = "rule") -> str:
        """The name, with the bank of words where it is not that of the evaluation."""
        return conduct.named_for(self.bank_of(task), name)

    def _goal(self, wording: str, facts: Sequence[str], known: str = KNOWN) -> str:
        """A goal in its wording, with what its seat knows and how far it is swayed."""
        told = [known.format(facts="; ".join(facts))] if facts else []
        return " ".join([wording, *told, self.coupling.sentence()])

    def _task(
        self, identity: str, split: str, scenario: Scenario, characters: tuple[Character, ...], tags: Mapping[str, str]
    ) -> Task:
        """The task of a scenario that was drawn."""
        task = Task(
            id=identity,
            family=self.name,
            version=self.version,
            split=split,
            scenario=scenario,
            characters=characters,
            max_cycles=self.max_cycles,
            tags={**tags, **({} if self.judge_bank is None else {conduct.BANK_TAG: self.judge_bank})},
        )
        return with_agreement(task, self.agreement, self)


def checked_chances(name: str, given: str | Mapping[str, float], kinds: Collection[str]) -> dict[str, float]:
    """The probabilities as given.

    Args:
        name: of the argument, for the error.
        given: probability of each kind; a kind left out is never drawn. The name of a kind alone is always drawn.
        kinds: all there are.

    Raises:
        ValueError: an unknown kind, a negative probability, or a sum other than 1.
    """
    chances = {given: 1.0} if isinstance(given, str) else dict(given)
    if set(chances) - set(kinds) or abs(sum(chances.values()) - 1) > 1e-9 or min(chances.values()) < 0:
        raise ValueError(f"{name}: probabilities of {', '.join(kinds)} that add up to 1; got {chances}")
    return chances


def draw_kind(chances: Mapping[str, float], rng: np.random.Generator) -> str:
    """One kind, by the same number that ``rng.choice(kinds, p=...)`` would draw.

    NumPy's ``choice`` of a list with probabilities swallows an interrupt now and then; this does not.
    """
    bounds = np.cumsum(list(chances.values()))
    return list(chances)[int(np.searchsorted(bounds / bounds[-1], rng.random(), side="right"))]


def pick(options: Sequence[T], rng: np.random.Generator) -> T:
    """One of several, each as likely as the others."""
    return options[int(rng.integers(len(options)))]
