"""Evaluate policies on held-out tasks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from sotopia_env.cli.common import (
    AsJson,
    GpusPerTask,
    MeasuredAgreement,
    Processes,
    RayAddress,
    Seed,
    clear_errors,
    in_mode,
    print_json,
    stderr,
    tell_other_mode,
    within,
    workers_of,
)
from sotopia_env.cli.model_options import print_failures
from sotopia_env.tables import estimate, show


def evaluate(
    policies: Annotated[list[str], typer.Argument(help="One row for each.")],
    on: Annotated[str, typer.Option(help="Tasks: a family with its split, or a file.")] = "bargain:test",
    partner: Annotated[str, typer.Option(help="Sits on all other seats.")] = "scripted:firm",
    judge: Annotated[str, typer.Option(help="Name of the judge.")] = "rule",
    tasks: Annotated[
        int | None,
        typer.Option(
            "--tasks",
            "-n",
            callback=within(1),
            help="How many; by default 100 of a family, and all of a file or a named set.",
        ),
    ] = None,
    agreement: MeasuredAgreement = None,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for the episodes of each row; resumes.")] = None,
    processes: Processes = 1,
    ray: RayAddress = None,
    gpus_per_task: GpusPerTask = None,
    allow_train: Annotated[bool, typer.Option(help="Evaluate on tasks of the training split all the same.")] = False,
    as_json: AsJson = False,
) -> None:
    """Play policies against a partner on held-out tasks and compare them.

    Each task is played from every seat, unless all of them name the seat to evaluate, as those of sotopia:hard do.
    """
    with clear_errors("finished episodes are in the folder, and the same command goes on" if out else None):
        from sotopia_env.families.formal import told_modes
        from sotopia_env.resolve import family_and_tasks
        from sotopia_env.rewards.judges.base import as_judge
        from sotopia_env.rewards.model_usage import models_of
        from sotopia_env.training.comparison import difference, table
        from sotopia_env.training.evaluation import Match, draw_tasks, evaluate_many

        played = in_mode(on, agreement, "formal")
        made, family = as_judge(judge), family_and_tasks(played, "test")[0]
        drawn = draw_tasks(played, tasks, seed)
        modes = told_modes(drawn, family)
        tell_other_mode([*policies, partner], modes)
        matches = [Match(policy, policy, partner) for policy in policies]
        seats = "evaluated" if all(task.evaluated_seat is not None for task in drawn) else "both"
        options: dict[str, Any] = {
            "seed": seed,
            "judge": made,
            "family": family,
            "out": out,
            "processes": workers_of(processes, ray, gpus_per_task),
            "allow_train": allow_train,
            "seats": seats,
        }
        rows = evaluate_many(matches, drawn, progress=True, **options)
        print_failures(Counter(failure.kind for one in models_of(made) for failure in one.failures))
        differences = {row.name: difference(row, rows[0]) for row in rows[1:]}
        if as_json:
            print_json({"rows": [row.summary for row in rows], "differences": differences, "agreement": modes})
            return
        caption = f"{on} against {partner}, judge {judge}" + (f", {modes} agreements" if modes else "")
        show(table([row.summary for row in rows], caption))
        if all(row.summary["goal"]["mean"] is None for row in rows):
            stderr.print(
                f"the judge {rows[0].judge} knows the goal of none of these episodes; --judge llm:MODEL@URL asks a "
                "model",
                soft_wrap=True,
                highlight=False,
            )
        for name, found in differences.items():
            goal = found["goal"]
            known = f"unknown in all {goal['of']} episodes" if goal["mean"] is None else estimate(goal)
            print(f"goal of {name} - {rows[0].name}: {known}")
