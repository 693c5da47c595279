"""Episodes on disk: JSON lines, one episode a line, each written as soon as it is finished."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sotopia_env.episodes import Episode


def save_episodes(episodes: Iterable[Episode], path: str | Path) -> None:
    """Write episodes as JSON lines. The file appears whole or not at all: a full disk leaves an older one as it was."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            for episode in episodes:
                file.write(_line(episode))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OSError(error.errno, f"episodes were not saved to {path}: {error.strerror}; nothing was changed") from error


def load_episodes(path: str | Path) -> list[Episode]:
    """Read the episodes of a file.

    Raises:
        ValueError: a line is no episode; the error names file, line and field.
        FileNotFoundError: there is no such file.
    """
    return [episode for episode, _ in _read(Path(path))]


class EpisodeWriter:
    """Appends finished episodes to a file, so that an interrupted run loses none and can go on.

    Args:
        path: a JSON-lines file; made where it does not exist. A last line cut short by a kill is dropped.
    """

    def __init__(self, path: str | Path) -> None:
        """Open the file and read what it already holds."""
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.finished: dict[str, Episode] = {}
        end = 0
        if self.path.exists():
            for episode, position in _read(self.path, drop_cut_line=True):
                self.finished[episode.key] = episode
                end = position
        self._file = self.path.open("ab")
        self._file.truncate(end)

    def write(self, episode: Episode) -> None:
        """Append one episode; if the disk is full, whatever was written of it is taken back."""
        position = self._file.seek(0, os.SEEK_END)
        try:
            self._file.write(_line(episode).encode("utf-8"))
            self._file.flush()
        except OSError as error:
            self._take_back(position)
            raise OSError(
                error.errno,
                f"episode {episode.key} was not saved to {self.path}: {error.strerror}; "
                f"the {len(self.finished)} before it are safe, run again to go on",
            ) from error
        self.finished[episode.key] = episode

    def _take_back(self, position: int) -> None:
        raw = self._file.detach()
        os.ftruncate(raw.fileno(), position)
        raw.close()
        self._file = self.path.open("ab")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        """Use as a context manager."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file, whatever happened."""
        self.close()


def _line(episode: Episode) -> str:
    return json.dumps(episode.to_dict(), ensure_ascii=False) + "\n"


def _read(path: Path, *, drop_cut_line: bool = False) -> Iterable[tuple[Episode, int]]:
    position = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            position += len(line)
            if not line.strip():
                continue
            if drop_cut_line and not line.endswith(b"\n"):
                return
            yield _episode(line, path, number), position


def _episode(line: bytes, path: Path, number: int) -> Episode:
    try:
        record: Any = json.loads(line)
        return Episode.from_dict(record)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}, line {number}: not valid JSON ({error}); remove the line or write the file anew") from error
    except KeyError as error:
        raise ValueError(f"{path}, line {number}: the episode has no field {error}") from error
    except (TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}, line {number}: not an episode: {error}") from error
