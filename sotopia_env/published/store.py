"""Sotopia's local storage as a place that is added to: what stands there is never replaced."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sotopia_env.errors import RecordError
from sotopia_env.published.files import CHARACTERS, EPISODES, PAIRINGS, SCENARIOS
from sotopia_env.published.json_records import read_json
from sotopia_env.published.records import PublishedCharacter, PublishedPairing, PublishedRecord, PublishedScenario
from sotopia_env.schema import check_record
from sotopia_env.storage.journal import replace_file

Kinds = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""``{class: {pk: record}}``."""

_MODELS: Mapping[str, type[PublishedRecord]] = {
    SCENARIOS: PublishedScenario,
    CHARACTERS: PublishedCharacter,
    PAIRINGS: PublishedPairing,
}
_LOG_DEFAULTS = {"tag": "", "models": [], "reasoning": "", "rewards_prompt": ""}
_MAX_NAME = 255
"""Longest name of a file, in bytes, on the file systems in use."""


def add_to_store(folder: Path, kinds: Kinds) -> None:
    """Add records to a local storage, which need not exist yet.

    Profiles are written before the episodes that refer to them, and each file appears whole or not at all, so that a
    run that is interrupted leaves a storage that Sotopia reads, and may be repeated.

    Args:
        folder: the storage: ``CLASS/PK.json``.
        kinds: the records. One that is there already, and says the same, is left as it is.

    Raises:
        ValueError: a record of that id is there and says something else, or an id cannot be the name of a file.
            Nothing is written then.
    """
    new: list[tuple[Path, Mapping[str, Any]]] = []
    known = set(_pairings(folder)) if kinds.get(PAIRINGS) else set()
    for kind, records in kinds.items():
        for identity, record in records.items():
            path = folder / kind / file_name(kind, identity)
            if path.exists():
                _check_same(path, kind, record)
            elif kind != PAIRINGS or _pair(record) not in known:
                new.append((path, record))
    for path, record in sorted(new, key=lambda each: each[0].parent.name == EPISODES):
        replace_file(path, [json.dumps(record, indent=2, ensure_ascii=False).encode()])


def file_name(kind: str, identity: str) -> str:
    """The name under which Sotopia looks for a record.

    Raises:
        ValueError: no file can have it.
    """
    name = f"{identity}.json"
    if set(name) & {"/", "\\", "\0"} or len(name.encode(errors="surrogatepass")) > _MAX_NAME:
        raise ValueError(
            f"{kind} {identity!r:.100}: Sotopia stores a record in a file of its id, and no file can have this name; "
            "give it an id without slashes, of at most 200 letters"
        )
    return name


def _check_same(path: Path, kind: str, record: Mapping[str, Any]) -> None:
    try:
        there = read_json(path)
        fields = _differing(kind, record, there, str(path))
    except ValueError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise ValueError(f"{path} is there already and cannot be read ({reason}); move it away") from None
    if fields:
        raise ValueError(
            f"{path} holds another {kind} of this id (it differs in {', '.join(fields)}) and is left as it is; "
            "give the one to be written an id of its own, read the episodes with the profiles of this folder "
            "(--profiles), or name another one. Nothing was written"
        )


def _differing(kind: str, ours: Mapping[str, Any], theirs: Any, where: str) -> list[str]:
    """The fields in which a record says something else than one that is there."""
    if kind == EPISODES:
        if not isinstance(theirs, dict):
            raise RecordError(where, "a JSON object is needed")
        filled = {**_LOG_DEFAULTS, **theirs}
        return [name for name in {**ours, **filled} if ours.get(name) != filled.get(name)]
    model = _MODELS[kind]
    mine, other = check_record(model, ours, where), check_record(model, {"pk": ours["pk"], **theirs}, where)
    fields = [name for name in model.model_fields if getattr(mine, name) != getattr(other, name)]
    return fields + [name for name, value in mine.further.items() if other.further.get(name) != value]


def _pairings(folder: Path) -> Iterator[tuple[str, ...]]:
    """Who plays what, by the pairings that are there."""
    for path in (folder / PAIRINGS).glob("*.json"):
        record = read_json(path)
        if isinstance(record, dict):
            yield _pair(record)


def _pair(record: Mapping[str, Any]) -> tuple[str, ...]:
    return (record.get("env_id") or "", *(record.get("agent_ids") or ()))
