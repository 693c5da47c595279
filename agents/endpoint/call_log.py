"""What calls of a server came to: outcomes, tokens and seconds, counted and written down."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

ANSWERED = "answered"
"""The outcome of a call that brought a usable reply."""


@dataclass(frozen=True)
class Call:
    """One request that went out, whatever came back.

    Args:
        label: what it was for.
        attempt: 1, 2, ... of the same request.
        outcome: :data:`ANSWERED`, ``"cancelled"``, or a kind of failure.
        status: HTTP status, ``None`` where no response came.
        prompt_tokens: as the server counts them, ``None`` where it did not say.
        completion_tokens: the same for what it wrote.
        seconds: until the outcome was known.
    """

    label: str
    attempt: int
    outcome: str
    status: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    seconds: float


@dataclass(frozen=True)
class Usage:
    """The calls of a ledger, summed.

    Args:
        calls: requests that went out, repeated ones included.
        replies: usable replies.
        truncated: replies among them that were cut at the length limit.
        failures: requests given up.
        prompt_tokens: over all calls whose tokens are known, the unusable ones included.
        completion_tokens: the same for what was written.
        unmetered: replies for which the server counted no tokens.
        seconds: summed over calls, of which many run side by side.
        outcomes: ``{outcome: calls}``.
    """

    calls: int
    replies: int
    truncated: int
    failures: int
    prompt_tokens: int
    completion_tokens: int
    unmetered: int
    seconds: float
    outcomes: Mapping[str, int]


class CallLog:
    """Counts calls, and writes each as a line of JSON where a file is named.

    Args:
        path: a JSON-lines file to append to. It holds no text of any dialogue and no key.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = None if path is None else Path(path)
        self._outcomes: Counter[str] = Counter()
        self._sums: Counter[str] = Counter()
        self._seconds = 0.0

    def record(self, call: Call, *, truncated: bool = False) -> None:
        """Take down one call.

        Args:
            call: what went out and came back.
            truncated: whether the reply was cut at the length limit.
        """
        self._outcomes[call.outcome] += 1
        self._sums["prompt"] += call.prompt_tokens or 0
        self._sums["completion"] += call.completion_tokens or 0
        self._sums["truncated"] += truncated
        self._sums["unmetered"] += call.outcome == ANSWERED and call.completion_tokens is None
        self._seconds += call.seconds
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(call)) + "\n")

    def give_up(self) -> None:
        """Take down that a request was given up."""
        self._sums["failures"] += 1

    def add(self, other: CallLog) -> None:
        """Count the calls of another log, which has written them down itself."""
        self._outcomes += other._outcomes
        self._sums += other._sums
        self._seconds += other._seconds

    @property
    def usage(self) -> Usage:
        """Everything so far."""
        return Usage(
            calls=self._outcomes.total(),
            replies=self._outcomes[ANSWERED],
            truncated=self._sums["truncated"],
            failures=self._sums["failures"],
            prompt_tokens=self._sums["prompt"],
            completion_tokens=self._sums["completion"],
            unmetered=self._sums["unmetered"],
            seconds=self._seconds,
            outcomes=dict(self._outcomes),
        )
