"""What the menu makes of an observation: the legal acts as actions, and the features as a vector.

Everything is read from the texts of the observation, as a scripted policy reads them, so nothing gets in that the seat
may not know. A family may name acts of its own (:meth:`~sotopia_env.families.base.Family.menu`). The vector's length is
one constant for every task of every family; what does not apply is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from sotopia_env.actions import ACTION_TYPES
from sotopia_env.families.base import Family
from sotopia_env.menu.acts import ACTS, FIRST_PROPOSAL, Act, legal_acts, mask_of
from sotopia_env.menu.bargain import bargain_menu
from sotopia_env.menu.cues import Hearing, listen, talk_features
from sotopia_env.menu.division import KINDS, division_menu
from sotopia_env.menu.friends import friends_menu
from sotopia_env.menu.open_ended import open_menu
from sotopia_env.policies import Observation

FEATURES: tuple[str, ...] = (
    # Any talk.
    "to_act",
    "first",
    "partners",
    "cycle",
    "own_turns",
    "waited",
    "own_questions",
    "own_courtesies",
    "partner_questions",
    "partner_courtesies",
    "partner_insults",
    *(f"heard_{kind.split()[0]}" for kind in ACTION_TYPES),
    "heard_question",
    "heard_courtesy",
    "heard_insult",
    "heard_again",
    "untold",
    # What is proposed, and how good it is for oneself.
    "own_proposals",
    "partner_proposals",
    "stalled",
    "agreed",
    "stands",
    "standing_worth",
    "standing_suits",
    "own_first",
    "own_last",
    "own_moved",
    "partner_first",
    "partner_last",
    "partner_moved",
    "gap",
    "answered",
    # One's own brief, and how the partner makes one feel.
    "manners",
    "questions",
    "leaks",
    "rapport",
    # A bargain: whether it is one, +1 for the seller and -1 for the buyer, own limit over list price, less 1.
    "price",
    "side",
    "limit",
    # A division: whether it is one; by kind how many, how good for oneself, how much the partner seems to want them.
    "division",
    *(f"{of}_{kind}" for of in ("count", "worth", "wanted") for kind in range(KINDS)),
    # A search for a friend: whether it is one; the two likeliest, how many are possible, what is asked.
    "friends",
    "likeliest",
    "second",
    "possible",
    "sought",
    "answerable",
    "answer_is_yes",
)
"""Names of the features, in the order of the vector; each lies in [-1, 1]."""

_PLACES = {name: place for place, name in enumerate(FEATURES)}

Reader = Callable[[Observation, Hearing], tuple[dict[str, Act], dict[str, float]] | None]
READERS: tuple[Reader, ...] = (bargain_menu, division_menu, friends_menu)
"""Tried in turn; what none of them understands is open-ended."""


@dataclass(frozen=True)
class Scene:
    """One observation, as the menu has it.

    Args:
        acts: the legal acts by name, with what each would say or do.
        features: ``(len(FEATURES),)`` float32.
    """

    acts: Mapping[str, Act]
    features: np.ndarray

    @property
    def mask(self) -> np.ndarray:
        """``(len(ACTS),)`` int8, 1 where an act is legal; a new array every time."""
        return mask_of(self.acts)


def read_scene(observation: Observation, family: Family | None = None) -> Scene:
    """Read an observation of the dict interface.

    Args:
        observation: of the seat.
        family: of the task, where its own acts are wanted too.

    Raises:
        ValueError: the family names an act that is not on the menu.
    """
    hearing = listen(observation)
    own = None if family is None else family.menu(observation)
    if family is not None and own is not None:
        acts, special = open_menu(observation, hearing)
        acts = {name: act for name, act in acts.items() if name not in ACTS[FIRST_PROPOSAL:]} | dict(own)
        if strange := [name for name in own if name not in ACTS]:
            raise ValueError(f"family {family.name!r}: menu names {strange[0]!r}; the acts are {', '.join(ACTS)}")
    else:
        readings = (read(observation, hearing) for read in READERS)
        found = next((reading for reading in readings if reading is not None), None)
        acts, special = open_menu(observation, hearing) if found is None else found
    values = talk_features(observation, hearing) | special
    features = np.zeros(len(FEATURES), dtype=np.float32)
    for name, value in values.items():
        features[_PLACES[name]] = min(max(value, -1.0), 1.0)
    return Scene(legal_acts(acts, observation["action_types"]), features)
