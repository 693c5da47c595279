"""What had to be left out of a file or is not told there, named record by record and summed up: never silently."""

from __future__ import annotations

import warnings

from sotopia_env.errors import DataWarning, RecordError

MAX_WARNINGS = 20
"""So many records are named one by one; the summary counts them all."""


class Report:
    """Collects the records that cannot be used.

    Args:
        source: file or folder that is read.
        on_error: ``"report"`` warns and goes on, ``"raise"`` raises the first error.
    """

    def __init__(self, source: str, on_error: str = "report") -> None:
        if on_error not in ("report", "raise"):
            raise ValueError(f"on_error: {on_error!r} is neither 'report' nor 'raise'")
        self.source = source
        self.on_error = on_error
        self.errors: list[RecordError] = []
        self._messages: list[str] = []
        self._notes: list[str] = []

    def add(self, error: RecordError, consequence: str = "skipped") -> None:
        """Note a record that cannot be used, and what follows.

        Raises:
            RecordError: ``on_error`` is ``"raise"``.
        """
        if self.on_error == "raise":
            raise error
        self.errors.append(error)
        self._messages.append(f"{error}; {consequence}")

    def note(self, where: str, problem: str, consequence: str) -> None:
        """Note what a record does not tell: a warning also where errors are raised."""
        self._notes.append(f"{where}: {problem}; {consequence}")

    def close(self, loaded: int, what: str = "tasks") -> None:
        """Warn of each record and sum up, in the name of the caller's caller.

        Args:
            loaded: how many could be used.
            what: they are.

        Raises:
            ValueError: nothing could be loaded.
        """
        if len(self._notes) > MAX_WARNINGS:
            self._notes[MAX_WARNINGS:] = [f"{self.source}: {len(self._notes) - MAX_WARNINGS} more records of this kind"]
        for message in self._notes:
            warnings.warn(message, DataWarning, stacklevel=3)
        if not self.errors:
            return
        summary = f"{self.source}: {loaded} {what} loaded, {len(self.errors)} records reported"
        if loaded == 0:
            raise ValueError(f"{summary}; the first: {self.errors[0]}") from self.errors[0]
        for message in self._messages[:MAX_WARNINGS]:
            warnings.warn(message, DataWarning, stacklevel=3)
        warnings.warn(summary, DataWarning, stacklevel=3)
