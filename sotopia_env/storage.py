"""Episodes on disk: JSON lines, one episode a line, each written as soon as it is finished."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sotopia_env.episodes import Episode


def save_episodes(episodes: Iterable[Episode], path: str | Path) -> None:
    """Write episodes as JSON lines. The file appears whole or not at all: a full disk leaves an older one as it was."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8") as file:
            for episode in episodes:
                file.write(_line(episode))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError):
            reason = f"episodes were not saved to {path}: {error.strerror}; nothing was changed"
            raise OSError(error.errno, reason) from error
        raise


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
        # Unbuffered, or closing the file would try once more to write what did not fit on a full disk.
        self._file = self.path.open("ab", buffering=0)
        self._file.truncate(end)

    def write(self, episode: Episode) -> None:
        """Append one episode; if the disk is full, whatever was written of it is taken back."""
        position = self._file.seek(0, os.SEEK_END)
        left = memoryview(_line(episode).encode("utf-8"))
        try:
            while left:
                left = left[self._file.write(left) :]
        except BaseException as error:
            if left:
                self._file.truncate(position)
            if isinstance(error, OSError):
                saved = f"the {len(self.finished)} before it are safe, run again to go on"
                reason = f"episode {episode.key} was not saved to {self.path}: {error.strerror}; {saved}"
                raise OSError(error.errno, reason) from error
            raise
        self.finished[episode.key] = episode

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
        remedy = "remove the line or write the file anew"
        raise ValueError(f"{path}, line {number}: not valid JSON ({error}); {remedy}") from error
    except KeyError as error:
        raise ValueError(f"{path}, line {number}: the episode has no field {error}") from error
    except (TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}, line {number}: not an episode: {error}") from error
