"""How far something is: a bar on stderr."""

from __future__ import annotations

import time
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

_PAUSE = 10.0
"""Seconds between two lines in a log file."""


class ProgressBar:
    """A bar on stderr that says how many of how many are done, or nothing.

    Where stderr is no terminal, it is a line every ten seconds.

    Args:
        description: what is done, beside the bar.
        total: how many there are.
        show: whether there is to be a bar.
        completed: how many were done before.
        transient: whether the bar disappears when it is closed.

    Example:
        >>> with ProgressBar("episodes", 64, show=False) as bar:
        ...     bar.advance()
        >>> bar.completed
        1
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
        self._note = ""
        self._told = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def update(self, completed: int) -> None:
        """Say how many are done."""
        self.completed = completed
        self._refresh()

    def advance(self, number: int = 1) -> None:
        """Say that more are done."""
        self.update(self.completed + number)

    def note(self, text: str) -> None:
        """Say something beside the bar, in place of what was said before."""
        self._note = text
        self._refresh()

    def __enter__(self) -> Self:
        """Show it."""
        if self._show:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}", markup=False),
                console=Console(stderr=True),
                transient=self._transient,
            )
            self._bar.start()
            self._task = self._bar.add_task(self._description, total=self._total, completed=self.completed, note="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave it as it stands."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _refresh(self) -> None:
        if self._bar is None:
            return
        self._bar.update(self._task, completed=self.completed, note=self._note)
        console = self._bar.console
        if not console.is_terminal and time.monotonic() - self._told >= _PAUSE:
            self._told = time.monotonic()
            seconds = self._bar.tasks[self._task].time_remaining
            left = "" if seconds is None else f"{timedelta(seconds=int(seconds))} left"
            told = " ".join(filter(None, (f"{self._description} {self.completed}/{self._total}", left, self._note)))
            console.print(told, markup=False, highlight=False, soft_wrap=True)
