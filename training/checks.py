"""Claims about a run, each with its bar and with what the run did show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sotopia_env.tables import Cell, Table, estimate

_VERDICTS = {True: ("met", "met"), False: ("not met", "missed"), None: ("unknown", "")}


@dataclass(frozen=True)
class Check:
    """A claim.

    Args:
        name: what is claimed.
        bar: what has to be reached.
        value: what was found: a text, a number, or ``{mean, low, high}``; ``None`` where it is unknown.
        met: whether the bar was reached; ``None`` where that cannot be told.
    """

    name: str
    bar: str
    value: str | float | Mapping[str, Any] | None
    met: bool | None

    @property
    def found(self) -> Cell:
        """What was found, as a cell of a table."""
        return estimate(self.value) if isinstance(self.value, Mapping) else Cell(self.value, "+.2f")

    @property
    def verdict(self) -> str:
        """``met``, ``not met`` or ``unknown``."""
        return _VERDICTS[self.met][0]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able data."""
        return asdict(self)


def checks_table(checks: Sequence[Mapping[str, Any]], heading: str = "claim") -> Table:
    """A row for each claim.

    Args:
        checks: ``Check.to_dict`` of each, as they stand in a file.
        heading: of the first column.
    """
    read = [Check(**check) for check in checks]
    rows = [(check.name, check.bar, check.found, Cell(check.verdict, kind=_VERDICTS[check.met][1])) for check in read]
    return Table([heading, "bar", "found", ""], rows)
