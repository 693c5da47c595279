"""The prices inside the published craigslist scenarios, read from their text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

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
