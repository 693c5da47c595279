"""How well agreements are read in labelled talk."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sotopia_env.families.bargain import agreement as bargain
from sotopia_env.families.divide import agreement as divide
from sotopia_env.families.divide.items import Items, listed
from sotopia_env.statistics import Proportion
from sotopia_env.tables import Cell, Table
from sotopia_env.training.agreement.dialogues import LabelledDialogue, LabelledTurn, Terms

MISUNDERSTOOD = "misunderstood"
"""The outcome that leaves open what was said: either side believed in another agreement."""

_FIRST = ("held out", "development")
"""The roles that tables begin with."""


@dataclass(frozen=True)
class Reading:
    """What the rules of the environment see in a dialogue.

    Args:
        terms: a price, or what each seat gets; ``None`` where they see no agreement.
        certain: whether only one reading of the agreement is plausible.
        unread: how many utterances seem to move the table, and cannot be read.
    """

    terms: Terms | None
    certain: bool = False
    unread: int = 0


def read_words(dialogue: LabelledDialogue) -> Reading:
    """What is read in the words of a dialogue, those before the first act."""
    return _read(dialogue, dialogue.words, formal=False)


def read_acts(dialogue: LabelledDialogue) -> Reading:
    """What is read in a dialogue where acts alone count, with all the talk around them."""
    return _read(dialogue, dialogue.turns, formal=True)


def _read(dialogue: LabelledDialogue, turns: Sequence[LabelledTurn], *, formal: bool) -> Reading:
    table: Any
    update: Any
    if dialogue.items is None:
        table, update = bargain.opening(2, formal=formal), bargain.update
    else:
        table, update = divide.opening(dialogue.items, formal=formal), divide.update
    for index, turn in enumerate(turns):
        table = update(table, turn.seat, index, *_written(turn, dialogue.items))
    found, unread = table.agreement, len(table.unread)
    if found is None:
        return Reading(None, unread=unread)
    return Reading(found.price if dialogue.items is None else found.division, found.certain, unread)


def _written(turn: LabelledTurn, items: Items | None) -> tuple[str, str]:
    """The type and the text of a turn; an offer is written as what it gives its speaker."""
    if turn.act is None:
        return "speak", turn.text
    if turn.act.kind != "offer":
        return ("leave", "") if turn.act.kind == "leave" else ("action", turn.act.kind)
    terms = turn.act.terms
    if items is None or not isinstance(terms, tuple):
        return "action", f"offer ${terms:.2f}"
    return "action", f"offer {listed(items, terms[turn.seat]) or 'nothing'}"


def _same(one: Terms | None, other: Terms | None) -> bool:
    if isinstance(one, float | int) and isinstance(other, float | int):
        return math.isclose(one, other, abs_tol=0.005)
    return one == other


@dataclass(frozen=True)
class _Case:
    dialogue: LabelledDialogue
    found: Reading

    @property
    def agreed(self) -> bool:
        return self.dialogue.terms is not None

    @property
    def exact(self) -> bool:
        return self.agreed and _same(self.found.terms, self.dialogue.terms)


def measure(dialogues: Sequence[LabelledDialogue]) -> dict[str, Proportion]:
    """What the readers of agreements get right, as shares with their intervals (Wilson).

    Args:
        dialogues: of :func:`~sotopia_env.training.agreement.load_dialogues`.

    Returns:
        ``precision``: of the agreements found, those in dialogues that were agreed on; ``precision, misunderstood left
        out``: the same without dialogues whose two sides believed in different agreements, where there are such;
        ``recall``: of the dialogues agreed on, those in which an agreement was found; ``exact terms``: of the
        agreements rightly found, those on the true terms; ``found on the true terms``: of the dialogues agreed on;
        ``abstention``: of the agreements found, those marked as not certain; of the certain alone ``precision,
        certain`` and ``exact terms, certain``; ``closed on other terms``: of the dialogues agreed on, those closed in
        words on others; ``ends too early``: of all dialogues, those closed in words on other terms or without a deal;
        ``unread``: of all dialogues, those with an utterance that seems to move the table and cannot be read; ``by acts
        alone, exact``: of the dialogues with acts, those that come to what was entered where acts alone are read.
    """
    return _figures([_Case(dialogue, read_words(dialogue)) for dialogue in dialogues])


def _figures(cases: Sequence[_Case]) -> dict[str, Proportion]:
    found = [(case, case.found.certain) for case in cases if case.found.terms is not None]
    right = [(case, certain) for case, certain in found if case.agreed]
    agreed = sum(case.agreed for case in cases)
    exact = sum(case.exact for case, _ in right)
    understood = [case for case, _ in found if case.dialogue.outcome != MISUNDERSTOOD]
    certain_right = [case for case, certain in right if certain]
    certain_found = sum(certain for _, certain in found)
    figures = {"precision": Proportion(len(right), len(found))}
    if any(case.dialogue.outcome == MISUNDERSTOOD for case in cases):
        figures["precision, misunderstood left out"] = Proportion(len(right), len(understood))
    acted = [case.dialogue for case in cases if len(case.dialogue.words) < len(case.dialogue.turns)]
    by_acts = sum(_same(read_acts(dialogue).terms, dialogue.entered) for dialogue in acted)
    formal = {"by acts alone, exact": Proportion(by_acts, len(acted))} if acted else {}
    return figures | {
        "recall": Proportion(len(right), agreed),
        "exact terms": Proportion(exact, len(right)),
        "found on the true terms": Proportion(exact, agreed),
        "abstention": Proportion(len(found) - certain_found, len(found)),
        "precision, certain": Proportion(len(certain_right), certain_found),
        "exact terms, certain": Proportion(sum(case.exact for case in certain_right), len(certain_right)),
        "closed on other terms": Proportion(len(right) - exact, agreed),
        "ends too early": Proportion(len(found) - exact, len(cases)),
        "unread": Proportion(sum(case.found.unread > 0 for case in cases), len(cases)),
        **formal,
    }


def agreement_report(dialogues: Sequence[LabelledDialogue]) -> dict[str, Any]:
    """The figures by family and by role, as plain JSON-able data.

    Args:
        dialogues: of :func:`~sotopia_env.training.agreement.load_dialogues`.

    Returns:
        ``{family: {"dialogues": {role: count}, "outcomes": {outcome: counts}, "figures": {role: {figure: share}}}}``;
        the role ``all`` is every dialogue.
    """
    cases = [_Case(dialogue, read_words(dialogue)) for dialogue in dialogues]
    families = dict.fromkeys(dialogue.family for dialogue in dialogues)
    return {family: _report([case for case in cases if case.dialogue.family == family]) for family in families}


def _report(cases: Sequence[_Case]) -> dict[str, Any]:
    roles = dict.fromkeys(case.dialogue.role for case in cases if case.dialogue.role is not None)
    ordered = sorted(roles, key=lambda role: _FIRST.index(role) if role in _FIRST else len(_FIRST))
    groups = {role: [case for case in cases if case.dialogue.role == role] for role in ordered} | {"all": cases}
    outcomes: dict[str, dict[str, int]] = {}
    for name, count in Counter(case.dialogue.outcome for case in cases).most_common():
        of = [case for case in cases if case.dialogue.outcome == name]
        found = sum(case.found.terms is not None for case in of)
        outcomes[name] = {"dialogues": count, "found": found, "exact": sum(case.exact for case in of)}
    return {
        "dialogues": {role: len(group) for role, group in groups.items()},
        "outcomes": outcomes,
        "figures": {
            role: {name: share.to_dict() for name, share in _figures(group).items()} for role, group in groups.items()
        },
    }


def report_tables(report: Mapping[str, Any]) -> list[Table]:
    """The figures with a column for each role, and the outcomes counted; two tables a family.

    Args:
        report: of :func:`agreement_report`.
    """
    return [
        table
        for family, data in report.items()
        for table in (_figures_table(data, family if len(report) > 1 else ""), _outcomes_table(data))
    ]


def _figures_table(data: Mapping[str, Any], title: str) -> Table:
    groups = data["figures"]
    names = dict.fromkeys(name for figures in groups.values() for name in figures)
    body = [[name, *(_share(figures.get(name)) for figures in groups.values())] for name in names]
    return Table(["", *(f"{role} ({count})" for role, count in data["dialogues"].items())], body, title=title)


def _outcomes_table(data: Mapping[str, Any]) -> Table:
    body = [[name, *counted.values()] for name, counted in data["outcomes"].items()]
    return Table(["outcome", "dialogues", "an agreement found in", "on the true terms"], body)


def _share(found: Mapping[str, Any] | None) -> Cell:
    if found is None:
        return Cell(None)
    share = found["hits"] / found["of"] if found["of"] else None
    return Cell(share, ".1%", found["low"], found["high"], note=f"({found['hits']}/{found['of']})")
