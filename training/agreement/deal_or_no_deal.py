"""The dialogues of Deal or No Deal (Lewis et al., 2017).

Two people talk about books, hats and balls, then each enters by itself what it believes was agreed on. Most dialogues
stand in the file twice, once from each side; each is read once. What the two entered is the truth: the same division
(*agreed*), divisions that do not fit (*misunderstood*: what was said before cannot be told from that), or none.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sotopia_env.errors import RecordError
from sotopia_env.families.divide.agreement import Division
from sotopia_env.families.divide.items import ItemKind, Items
from sotopia_env.training.agreement.dialogues import LabelledDialogue, LabelledTurn

ITEMS = (("book", ()), ("hat", ()), ("ball", ("basketball",)))
"""The kinds of the data set in the order of its files, with other words the players' screen has for them."""

DEVELOPED_ON = "val.txt"
"""The file that the readers were developed on, by half; no other has had a role."""

_FIELDS = {name: re.compile(rf"<{name}> (.*?) </{name}>") for name in ("input", "dialogue", "output", "partner_input")}
_OUTCOMES = {"<disagree>": "misunderstood", "<no_agreement>": "no deal", "<disconnect>": "disconnected"}
_SELECTION = "<selection>"


def files_of(path: Path) -> list[Path]:
    """The file itself, or of a folder ``val.txt`` or ``dealornodeal/val.txt``."""
    if not path.is_dir():
        return [path]
    places = (path / "dealornodeal" / DEVELOPED_ON, path / DEVELOPED_ON)
    return [place for place in places if place.is_file()][:1]


def load(path: Path) -> list[LabelledDialogue]:
    """Each dialogue of a file once, seat 0 being who opened it.

    Args:
        path: a file of the data set, such as ``val.txt``.

    Raises:
        RecordError: a line lacks a field; the message names it.
        ValueError: the file is not UTF-8.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    found: dict[Any, LabelledDialogue] = {}
    for number, line in enumerate(lines, 1):
        if line.strip():
            key, dialogue = _dialogue(line, path, number)
            found.setdefault(key, dialogue)
    return list(found.values())


def _dialogue(line: str, path: Path, number: int) -> tuple[Any, LabelledDialogue]:
    where = f"{path}, line {number}"
    fields: dict[str, str] = {}
    for name, pattern in _FIELDS.items():
        match = pattern.search(line)
        if match is None:
            raise RecordError(where, f"field {name!r} is missing; a line of Deal or No Deal has four")
        fields[name] = match[1]
    spoken = [utterance.strip().partition(":") for utterance in fields["dialogue"].split("<eos>")]
    opened = spoken[0][0] == "YOU"
    turns = tuple((int((who == "YOU") != opened), text.strip()) for who, _, text in spoken)
    sides = (fields["input"], fields["partner_input"]) if opened else (fields["partner_input"], fields["input"])
    try:
        items = _items(sides[0])
        outcome, division = _outcome(fields["output"].split(), opened)
    except (ValueError, IndexError) as error:
        raise RecordError(where, f"{error}; expected six numbers a side and six outcomes") from error
    half = hashlib.sha256(repr(turns).encode()).digest()[-1] % 2
    told = tuple(LabelledTurn(seat, text) for seat, text in turns if text != _SELECTION)
    role = ("development", "held out")[half] if path.name == DEVELOPED_ON else None
    return (sides, turns), LabelledDialogue(f"line {number}", "divide", told, outcome, division, items, role=role)


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
