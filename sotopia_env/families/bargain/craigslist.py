"""Sotopia's ten craigslist scenarios, scored from the prices in their text.

## Description
A buyer and a seller talk about one item with a list price. Each has a target price, which is soft: in half of the
scenarios the buyer's lies below the seller's, so that no price could suit both.

## Version history
* 1: initial version.
* 2: manners, secrets and facts are read clause by clause.
* 3: prices are read by the role of each amount, and turns that cannot be read are counted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from sotopia_env.episodes import Episode, Judgement
from sotopia_env.families import conduct
from sotopia_env.families.bargain import scoring
from sotopia_env.families.bargain.agreement import Agreement, find_agreement
from sotopia_env.families.bargain.family import Bargaining, Price
from sotopia_env.families.formal import is_formal
from sotopia_env.tasks import Task
from sotopia_env.turns import heard_turns

AT_TARGET = 7.0
"""Goal of a deal at one's target price."""

SLOPE = 10.0
"""Goal gained or lost over a difference of one list price."""


@dataclass(frozen=True)
class CraigslistHidden:
    """The hidden values of a seat: its side, its soft target, and the price that was listed."""

    role: Literal["buyer", "seller"]
    target: Price
    list_price: Price


class Craigslist(Bargaining):
    """Watches and scores the published craigslist scenarios; their tasks come from ``load_tasks``."""

    name = "craigslist"
    unknowable = frozenset({"knowledge", "financial_and_material_benefits"})
    version = "3"
    hidden_fields = CraigslistHidden

    def generate(self, rng: np.random.Generator, split: str = "train") -> Task:
        """The scenarios are published, not generated."""
        raise NotImplementedError("craigslist tasks are loaded, not generated: load_tasks(DATA, 'craigslist')")

    @classmethod
    def read_published(
        cls, source: str, codename: str, situation: str, goals: Sequence[str], notes: str
    ) -> tuple[dict[str, Any], ...] | None:
        """Prices and roles of the scenarios that are called craigslist."""
        return read_prices(situation, goals) if "craigslist" in f"{source} {codename}".lower() else None

    def score(self, episode: Episode) -> Judgement:
        """Score both seats.

        Goal is a proxy; relationship, secret, social rules and believability are those of the bargain judge. Knowledge
        is unknown (the texts hold no list of facts), and so is material benefit (soft targets make no zone to split).
        """
        hidden = episode.task.scenario.hidden
        formal = is_formal(episode.task)
        standing = find_agreement(episode.turns, episode.task.num_seats, episode.action_order, formal=formal)
        agreement = standing.agreement
        unknown: conduct.Finding = (None, ["not in the scenario's text"])
        findings: list[dict[str, conduct.Finding]] = [
            {
                "goal": goal(agreement, own, finished=episode.ending is not None),
                "relationship": conduct.relationship(turns, "evaluation"),
                "knowledge": unknown,
                "secret": conduct.secret(turns, character.secret),
                "social_rules": conduct.social_rules(turns),
                "financial_and_material_benefits": unknown,
                "believability": scoring.believability(turns, own["role"], formal=formal),
            }
            for own, character, turns in zip(
                hidden, episode.task.characters, map(partial(heard_turns, episode), episode.agents), strict=True
            )
        ]
        latent: dict[str, Any] = {"deal": agreement is not None, "unread": len(standing.unread)}
        if agreement is not None:
            latent |= {"price": agreement.price, "certain": agreement.certain}
        return conduct.judgement_of(findings, self.version, latent=latent)


def goal_at(price: float, own: Mapping[str, Any]) -> float:
    """The goal of a deal, 0 to 10: 7 at one's target, and 1 more for each tenth of the list price beyond it.

    Args:
        price: agreed on, in dollars.
        own: ``role``, ``target`` and ``list_price`` of the seat.
    """
    gained = price - own["target"] if own["role"] == "seller" else own["target"] - price
    return float(np.clip(AT_TARGET + SLOPE * gained / own["list_price"], 0.0, 10.0))


def goal(agreement: Agreement | None, own: Mapping[str, Any], *, finished: bool) -> conduct.Finding:
    """The goal of a seat with its evidence: 0 without a deal, unknown while the episode runs."""
    if agreement is None:
        return (0.0, ["no deal"]) if finished else (None, ["not over yet"])
    found = f"turn {agreement.accepted_turn}: ${agreement.price:g} for a target of ${own['target']:g}"
    return goal_at(agreement.price, own), [found]


_PRICE = re.compile(r"\$\s?(\d[\d,]*(?:\.\d+)?)")


_ROLE = re.compile(r"\b(buyer|seller)\b", re.IGNORECASE)


def read_prices(situation: str, goals: Sequence[str]) -> tuple[dict[str, Any], ...]:
    """Role, target price and list price of each seat.

    Args:
        situation: names the list price, the first price in it.
        goals: one per seat; each names one role and one price, its soft target.

    Returns:
        ``{"role": "buyer" | "seller", "target": ..., "list_price": ...}`` per seat, in dollars.

    Raises:
        ValueError: a price or a role is missing or ambiguous.
    """
    asked = _PRICE.search(situation)
    if asked is None:
        raise ValueError("the scenario names no list price, such as $120")
    list_price = _number(asked[1])
    if list_price <= 0:
        raise ValueError(f"the list price is {list_price}; it must be positive")
    hidden = []
    for seat, goal in enumerate(goals):
        roles = {role.lower() for role in _ROLE.findall(goal)}
        targets = {_number(price) for price in _PRICE.findall(goal)}
        if len(roles) != 1 or len(targets) != 1:
            raise ValueError(
                f"goal {seat} must name one role (buyer or seller) and one target price; "
                f"it names {sorted(roles)} and {sorted(targets)}"
            )
        hidden.append({"role": roles.pop(), "target": targets.pop(), "list_price": list_price})
    if sorted(seat["role"] for seat in hidden) != ["buyer", "seller"]:
        raise ValueError(f"one buyer and one seller are needed, not {[seat['role'] for seat in hidden]}")
    return tuple(hidden)


def _number(text: str) -> float:
    return float(text.replace(",", ""))
