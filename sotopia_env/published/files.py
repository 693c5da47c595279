"""Finding Sotopia's files in a folder, and reading the records of any of their formats."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sotopia_env.published.report import Report
from sotopia_env.schema import RecordError

SCENARIOS = ("environment_profiles", "envs")
CHARACTERS = ("agent_profiles", "agents")
PAIRINGS = ("env_agent_combo_storages", "env_agent_combos")
LISTS = ("environment_lists", "env_lists")
USED = "used_env.json"
"""Which scenarios are for evaluation and which for training."""


@dataclass(frozen=True)
class PublishedFiles:
    """The files of one set. ``lists`` and ``used`` are optional; only the jsonl export comes with them."""

    folder: Path
    scenarios: Path
    characters: Path
    pairings: Path
    lists: Path | None
    used: Path | None


def find_files(folder: Path) -> PublishedFiles:
    """The first complete set in a folder or, failing that, in one of its sub-folders in alphabetical order.

    Raises:
        FileNotFoundError: there is none; the message says what was found and what is missing.
    """
    candidates = [folder, *sorted(child for child in folder.iterdir() if child.is_dir())]
    partial = []
    for candidate in candidates:
        needed = {names: _find(candidate, names) for names in (SCENARIOS, CHARACTERS, PAIRINGS)}
        found = [path.name for path in needed.values() if path is not None]
        missing = [_spellings(names) for names, path in needed.items() if path is None]
        scenarios, characters, pairings = needed.values()
        if scenarios is not None and characters is not None and pairings is not None:
            used = candidate / USED
            return PublishedFiles(
                candidate, scenarios, characters, pairings, _find(candidate, LISTS), used if used.is_file() else None
            )
        if found:
            partial.append(f"{candidate} holds {', '.join(found)} but lacks {' and '.join(missing)}")
    if partial:
        raise FileNotFoundError("; ".join(partial))
    present = sorted(child.name for child in folder.iterdir())
    raise FileNotFoundError(
        f"{folder}: neither this folder nor a sub-folder holds Sotopia's files "
        f"({'; '.join(_spellings(names) for names in (SCENARIOS, CHARACTERS, PAIRINGS))}); "
        + (f"it holds {', '.join(present[:10])}" if present else "it is empty")
    )


def _find(folder: Path, names: tuple[str, ...]) -> Path | None:
    for name in names:
        for suffix in (".jsonl", ".json"):
            path = folder / f"{name}{suffix}"
            if path.is_file():
                return path
    return None


def _spellings(names: tuple[str, ...]) -> str:
    return f"{names[0]}.jsonl or {names[-1]}.json"


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        ValueError: it is not UTF-8 or not JSON; the message says where.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON at line {error.lineno}, column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise ValueError(f"{path}: nested too deeply to be records") from error


def read_records(path: Path, report: Report) -> Iterator[tuple[str, Any]]:
    """The records of a file: JSON lines, a JSON list, or a JSON object of primary key -> record.

    Args:
        path: the file; ``.jsonl`` is read line by line, so that one bad line costs one record.
        report: takes the lines that are not JSON.

    Yields:
        Where the record stands (for errors), and the record as parsed. A primary key becomes its ``pk``.

    Raises:
        ValueError: a file that is not JSON lines is not JSON, or holds something else than records.
    """
    if path.suffix == ".jsonl":
        yield from _read_lines(path, report)
        return
    content = read_json(path)
    if isinstance(content, list):
        for index, record in enumerate(content):
            yield _where(path, f"record {index}", record), record
    elif isinstance(content, dict) and all(isinstance(record, dict) for record in content.values()):
        for key, record in content.items():
            yield f"{path.name} record {key!r}", {"pk": key, **record}
    else:
        raise ValueError(f"{path}: neither a list of records nor an object of primary key -> record")


def _read_lines(path: Path, report: Report) -> Iterator[tuple[str, Any]]:
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


def _where(path: Path, place: str, record: Any) -> str:
    if isinstance(record, dict):
        for key in ("combo_id", "pk", "id", "agent_id", "env_id"):
            if isinstance(record.get(key), str):
                return f"{path.name} {place} ({record[key]})"
    return f"{path.name} {place}"
