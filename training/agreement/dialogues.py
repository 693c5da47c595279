"""Dialogues of which it is known what they came to: the record that every format of labelled talk is read into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sotopia_env.families.divide.agreement import Division
from sotopia_env.families.divide.items import Items

Terms = float | Division
"""What is agreed on: a price, or what each seat gets."""


@dataclass(frozen=True)
class Act:
    """What somebody did beside talking, such as entering a deal.

    Args:
        kind: ``"offer"``, ``"accept"``, ``"reject"`` or ``"leave"``.
        terms: of an offer.
    """

    kind: str
    terms: Terms | None = None


@dataclass(frozen=True)
class LabelledTurn:
    """One utterance, or one act: then the text is empty."""

    seat: int
    text: str = ""
    act: Act | None = None


@dataclass(frozen=True)
class LabelledDialogue:
    """One dialogue between two, and what its words came to.

    Args:
        id: of the dialogue, unique in its file.
        family: whose reader it is for, ``"bargain"`` or ``"divide"``.
        turns: in their order.
        outcome: ``"agreed"``, or why there was no agreement in words, such as ``"walked away"``.
        terms: what was agreed on; ``None`` where nothing was.
        items: what is divided; ``None`` in a bargain.
        list_price: of a bargain, where it is known.
        role: of the dialogue in the development of the readers, such as ``"held out"``; ``None`` where it had none.
    """

    id: str
    family: str
    turns: tuple[LabelledTurn, ...]
    outcome: str
    terms: Terms | None = None
    items: Items | None = None
    list_price: float | None = None
    role: str | None = None

    @property
    def words(self) -> tuple[LabelledTurn, ...]:
        """What was said before the first act."""
        first = next((place for place, turn in enumerate(self.turns) if turn.act is not None), len(self.turns))
        return self.turns[:first]

    @property
    def entered(self) -> Terms | None:
        """What the acts came to: the terms of the offer that was accepted, ``None`` where none was."""
        offered: Terms | None = None
        for act in (turn.act for turn in self.turns if turn.act is not None):
            if act.kind == "accept":
                return offered
            offered = act.terms
        return None


def outcome_of(turns: Sequence[LabelledTurn]) -> tuple[str, Terms | None]:
    """What the words before the first act came to, by the acts: the first deal that was entered, if it was accepted.

    A deal entered and not accepted leaves open what was said before: somebody had misunderstood, or changed their mind.
    """
    acts = [turn.act for turn in turns if turn.act is not None]
    if not acts:
        return "no deal", None
    if acts[0].kind != "offer":
        return "walked away", None
    accepted = len(acts) > 1 and acts[1].kind == "accept"
    return ("agreed", acts[0].terms) if accepted else ("rejected", None)
