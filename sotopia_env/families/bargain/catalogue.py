"""What bargains are made of: items, people, facts and secrets. All of it is plain data.

The split ``transfer`` shares nothing with it (:mod:`sotopia_env.families.bargain.transfer`, under the same names).
"""

from __future__ import annotations

from sotopia_env.families.generated import KNOWN, PEOPLE

__all__ = [
    "BUYER_FACTS",
    "BUYER_GOALS",
    "ITEMS",
    "KNOWN",
    "PEOPLE",
    "SECRETS",
    "SELLER_FACTS",
    "SELLER_GOALS",
    "SITUATIONS",
]

ITEMS: dict[str, tuple[str, ...]] = {
    "train": (
        "road bike", "oak desk", "floor lamp", "film camera", "acoustic guitar", "sewing machine", "garden bench",
        "coffee grinder", "winter tent", "record player", "wool rug", "bookshelf", "folding kayak", "chess set",
        "stand mixer", "wall clock", "leather chair", "bread oven", "telescope", "tool box", "bunk bed", "violin case",
        "picnic table", "space heater",
    ),
    "validation": (
        "snow sled", "piano stool", "dining table", "hiking pack", "drum kit", "fish tank", "baby crib", "desk fan",
    ),
    "test": (
        "cargo bike", "reading lamp", "camp stove", "globe", "weaving loom", "rain barrel", "trumpet", "hall mirror",
    ),
}  # fmt: skip
"""Items by split: no two splits share one, so no two share a scenario."""

SELLER_FACTS: tuple[str, ...] = (
    "you move out of your flat on Friday",
    "your garage must be empty this month",
    "the rent is due next week",
    "your new one arrives tomorrow",
    "nobody else has called about it",
    "your brother wants it out of the hall",
    "you travel abroad on Sunday",
    "you never found time to use it",
)
"""Why a seller is in need; each weakens the hand of the one who tells it."""

BUYER_FACTS: tuple[str, ...] = (
    "your old one broke yesterday",
    "you need it before the weekend",
    "you promised it to your daughter",
    "you searched for months to find one",
    "the shop in town has closed",
    "your guests arrive on Thursday",
    "you start a new job with it on Monday",
    "your van is only borrowed for today",
)
"""Why a buyer is in need."""

SECRETS: tuple[str, ...] = (
    "you were fired from your last job in March",
    "you lied about your diploma",
    "you gambled away your savings",
    "you read your neighbour's letters",
    "you hid a crash from the insurer",
    "you copied a poem and won a prize",
    "you owe your cousin a fortune",
    "you pretend to like your choir",
)
"""What a character wants nobody to learn. It has nothing to do with the price."""

SITUATIONS: tuple[str, ...] = (
    "{seller} sells one {item}, listed at ${price}; {buyer} came to see it.",
    "{buyer} answers the advertisement of {seller}: one {item}, listed at ${price}.",
    "At a yard sale {seller} offers one {item} listed at ${price}; {buyer} stops.",
)
"""Wordings of the situation; both sides read it."""

SELLER_GOALS: tuple[str, ...] = (
    "Sell the {item} for as much as you can (${limit} at least).",
    "You sell the {item} and want a high price (${limit} at least).",
)
"""Wordings of the seller's goal."""

BUYER_GOALS: tuple[str, ...] = (
    "Buy the {item} for as little as you can (${limit} at most).",
    "You buy the {item} and want a low price (${limit} at most).",
)
"""Wordings of the buyer's goal."""
