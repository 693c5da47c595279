"""What tables of friends are made of: names, attributes and secrets. All of it is plain data."""

from __future__ import annotations

from collections.abc import Mapping

NAMES: dict[str, tuple[str, ...]] = {
    "train": tuple(
        "Alma Bastian Carmen Dario Edda Farid Greta Hamza Ilse Jorin Katya Lorenz Maite Nadim Orla Piotr Quilla Runa "
        "Stefan Tamar Ulrik Vera Wanda Xenia Yusuf Zoë Anouk Bruno Celeste Dimitri Elif Frode Gwen Hugo Imani Jasper "
        "Kirsten Liam Marisol Niko".split()
    ),
    "validation": tuple(
        "Agnes Björn Clio Davor Esra Fabio Gudrun Hiroshi Isolde Jamila Kemal Lotte Matteo Nia Otis Perla Rémi Sunniva "
        "Tariq Una Viggo Wilma Ximena Yann".split()
    ),
    "test": tuple(
        "Aisha Benedikt Chiara Desmond Elodie Florian Gemma Hakan Inga Jerome Kalina Lucía Magnus Noemi Oleg Pavla "
        "Rosa Silas Tomás Ursula Viktor Winona Yolanda Zoran".split()
    ),
}  # fmt: skip
"""First names of friends by split. No two splits share one, so no two share a table; none is a player's."""

VALUES: dict[str, dict[str, tuple[str, ...]]] = {
    "hobby": {
        "train": (
            "chess", "pottery", "rowing", "birdwatching", "juggling", "beekeeping", "origami", "fencing", "calligraphy",
            "stargazing",
        ),
        "validation": ("archery", "embroidery", "kite flying", "snorkelling", "whittling", "orienteering"),
        "test": ("bouldering", "bookbinding", "tap dancing", "mushroom picking", "ice skating", "puppetry"),
    },
    "company": {
        "train": (
            "Harrow Shipping", "Bluebell Foods", "Kestrel Trains", "Marlow Glass", "Ostrava Paper", "Pine Street Books",
            "Quartz Software", "Redstone Dairy", "Tallow Candles", "Umbra Films",
        ),
        "validation": (
            "Argent Lamps", "Copperline Phones", "Dovetail Joinery", "Everglow Solar", "Foxglove Pharma",
            "Gannet Ferries",
        ),
        "test": (
            "Halcyon Bicycles", "Juniper Hotels", "Larkspur Seeds", "Mistral Airways", "Nimbus Maps", "Orchard Radio",
        ),
    },
    "school": {
        "train": (
            "Ashford College", "Briar Hill School", "Calder University", "Dunmore Academy", "Elmbridge Institute",
            "Fairwater College", "Glenrock School", "Holloway University",
        ),
        "validation": (
            "Ivybridge College", "Kingsfold School", "Linden University", "Moorland Academy", "Northgate School",
        ),
        "test": (
            "Oakhurst College", "Pemberley School", "Ravensbourne Academy", "Silverdale University",
            "Thornbury School",
        ),
    },
    "town": {
        "train": ("Arvika", "Belmonte", "Corvara", "Dingle", "Egersund", "Figueira", "Gorizia", "Hallein"),
        "validation": ("Ioannina", "Jurmala", "Kotor", "Lomza", "Mostar"),
        "test": ("Narvik", "Odivelas", "Piran", "Quimper", "Roskilde"),
    },
    "instrument": {
        "train": ("cello", "trombone", "banjo", "flute", "accordion", "harp", "tuba", "oboe"),
        "validation": ("zither", "bassoon", "ukulele", "marimba", "bagpipes"),
        "test": ("mandolin", "clarinet", "sitar", "harmonica", "double bass"),
    },
}  # fmt: skip
"""Values of each attribute by split."""

PHRASES: Mapping[str, str] = {
    "hobby": "is into {value}",
    "company": "works at {value}",
    "school": "went to {value}",
    "town": "lives in {value}",
    "instrument": "plays the {value}",
    "major": "studied {value}",
    "time preference": "is a {value} person",
    "location preference": "likes {value} places",
}
"""How an attribute is said of a friend; the last three stand in published scenarios only."""

OTHER_PHRASE = "has the {kind} {value}"
"""How any other attribute is said."""

SITUATIONS: tuple[str, ...] = (
    "{first} and {second} meet at a crowded birthday party; they have one friend in common.",
    "Waiting for a late train, {first} and {second} start to talk; they have one friend in common.",
    "{first} and {second} sit side by side at a wedding; they have one friend in common.",
)
"""Wordings of the situation; both sides read it."""

GOALS: tuple[str, ...] = (
    "Find out which friend you two have in common, and both say the name. Do not simply list your friends' names.",
    "Find the friend you both know: both of you must name the person. Do not go through all the names.",
)
"""Wordings of the goal, before the table."""

SECRETS: tuple[str, ...] = (
    "you came without an invitation tonight",
    "you broke the host's favourite vase",
    "you read a stranger's diary last summer",
    "you still owe the landlord three rents",
    "you pretend to have a twin abroad",
    "you failed the driving test five times",
    "you told a lie to get your flat",
    "you threw your aunt's jumper away",
)
"""What a player wants nobody to learn. It has nothing to do with the friends."""

RELATIONSHIPS: tuple[str, ...] = ("stranger", "know_by_name", "acquaintance")
"""Who knows each other better would know the common friend."""


def phrase(kind: str, value: str) -> str:
    """An attribute as it is said of a friend: ``works at Marlow Glass``."""
    return PHRASES.get(kind.lower(), OTHER_PHRASE).format(kind=kind.lower(), value=value)
