"""Audited turns as plain data, and their files: JSON lines, one audited turn a line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pydantic_core
from pydantic import BaseModel, ConfigDict

from sotopia_env.describe import differences, told
from sotopia_env.episodes import Episode, Judgement, Turn, plain_json
from sotopia_env.errors import RecordError
from sotopia_env.rewards.judges.base import RuleJudge
from sotopia_env.schema import check_record, read_episode
from sotopia_env.storage.episodes import locks_beside
from sotopia_env.storage.journal import Journal, Line, read_lines, replace_file

AUDIT_VERSION = 1

Scores = Mapping[str, tuple[float | None, ...]]
"""``{dimension: native scores of the agent at the end of k continuations}``."""


@dataclass(frozen=True)
class Candidate:
    """One turn that could be played in a state.

    Args:
        after: the state with that turn played and not replied to; finished where the turn ended the episode.
        finished: r episodes that go on from ``after`` to their ends, judged by rule: what labels made in hindsight are
            read from. Their seeds are independent of those behind ``scores``.
        scores: of k other continuations from ``after``. Their means are Q, the truth.
    """

    after: Episode
    finished: tuple[Episode, ...]
    scores: Scores

    @property
    def turn(self) -> Turn:
        """The turn itself."""
        return self.after.turns[-1]


@dataclass(frozen=True)
class AuditedTurn:
    """One state of an episode, the turn played in it, and its siblings: other turns the same policy could have taken.

    Args:
        key: unique within the audit set: the key of the episode, the agent and the own turn.
        agent: who is to move.
        own_index: of its turn.
        before: the state, a running episode; its key is that of the episode played.
        scores: of k continuations from ``before``. Their means are V; Q - V of a candidate is its true advantage.
        candidates: the turn that was played, then its siblings; no two are alike.
    """

    key: str
    agent: str
    own_index: int
    before: Episode
    scores: Scores
    candidates: tuple[Candidate, ...]


def save_audit(audit: Sequence[AuditedTurn], path: str | Path) -> None:
    """Write an audit set; the file appears whole or not at all."""
    replace_file(Path(path), (_line(turn, {}) + b"\n" for turn in audit))


def load_audit(path: str | Path) -> list[AuditedTurn]:
    """Read an audit set that :func:`save_audit` or ``collect_audit`` wrote.

    Raises:
        RecordError: a line is no audited turn; the error names file, line and field.
        FileNotFoundError: there is no such file.
    """
    path = Path(path)
    with path.open("rb") as file:
        return [_read(line, path)[0] for line in read_lines(file)]


class AuditFile:
    """The turns that are audited already, in a file that grows, so that an interrupted collection can go on.

    Several processes may fill it: each takes turns that nobody has finished and nobody is working on, and writes them
    in their order, so that what the file holds are always the first ones.

    Args:
        path: made where it does not exist. A last line cut short by a kill is removed and reported.
        settings: what decides the numbers; plain data, written beside each turn.

    Raises:
        ValueError: the file holds turns audited with other settings; the error says what differs.
    """

    def __init__(self, path: str | Path, settings: Mapping[str, Any]) -> None:
        """Read what the file already holds."""
        self.path = Path(path)
        self.settings = dict(settings)
        self.finished: dict[str, AuditedTurn] = {}
        self._locks = locks_beside(self.path)
        self._journal = Journal(self.path, self._locks)
        try:
            self.find()
        except BaseException:
            self._locks.close()
            raise

    def find(self) -> None:
        """Read what other processes have written meanwhile."""
        for line in self._journal.unread():
            turn, found = _read(line, self.path)
            remedy = "give another file, or remove this one"
            if isinstance(found.get("family"), list):
                raise ValueError(
                    f"{self.path} was collected by an earlier version, which did not say with which weights, "
                    f"sampling and settings: it cannot be gone on with; {remedy}"
                )
            if other := differences(found, self.settings):
                raise ValueError(f"{self.path} was collected with other {told(other)}; {remedy}")
            self.finished[turn.key] = turn

    def take(self, number: int, key: str) -> bool:
        """Take one turn, by its number among all, unless another process has finished it or is working on it."""
        if not self._locks.take(number):
            return False
        # Whoever held it before may have finished it.
        self.find()
        if key in self.finished:
            self._locks.release(number)
        return key not in self.finished

    def write(self, number: int, turn: AuditedTurn) -> None:
        """Append one audited turn that was taken."""
        self._journal.append(_line(turn, self.settings))
        self.finished[turn.key] = turn
        self._locks.release(number)

    def __enter__(self) -> Self:
        """Use as a context manager."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the file go."""
        self._locks.close()


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _FinishedRecord(_Strict):
    key: str
    seed: int | None
    turns: list[dict[str, Any]]
    ending: dict[str, Any] | None
    scores: dict[str, list[float | None]]
    version: str
    judge: str = RuleJudge.name


class _CandidateRecord(_Strict):
    turn: dict[str, Any]
    ending: dict[str, Any] | None
    scores: dict[str, tuple[float | None, ...]]
    finished: list[_FinishedRecord]


class _AuditedRecord(_Strict):
    audit_version: int
    settings: dict[str, Any]
    key: str
    agent: str
    own_index: int
    before: dict[str, Any]
    scores: dict[str, tuple[float | None, ...]]
    candidates: list[_CandidateRecord]


def _line(turn: AuditedTurn, settings: Mapping[str, Any]) -> bytes:
    # What a state, a candidate and a finished episode have in common is written once.
    return plain_json(
        {
            "audit_version": AUDIT_VERSION,
            "settings": settings,
            "key": turn.key,
            "agent": turn.agent,
            "own_index": turn.own_index,
            "before": turn.before,
            "scores": turn.scores,
            "candidates": [
                {
                    "turn": candidate.turn,
                    "ending": candidate.after.ending,
                    "scores": candidate.scores,
                    "finished": [_finished(episode, len(candidate.after.turns)) for episode in candidate.finished],
                }
                for candidate in turn.candidates
            ],
        }
    )


def _finished(episode: Episode, start: int) -> dict[str, Any]:
    (judgement,) = episode.judgements
    return {
        "key": episode.key,
        "seed": episode.seed,
        "turns": episode.turns[start:],
        "ending": episode.ending,
        "scores": judgement.scores,
        "version": judgement.version,
        "judge": judgement.judge,
    }


def _read(line: Line, path: Path) -> tuple[AuditedTurn, dict[str, Any]]:
    where = f"{path}, line {line.number}"
    try:
        given = pydantic_core.from_json(line.content, allow_inf_nan=False)
    except ValueError as error:
        remedy = "remove the line, or collect again" if line.whole else "it is cut short; the same command goes on"
        raise RecordError(where, f"not valid JSON ({error}); {remedy}") from error
    record = check_record(_AuditedRecord, given, where)
    if record.audit_version != AUDIT_VERSION:
        raise RecordError(where, f"audit_version is {record.audit_version}, this package reads {AUDIT_VERSION}")
    if not record.candidates:
        raise RecordError(where, "field 'candidates': the turn that was played is missing")
    before = read_episode(record.before, where)
    candidates = tuple(_candidate(candidate, record.before, before, where) for candidate in record.candidates)
    turn = AuditedTurn(record.key, record.agent, record.own_index, before, record.scores, candidates)
    return turn, record.settings


def _candidate(record: _CandidateRecord, state: Mapping[str, Any], before: Episode, where: str) -> Candidate:
    after = _extended(state, before, before, [record.turn], record.ending, where)
    finished = []
    for played in record.finished:
        episode = _extended(state, before, after, played.turns, played.ending, where)
        judgement = Judgement(played.judge, played.version, played.scores)
        finished.append(replace(episode, key=played.key, seed=played.seed, judgements=(judgement,)))
    return Candidate(after, tuple(finished), record.scores)


def _extended(
    state: Mapping[str, Any],
    before: Episode,
    base: Episode,
    turns: Iterable[Mapping[str, Any]],
    ending: Mapping[str, Any] | None,
    where: str,
) -> Episode:
    """An episode with more turns, which are checked as those of any file are; what came before them already is."""
    read = read_episode({**state, "turns": list(turns), "ending": ending}, where)
    return replace(before, turns=base.turns + read.turns, ending=read.ending)
