"""The formats of labelled talk: which there are, which one a file has, and its dialogues."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from sotopia_env.published.json_records import read_json
from sotopia_env.training.agreement import casino, craigslist, deal_or_no_deal, labelled
from sotopia_env.training.agreement.dialogues import LabelledDialogue

FORMATS: dict[str, ModuleType] = {
    "deal-or-no-deal": deal_or_no_deal,
    "casino": casino,
    "craigslist": craigslist,
    "labelled": labelled,
}
"""Each reads a file with ``load`` and tells with ``files_of`` which files a path means."""

_NAMES = ", ".join(FORMATS)


def load_dialogues(path: str | Path, form: str | None = None) -> list[LabelledDialogue]:
    """The dialogues of a file or folder.

    Args:
        path: a file of labelled talk, or a folder that holds Deal or No Deal's or CaSiNo's.
        form: one of :data:`FORMATS`; by default what the file looks like.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the format is unknown or cannot be told, or there is no dialogue; a record that cannot be used is
            named with its field.
    """
    path = Path(path).expanduser()
    if form is not None and form not in FORMATS:
        raise ValueError(f"format {form!r} is none of {_NAMES}")
    if not path.exists():
        raise FileNotFoundError(f"there is no {path}; give a file of labelled talk")
    form = form or guess_format(path)
    files = FORMATS[form].files_of(path)
    if not files:
        raise ValueError(f"{path}: no file of the format {form!r} is in this folder; name the file")
    found = [dialogue for file in files for dialogue in FORMATS[form].load(file)]
    if not found:
        raise ValueError(f"{path}: there is no dialogue in it")
    return found


def guess_format(path: Path) -> str:
    """The format that a file or folder looks to have.

    Raises:
        ValueError: it looks like none, or a folder like several.
    """
    if path.is_dir():
        fitting = [name for name, form in FORMATS.items() if form.files_of(path)]
        if len(fitting) == 1:
            return fitting[0]
        holds = " and ".join(fitting) or "no labelled talk with a name that is known"
        raise ValueError(f"{path} holds {holds}; name a file, or say which format with --format")
    start = path.read_bytes()[:4096].decode("utf-8-sig", "replace").lstrip()
    if not start:
        raise ValueError(f"{path}: there is no dialogue in it")
    if start.startswith("<input>"):
        return "deal-or-no-deal"
    if start.startswith("{"):
        return "labelled"
    first: Any = next(iter(read_json(path)), None) if start.startswith("[") else None
    if isinstance(first, dict):
        for name, field in (("casino", "chat_logs"), ("craigslist", "events")):
            if field in first:
                return name
    raise ValueError(f"{path}: its format cannot be told; give one of {_NAMES} with --format")
