"""What is wrong with data from outside: warnings, and errors that name the record, the field and the remedy."""

from __future__ import annotations


def reason_of(error: OSError) -> str:
    """What went wrong with a file or a server, in words and without the number that Python puts before it."""
    if isinstance(error, FileNotFoundError) and error.filename is not None:
        return f"there is no file or folder {str(error.filename)!r}"
    reason = error.strerror or str(error) or type(error).__name__
    return reason if error.filename is None else f"{error.filename}: {reason[:1].lower()}{reason[1:]}"


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
