"""Token traces beside the episodes: what a language model read and wrote, turn by turn, as JSON lines."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from sotopia_env.errors import DataWarning, RecordError
from sotopia_env.policies import TokenTrace
from sotopia_env.schema import check_record
from sotopia_env.storage.journal import Journal, read_lines
from sotopia_env.storage.locks import ProcessLocks

Traces = dict[tuple[str, str], list[TokenTrace]]
"""Token traces beside the episodes: ``{(episode key, agent): [one per own turn]}``."""


def traces_path(episodes: str | Path) -> Path:
    """Where the token traces of a file of episodes stand: ``e.traces.jsonl`` beside ``e.jsonl``."""
    return Path(episodes).with_suffix(".traces.jsonl")


def load_traces(path: str | Path) -> Traces:
    """Read the token traces of a file.

    Args:
        path: of the traces (:func:`traces_path`).

    Raises:
        RecordError: a line holds no traces; the error names file, line and field.
    """
    path = Path(path)
    traces: Traces = {}
    with path.open("rb") as file:
        for line in read_lines(file):
            where = f"{path}, line {line.number}"
            if not line.whole:
                warnings.warn(f"{where}: cut short, as when a run is killed; skipped", DataWarning, stacklevel=2)
                continue
            record = _record(line.content, where)
            traces[record.episode, record.agent] = _unpacked(record.turns)
    return traces


class TraceWriter:
    """Appends the token traces of finished episodes to a file.

    Each turn repeats the tokens of the turns before it, so a line holds only how many it shares with them, and the
    rest.

    Args:
        path: made where it does not exist.
        locks: of the run.
    """

    def __init__(self, path: Path, locks: ProcessLocks) -> None:
        """Nothing is written yet."""
        self.path = path
        self._locks = locks
        self._journal = Journal(path, locks)

    def write(self, episode: str, traces: Mapping[str, Sequence[TokenTrace]]) -> None:
        """Append the traces of one episode: ``{agent: [one per own turn]}``."""
        for agent, turns in traces.items():
            if not turns:
                continue
            line = {"episode": episode, "agent": agent, "turns": _packed(turns)}
            try:
                self._journal.append(json.dumps(line, allow_nan=False).encode())
            except OSError as error:
                reason = f"the token traces of episode {episode} were not saved to {self.path}: {error.strerror}"
                raise OSError(error.errno, reason) from error

    def put_in_order(self, order: Callable[[str], Any]) -> None:
        """Sort the lines by the keys of their episodes and keep one for each agent."""
        with self._locks.writing():
            if not self.path.exists():
                return
            lines: dict[tuple[str, str], bytes] = {}
            standing = []
            with self.path.open("rb") as file:
                for line in read_lines(file):
                    record = _record(line.content, f"{self.path}, line {line.number}")
                    standing.append((record.episode, record.agent))
                    lines[record.episode, record.agent] = line.content
            wanted = sorted(lines, key=lambda place: (order(place[0]), place[1]))
            if wanted != standing:
                self._journal.replace(lines[place] for place in wanted)


class _Turn(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    shared: int
    prompt_ids: list[int]
    ids: list[int]
    logprobs: list[float] | None
    truncated: bool


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    episode: str
    agent: str
    turns: list[_Turn]


def _record(content: bytes, where: str) -> _Line:
    try:
        return check_record(_Line, json.loads(content), where)
    except json.JSONDecodeError as error:
        raise RecordError(
            where, f"not valid JSON ({error}); remove the line, and the file where it is beyond use"
        ) from error


def _packed(turns: Sequence[TokenTrace]) -> list[dict[str, Any]]:
    packed = []
    before: tuple[int, ...] = ()
    for turn in turns:
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, turn.prompt_ids, strict=False)))
        packed.append(
            {
                "shared": shared,
                "prompt_ids": turn.prompt_ids[shared:],
                "ids": turn.ids,
                "logprobs": turn.logprobs,
                "truncated": turn.truncated,
            }
        )
        before = turn.prompt_ids + turn.ids
    return packed


def _unpacked(turns: Sequence[_Turn]) -> list[TokenTrace]:
    traces = []
    before: tuple[int, ...] = ()
    for turn in turns:
        prompt_ids = before[: turn.shared] + tuple(turn.prompt_ids)
        logprobs = None if turn.logprobs is None else tuple(turn.logprobs)
        traces.append(TokenTrace(prompt_ids, tuple(turn.ids), logprobs, turn.truncated))
        before = prompt_ids + traces[-1].ids
    return traces
