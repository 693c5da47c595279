"""Where episodes to be read come from: files and the folders of runs."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sotopia_env.episodes import Episode
from sotopia_env.published.files import DATA_VARIABLE
from sotopia_env.published.reading import any_episodes, is_own
from sotopia_env.storage.traces import Traces, load_traces, traces_path


@dataclass(frozen=True)
class Run:
    """The episodes of one file.

    Args:
        name: of the file, as short as it tells it from the others.
        episodes: in the order of the file.
        traces: token traces beside it; empty where there are none.
    """

    name: str
    episodes: Sequence[Episode]
    traces: Traces = field(default_factory=dict)


def read_runs(sources: Iterable[str | Path], *, traces: bool = False) -> list[Run]:
    """Read the episodes of files and folders.

    Args:
        sources: files of episodes, of this package or published by Sotopia; folders, of which every file of episodes of
            this package is read, or the published ones where it holds none of these.
        traces: whether token traces beside the files are read too.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: a file or folder holds no episode.
    """
    found: list[tuple[str, Path]] = []
    for source in sources:
        path = Path(source).expanduser()
        if path.is_dir():
            own = _own_files(path)
            found += [(str(Path(path.name) / file.relative_to(path)), file) for file in own] or [(path.name, path)]
        else:
            found.append((path.name, path))
    names = [name for name, _ in found]
    return [
        Run(name if names.count(name) == 1 else str(path), _episodes(path), _traces(path) if traces else {})
        for name, path in found
    ]


def find_episode(runs: Iterable[Run], key: str) -> Episode:
    """The episode of a key, or of the beginning of one.

    Raises:
        ValueError: there is none, or several begin so.
    """
    episodes = [episode for run in runs for episode in run.episodes]
    found = [episode for episode in episodes if episode.key == key]
    found = found or [episode for episode in episodes if episode.key.startswith(key)]
    if len(found) == 1:
        return found[0]
    if found:
        told = ", ".join(dict.fromkeys(episode.key for episode in found[:5]))
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        raise ValueError(f"{key!r} is {len(found)} episodes: {told}{more}; name one file, and more of the key")
    close = difflib.get_close_matches(key, [episode.key for episode in episodes], n=3, cutoff=0.4)
    meant = f"did you mean {', '.join(close)}?" if close else f"the first is {episodes[0].key}"
    raise ValueError(f"no episode has the key {key!r}; {meant}")


def _own_files(folder: Path) -> list[Path]:
    """The files of episodes of this package in a folder, and in the folders in it."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".jsonl", ".parquet"))
    # A run that is written as parquet has the same episodes beside it as JSON lines.
    return [
        path
        for path in files
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and (path.with_suffix(".jsonl") not in files if path.suffix == ".parquet" else is_own(path))
    ]


def _episodes(path: Path) -> list[Episode]:
    if path.is_file() and not path.stat().st_size:
        raise ValueError(f"{path} is empty; play some episodes with: sotopia-env rollout")
    return any_episodes(path, os.environ.get(DATA_VARIABLE))


def _traces(path: Path) -> Traces:
    beside = traces_path(path)
    return load_traces(beside) if path.is_file() and beside.is_file() else {}
