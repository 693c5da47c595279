"""Records of JSON files, one at a time, so that a bad one costs no other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sotopia_env.errors import RecordError
from sotopia_env.published.report import Report

Records = Iterator[tuple[str, Any]]
"""Where each record stands (for errors), and the record as parsed."""


class _Repeated(dict[str, Any]):
    """An object in which a key stands twice; plain JSON would drop the first of the two without a word."""

    pairs: list[tuple[str, Any]]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) == len(pairs):
        return plain
    repeated = _Repeated(plain)
    repeated.pairs = pairs
    return repeated


_BETWEEN = (" ", "\t", "\r", "\n", ",")
_COLON = re.compile(r"\s*:\s*")
_DECODER = json.JSONDecoder(object_pairs_hook=_object)


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        ValueError: it is not UTF-8 or not JSON; the message says where.
    """
    try:
        return _DECODER.decode(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON at line {error.lineno}, column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise ValueError(f"{path}: nested too deeply to be records") from error


def read_records(path: Path, report: Report) -> Records:
    """The records of a file: JSON lines, a JSON list, or a JSON object of primary key -> record.

    Args:
        path: the file; ``.jsonl`` is read line by line.
        report: takes what is not JSON. Of a file that breaks off, the records before the break are read.

    Yields:
        Where the record stands, and the record. A primary key becomes its ``pk``.

    Raises:
        ValueError: a file that is not JSON lines holds something else than records, or not even one.
    """
    if path.suffix == ".jsonl":
        yield from read_lines(path, report)
        return
    keyed, members = _members(path, report)
    if keyed and members and not any(isinstance(record, dict) for _, record in members):
        raise ValueError(f"{path}: neither a list of records nor an object of primary key -> record")
    for key, record in members:
        if not keyed:
            yield _where(path, f"record {key}", record), record
        else:
            yield f"{path.name} record {key!r}", {"pk": key, **record} if isinstance(record, dict) else record


def read_lines(path: Path, report: Report) -> Records:
    """The records of JSON lines, whatever the file's name; arguments as in :func:`read_records`."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            place = f"line {number}"
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
                record = json.loads(text) if text else None
            except UnicodeDecodeError as error:
                report.add(RecordError(f"{path.name} {place}", f"not UTF-8 at byte {error.start}; save it as UTF-8"))
                continue
            except json.JSONDecodeError as error:
                report.add(RecordError(f"{path.name} {place}", f"not JSON at column {error.colno}: {error.msg}"))
                continue
            except RecursionError:
                report.add(RecordError(f"{path.name} {place}", "nested too deeply to be a record"))
                continue
            if text:
                yield _where(path, place, record), record


def read_folder(folder: Path, report: Report) -> Records:
    """The records of Sotopia's local storage: one object a file, named by its primary key."""
    for path in sorted(folder.glob("*.json")):
        where = f"{folder.name}/{path.name}"
        try:
            record = read_json(path)
        except ValueError as error:
            report.add(RecordError(where, str(error).removeprefix(f"{path}: ")))
            continue
        yield where, {"pk": path.stem, **record} if isinstance(record, dict) else record


def read_dump(path: Path, report: Report) -> dict[str, list[tuple[str, Any]]]:
    """The records of a Redis dump as JSON, by the name of their class.

    Args:
        path: a JSON object of ``:sotopia.database....Class:PK`` -> record, or JSON lines of ``key`` and ``value``; a
            record may itself be JSON text.
        report: takes what cannot be read.
    """
    if path.suffix == ".jsonl":
        lines = [(where, line) for where, line in read_lines(path, report)]
        for where, line in lines:
            if not isinstance(line, dict) or not isinstance(line.get("key"), str) or "value" not in line:
                report.add(RecordError(where, "fields 'key' and 'value' are needed"))
        members = [(line["key"], line["value"]) for _, line in lines if isinstance(line, dict) and "value" in line]
    else:
        keyed, members = _members(path, report)
        if not keyed:
            raise ValueError(f"{path}: an object of Redis key -> record is needed, not a list")
    found: dict[str, list[tuple[str, Any]]] = {}
    for key, record in members:
        space, _, identity = str(key).rpartition(":")
        kind = space.rpartition(".")[2]
        if ":" in kind:
            continue  # an index of Redis, such as "....EpisodeLog:index:hash"
        where = f"{path.name} record {key!r}"
        if not kind.isidentifier():
            report.add(RecordError(where, "its key names no class; it is :sotopia.database....Class:PK"))
            continue
        if isinstance(record, str):
            try:
                record = _DECODER.decode(record)
            except (json.JSONDecodeError, RecursionError) as error:
                report.add(RecordError(where, f"its value is not JSON: {error}"))
                continue
        found.setdefault(kind, []).append((where, {"pk": identity, **record} if isinstance(record, dict) else record))
    return found


def is_dump(path: Path) -> bool:
    """Whether a file looks like a Redis dump."""
    with path.open("rb") as file:
        return b":sotopia." in file.read(512)


def _members(path: Path, report: Report) -> tuple[bool, list[tuple[Any, Any]]]:
    """Whether a JSON file is an object, and its members; of a list, with their indices."""
    try:
        content = read_json(path)
    except ValueError as error:
        return _salvaged(path, report, error)
    if isinstance(content, list):
        return False, list(enumerate(content))
    if not isinstance(content, dict):
        raise ValueError(f"{path}: neither a list of records nor an object of primary key -> record")
    return True, content.pairs if isinstance(content, _Repeated) else list(content.items())


def _salvaged(path: Path, report: Report, error: ValueError) -> tuple[bool, list[tuple[Any, Any]]]:
    """The members of a file that is not JSON or not UTF-8, as far as they are whole."""
    text = path.read_bytes().decode("utf-8-sig", "surrogateescape").strip()
    keyed = text[:1] == "{"
    found, whole = _whole_members(text)
    members: list[tuple[Any, Any]] = []
    for number, (key, record) in enumerate(found):
        try:
            json.dumps([key, record], ensure_ascii=False).encode("utf-8")
        except (UnicodeEncodeError, RecursionError):
            place = repr(key.encode("utf-8", "replace").decode()) if keyed else str(number)
            report.add(RecordError(f"{path.name} record {place}", "not UTF-8; save the file as UTF-8"))
            continue
        members.append((key if keyed else number, record))
    if not members:
        raise error
    if not whole:
        reason = str(error).removeprefix(f"{path}: ")
        report.add(RecordError(path.name, f"{reason}; {len(found)} records stand before it"), "the rest is skipped")
    return keyed, members


def _whole_members(text: str) -> tuple[list[tuple[Any, Any]], bool]:
    """The members of a JSON object or list up to the first that is broken, and whether none is."""
    keyed = text[:1] == "{"
    members: list[tuple[Any, Any]] = []
    if not keyed and text[:1] != "[":
        return members, False
    position = 1
    while True:
        while text[position : position + 1] in _BETWEEN:
            position += 1
        if text[position:] == ("}" if keyed else "]"):
            return members, True
        key: Any = None
        try:
            if keyed:
                key, position = _DECODER.raw_decode(text, position)
                colon = _COLON.match(text, position)
                if colon is None or not isinstance(key, str):
                    return members, False
                position = colon.end()
            record, position = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError):
            return members, False
        members.append((key, record))


def _where(path: Path, place: str, record: Any) -> str:
    if isinstance(record, dict):
        for key in ("combo_id", "pk", "id", "episode_id", "key", "agent_id", "env_id"):
            if isinstance(record.get(key), str):
                return f"{path.name} {place} ({record[key]:.80})"
    return f"{path.name} {place}"
