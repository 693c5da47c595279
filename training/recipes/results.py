"""The last stage: clone and learner on sets of tasks, as a table in Markdown and JSON, with what nobody judged."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from sotopia_env.rewards.dimensions import DIMENSIONS, overall
from sotopia_env.rewards.judges.base import Judge
from sotopia_env.rewards.model_usage import models_of
from sotopia_env.statistics import interval
from sotopia_env.storage.journal import replace_file
from sotopia_env.tables import Cell, Table, estimate, markdown, mean, show
from sotopia_env.tasks import Task
from sotopia_env.training.comparison import difference
from sotopia_env.training.evaluation import evaluate, file_name
from sotopia_env.training.recipes.schema import Evaluated
from sotopia_env.training.recipes.tasks import described
from sotopia_env.training.results import Evaluation


def evaluated(
    policies: Mapping[str, Any],
    partner: Any,
    judge: Judge,
    sets: Sequence[tuple[Evaluated, Sequence[Task]]],
    *,
    out: Path,
    console: Console,
    **options: Any,
) -> dict[str, Any]:
    """Evaluate policies on sets of tasks, and write ``table.md`` and ``table.json``.

    Args:
        policies: by the names of their rows; the last one is compared with the first.
        partner: of all of them.
        judge: who scores.
        sets: each with its tasks.
        out: the folder; the episodes of each row stand there too, and are not played again.
        console: what takes the tables.
        options: passed to :func:`~sotopia_env.training.evaluation.evaluate`.

    Returns:
        For each set how many episodes there are, and of how many the goal is unknown.
    """
    data: dict[str, Any] = {"judge": judge.name, "partner": getattr(partner, "name", str(partner)), "sets": {}}
    parts: list[str | Table] = []
    titles = [described(given.tasks) for given, _ in sets]
    told: Counter[str] = Counter()
    out.mkdir(parents=True, exist_ok=True)
    for number, (given, tasks) in enumerate(sets):
        title = titles[number] if titles.count(titles[number]) == 1 else f"{titles[number]}, seats {given.seats}"
        rows = [
            evaluate(
                policy,
                partner,
                tasks,
                name=name,
                seats="both" if given.seats == "both" else "evaluated",
                judge=judge,
                out=out / f"{number}-{file_name(given.tasks.name)}-{name}.jsonl",
                progress=True,
                **options,
            )
            for name, policy in policies.items()
        ]
        failed = Counter(failure.kind for one in models_of(judge) for failure in one.failures)
        summaries = [{**row.summary, "overall": _overall(row), "unjudged": _unjudged(row)} for row in rows]
        found = difference(rows[-1], rows[0])
        data["sets"][title] = {
            "seats": given.seats,
            "rows": summaries,
            "difference": {"of": [rows[-1].name, rows[0].name], **found},
            "published": [one.model_dump() for one in given.published],
            "failures": dict(failed - told),
        }
        told = failed
        caption = f"{title}: against {data['partner']}, judge {judge.name}, seats {given.seats}, seed {rows[0].seed}"
        parts.append(_table(summaries, given, caption))
        goal = estimate(found["goal"]) if found["goal"]["mean"] is not None else "unknown"
        parts.append(f"Goal of {rows[-1].name} less that of {rows[0].name}, over the same tasks and seats: {goal}")
        show(*parts[-2:], console=console)
    replace_file(out / "table.json", [json.dumps(data, indent=1, allow_nan=False).encode(), b"\n"])
    replace_file(out / "table.md", [markdown(*parts).encode()])
    return {
        "judge": judge.name,
        "partner": data["partner"],
        "sets": {
            title: {row["name"]: {"episodes": row["episodes"], "unjudged": row["unjudged"]} for row in found["rows"]}
            for title, found in data["sets"].items()
        },
    }


def _table(rows: Sequence[Mapping[str, Any]], given: Evaluated, title: str) -> Table:
    others = [dimension for dimension in DIMENSIONS if dimension != "goal"]
    body: list[list[Any]] = [
        [
            row["name"],
            row["episodes"],
            estimate(row["goal"], ".2f"),
            mean(row["overall"]),
            *(mean(row[dimension]) for dimension in others),
            row["unjudged"],
            mean(row["words_per_turn"], ".1f"),
            mean(row["turns"], ".1f"),
            mean(row["invalid_rate"], ".1%"),
        ]
        for row in rows
    ]
    for one in given.published:
        blank = [""] * (len(others) + 4)
        body.append([f"{one.name}, published", "", Cell(one.goal, ".2f"), Cell(one.overall, ".2f"), *blank])
    headings = [dimension.replace("_", " ") for dimension in others]
    columns = ["policy", "episodes", "goal", "overall", *headings, "not judged", "words a turn", "turns", "invalid"]
    sources = [f"{one.name}, published: {one.source}." for one in given.published]
    note = " ".join(["not judged: episodes whose goal nobody knows; they count in no mean.", *sources])
    return Table(columns, body, title, note)


def _overall(row: Evaluation) -> dict[str, Any]:
    """Sotopia's overall score, the mean of the seven, over the episodes in which all are known."""
    values = [overall(result.scores) for result in row.results]
    return interval(values, [result.scenario for result in row.results]).to_dict()


def _unjudged(row: Evaluation) -> int:
    return sum(result.scores.get("goal") is None for result in row.results)
