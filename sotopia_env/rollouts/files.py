"""The finished episodes of a run: in memory, or in files that several processes fill, and that survive a kill."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sotopia_env.episodes import Episode
from sotopia_env.policies import TokenTrace
from sotopia_env.rollouts.manifest import Manifest
from sotopia_env.storage.episodes import EpisodeWriter, load_episodes, locks_beside, save_episodes
from sotopia_env.storage.traces import Traces, TraceWriter, load_traces, traces_path


class EpisodeStore:
    """The finished episodes of a run by their numbers, kept in memory alone."""

    def __init__(self) -> None:
        """Nothing is finished."""
        self.finished: dict[int, Episode] = {}
        self.played = 0
        self._held: set[int] = set()
        self._kept: Traces = {}

    def find(self) -> None:
        """Looks for what other processes have finished: nothing, in memory."""

    def take(self, missing: Sequence[int], limit: int) -> list[int]:
        """Returns episodes to be played now; none where all that are missing are being played, here or elsewhere."""
        taken = [i for i in missing if i not in self.finished and i not in self._held][:limit]
        self._held.update(taken)
        return taken

    def put(self, index: int, episode: Episode, traces: Mapping[str, Sequence[TokenTrace]]) -> None:
        """Keep a finished episode and the traces of its agents."""
        self.finished[index] = episode
        self.played += 1
        self._kept |= {(episode.key, agent): list(turns) for agent, turns in traces.items() if turns}

    def give_back(self, indices: Sequence[int]) -> None:
        """Releases episodes that are played, or that this process will not play."""
        self._held.difference_update(indices)

    def traces(self) -> Traces:
        """The token traces of the finished episodes, where policies gave any."""
        return self._kept


class RunFiles(EpisodeStore):
    """The finished episodes of a run on disk: episodes, token traces and manifest.

    Each process takes episodes that nobody has finished and nobody is working on. What a process held when it died is
    free for the others at once.

    Args:
        out: JSON lines; of a name that ends in ``.parquet``, the run is kept in JSON lines beside it.
        place: the number of an episode in the run, from its key; ``None`` where it belongs to another run.
        first: a key of this run, for errors.
        store_traces: keep token traces too.
        made: what is done to the episodes, for errors.
        run: what the run is; a manifest of another is refused before anything is read.

    Attributes:
        outcome: for the manifest, where nothing fails.
    """

    def __init__(
        self,
        out: str | Path,
        place: Callable[[str], int | None],
        first: str,
        *,
        store_traces: bool = False,
        made: str = "played",
        run: Mapping[str, Any] | None = None,
    ) -> None:
        """Read what is finished."""
        super().__init__()
        self.out = Path(out)
        self.path = self.out.with_suffix(".jsonl") if self.out.suffix == ".parquet" else self.out
        self._place = place
        self._first = first
        self.outcome = "complete"
        self._locks = locks_beside(self.path)
        self._traces = TraceWriter(traces_path(self.path), self._locks) if store_traces else None
        self.manifest = Manifest(self.path, self._locks, made)
        if run is not None:
            # Before the episodes, whose keys tell that they are of another run, and not what differs.
            try:
                self.manifest.check(run)
            except BaseException:
                self._locks.close()
                raise
        if self.path != self.out:
            with self._locks.writing():
                if self.out.exists() and not self.path.exists():
                    save_episodes(load_episodes(self.out, on_error="raise"), self.path)
        self._writer = EpisodeWriter(self.path, locks=self._locks)
        try:
            self._add(self._writer.finished.values())
        except BaseException:
            self._writer.close()
            raise

    def find(self) -> None:
        """Look for what other processes have finished.

        Raises:
            ValueError: the file holds an episode of another run.
        """
        self._add(self._writer.refresh())

    def take(self, missing: Sequence[int], limit: int) -> list[int]:
        """Returns episodes to be played now; none where all that are missing are being played, here or elsewhere."""
        taken = []
        for index in missing:
            # A lock does not tell what this process holds already.
            if index not in self.finished and index not in self._held and self._locks.take(index):
                self._held.add(index)
                taken.append(index)
                if len(taken) == limit:
                    break
        # Whoever held one before may have finished it.
        self.find()
        done = [index for index in taken if index in self.finished]
        self.give_back(done)
        return [index for index in taken if index not in self.finished]

    def put(self, index: int, episode: Episode, traces: Mapping[str, Sequence[TokenTrace]]) -> None:
        """Write a finished episode, and before it the traces of its agents."""
        if self._traces is not None:
            self._traces.write(episode.key, traces)
        self._writer.write(episode)
        super().put(index, episode, {})

    def give_back(self, indices: Sequence[int]) -> None:
        """Releases episodes that are played, or that this process will not play."""
        super().give_back(indices)
        for index in indices:
            self._locks.release(index)

    def complete(self, judged: Mapping[int, Episode] | None = None) -> None:
        """Puts the files in order, so that they hold the same bytes whichever process has played what, and when.

        Args:
            judged: episodes to stand in the places of those that were finished.
        """
        changed = {i: episode for i, episode in (judged or {}).items() if self.finished[i] != episode}
        self.finished |= changed
        self._writer.put_in_order(self._index, changed.values())
        if self._traces is not None:
            self._traces.put_in_order(self._index)
        if self.path != self.out:
            with self._locks.writing():
                save_episodes([self.finished[index] for index in sorted(self.finished)], self.out)

    def traces(self) -> Traces:
        """The token traces of the finished episodes, where policies gave any."""
        return load_traces(self._traces.path) if self._traces is not None and self._traces.path.exists() else {}

    def close(self, outcome: str) -> None:
        """Let the files go, and say in the manifest how it went."""
        try:
            if outcome != "complete":
                self.find()
            self.manifest.close(outcome, self.played, self.finished.values())
        finally:
            self._writer.close()

    def __enter__(self) -> Self:
        """Use as a context manager."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the files go, whatever happened."""
        if error is None:
            self.close(self.outcome)
            return
        interrupted = isinstance(error, KeyboardInterrupt)
        # A full disk, say, is told of once: by the error that ended the run.
        with suppress(OSError):
            self.close("interrupted" if interrupted else f"failed: {type(error).__name__}: {error}")
        if self.manifest.opened and not interrupted:
            error.add_note(f"{len(self.finished)} episodes are finished in {self.path}; the same call goes on.")

    def _add(self, episodes: Iterable[Episode]) -> None:
        self.finished |= {self._index(episode.key): episode for episode in episodes}

    def _index(self, key: str) -> int:
        place = self._place(key)
        if place is None:
            raise ValueError(
                f"{self.path} was {self.manifest.made} with other seed or by another command (it holds episode "
                f"{key!r}; those of this run are {self._first!r} and so on); give another file"
            )
        return place
