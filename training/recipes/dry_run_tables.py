"""A dry run to be read: tables of its stages, calls, work and of what was published."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sotopia_env.tables import Cell, Table
from sotopia_env.training.quickstart_settings import Settings
from sotopia_env.training.recipes.cost import FORMULAS, total
from sotopia_env.training.recipes.counts import DryRun
from sotopia_env.training.recipes.files import READS, WRITES

_SEATS = 2


def dry_run_tables(run: DryRun) -> list[str | Table]:
    """What a run would take, for a terminal or a page."""
    parts: list[str | Table] = [_stages(run), _calls(run), _work(run)]
    if run.recipe.published:
        parts.append(_against_published(run))
    notes = [f"- {one.name}: {note}" for one in run.found for note in one.notes]
    return [*parts, "\n".join(notes)] if notes else parts


def quickstart_tables(given: Settings) -> list[str | Table]:
    """What the quickstart would do; how long that takes is in docs/results.md."""
    learning = given.grpo
    experts = given.expert_episodes + given.erratic_episodes
    rows = _SEATS * given.expert_episodes + given.erratic_episodes
    stages: list[list[Any]] = [
        ["experts", experts, "", ""],
        ["cloning", "", rows, math.ceil(rows * given.cloning_epochs / given.cloning_batch)],
        ["grpo", learning.steps * given.dialogues, learning.steps * given.dialogues, learning.steps],
        ["evaluation, a row", _SEATS * given.tasks, "", ""],
    ]
    if given.variant != "outcome":
        labelled = _SEATS * given.label_episodes
        steps = math.ceil(labelled * given.model_epochs / given.model_batch)
        stages.insert(2, ["labels and reward model", given.label_episodes, labelled, steps])
    body = [[name, *map(_count, values)] for name, *values in stages]
    return [Table(["stage", "dialogues", "rows", "steps"], body, "The quickstart", "No server is asked.")]


def _stages(run: DryRun) -> Table:
    body = [
        [
            f"{one.name} (finished)" if one.finished else one.name,
            *(_count(one.counts.get(name, "")) for name in ("dialogues", "rows", "steps", "generations")),
            ", ".join(READS[one.name]),
            ", ".join(WRITES[one.name]),
        ]
        for one in run.found
    ]
    return Table(["stage", "dialogues", "rows", "steps", "generations", "reads", "writes"], body, "Stages")


def _calls(run: DryRun) -> Table:
    assumed, prices = run.recipe.estimates, run.recipe.prices

    def row(name: str, role: str, calls: Any, read: Any, written: Any, money: float | None) -> list[Any]:
        return [name, role, *map(_count, (calls, read, written)), Cell(money, ",.2f")]

    def money_of(asked: Any) -> float | None:
        found: float | None = asked.money(getattr(prices, asked.role))
        return found

    body = [row(one.name, a.role, a.calls, a.read, a.written, money_of(a)) for one in run.found for a in one.asked]
    left = [asked for one in run.found if not one.finished for asked in one.asked]
    calls, read, written = (total(getattr(asked, name) for asked in left) for name in ("calls", "read", "written"))
    # What is finished is paid for.
    name = "all that is left" if any(one.finished for one in run.found) else "all"
    body.append(row(name, "", calls, read, written, total(map(money_of, left))))
    return Table(
        ["stage", "who is asked", "calls", "tokens read", "tokens written", "money"],
        body,
        "Calls of servers",
        f"Estimates: {assumed.characters_per_token:g} characters a token of what is read, "
        f"{assumed.tokens_per_word:g} tokens a word of what is said, dialogues as long as `estimates` says. "
        "Money needs prices; without them it is unknown.",
    )


def _work(run: DryRun) -> Table:
    machine = run.recipe.estimates.machine
    body = []
    for one in run.found:
        if not one.computed.nothing:
            memory = run.least_memory(one)
            tokens = (one.computed.read, one.computed.written, one.computed.trained)
            hours = Cell(one.computed.gpu_hours(run.parameters, machine), ",.1f")
            body.append([one.name, *map(_count, tokens), hours, Cell(None if memory is None else memory / 1e9, ",.1f")])
    where = "no GPU is named in estimates.machine" if machine is None else f"on {machine.name}"
    size = "unknown" if run.parameters is None else f"{run.parameters / 1e9:.3g} billion"
    return Table(
        ["stage", "tokens read", "written", "trained on", "GPU-hours, at best", "GPU memory, GB, at least"],
        body,
        f"The model's own work: {size} parameters, {where}",
        f"Estimates. {FORMULAS}",
    )


def _against_published(run: DryRun) -> Table:
    body = [
        [row["count"], _count(row["ours"]), _count(row["value"]), Cell(row["ratio"], ".2f"), _why(row)]
        for row in run.against_published
    ]
    columns = ["count", "here", "published", "ratio", "source, and why ours differs"]
    return Table(columns, body, "Against what was published")


def _count(value: Any) -> Any:
    if isinstance(value, str):
        return value
    whole = value is None or value == 0 or abs(value) >= 10 or float(value).is_integer()
    return Cell(value, ",.0f" if whole else ".2f")


def _why(row: Mapping[str, Any]) -> str:
    return str(row["source"]) + (f"; {row['note']}" if row["note"] else "")
