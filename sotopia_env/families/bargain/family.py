"""The family: it draws tasks, watches for a deal, and scores.

## Description
A seller and a buyer talk about one item with a list price. Each has a limit price, two facts about why it is in need,
and a secret. An agreement is a price one side proposed and the other accepted.

## Couplings
How far manners, questions and indiscretions move a side stands in its own goal text, so that a policy can follow it
and a model can read it. ``coupling`` sets all three; 0 means that only offers matter, below 0 courtesy is taken for
weakness. The couplings act through what policies do with them: the rules of the environment never change.

## Empty zones
By default every task can be settled to the gain of both. ``zones`` also draws tasks in which no price could suit both:
there no deal is right.

## Version history
* 1: initial version.
* 2: a zone of agreement is at least three steps wide; scripted policies want a step of gain, name the price last and
  feel manners and questions more.
* 3: empty zones are drawn by option alone, and no deal in one is scored; manners, secrets and facts are read clause by
  clause; the split ``transfer``.
* 4: prices are read by the role of each amount, and turns that cannot be read are counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Gt

from sotopia_env.episodes import Ending, Episode, Judgement, Turn
from sotopia_env.families.bargain import catalogue, scoring, transfer
from sotopia_env.families.bargain.agreement import Standing, opening, take
from sotopia_env.families.bargain.formal_price import FORM, read_price
from sotopia_env.families.bargain.moves import read_move
from sotopia_env.families.base import SPLITS, Family, Move, check_split
from sotopia_env.families.formal import acted, is_formal, live_terms, refusal
from sotopia_env.families.generated import AnyCoupling, GeneratedFamily, checked_chances, draw_kind, draw_people, pick
from sotopia_env.tasks import Scenario, Task

LIST_PRICES = (60, 200)
"""Lowest and highest list price, in dollars."""

PRICE_STEP = 5
"""List prices and limits are multiples of so many dollars, as people bargain."""
ZONES: Mapping[str, tuple[float, float]] = {"wide": (0.30, 0.60), "narrow": (0.15, 0.30), "empty": (-0.25, -0.05)}
"""Width of the zone of agreement (buyer's limit - seller's limit) as a share of the list price."""


Price = Annotated[float, Gt(0)]
"""In dollars."""


@dataclass(frozen=True)
class BargainHidden:
    """The hidden values of a seat: its side, the price it must not go beyond, what it knows and what it hides."""

    role: Literal["buyer", "seller"]
    limit: Price
    list_price: Price
    facts: list[str]
    secret: str


class Bargaining(Family):
    """Watches for a price that one side offered and the other accepted, which ends the episode."""

    def begin(self, task: Task) -> Standing:
        """No offers yet."""
        return opening(task.num_seats, formal=is_formal(task))

    def advance(self, progress: Standing, turn: Turn) -> Standing:
        """Read one turn for offers and acceptance."""
        return take(progress, (turn,))

    def advance_cycle(self, progress: Standing, cycle: Sequence[Turn]) -> Standing:
        """Read the turns of a cycle, each against what its speaker had seen."""
        return take(progress, cycle)

    def ending(self, progress: Standing) -> Ending | None:
        """A deal ends the episode."""
        agreement = progress.agreement
        if agreement is None:
            return None
        detail = {"price": agreement.price, "formal": agreement.formal}
        return Ending("agreement", seat=agreement.accepter, detail=detail)

    def move(self, task: Task, turn: Turn) -> Move:
        """An offer, an acceptance or a refusal, with the price named in it; an offer of none is one that is unread."""
        if is_formal(task):
            act = acted(turn.type, turn.text, read_price)
            return Move("none") if act is None else Move(act.kind, act.terms)
        found = read_move(turn.type, turn.text)
        return Move("offer") if found.unread else Move(found.kind, found.price)

    def offer_form(self, task: Task) -> str:
        """A price."""
        return FORM

    def refusal(self, progress: Standing, seat: int, text: str) -> str | None:
        """An act that names no price, or answers no offer."""
        if not progress.formal:
            return None
        return refusal(text, read_price, {o.price: f"${o.price:g}" for o in live_terms(progress.offers, seat)})

    def offers(self, progress: Standing) -> list[str | None]:
        """The live price of each seat."""
        return [None if offer is None else f"${offer.price:g}" for offer in progress.offers]


class Bargain(GeneratedFamily, Bargaining):
    """Tasks of bargaining over one price.

    The split ``transfer`` shares no item, fact, person, wording or noun with the others.

    Args:
        coupling: one number for all channels, a :class:`Coupling`, or a mapping of its fields.
        zones: probability of each kind of zone in :data:`ZONES`, or the name of one; by default those in which both
            sides can gain.
        facts: private facts per side, 0 to 4.
        max_cycles: turn limit of the tasks, in turns of the table.
        judge_bank: whose words the relationship score counts: ``"evaluation"`` or ``"training"``; by default those
            that a task names, else the evaluation's.
        agreement: ``"plain"``, where words settle as well, or ``"formal"``, where acts alone do
            (:mod:`sotopia_env.families.formal`).
    """

    name = "bargain"
    version = "4"
    splits = (*SPLITS, "transfer")
    hidden_fields = BargainHidden

    def __init__(
        self,
        coupling: AnyCoupling = 1.0,
        *,
        zones: str | Mapping[str, float] | None = None,
        facts: int = 2,
        max_cycles: int = 20,
        judge_bank: str | None = None,
        agreement: str = "plain",
    ) -> None:
        """Check the arguments."""
        super().__init__(coupling, max_cycles, judge_bank, agreement)
        usual = {"wide": 2 / 3, "narrow": 1 / 3}
        self.zones = checked_chances("zones", usual if zones is None else zones, ZONES)
        if not 0 <= facts <= 4:
            raise ValueError(f"facts: {facts} is not between 0 and 4")
        self.facts = facts

    def generate(self, rng: np.random.Generator, split: str = "train") -> Task:
        """Draw a task. The seat that sells is drawn too."""
        check_split(split, self.splits)
        words = _words(split)
        item = pick(words.ITEMS[split], rng)
        price, seller_limit, buyer_limit, zone = self._prices(rng)
        seller_seat = int(rng.integers(2))
        named = self.name if words is catalogue else f"{self.name}-{split}"
        characters = draw_people(named, words.SECRETS, rng, words.PEOPLE)
        seats = [
            self._seat(rng, words, "seller", item, seller_limit, price),
            self._seat(rng, words, "buyer", item, buyer_limit, price),
        ]
        if seller_seat == 1:
            seats.reverse()
        names = {"seller": characters[seller_seat].name, "buyer": characters[1 - seller_seat].name}
        situation = pick(words.SITUATIONS, rng)
        hidden = tuple({**values, "secret": c.secret} for (_, values), c in zip(seats, characters, strict=True))
        code = f"{int(rng.integers(2**40)):010x}"
        scenario = Scenario(
            id=f"bargain-{split}-{item.replace(' ', '-')}-{price}-{seller_limit}-{buyer_limit}",
            situation=situation.format(item=item, price=price, **names),
            goals=tuple(goal for goal, _ in seats),
            relationship="stranger",
            hidden=hidden,
        )
        return self._task(f"{scenario.id}-{code}", split, scenario, characters, {"zone": zone})

    def score(self, episode: Episode) -> Judgement:
        """The seven dimensions, each with its evidence."""
        return scoring.score(episode, self.version, self.bank_of(episode.task))

    def _prices(self, rng: np.random.Generator) -> tuple[int, int, int, str]:
        price = PRICE_STEP * int(rng.integers(LIST_PRICES[0] // PRICE_STEP, LIST_PRICES[1] // PRICE_STEP + 1))
        zone = draw_kind(self.zones, rng)
        width = _to_step(float(rng.uniform(*ZONES[zone])) * price)
        if width > 0:
            # Room for a price at which both gain.
            width = max(width, 3 * PRICE_STEP)
        lowest = 0.35 * price if zone != "empty" else 0.65 * price
        seller_limit = _to_step(float(rng.uniform(lowest, 1.02 * price - max(width, 0.0))))
        buyer_limit = seller_limit + width
        return price, seller_limit, buyer_limit, zone

    def _seat(
        self, rng: np.random.Generator, words: Any, role: str, item: str, limit: int, price: int
    ) -> tuple[str, dict[str, Any]]:
        goals = words.SELLER_GOALS if role == "seller" else words.BUYER_GOALS
        pool = words.SELLER_FACTS if role == "seller" else words.BUYER_FACTS
        facts = [pool[int(i)] for i in rng.choice(len(pool), size=self.facts, replace=False)]
        goal = pick(goals, rng).format(item=item, limit=limit)
        return self._goal(goal, facts, words.KNOWN), {"role": role, "limit": limit, "list_price": price, "facts": facts}


def _words(split: str) -> Any:
    """What the tasks of a split are made of: the catalogue, or a module with the same names."""
    return transfer if split == "transfer" else catalogue


def _to_step(price: float) -> int:
    steps = round(abs(price) / PRICE_STEP) or 1
    return PRICE_STEP * steps * (-1 if price < 0 else 1)
