"""What is wrong with data from outside: warnings, and errors that name the record, the field and the remedy."""

from __future__ import annotations


class DataWarning(UserWarning):
    """A part of a file was skipped or mended."""


class RecordError(ValueError):
    """A record of a file that cannot be used.

    Args:
        where: file, line or key, and id of the record.
        problem: the field, what is wrong with it, and what would be right.
    """

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")
        self.where = where
        self.problem = problem
