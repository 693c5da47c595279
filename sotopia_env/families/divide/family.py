"""The family: it draws tasks, watches for a division, and scores.

## Description
Two people divide three kinds of items. Each has points for one of each kind (all of them together are worth 20 points
to either), two facts that hint at what matters to it, and a secret. An agreement says who gets every item. What one
side values the other often does not, so that both can gain by finding out.

## Couplings
How far manners, questions and indiscretions move a side stands in its own goal text, as in ``bargain``; so does what
they mean. The couplings act through what policies do with them: the rules of the environment never change.

## Version history
* 1: initial version.
* 2: manners, secrets and facts are read clause by clause.
* 3: divisions are settled kind by kind and nothing is given away by inference; wishes are no offers; what seems to move
  the division and cannot be read withdraws the older offer and is counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import product
from typing import Any

import numpy as np

from sotopia_env.episodes import Ending, Episode, Judgement, Turn
from sotopia_env.families.base import Family, Move, check_split
from sotopia_env.families.divide import catalogue, scoring
from sotopia_env.families.divide.agreement import DivisionTable, opening, own_share, take
from sotopia_env.families.divide.formal_division import form, read_share
from sotopia_env.families.divide.items import (
    Counts,
    ItemKind,
    Items,
    items_of,
    items_record,
    listed,
    plural_of,
    share_text,
)
from sotopia_env.families.divide.moves import read_division
from sotopia_env.families.formal import acted, is_formal, live_terms, refusal
from sotopia_env.families.generated import AnyCoupling, GeneratedFamily, checked_chances, draw_kind, draw_people, pick
from sotopia_env.tasks import Scenario, Task

KINDS = 3
COUNT = (1, 4)
"""Fewest and most items of one kind."""

TOTAL_COUNT = (6, 9)
"""Fewest and most items in all."""

POINTS = 20
"""What all items together are worth to either side."""

GAINS: Mapping[str, tuple[float, float]] = {"large": (0.70, 1.01), "small": (0.55, 0.70), "none": (0.45, 0.55)}
"""Difficulty by the largest share of points that both sides can have at once: from, and below."""

Values = tuple[int, ...]


@dataclass(frozen=True)
class DivisionHidden:
    """The hidden values of a seat: what is divided, and the points for one of each kind.

    The published scenarios have neither facts nor a secret of their own.
    """

    items: list[ItemKind]
    values: list[float]
    facts: list[str] = field(default_factory=list)
    secret: str = ""

    def __post_init__(self) -> None:
        """Check that every kind has its points, and that there is something of it."""
        if not self.items or len(self.items) != len(self.values):
            raise ValueError(
                f"values: {len(self.values)} numbers for {len(self.items)} kinds of items; give one for each kind"
            )
        if none := [item.plural for item in self.items if item.count < 1]:
            raise ValueError(f"items: there are no {none[0]}; give a count of 1 or more, or leave the kind out")


class Dividing(Family):
    """Watches for a division that one side proposed and the other accepted, which ends the episode."""

    hidden_fields = DivisionHidden

    def begin(self, task: Task) -> DivisionTable:
        """No offers yet."""
        return opening(items_of(task), formal=is_formal(task))

    def advance(self, progress: DivisionTable, turn: Turn) -> DivisionTable:
        """Read one turn for offers and acceptance."""
        return take(progress, (turn,))

    def advance_cycle(self, progress: DivisionTable, cycle: Sequence[Turn]) -> DivisionTable:
        """Read the turns of a cycle, each against what its speaker had seen."""
        return take(progress, cycle)

    def ending(self, progress: DivisionTable) -> Ending | None:
        """An agreement ends the episode."""
        agreement = progress.agreement
        if agreement is None:
            return None
        division = [list(counts) for counts in agreement.division]
        return Ending("agreement", seat=agreement.accepter, detail={"division": division, "formal": agreement.formal})

    def move(self, task: Task, turn: Turn) -> Move:
        """An offer, an acceptance or a refusal, with what its words say about who gets what and how it is put.

        An offer that cannot be read has no content.
        """
        items = items_of(task)
        if is_formal(task):
            act = acted(turn.type, turn.text, partial(read_share, items=items))
            return Move("none") if act is None else Move(act.kind, act.terms)
        found = read_division(turn.type, turn.text, items)
        if found.kind == "unread":
            return Move("offer")
        return Move(found.kind, None if found.kind == "none" else found)

    def offer_form(self, task: Task) -> str:
        """What the speaker keeps."""
        return form(items_of(task))

    def refusal(self, progress: DivisionTable, seat: int, text: str) -> str | None:
        """An act that names no division, or answers no offer."""
        if not progress.formal:
            return None
        items = progress.items
        others = live_terms(progress.offers, seat)
        offered = {o.division[seat]: share_text(items, o.division[seat]) for o in others if o.division is not None}
        return refusal(text, partial(read_share, items=items), offered)

    def offers(self, progress: DivisionTable) -> list[str | None]:
        """What each seat would keep by its live offer; kinds of which that is open are said to be."""
        items = progress.items
        return [None if offer is None else share_text(items, own_share(offer, items)) for offer in progress.offers]


class Divide(GeneratedFamily, Dividing):
    """Tasks of dividing three kinds of items.

    Args:
        coupling: one number for all channels, a :class:`~sotopia_env.families.generated.Coupling`, or a mapping of its
            fields.
        gains: probability of each kind of conflict in :data:`GAINS`.
        facts: private facts per side, 0 to 3.
        max_cycles: turn limit of the tasks, in turns of the table.
        judge_bank: whose words the relationship score counts: ``"evaluation"`` or ``"training"``; by default those
            that a task names, else the evaluation's.
        agreement: ``"plain"``, where words settle as well, or ``"formal"``, where acts alone do
            (:mod:`sotopia_env.families.formal`).
    """

    name = "divide"
    version = "3"

    def __init__(
        self,
        coupling: AnyCoupling = 1.0,
        *,
        gains: str | Mapping[str, float] | None = None,
        facts: int = 2,
        max_cycles: int = 20,
        judge_bank: str | None = None,
        agreement: str = "plain",
    ) -> None:
        """Check the arguments."""
        super().__init__(coupling, max_cycles, judge_bank, agreement)
        usual = {"large": 0.5, "small": 0.35, "none": 0.15}
        self.gains = checked_chances("gains", usual if gains is None else gains, GAINS)
        if not 0 <= facts <= 3:
            raise ValueError(f"facts: {facts} is not between 0 and 3")
        self.facts = facts

    def generate(self, rng: np.random.Generator, split: str = "train") -> Task:
        """Draw a task."""
        check_split(split)
        gain = draw_kind(self.gains, rng)
        names = catalogue.ITEMS[split]
        kinds = [names[int(i)] for i in rng.choice(len(names), size=KINDS, replace=False)]
        counts, values = _conflict(rng, gain)
        items = tuple(ItemKind(kind, plural_of(kind), count) for kind, count in zip(kinds, counts, strict=True))
        characters = draw_people("divide", catalogue.SECRETS, rng)
        seats = [self._seat(rng, items, own) for own in values]
        situation = pick(catalogue.SITUATIONS, rng)
        told = situation.format(first=characters[0].name, second=characters[1].name, items=listed(items, counts))
        digits = "-".join("".join(map(str, row)) if max(row) < 10 else ".".join(map(str, row)) for row in values)
        scenario = Scenario(
            id=f"divide-{split}-{'-'.join(kinds)}-{''.join(map(str, counts))}-{digits}",
            situation=f"{told} {catalogue.OTHERWISE}",
            goals=tuple(goal for goal, _ in seats),
            relationship=pick(catalogue.RELATIONSHIPS, rng),
            hidden=tuple({**kept, "secret": c.secret} for (_, kept), c in zip(seats, characters, strict=True)),
        )
        return self._task(
            f"{scenario.id}-{int(rng.integers(2**40)):010x}", split, scenario, characters, {"gains": gain}
        )

    def score(self, episode: Episode) -> Judgement:
        """The seven dimensions, each with its evidence."""
        return scoring.score(episode, self.version, self.bank_of(episode.task))

    def _seat(self, rng: np.random.Generator, items: Items, values: Values) -> tuple[str, dict[str, Any]]:
        goals = catalogue.GOALS
        each = ", ".join(
            f"each {item.singular} is worth {value} point{'s' * (value != 1)}"
            for item, value in zip(items, values, strict=True)
        )
        goal = pick(goals, rng).format(values=each)
        facts = _facts(rng, items, values)[: self.facts]
        return self._goal(goal, facts), {"items": items_record(items), "values": list(values), "facts": facts}


def _facts(rng: np.random.Generator, items: Items, values: Values) -> list[str]:
    """What matters most, what matters least, and once more what matters most."""
    best, worst = items[int(np.argmax(values))].plural, items[int(np.argmin(values))].plural
    first, other = (catalogue.CHERISHED[int(i)] for i in rng.choice(len(catalogue.CHERISHED), size=2, replace=False))
    least = pick(catalogue.SPARED, rng)
    return [first.format(items=best), least.format(items=worst), other.format(items=best)]


def _conflict(rng: np.random.Generator, gain: str) -> tuple[Counts, tuple[Values, Values]]:
    """Counts, and the values of both sides, with so much to be gained by trading off."""
    low, high = GAINS[gain]
    while True:
        counts = tuple(int(count) for count in rng.integers(COUNT[0], COUNT[1] + 1, size=KINDS))
        if not TOTAL_COUNT[0] <= sum(counts) <= TOTAL_COUNT[1]:
            continue
        possible = possible_values(counts)
        if not possible:
            continue
        for _ in range(20):
            first, second = (possible[int(i)] for i in rng.integers(len(possible), size=2))
            items = tuple(ItemKind("", "", count) for count in counts)
            if low <= _even(first, second, items) < high and all(a or b for a, b in zip(first, second, strict=True)):
                return counts, (first, second)


@lru_cache(maxsize=65536)
def _even(first: Values, second: Values, items: Items) -> float:
    return scoring.best_even_split(first, second, items)


@lru_cache(maxsize=256)
def possible_values(counts: Counts) -> tuple[Values, ...]:
    """All whole values that make everything worth :data:`POINTS`, with one kind that matters most and one least."""
    found = []
    for values in product(*(range(POINTS // count + 1) for count in counts)):
        if sum(count * value for count, value in zip(counts, values, strict=True)) == POINTS:
            ranked = sorted(values)
            if ranked[0] < ranked[1] < ranked[2]:
                found.append(values)
    return tuple(found)
