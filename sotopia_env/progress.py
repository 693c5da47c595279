"""How far something is: a bar on stderr."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self


class ProgressBar:
    """A bar on stderr that says how many of how many are done, or nothing.

    Args:
        description: what is done, beside the bar.
        total: how many there are.
        show: whether there is to be a bar.
        completed: how many were done before.
        transient: whether the bar disappears when it is closed.

    Example:
        >>> with ProgressBar("episodes", 64, show=False) as bar:
        ...     bar.advance()
    """

    def __init__(
        self, description: str, total: int, *, show: bool = True, completed: int = 0, transient: bool = False
    ) -> None:
        """Nothing is shown before the context is entered."""
        self.completed = completed
        self._description = description
        self._total = total
        self._show = show
        self._transient = transient
        self._bar: Any = None
        self._task: Any = None

    def update(self, completed: int) -> None:
        """Say how many are done."""
        self.completed = completed
        if self._bar is not None:
            self._bar.update(self._task, completed=completed)

    def advance(self, number: int = 1) -> None:
        """Say that more are done."""
        self.update(self.completed + number)

    def __enter__(self) -> Self:
        """Show it."""
        if self._show:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=self._transient)
            self._bar.start()
            self._task = self._bar.add_task(self._description, total=self._total, completed=self.completed)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave it as it stands."""
        if self._bar is not None:
            self._bar.stop()
