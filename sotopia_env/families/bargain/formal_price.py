"""The price in a formal act: one amount in dollars, or none at all."""

from __future__ import annotations

import re
from functools import lru_cache

from sotopia_env.families.formal import UnreadAct

FORM = "$N"
"""How an offer of a price is written."""

_PRICE = re.compile(
    r"(?:(?:of|at|for|to pay|to sell (?:it )?(?:at|for)|a price of) )?\$? ?"
    r"(\d{1,3}(?:,\d{3})+|\d{1,9})(\.\d{1,2})?(?: ?(?:dollars|usd|bucks))?",
    re.IGNORECASE,
)


@lru_cache(maxsize=4_096)
def read_price(text: str) -> float:
    """Returns the price that the terms of an act name, in dollars.

    Raises:
        UnreadAct: they name none, more than one, or anything else besides.
    """
    found = _PRICE.fullmatch(text)
    price = 0.0 if found is None else float(found[1].replace(",", "") + (found[2] or ""))
    if price <= 0:
        raise UnreadAct(f"{text!r:.60} is no price; write one amount, offer $N, and your words on the next line")
    return price
