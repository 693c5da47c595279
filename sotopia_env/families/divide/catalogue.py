"""What divisions are made of: items, facts and secrets. All of it is plain data."""

from __future__ import annotations

ITEMS: dict[str, tuple[str, ...]] = {
    "train": (
        "lamp", "mug", "rug", "vase", "clock", "kettle", "cushion", "mirror", "basket", "blanket", "bowl", "candle",
        "drum", "fan", "frame", "jug", "ladder", "pillow", "plate", "puppet", "radio", "stool", "teapot", "tray",
    ),
    "validation": ("banjo", "barrel", "carpet", "curtain", "globe", "hammock", "lantern", "planter"),
    "test": ("bucket", "chair", "easel", "flask", "kite", "poster", "quilt", "suitcase"),
}  # fmt: skip
"""Kinds of items by split, in the singular: no two splits share one, so no two share a scenario."""

SITUATIONS: tuple[str, ...] = (
    "{first} and {second} clear out a shared storeroom and divide {items}.",
    "{first} and {second} won a raffle together and divide the prize: {items}.",
    "The market closes; {first} and {second} divide what is left of their stall: {items}.",
)
"""Wordings of the situation; both sides read it."""

OTHERWISE = "If they cannot agree, neither gets anything."
"""What both sides read about the end."""

GOALS: tuple[str, ...] = (
    "Get as many points as you can. To you {values}.",
    "You want a high score from what you get. For you {values}.",
)
"""Wordings of the goal."""

CHERISHED: tuple[str, ...] = (
    "your late aunt painted the {items}",
    "your daughter dreams about the {items}",
    "you searched for years to find such {items}",
    "you repaired the {items} yourself last winter",
    "your best customer pays well for {items}",
    "your wedding pictures show the {items}",
)
"""Why a kind of item matters much; the one who tells it weakens its hand, and helps the other to please it."""

SPARED: tuple[str, ...] = (
    "your cupboards are full of {items}",
    "your partner hates {items}",
    "your new flat is too small for {items}",
    "your garage overflows with {items}",
    "you broke your last {items} within weeks",
    "your neighbours laugh about {items}",
)
"""Why a kind of item matters little."""

SECRETS: tuple[str, ...] = (
    "you forged your landlord's signature",
    "you were expelled from evening school",
    "you hid a speeding fine from your wife",
    "you lost your brother's savings at cards",
    "you invented a degree for your job",
    "you opened a letter meant for your boss",
    "you never paid back the rowing club",
    "you cheated in the village quiz",
)
"""What a character wants nobody to learn. It has nothing to do with the items."""

RELATIONSHIPS: tuple[str, ...] = ("stranger", "know_by_name", "acquaintance")
"""How well the two know each other."""
