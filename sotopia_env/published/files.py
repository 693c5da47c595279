"""Finding Sotopia's profiles, in a folder or a file, in any of the four formats they are published in."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sotopia_env.published.json_records import Records, is_dump, read_dump, read_folder, read_records
from sotopia_env.published.report import Report

DATA_VARIABLE = "SOTOPIA_ENV_DATA"
"""Environment variable that names the folder of Sotopia's files, for all who write ``"sotopia"``."""

SCENARIOS = "EnvironmentProfile"
CHARACTERS = "AgentProfile"
PAIRINGS = "EnvAgentComboStorage"
LISTS = "EnvironmentList"

FILES = {
    SCENARIOS: ("environment_profiles", "envs"),
    CHARACTERS: ("agent_profiles", "agents"),
    PAIRINGS: ("env_agent_combo_storages", "env_agent_combos"),
    LISTS: ("environment_lists", "env_lists"),
}
"""The files of each class of record: of the jsonl export, and of the pk-keyed format."""

EPISODES = "EpisodeLog"
"""The class of episodes in local storage and in Redis dumps."""

USED = "used_env.json"
"""Which scenarios are for evaluation and which for training."""

_NEEDED = (SCENARIOS, CHARACTERS, PAIRINGS)


@dataclass(frozen=True)
class PublishedFiles:
    """The records of one set.

    Args:
        place: folder or file, for messages.
        paths: a file, or a folder of local storage, for each class of record that is there.
        dump: a Redis dump that holds them all instead.
        used: which scenarios are for evaluation; only the jsonl export comes with it.
    """

    place: Path
    paths: Mapping[str, Path] = field(default_factory=dict)
    dump: Mapping[str, list[tuple[str, Any]]] | None = None
    used: Path | None = None

    def has(self, kind: str) -> bool:
        """Whether there is any record of a class."""
        return kind in (self.paths if self.dump is None else self.dump)

    def records(self, kind: str, report: Report) -> Records:
        """All records of a class, each with the place where it stands."""
        if self.dump is not None:
            yield from self.dump.get(kind, [])
        elif kind in self.paths:
            path = self.paths[kind]
            yield from read_folder(path, report) if path.is_dir() else read_records(path, report)


def data_folder() -> Path:
    """The folder that :data:`DATA_VARIABLE` names.

    Raises:
        ValueError: the variable is not set.
    """
    folder = os.environ.get(DATA_VARIABLE)
    if not folder:
        raise ValueError(
            f"Sotopia's published files are not part of this package: set {DATA_VARIABLE} to the folder that holds "
            "them, or give that folder itself"
        )
    return Path(folder).expanduser()


def find_files(path: Path, report: Report) -> PublishedFiles:
    """The set in a Redis dump; or the first complete set in a folder or, failing that, in one of its sub-folders.

    Raises:
        FileNotFoundError: there is none; the message says what was found and what is missing.
    """
    if path.is_file():
        return _dumped(path, report)
    children = sorted(child for child in path.iterdir() if child.is_dir())
    partial = []
    for candidate in [path, *children]:
        paths = {kind: found for kind in FILES if (found := _find(candidate, kind)) is not None}
        missing = [_spellings(kind) for kind in _NEEDED if kind not in paths]
        if not missing:
            used = candidate / USED
            return PublishedFiles(candidate, paths, used=used if used.is_file() else None)
        there = [found.name for kind, found in paths.items() if kind in _NEEDED]
        if there:
            partial.append(f"{candidate} holds {', '.join(there)} but lacks {' and '.join(missing)}")
        elif dump := next((file for file in sorted(candidate.glob("*.json*")) if is_dump(file)), None):
            return _dumped(dump, report)
    if partial:
        raise FileNotFoundError("; ".join(partial))
    present = sorted(child.name for child in path.iterdir())
    raise FileNotFoundError(
        f"{path}: neither this folder nor a sub-folder holds Sotopia's files "
        f"({'; '.join(_spellings(kind) for kind in _NEEDED)}); "
        + (f"it holds {', '.join(present[:10])}" if present else "it is empty")
    )


def _dumped(path: Path, report: Report) -> PublishedFiles:
    used = path.with_name(USED)
    return PublishedFiles(path, dump=read_dump(path, report), used=used if used.is_file() else None)


def _find(folder: Path, kind: str) -> Path | None:
    for name in FILES[kind]:
        for suffix in (".jsonl", ".json"):
            path = folder / f"{name}{suffix}"
            if path.is_file():
                return path
    storage = folder / kind
    return storage if storage.is_dir() else None


def _spellings(kind: str) -> str:
    export, keyed = FILES[kind]
    return f"{export}.jsonl or {keyed}.json"


_HUB_ID = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?::(.+))?")


_WANTED = ("*.json", "*.jsonl")


def local_path(given: str | Path) -> Path:
    """The file or folder that is meant.

    Args:
        given: a path, or the id of a data set on the hub (``"cmu-lti/sotopia"``), with one of its files if need be
            (``"cmu-lti/sotopia:sotopia_episodes_v1.jsonl"``). A path that exists is never looked for on the hub.

    Raises:
        FileNotFoundError: there is no such path, and it is no id, or the data set cannot be had.
    """
    path = Path(given).expanduser()
    if path.exists():
        return path
    found = _HUB_ID.fullmatch(given) if isinstance(given, str) else None
    if found is None:
        raise FileNotFoundError(f"there is no file or folder {str(given)!r}")
    return _download(found[1], found[2])


def _download(repository: str, file: str | None) -> Path:
    missing = f"there is no file or folder {repository!r} here, and as a data set of the hub it cannot be had"
    try:
        from huggingface_hub import hf_hub_download, snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled
    except ModuleNotFoundError as error:
        raise FileNotFoundError(f"{missing}: pip install huggingface_hub, or download it and give its path") from error
    try:
        if file is not None:
            return Path(hf_hub_download(repository, file, repo_type="dataset"))
        return Path(snapshot_download(repository, repo_type="dataset", allow_patterns=list(_WANTED)))
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, ConnectionError) as error:
        raise FileNotFoundError(f"{missing}: no network; download it elsewhere and give its path") from error
    except (HfHubHTTPError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise FileNotFoundError(f"{missing}: {type(error).__name__}: {reason}") from error
