"""Files of published episodes: the full and the short format, ``EpisodeLog`` objects, local storage, Redis dumps."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from sotopia_env.episodes import Episode
from sotopia_env.errors import RecordError
from sotopia_env.published.episodes import KnownTasks, read_episode
from sotopia_env.published.files import EPISODES, FILES, PublishedFiles, find_files, local_path
from sotopia_env.published.json_records import is_dump, read_records
from sotopia_env.published.loading import load_tasks, read_pairings, read_profiles
from sotopia_env.published.report import Report
from sotopia_env.storage.episodes import load_episodes
from sotopia_env.tasks import Task


def any_episodes(source: str | Path, profiles: str | Path | None = None) -> list[Episode]:
    """Read episodes of the package's own format, or of a published one.

    Args:
        source: see :func:`load_published`; or a file of this package.
        profiles: the folder of Sotopia's profiles, for published ones.
    """
    path = Path(source).expanduser()
    if path.suffix == ".parquet" or (path.is_file() and is_own(path)):
        return load_episodes(path)
    return load_published(source, load_tasks(profiles) if profiles else None)


def load_published(path: str | Path, tasks: Iterable[Task] | None = None, on_error: str = "report") -> list[Episode]:
    """Read published episodes.

    Args:
        path: a file of records in any of the published formats, mixed or not; a folder of Sotopia's local storage; a
            Redis dump as JSON; or the id of a data set on the hub, with its file.
        tasks: Sotopia's tasks, with the whole profiles (``load_tasks(DATA)``). Without them profiles beside the
            episodes are used, and failing these the texts of the episode itself.
        on_error: ``"report"`` warns of a record that cannot be used and skips it; ``"raise"`` raises.

    Returns:
        Episodes with the scores they were published with, in the order of the file.

    Raises:
        FileNotFoundError: there is no such file or folder, or no episode in the folder.
        ValueError: there is no episode in the file.
        RecordError: a record is wrong and ``on_error`` is ``"raise"``.
    """
    path = local_path(path)
    report = Report(str(path), on_error)
    if path.is_dir():
        path = _episodes_in(path)
    files = _files_with(path, report)
    records = read_records(path, report) if files is None else files.records(EPISODES, report)
    if tasks is not None or files is None:
        known = KnownTasks(tasks or ())
    else:
        scenarios, characters = read_profiles(files, report)
        known = KnownTasks(read_pairings(files, scenarios, characters, report), scenarios, characters)
    episodes: dict[str, Episode] = {}
    for where, raw in records:
        try:
            episode = read_episode(raw, where, report, known)
            if episode.key in episodes:
                raise RecordError(where, f"episode {episode.key!r} was read before; remove one")
        except RecordError as error:
            report.add(error)
            continue
        episodes[episode.key] = episode
    report.close(len(episodes), "episodes")
    if not episodes:
        raise ValueError(f"{path}: there is no episode in it")
    return list(episodes.values())


def is_own(path: Path) -> bool:
    """Whether a file of JSON lines holds episodes of this package, as its first record tells."""
    with path.open("rb") as file:
        for line in file:
            if line.strip():
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                return isinstance(record, dict) and "format_version" in record
    return False


def _episodes_in(folder: Path) -> Path:
    """Where the episodes of a folder are."""
    if (folder / EPISODES).is_dir():
        return folder / EPISODES
    if folder.name == EPISODES:
        return folder
    found = sorted(path for path in folder.glob("*.json*") if "episode" in path.name.lower() or is_dump(path))
    if len(found) == 1:
        return found[0]
    if found:
        raise FileNotFoundError(f"{folder} holds {', '.join(path.name for path in found)}: name one of them")
    raise FileNotFoundError(f"{folder}: no folder {EPISODES}, and no file with 'episode' in its name")


def _files_with(path: Path, report: Report) -> PublishedFiles | None:
    """The set of records that episodes are part of, profiles included; ``None`` for a file of episodes alone."""
    if path.is_dir():
        storage = {kind: path.parent / kind for kind in (*FILES, EPISODES)}
        return PublishedFiles(path.parent, {kind: folder for kind, folder in storage.items() if folder.is_dir()})
    return find_files(path, report) if is_dump(path) else None
