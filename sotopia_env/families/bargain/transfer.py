"""What bargains of the split ``transfer`` are made of: things, people, needs and wordings that no other split has.

A policy that has learnt the phrases of the other splits (:mod:`sotopia_env.families.bargain.catalogue`) meets none of
them here, and no noun of them; the rules are the same.
"""

from __future__ import annotations

ITEMS: dict[str, tuple[str, ...]] = {
    "transfer": (
        "accordion", "hammock", "microscope", "pottery wheel", "printer", "saddle", "skateboard", "sofa", "toaster",
        "trampoline", "wardrobe", "wheelbarrow",
    ),
}  # fmt: skip

SELLER_FACTS: tuple[str, ...] = (
    "a tax bill lands on your mat in April",
    "your doctor forbids you to lift heavy things",
    "the landlady counts the days until your room is free",
    "your cat scratches whatever stands in the corner",
    "the boiler died and repairs are dear",
    "you sail to Chile with a single suitcase",
    "both earlier visitors left early",
    "your knees ache whenever you touch it",
)

BUYER_FACTS: tuple[str, ...] = (
    "a thief cleared your cellar overnight",
    "your son turns six on Saturday",
    "the stage play opens on Wednesday",
    "you bet your uncle a dinner on getting it",
    "your ferry leaves at noon",
    "you phoned nine dealers already",
    "your club voted to get precisely this",
    "a whole orchestra waits for it outside",
)

SECRETS: tuple[str, ...] = (
    "you failed the eyesight exam twice",
    "you burned down a barn as a child",
    "you married for a passport",
    "you hung a forged painting in a museum",
    "you spent a year behind bars",
    "you wrote the rumours about the mayor",
    "you wear a wig at work",
    "you blackmailed a former colleague",
)

SITUATIONS: tuple[str, ...] = (
    "{buyer} rings at the door of {seller} about the {item}; the tag says ${price}.",
    "A flea market, late morning: {seller} asks ${price} for the {item} that {buyer} keeps looking at.",
    "{seller} has put ${price} on a note beside the {item}, and {buyer} picks up the note.",
)

SELLER_GOALS: tuple[str, ...] = (
    "Selling the {item} should bring in plenty of money; below ${limit} it stays with you.",
    "You are the seller of the {item}: every dollar above ${limit} is gained, anything under that is lost.",
)

BUYER_GOALS: tuple[str, ...] = (
    "Purchase the {item} and keep your wallet full; beyond ${limit} you cannot pay.",
    "You are the buyer of the {item}: every dollar under ${limit} is saved, anything above that is out of reach.",
)

KNOWN = "Something that you alone are aware of: {facts}."

PEOPLE: tuple[tuple[str, str, str], ...] = (
    ("Birgit", "Salas", "beekeeper"),
    ("Dario", "Novak", "pilot"),
    ("Imani", "Brandt", "optician"),
    ("Kofi", "Larsen", "typist"),
    ("Mei", "Castellan", "mason"),
    ("Pavel", "Ito", "cook"),
    ("Soraya", "Quist", "geologist"),
    ("Wendell", "Amara", "shepherd"),
)
