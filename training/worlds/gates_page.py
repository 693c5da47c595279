"""The world gates as tables and sentences: what the command prints and ``docs/worlds`` holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sotopia_env.tables import Cell, Table, estimate, markdown, mean
from sotopia_env.training.checks import checks_table


def gates_text(data: Mapping[str, Any]) -> str:
    """A run as Markdown.

    Args:
        data: of :func:`sotopia_env.training.worlds.gates.run_gates`.
    """
    return markdown(*gates_parts(data))


def gates_parts(data: Mapping[str, Any]) -> list[str | Table]:
    """The paragraphs and tables of a run."""
    offers = "price" if data["world"]["family"] == "bargain" else "offer"
    world = f"{data['world']['family']}, {data['world'].get('agreement', 'plain')} agreements."
    parts: list[str | Table] = ["## Gates", world, checks_table(data["gates"], "gate")]
    parts += ["## Factorial", *_factorial(data["factorial"], offers)]
    parts += ["## Matched worlds", _matched(data["matched"])]
    if data["clone"] is not None:
        parts += ["## Couplings of the clone", *_clone(data["clone"]), _survival(data["gates"])]
    return parts


def _factorial(measured: Sequence[Mapping[str, Any]], offers: str) -> list[str | Table]:
    first = measured[0]
    said = (
        f"{first['tasks']} tasks from both seats ({first['episodes']} episodes a cell); the {offers} schedule of each "
        f"cell was chosen on {first['choosing_episodes']} other tasks, one seat each. Effects on the probe's goal, "
        "over all settings of the other two factors, paired over task and seat; bootstrap over scenarios."
    )
    effects = [
        [
            Cell(row["coupling"], "g"),
            factor,
            estimate(effect["interval_95"]),
            estimate(effect["interval_90"]),
            estimate(effect["alone"]),
        ]
        for row in measured
        for factor, effect in row["effects"].items()
    ]
    cells = [
        [
            Cell(row["coupling"], "g"),
            cell["label"].replace("price", offers),
            cell["schedule"],
            estimate(cell["goal"], ".2f"),
            mean(cell["deal_rate"], ".1%"),
            mean(cell["words_per_turn"], ".1f"),
        ]
        for row in measured
        for cell in row["cells"]
    ]
    return [
        said,
        Table(["coupling", "factor", "effect, 95 %", "effect, 90 %", "alone, 95 %"], effects),
        "The cells:",
        Table(["coupling", "added each turn", "best schedule", "goal, 95 %", "deals", "words a turn"], cells),
    ]


def _matched(rows: Sequence[Mapping[str, Any]]) -> Table:
    return Table(
        ["coupling", "goal, 95 %", "difference to 0, 90 %", "first", "second", "deals", "turns", "knowledge"],
        [
            [
                Cell(row["coupling"], "g"),
                estimate(row["goal"], ".2f"),
                estimate(row["difference"]),
                *(mean(goal) for goal in row["goal_by_seat"]),
                mean(row["deal_rate"], ".1%"),
                mean(row["turns"], ".1f"),
                mean(row["knowledge"], ".1f"),
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


def _clone(found: Mapping[str, Any]) -> list[str | Table]:
    said = (
        f"{found['states']} states of play at coupling {found['coupling']:g}, {found.get('agreement', 'plain')} "
        f"agreements as in what it learnt from, {found['draws']} draws at each; the probe names prices at "
        f"{found['prices']}. Concessions are shares of the list price. Effects against the same fork with a filler "
        "(the filler's own: without), 95 %; the ratio is clone over scripted."
    )
    effects = [
        [
            row["insertion"],
            row["outcome"] + (" (coupled)" if row["coupled"] else ""),
            estimate(row["scripted"], "+.3f"),
            estimate(row["clone"], "+.3f"),
            estimate(row["ratio"] if row["coupled"] else None, ".2f"),
        ]
        for row in found["effects"]
    ]
    plain = [[name, *(Cell(value, ".3f") for value in means.values())] for name, means in found["plain"].items()]
    outcomes = list(next(iter(found["plain"].values())))
    return [
        said,
        Table(["insertion", "outcome", "scripted", "clone", "ratio"], effects),
        "Without insertion:",
        Table(["partner", *outcomes], plain),
    ]
