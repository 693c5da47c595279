"""What learning is worth: the quickstart over several seeds, paid by a reward model and by the outcome."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from sotopia_env.statistics import interval_over_runs
from sotopia_env.tables import Cell, Table, estimate
from sotopia_env.training.protocol.protocol import Figures, Parts, Protocol
from sotopia_env.training.quickstart import quickstart
from sotopia_env.training.quickstart_settings import PRESETS, Settings, Variant
from sotopia_env.training.report import strongest

PAID_BY = {"on-policy": "reward model", "outcome": "outcome"}
"""The variants that are reported, and what pays their learner."""

PLAYERS = {"teacher": "teachers", "baseline": "clone", "learner": "learner"}

SHOWN: tuple[tuple[str, str, str], ...] = (
    ("goal", "goal", ".2f"),
    ("goal_strict", "strict", ".2f"),
    ("deal_rate", "deals", ".0%"),
    ("uncertain_deals", "uncertain deals", ".0%"),
    ("unread", "unread turns", ".2f"),
    ("relationship", "relationship", ".2f"),
    ("knowledge", "knowledge", ".2f"),
    ("words_per_turn", "words", ".1f"),
)
"""Key, heading and format of what the tables tell of a row."""

DETAILS = ("strict", "uncertain deals", "unread turns", "relationship", "knowledge", "episodes")
"""What a first page leaves to the tables of ``learning``."""

Runs = Sequence[Mapping[str, Any]]


def make_learning(
    protocol: Protocol, folder: Path, *, agreement: str = "formal", variants: Sequence[str] = tuple(PAID_BY)
) -> dict[str, Any]:
    """The reports of all runs; those of one seed share their experts and their clone."""
    reports: dict[str, list[dict[str, Any]]] = {variant: [] for variant in variants}
    for seed in protocol.seeds:
        first: Path | None = None
        for variant in variants:
            out = folder / f"{variant}-{seed}"
            if first is not None and not out.exists():
                share_clone(first, out)
            first = first or out
            data = quickstart(
                out,
                seed=seed,
                settings=_size(protocol, variant, agreement),
                sotopia_data=protocol.data,
                processes=protocol.processes,
            )
            reports[variant].append(_kept(data, seed))
    return {"runs": reports}


def _size(protocol: Protocol, variant: str, agreement: str) -> Settings:
    return replace(PRESETS[protocol.preset], variant=cast(Variant, variant), agreement=agreement)


def share_clone(source: Path, target: Path) -> None:
    """What both variants have in common, copied in one step: a folder that is there is complete."""
    making = target.with_name(f"{target.name}.part")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    for path in source.glob("*experts*"):
        shutil.copy2(path, making / path.name)
    shutil.copytree(source / "clone", making / "clone")
    making.rename(target)


def _kept(data: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """What is drawn from a report."""
    return {
        "seed": seed,
        "headline": data["headline"],
        "evaluation": data["evaluation"],
        "strongest": strongest(data["sharpening"]),
        "published": data.get("real_input"),
        "seconds": data["seconds"],
    }


def draw_learning(data: Mapping[str, Any]) -> dict[str, Parts]:
    """The blocks ``learning`` (all tables) and ``learning-summary`` (clones and learners, for a first page)."""
    runs: Mapping[str, Runs] = data["runs"]
    number = len(next(iter(runs.values())))
    partners = next(iter(runs.values()))[0]["headline"]["test"]["learner"]["partner"]
    over = f"means over {number} seeds with Student's t-intervals" if number > 1 else "one seed"
    full = _headline(runs, ("test",))
    kept = [row for row in full.rows if row[0] != PLAYERS["teacher"]]
    return {
        "learning-summary": [Table(full.columns, kept).without(*DETAILS)],
        "learning": [
            f"**Against {partners}**, {over}:",
            _headline(runs, tuple(next(iter(runs.values()))[0]["headline"])),
            "**Each run**, learner - clone in goal, with bootstrap intervals over scenarios:",
            _each_run(runs),
            f"**Against the clone itself**, {over}:",
            _rows(runs, lambda run: run["evaluation"]),
            *_published(runs, over),
        ],
    }


def _headline(runs: Mapping[str, Runs], splits: Sequence[str]) -> Table:
    tables = [(split, _rows(runs, partial(_headline_of, split=split))) for split in splits]
    rows = [[split, *row] for split, table in tables for row in table.rows]
    full = Table(["tasks", *tables[0][1].columns], rows)
    return full if len(splits) > 1 else full.without("tasks")


def _headline_of(run: Mapping[str, Any], split: str) -> Any:
    return run["headline"][split]


def _rows(runs: Mapping[str, Runs], rows_of: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> Table:
    """A row for each player of each variant; teachers and clone play the same in variants that sample alike."""
    body: list[list[Any]] = []
    for variant, found in runs.items():
        for player, name in PLAYERS.items():
            summaries = [rows_of(run)[player] for run in found]
            label = name if player == "teacher" else f"{name}, {PAID_BY[variant]}"
            gain = [rows_of(run)["difference"]["goal"]["mean"] for run in found] if player == "learner" else []
            if player == "teacher" and body:
                continue
            body.append(
                [
                    label,
                    *(_over_runs([row[key]["mean"] for row in summaries], form) for key, _, form in SHOWN),
                    _over_runs(gain, "+.2f") if gain else "",
                    sum(row["episodes"] for row in summaries),
                ]
            )
    return Table(["policy", *(heading for _, heading, _ in SHOWN), "learner - clone", "episodes"], body)


def _over_runs(values: Sequence[float | None], form: str) -> Cell:
    return estimate(interval_over_runs(values).to_dict(), form)


def _each_run(runs: Mapping[str, Runs]) -> Table:
    body = []
    for variant, found in runs.items():
        for run in found:
            sharpest = run["strongest"]
            body.append(
                [
                    PAID_BY[variant],
                    str(run["seed"]),
                    *(estimate(rows["difference"]["goal"]) for rows in run["headline"].values()),
                    estimate(run["evaluation"]["difference"]["goal"]),
                    estimate(run["evaluation"]["difference"]["goal_strict"]),
                    estimate(sharpest["difference"]["goal"]) if sharpest else None,
                    Cell(run["evaluation"]["baseline"]["own_outside_limit"]["mean"], ".1%"),
                ]
            )
    splits = next(iter(runs.values()))[0]["headline"]
    columns = [
        "paid by",
        "seed",
        *(f"partners not met, {split}" for split in splits),
        "against the clone",
        "strict",
        "over the clone's strongest sampling",
        "the clone's deals outside its own limit",
    ]
    return Table(columns, body)


def _published(runs: Mapping[str, Runs], over: str) -> Parts:
    if not all(run["published"] for found in runs.values() for run in found):
        return []
    text = f"**On the published craigslist pairings**, both seats, soft targets, the clone as partner, {over}:"
    return [text, _rows(runs, lambda run: run["published"])]


def draw_plain(data: Mapping[str, Any]) -> dict[str, Parts]:
    """The block ``learning-plain``: the same tables, of runs in which words settle too."""
    return {"learning-plain": draw_learning(data)["learning"]}


def _settings(
    protocol: Protocol, *, agreement: str = "formal", variants: Sequence[str] = tuple(PAID_BY)
) -> dict[str, Any]:
    described = {variant: _size(protocol, variant, agreement).described() for variant in variants}
    return {"seeds": list(protocol.seeds), "settings": described, "published": protocol.data is not None}


_PLAIN: dict[str, Any] = {"agreement": "plain", "variants": ("on-policy",)}

FIGURES = (
    Figures(
        "learning",
        "the quickstart, paid by a reward model and by the outcome",
        "sotopia-env results learning",
        make_learning,
        draw_learning,
        settings=_settings,
    ),
    Figures(
        "learning-plain",
        "the quickstart with agreements in words too, paid by a reward model",
        "sotopia-env results learning-plain",
        partial(make_learning, **_PLAIN),
        draw_plain,
        settings=partial(_settings, **_PLAIN),
    ),
)
