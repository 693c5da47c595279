"""How well agreements are read in human text: the dialogues of Deal or No Deal (Lewis et al., 2017).

Two people talk about books, hats and balls, then each enters by itself what it believes was agreed on. Most dialogues
stand in the file twice, once from each side; each is counted once. What the two entered is the truth: the same division
(*agreed*), divisions that do not fit (*misunderstood*: what was said before cannot be told from that), or none.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sotopia_env.families.divide.agreement import Division, DivisionAgreement, opening, update
from sotopia_env.families.divide.items import ItemKind, Items
from sotopia_env.statistics import Proportion
from sotopia_env.tables import Cell, Table

ITEMS = (("book", ()), ("hat", ()), ("ball", ("basketball",)))
"""The kinds of the data set in the order of its files, with other words the players' screen has for them."""

_FIELDS = {name: re.compile(rf"<{name}> (.*?) </{name}>") for name in ("input", "dialogue", "output", "partner_input")}
_OUTCOMES = {"<disagree>": "misunderstood", "<no_agreement>": "no deal", "<disconnect>": "disconnected"}
_SELECTION = "<selection>"


@dataclass(frozen=True)
class HumanDialogue:
    """One dialogue, seat 0 being who opened it.

    Args:
        items: what was divided.
        turns: seat and text of each utterance.
        outcome: ``"agreed"``, ``"misunderstood"``, ``"no deal"`` or ``"disconnected"``.
        division: what each seat got, where they agreed.
        half: 0 for the dialogues the rules were developed on, 1 for those held out.
    """

    items: Items
    turns: tuple[tuple[int, str], ...]
    outcome: str
    division: Division | None
    half: int

    @property
    def found(self) -> DivisionAgreement | None:
        """The agreement that the rules of the environment see in it."""
        table = opening(self.items)
        for index, (seat, text) in enumerate(self.turns):
            table = update(table, seat, index, "speak", text)
        return table.agreement


def load_human_dialogues(path: str | Path) -> list[HumanDialogue]:
    """Read a file of Deal or No Deal, each dialogue once.

    Args:
        path: a file of the data set such as ``val.txt``, or a folder that holds ``dealornodeal/val.txt`` or
            ``val.txt``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line lacks a field; the message names it.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        path = next((p for p in (path / "dealornodeal" / "val.txt", path / "val.txt") if p.exists()), path / "val.txt")
    if not path.exists():
        raise FileNotFoundError(f"there is no {path}; give a file of Deal or No Deal, or the folder it is in")
    found: dict[Any, HumanDialogue] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        key, dialogue = _dialogue(line, f"{path}, line {number}")
        found.setdefault(key, dialogue)
    if not found:
        raise ValueError(f"{path}: there is no dialogue in it")
    return list(found.values())


def measure_agreement(dialogues: Sequence[HumanDialogue]) -> dict[str, Proportion]:
    """What the reader of agreements gets right.

    Args:
        dialogues: of :func:`load_human_dialogues`.

    Returns:
        ``precision``: of the agreements found, those where both entered the same division; ``precision, misunderstood
        left out``: the same without dialogues whose players entered different ones; ``recall``: of the dialogues agreed
        on, those found; ``exact division``: of the agreements rightly found, those whose division is what both entered;
        ``abstention``: of the agreements found, those marked as not certain; and of the certain alone ``precision,
        certain`` and ``exact division, certain``.
    """
    cases = [(dialogue, dialogue.found) for dialogue in dialogues]
    agreed = [dialogue for dialogue in dialogues if dialogue.outcome == "agreed"]
    found = [(dialogue, agreement) for dialogue, agreement in cases if agreement is not None]
    understood = [case for case in found if case[0].outcome != "misunderstood"]
    right = [case for case in found if case[0].outcome == "agreed"]
    certain = [case for case in found if case[1].certain]
    certain_right = [case for case in right if case[1].certain]
    return {
        "precision": Proportion(len(right), len(found)),
        "precision, misunderstood left out": Proportion(len(right), len(understood)),
        "recall": Proportion(len(right), len(agreed)),
        "exact division": Proportion(sum(a.division == d.division for d, a in right), len(right)),
        "abstention": Proportion(len(found) - len(certain), len(found)),
        "precision, certain": Proportion(len(certain_right), len(certain)),
        "exact division, certain": Proportion(
            sum(a.division == d.division for d, a in certain_right), len(certain_right)
        ),
    }


def agreement_report(dialogues: Sequence[HumanDialogue]) -> dict[str, Any]:
    """The figures for the half held out, the half the rules were developed on, and all, with the outcomes counted."""
    groups = {
        "held out": [dialogue for dialogue in dialogues if dialogue.half == 1],
        "development": [dialogue for dialogue in dialogues if dialogue.half == 0],
        "all": list(dialogues),
    }
    found = Counter(dialogue.outcome for dialogue in dialogues if dialogue.found is not None)
    outcomes = Counter(dialogue.outcome for dialogue in dialogues)
    return {
        "dialogues": {name: len(group) for name, group in groups.items()},
        "outcomes": {name: {"dialogues": count, "found": found[name]} for name, count in outcomes.most_common()},
        "figures": {name: measure_agreement(group) for name, group in groups.items()},
    }


def as_data(report: Mapping[str, Any]) -> dict[str, Any]:
    """The report as plain JSON-able data."""
    figures = {
        group: {name: share.to_dict() for name, share in found.items()} for group, found in report["figures"].items()
    }
    return {**report, "figures": figures}


def figures_table(data: Mapping[str, Any]) -> Table:
    """The figures as a table, a column for each group.

    Args:
        data: what :func:`as_data` gives.
    """
    groups = data["figures"]
    body = [[name, *(_share(found[name]) for found in groups.values())] for name in groups["all"]]
    return Table(["", *(f"{name} ({count})" for name, count in data["dialogues"].items())], body)


def _share(found: Mapping[str, Any]) -> Cell:
    share = found["hits"] / found["of"] if found["of"] else None
    return Cell(share, ".1%", found["low"], found["high"], note=f"({found['hits']}/{found['of']})")


def _dialogue(line: str, where: str) -> tuple[Any, HumanDialogue]:
    fields: Mapping[str, str] = {}
    for name, pattern in _FIELDS.items():
        match = pattern.search(line)
        if match is None:
            raise ValueError(f"{where}: field {name!r} is missing; a line of Deal or No Deal has four")
        fields = {**fields, name: match[1]}
    spoken = [utterance.strip().partition(":") for utterance in fields["dialogue"].split("<eos>")]
    opened = spoken[0][0] == "YOU"
    turns = tuple((int((who == "YOU") != opened), text.strip()) for who, _, text in spoken)
    sides = (fields["input"], fields["partner_input"]) if opened else (fields["partner_input"], fields["input"])
    try:
        items = _items(sides[0])
        outcome, division = _outcome(fields["output"].split(), opened)
    except (ValueError, IndexError) as error:
        raise ValueError(f"{where}: {error}; expected six numbers a side and six outcomes") from error
    half = hashlib.sha256(repr(turns).encode()).digest()[-1] % 2
    told = tuple((seat, text) for seat, text in turns if text != _SELECTION)
    return (sides, turns), HumanDialogue(items, told, outcome, division, half)


def _items(side: str) -> Items:
    counts = [int(number) for number in side.split()[::2]]
    return tuple(
        ItemKind(name, f"{name}s", count, aliases) for (name, aliases), count in zip(ITEMS, counts, strict=True)
    )


def _outcome(output: Sequence[str], opened: bool) -> tuple[str, Division | None]:
    if output[0] in _OUTCOMES:
        return _OUTCOMES[output[0]], None
    counts = tuple(int(entry.partition("=")[2]) for entry in output)
    own, other = counts[:3], counts[3:6]
    return "agreed", (own, other) if opened else (other, own)
