"""The world gates as a page of Markdown: what the command prints and ``docs/worlds`` holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MARKS = {True: "met", False: "**missed**", None: "cannot be told"}


def gates_text(data: Mapping[str, Any]) -> str:
    """The page of a run.

    Args:
        data: of :func:`sotopia_env.training.gates.run_gates`.
    """
    offers = "price" if data["world"]["family"] == "bargain" else "offer"
    parts = ["## Gates", _verdicts(data["gates"]), "## Factorial", *_factorial(data["factorial"], offers)]
    parts += ["## Matched worlds", _matched(data["matched"])]
    if data["clone"] is not None:
        parts += ["## Couplings of the clone", *_clone(data["clone"]), _survival(data["gates"])]
    return "\n\n".join(parts) + "\n"


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown, its columns padded so that it reads well as plain text too."""
    cells = [list(headings), *(list(row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headings))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def with_interval(estimate: Mapping[str, float | None], form: str = "+.2f") -> str:
    """``+0.61 [+0.50, +0.73]``, or ``-`` where nothing is known."""
    mean, low, high = estimate["mean"], estimate["low"], estimate["high"]
    if mean is None:
        return "-"
    return format(mean, form) + ("" if low is None or high is None else f" [{low:{form}}, {high:{form}}]")


def _verdicts(gates: Sequence[Mapping[str, Any]]) -> str:
    rows = [[gate["name"], gate["bar"], with_interval(gate["value"]), MARKS[gate["met"]]] for gate in gates]
    return markdown_table(["gate", "bar", "measured", ""], rows)


def _factorial(measured: Sequence[Mapping[str, Any]], offers: str) -> list[str]:
    first = measured[0]
    said = (
        f"{first['tasks']} tasks from both seats ({first['episodes']} episodes a cell); the {offers} schedule of each "
        f"cell was chosen on {first['choosing_episodes']} other tasks, one seat each. Effects on the probe's goal, "
        "over all settings of the other two factors, paired over task and seat; bootstrap over scenarios."
    )
    effects = [
        [
            f"{row['coupling']:g}",
            factor,
            with_interval(effect["interval_95"]),
            with_interval(effect["interval_90"]),
            with_interval(effect["alone"]),
        ]
        for row in measured
        for factor, effect in row["effects"].items()
    ]
    cells = [
        [
            f"{row['coupling']:g}",
            cell["label"].replace("price", offers),
            cell["schedule"],
            with_interval(cell["goal"], ".2f"),
            f"{cell['deal_rate']['mean']:.1%}",
            f"{cell['words_per_turn']['mean']:.1f}",
        ]
        for row in measured
        for cell in row["cells"]
    ]
    return [
        said,
        markdown_table(["coupling", "factor", "effect, 95 %", "effect, 90 %", "alone, 95 %"], effects),
        "The cells:",
        markdown_table(["coupling", "added each turn", "best schedule", "goal, 95 %", "deals", "words a turn"], cells),
    ]


def _matched(rows: Sequence[Mapping[str, Any]]) -> str:
    return markdown_table(
        ["coupling", "goal, 95 %", "difference to 0, 90 %", "first", "second", "deals", "turns", "knowledge"],
        [
            [
                f"{row['coupling']:g}",
                with_interval(row["goal"], ".2f"),
                with_interval(row["difference"]),
                *(f"{goal['mean']:.2f}" for goal in row["goal_by_seat"]),
                f"{row['deal_rate']['mean']:.1%}",
                f"{row['turns']['mean']:.1f}",
                f"{row['knowledge']['mean']:.1f}",
            ]
            for row in rows
        ],
    )


def _survival(gates: Sequence[Mapping[str, Any]]) -> str:
    kept = {gate["name"].removeprefix("the clone keeps "): gate["met"] for gate in gates if "clone" in gate["name"]}
    lost = [name for name, met in kept.items() if met is False]
    if lost:
        found = "; ".join(lost)
        return f"**The couplings did not survive cloning** ({found}): studies of them use the scripted partner."
    unclear = [name for name, met in kept.items() if met is None]
    return "Every coupling survived cloning" + (f", as far as can be told ({'; '.join(unclear)})." if unclear else ".")


def _clone(found: Mapping[str, Any]) -> list[str]:
    said = (
        f"{found['states']} states of play at coupling {found['coupling']:g}, {found['draws']} draws at each; the "
        f"probe names prices at {found['prices']}. Concessions are shares of the list price. Effects against the same "
        "fork with a filler (the filler's own: without), 95 %; the ratio is clone over scripted."
    )
    effects = [
        [
            row["insertion"],
            row["outcome"] + (" (coupled)" if row["coupled"] else ""),
            with_interval(row["scripted"], "+.3f"),
            with_interval(row["clone"], "+.3f"),
            with_interval(row["ratio"], ".2f") if row["coupled"] else "-",
        ]
        for row in found["effects"]
    ]
    plain = [[name, *(f"{value:.3f}" for value in means.values())] for name, means in found["plain"].items()]
    outcomes = list(next(iter(found["plain"].values())))
    return [
        said,
        markdown_table(["insertion", "outcome", "scripted", "clone", "ratio"], effects),
        "Without insertion:",
        markdown_table(["partner", *outcomes], plain),
    ]
