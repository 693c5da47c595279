"""What families that draw their own tasks share: people, couplings, chances."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np


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


def checked_chances(name: str, given: Mapping[str, float], kinds: Collection[str]) -> dict[str, float]:
    """The probabilities as given.

    Args:
        name: of the argument, for the error.
        given: probability of each kind; a kind left out is never drawn.
        kinds: all there are.

    Raises:
        ValueError: an unknown kind, a negative probability, or a sum other than 1.
    """
    chances = dict(given)
    if set(chances) - set(kinds) or abs(sum(chances.values()) - 1) > 1e-9 or min(chances.values()) < 0:
        raise ValueError(f"{name}: probabilities of {', '.join(kinds)} that add up to 1; got {chances}")
    return chances


def draw_kind(chances: Mapping[str, float], rng: np.random.Generator) -> str:
    """One kind, by the same number that ``rng.choice(kinds, p=...)`` would draw.

    NumPy's ``choice`` of a list with probabilities swallows an interrupt now and then; this does not.
    """
    bounds = np.cumsum(list(chances.values()))
    return list(chances)[int(np.searchsorted(bounds / bounds[-1], rng.random(), side="right"))]
