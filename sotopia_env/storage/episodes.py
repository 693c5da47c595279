"""Episodes on disk: JSON lines, one episode a line, or parquet."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pydantic_core

from sotopia_env.episodes import Episode
from sotopia_env.errors import RecordError
from sotopia_env.schema import read_episode
from sotopia_env.storage.journal import Journal, Line, read_all, read_lines, replace_file
from sotopia_env.storage.locks import ProcessLocks


def save_episodes(episodes: Iterable[Episode], path: str | Path) -> None:
    """Write episodes as JSON lines, or as parquet where the name ends in ``.parquet``.

    The file appears whole or not at all: a full disk leaves an older one as it was.
    """
    path = Path(path)
    if path.suffix == ".parquet":
        from sotopia_env.storage.parquet import save_parquet

        save_parquet(episodes, path)
        return
    try:
        replace_file(path, (episode.to_json() + b"\n" for episode in episodes))
    except OSError as error:
        reason = f"episodes were not saved to {path}: {error.strerror}; nothing was changed"
        raise OSError(error.errno, reason) from error


def load_episodes(path: str | Path, *, on_error: str = "report") -> list[Episode]:
    """Read the episodes of a file of JSON lines, or of parquet where the name ends in ``.parquet``.

    Args:
        path: the file.
        on_error: ``"report"`` warns of a record that is no episode, skips it and sums up; ``"raise"`` raises.

    Raises:
        RecordError: a record is no episode and ``on_error`` is ``"raise"``; the error names file, line and field.
        ValueError: not one record is an episode.
        FileNotFoundError: there is no such file.
    """
    path = Path(path)
    if on_error not in ("report", "raise"):
        raise ValueError(f"on_error: {on_error!r} is neither 'report' nor 'raise'")
    if path.suffix == ".parquet":
        from sotopia_env.storage.parquet import load_parquet

        return load_parquet(path, on_error=on_error)
    with path.open("rb") as file:
        readers = (lambda line=line: _episode(line, path) for line in read_lines(file))
        return read_all(readers, str(path), on_error)


def some_episodes(path: str | Path) -> list[Episode]:
    """The episodes of a file that must hold some; see :func:`load_episodes`.

    Raises:
        ValueError: it holds none.
    """
    found = load_episodes(path)
    if not found:
        raise ValueError(f"{path} holds no episode; play some with: sotopia-env rollout")
    return found


class EpisodeWriter:
    """Appends finished episodes to a file of JSON lines, so that an interrupted run loses none and can go on.

    Several processes may write the same file. A last line cut short by a kill is removed and reported.

    Args:
        path: made where it does not exist.
        locks: of the run; the writer's own by default.

    Raises:
        RecordError: the file holds a line that is no episode.
    """

    def __init__(self, path: str | Path, *, locks: ProcessLocks | None = None) -> None:
        """Read what the file already holds."""
        self.path = Path(path)
        self.finished: dict[str, Episode] = {}
        self.locks = locks or locks_beside(self.path)
        self._journal = Journal(self.path, self.locks)
        try:
            self.refresh()
        except BaseException:
            self.close()
            raise

    def refresh(self) -> list[Episode]:
        """Read what other processes have written meanwhile, and return it."""
        found = [_episode(line, self.path) for line in self._journal.unread()]
        self.finished |= {episode.key: episode for episode in found}
        return found

    def write(self, episode: Episode) -> None:
        """Append one episode; if the disk is full, whatever was written of it is taken back."""
        try:
            self._journal.append(episode.to_json())
        except OSError as error:
            saved = f"the {len(self.finished)} before it are safe, run again to go on"
            reason = f"episode {episode.key} was not saved to {self.path}: {error.strerror}; {saved}"
            raise OSError(error.errno, reason) from error
        self.finished[episode.key] = episode

    def put_in_order(self, order: Callable[[str], Any], changed: Iterable[Episode] = ()) -> None:
        """Sort the lines by the keys of their episodes and keep one of each.

        Args:
            order: what the keys are sorted by.
            changed: episodes whose lines are written anew; all other lines stay as they are, whoever has written them.
        """
        anew = {episode.key: episode.to_json() for episode in changed}
        with self.locks.writing():
            if not self.path.exists():
                return
            lines: dict[str, bytes] = {}
            standing = []
            with self.path.open("rb") as file:
                for line in read_lines(file):
                    key = _record(line, self.path)["key"]
                    standing.append(key)
                    lines[key] = line.content
            lines |= anew
            wanted = sorted(lines, key=order)
            if anew or wanted != standing:
                self._journal.replace(lines[key] for key in wanted)

    def close(self) -> None:
        """Let the file go."""
        self.locks.close()

    def __enter__(self) -> Self:
        """Use as a context manager."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the file go, whatever happened."""
        self.close()


def locks_beside(path: Path) -> ProcessLocks:
    """The locks of the run that writes a file."""
    return ProcessLocks(path.with_name(f".{path.name}.lock"))


def _episode(line: Line, path: Path) -> Episode:
    return read_episode(_record(line, path), f"{path}, line {line.number}")


def _record(line: Line, path: Path) -> Any:
    try:
        return pydantic_core.from_json(line.content, allow_inf_nan=False)
    except ValueError as error:
        where = f"{path}, line {line.number}"
        if not line.whole:
            raise RecordError(where, "the last line is cut short, as when a run is killed; run it again") from error
        raise RecordError(where, f"not valid JSON ({error}); remove the line or write the file anew") from error
