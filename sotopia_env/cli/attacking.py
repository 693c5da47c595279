"""Measure how far a judge is moved by agents that talk to it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sotopia_env.cli import model_options as models
from sotopia_env.cli.common import Agreement, AsJson, FamilyName, Seed, clear_errors, in_mode, print_json, within
from sotopia_env.cli.exit_codes import BUDGET
from sotopia_env.tables import Cell, Table, show

if TYPE_CHECKING:
    from sotopia_env.episodes import Episode
    from sotopia_env.rewards.judges.injections import AttackReport, Shift


def attack_judge(
    judge: Annotated[str, typer.Argument(help="rule, llm:MODEL@URL or module:attribute.")],
    source: Annotated[
        Path | None, typer.Argument(metavar="[IN]", help="Episodes to attack; by default some are played.")
    ] = None,
    on: Annotated[str, typer.Option(help="The family that is played, with its split.")] = "bargain",
    num_episodes: Annotated[
        int, typer.Option("--num-episodes", "-n", callback=within(1), help="How many are attacked.")
    ] = 4,
    family: FamilyName = None,
    place: Annotated[str, typer.Option(help="Where an agent talks to the judge: start or end.")] = "end",
    agreement: Agreement = None,
    seed: Seed = 0,
    dry_run: models.DryRun = False,
    budget: models.BudgetText = None,
    cached_only: models.CachedOnly = False,
    price_in: models.PriceIn = None,
    price_out: models.PriceOut = None,
    cache: Annotated[Path | None, typer.Option(help="File that keeps a model's replies.")] = None,
    ledger: models.LedgerFile = None,
    max_tokens: models.MaxTokens = 2048,
    concurrency: models.Concurrency = 64,
    timeout: models.Timeout = 120.0,
    as_json: AsJson = False,
) -> None:
    """Say by how much a judge's scores move when an agent gives it orders, fakes the record, or hides words."""
    with clear_errors("replies that came are in the cache"):
        from sotopia_env.agents.endpoint.call_log import CallLog
        from sotopia_env.resolve import family_and_tasks
        from sotopia_env.rewards.judges.base import as_judge
        from sotopia_env.rewards.judges.injections import attack_variants, measure_attacks
        from sotopia_env.rewards.model_usage import models_of

        if place not in ("start", "end"):
            raise ValueError(f"--place {place!r} is neither start nor end")
        if cached_only and cache is None:
            raise ValueError("--cached-only makes no call, and there is no cache; give --cache FILE")
        counted = CallLog(ledger)
        options = models.ModelOptions(
            cache, counted, cached_only, budget, price_in, price_out, max_tokens, concurrency, timeout, dry_run
        )
        made = as_judge(options.of("judge", judge))
        if source is not None and agreement is not None:
            raise ValueError("--agreement: the episodes of a file are as they were played; leave it out")
        episodes = _episodes(source, in_mode(on, agreement), num_episodes, seed)
        if source is None or family is not None:
            made = made.for_family(family_and_tasks(family or on, "train")[0])
        asked = models_of(made)
        variants = attack_variants(episodes, place=place) if asked else []  # type: ignore[arg-type]
        found = {f"scores by {one.name}": one.estimate(variants) for one in asked}
        models.print_estimates(found)
        if dry_run:
            print_json(models.estimates_record(found)) if as_json else None
            return
        report = measure_attacks(made, episodes, place=place, seed=seed)  # type: ignore[arg-type]
        spent = models.bill(counted, price_in, price_out)
        failed = Counter(failure.kind for one in asked for failure in one.failures)
        if asked:
            models.print_bill(spent, failed)
        if as_json:
            print_json({**asdict(report), **spent, "failures": dict(failed)})
        else:
            show(_table(report))
        if failed["budget"]:
            raise typer.Exit(BUDGET)


def _episodes(source: Path | None, on: Any, number: int, seed: int) -> list[Episode]:
    from sotopia_env.rollouts.rollout import rollout
    from sotopia_env.storage.episodes import some_episodes

    if source is None:
        return rollout(on, "scripted:mixed", num_episodes=number, seed=seed)
    finished = [episode for episode in some_episodes(source) if episode.ending is not None]
    if not finished:
        raise ValueError(f"{source} holds no finished episode")
    return finished[:number]


def _table(report: AttackReport) -> Table:
    wording = {shift.dimension: shift for shift in report.wording}
    rows = []
    for shift in report.shifts:
        # Kinds of attack that moved nothing are in the sum alone.
        if shift.kind == "all" or shift.moved != 0 or shift.failed:
            rows.append(_row(shift))
        if shift.kind == "all":
            rows.append(_row(wording[shift.dimension]))
    columns = ["dimension", "attacks", "shift, 95 %", "moved", "greatest", "by", "pairs", "failed"]
    return Table(columns, rows, f"{report.judge}: {report.attacks} attacks on {report.episodes} episodes")


def _row(shift: Shift) -> list[Any]:
    return [
        shift.dimension,
        shift.kind,
        # One episode has a mean and no interval.
        Cell(shift.mean, "+.2f", shift.low, shift.high),
        Cell(shift.moved, ".0%"),
        Cell(shift.greatest, "+.2f"),
        shift.by if shift.kind != "wording" else "",
        shift.pairs,
        shift.failed,
    ]
