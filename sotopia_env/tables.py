"""Tables of values that are computed already: plain data, drawn as Markdown and for a terminal of any width.

Pages draw the same tables by a template (:mod:`sotopia_env.training.pages`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markdown import Markdown
from rich.table import Table as Drawn
from rich.text import Text

UNKNOWN = "–"
"""What stands where a value is unknown."""

COUNTED = "(a of b): over a of b values; the others are unknown."
"""Below a table with means that leave values out."""

STRESSED = frozenset({"bad", "missed"})
"""Kinds of cells that are bold in Markdown and in a terminal."""

_GAP = 2
_LONGEST_WORD = 20


@dataclass(frozen=True)
class Cell:
    """One value of a table.

    Args:
        value: a text or a number; ``None`` where it is unknown.
        form: of a number, such as ``".2f"``.
        low: lower end of its interval; ``None`` where there is none.
        high: its upper end.
        known: how many values a mean, or a row that the cell names, is over.
        of: how many there are, the unknown ones included.
        note: what belongs to it, such as a share or a mark.
        kind: what it is, for its colour: words that a page has as classes.
    """

    value: str | float | None
    form: str = ""
    low: float | None = None
    high: float | None = None
    note: str = ""
    kind: str = ""
    known: int | None = None
    of: int | None = None

    @property
    def text(self) -> str:
        """The value."""
        if self.value is None:
            return UNKNOWN
        return self.value if isinstance(self.value, str) else format(self.value, self.form)

    @property
    def interval(self) -> str:
        """``[+0.50, +0.73]``, or nothing."""
        if self.value is None or self.low is None or self.high is None:
            return ""
        return f"[{self.low:{self.form}}, {self.high:{self.form}}]"

    @property
    def counted(self) -> str:
        """``(45 of 100)`` where a mean leaves out values that are unknown, or nothing."""
        if self.value is None or self.known is None or self.of is None or self.known == self.of:
            return ""
        return f"({self.known} of {self.of})"

    @property
    def parts(self) -> list[str]:
        """What stays on one line: the value with its note, the interval and the count; of a text each word."""
        if isinstance(self.value, str):
            return str(self).split()
        return [part for part in (f"{self.text} {self.note}".strip(), self.interval, self.counted) if part]

    @property
    def stressed(self) -> bool:
        """Whether it must not be overlooked."""
        return not STRESSED.isdisjoint(self.kind.split())

    def __str__(self) -> str:
        return " ".join(part for part in (self.text, self.interval, self.counted, self.note) if part)


def estimate(found: Mapping[str, Any] | None, form: str = "+.2f", key: str = "mean", **others: str) -> Cell:
    """A value with its interval and with the count of what it is over, as :class:`Cell`.

    Args:
        found: ``{key, "low", "high", "known", "of"}``; ``None`` where nothing is known.
        form: of the numbers.
        key: under which the value stands.
        others: ``note`` and ``kind`` of the cell.
    """
    found = found or {}
    low, high, known, of = (found.get(name) for name in ("low", "high", "known", "of"))
    return Cell(found.get(key), form, low, high, known=known, of=of, **others)


def mean(found: Mapping[str, Any] | None, form: str = ".2f") -> Cell:
    """A mean without its interval, with the count of what it is over; arguments as in :func:`estimate`."""
    return replace(estimate(found, form), low=None, high=None)


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        columns: their headings.
        rows: of as many cells (:class:`Cell`); a bare text, number or ``None`` is one too.
        title: above it.
        note: below it. Where a mean leaves out values that are unknown, that is said there too (:attr:`below`).
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    title: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse rows of another length."""
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"table {self.title!r}: {len(row)} cells under {len(self.columns)} headings: {row}")

    @property
    def cells(self) -> list[list[Cell]]:
        """The rows, of nothing but cells."""
        return [[value if isinstance(value, Cell) else Cell(value) for value in row] for row in self.rows]

    @property
    def numeric(self) -> list[bool]:
        """For each column whether it holds numbers, which stand to the right."""
        return [not any(isinstance(cell.value, str) and cell.value for cell in column) for column in self._by_column()]

    @property
    def below(self) -> str:
        """What stands below it."""
        partial = any(cell.counted for row in self.cells for cell in row)
        return " ".join(part for part in (self.note, COUNTED if partial else "") if part)

    def without(self, *headings: str) -> Table:
        """The same table with fewer columns."""
        kept = [place for place, heading in enumerate(self.columns) if heading not in headings]
        rows = [[row[place] for place in kept] for row in self.rows]
        return Table([self.columns[place] for place in kept], rows, self.title, self.note)

    def markdown(self) -> str:
        """The table as Markdown, its columns padded so that it reads well as plain text too."""
        rows = [[f"**{cell}**" if cell.stressed else str(cell) for cell in row] for row in self.cells]
        lines = [[text.replace("|", "\\|") for text in row] for row in (list(self.columns), *rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        drawn = [
            "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |"
            for line in lines
        ]
        drawn.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        title = f"**{self.title}**" if self.title else ""
        return "\n\n".join(part for part in (title, "\n".join(drawn), self.below) if part)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """The table as wide as the terminal; columns that do not fit follow below, under the first one again."""
        if self.title:
            yield Text(self.title, style="bold")
        numeric, cells = self.numeric, self.cells
        columns = self._by_column()
        least, wanted = [], []
        for heading, column, right in zip(self.columns, columns, numeric, strict=True):
            unbroken = [part for parts in (heading.split(), *(cell.parts for cell in column)) for part in parts]
            longest = max(map(cell_len, unbroken), default=1)
            least.append(longest if right else min(_LONGEST_WORD, longest))
            wanted.append(max(map(cell_len, (heading, *map(str, column)))))
        blocks = _blocks(least, options.max_width)
        for block in blocks:
            widths = _widths([least[i] for i in block], [wanted[i] for i in block], options.max_width)
            drawn = Drawn(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0))
            for place, width in zip(block, widths, strict=True):
                justify: Any = "right" if numeric[place] else "left"
                drawn.add_column(Text(self.columns[place]), justify=justify, width=width, overflow="fold")
            for row in cells:
                fitted = zip((row[place] for place in block), widths, strict=True)
                drawn.add_row(*(_fitted(cell, width) for cell, width in fitted))
            if block is not blocks[0]:
                yield ""
            yield drawn
        if self.below:
            yield Text("\n" + self.below)

    def _by_column(self) -> list[list[Cell]]:
        cells = self.cells
        return [[row[place] for row in cells] for place in range(len(self.columns))]


def markdown(*parts: str | Table) -> str:
    """Paragraphs and tables as one text of Markdown."""
    return "\n\n".join(part if isinstance(part, str) else part.markdown() for part in parts) + "\n"


def show(*parts: str | Table, console: Console | None = None) -> None:
    """Print paragraphs of Markdown and tables, as wide as the terminal is.

    Args:
        parts: in this order.
        console: where; stdout by default.
    """
    console = console or Console(highlight=False)
    for place, part in enumerate(parts):
        if place:
            console.print()
        console.print(Markdown(part, justify="left") if isinstance(part, str) else part)


def _blocks(least: Sequence[int], width: int) -> list[list[int]]:
    """Which columns stand side by side: as many as fit, the first one in every block."""
    blocks = [[0]]
    for place in range(1, len(least)):
        if sum(least[i] + _GAP for i in blocks[-1]) + least[place] > width and len(blocks[-1]) > 1:
            blocks.append([0])
        blocks[-1].append(place)
    return blocks


def _widths(least: Sequence[int], wanted: Sequence[int], width: int) -> list[int]:
    """The widths of columns side by side: those that want little more get it first."""
    widths = list(least)
    spare = max(0, width - sum(least) - _GAP * (len(least) - 1))
    places = sorted(range(len(least)), key=lambda place: wanted[place] - least[place])
    for done, place in enumerate(places):
        more = max(0, min(wanted[place] - least[place], spare // (len(places) - done)))
        widths[place] += more
        spare -= more
    return widths


def _fitted(cell: Cell, width: int) -> Text:
    """A cell in one line, or its interval below its value."""
    apart = not isinstance(cell.value, str) and cell_len(str(cell)) > width
    return Text("\n".join(cell.parts) if apart else str(cell), style="bold" if cell.stressed else "")
