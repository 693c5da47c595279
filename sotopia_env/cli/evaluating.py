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
    clear_errors,
    each_within,
    in_mode,
    print_json,
    stderr,
    tell_other_mode,
    within,
    workers_of,
)
from sotopia_env.cli.model_options import print_failures
from sotopia_env.tables import show


def evaluate(
    policies: Annotated[
        list[str],
        typer.Argument(help="One row for each; those given as NAME=POLICY with one NAME are training runs of one row."),
    ],
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
    against: Annotated[
        str | None, typer.Option(help="The row from which the others differ; all: any two. By default the first.")
    ] = None,
    agreement: MeasuredAgreement = None,
    seed: Annotated[
        list[int] | None,
        typer.Option(
            callback=each_within(0, 2**32 - 1),
            help="Decides tasks and draws; given several times, the seeds are pooled. By default 0.",
        ),
    ] = None,
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
        from sotopia_env.training.evaluated_rows import (
            Row,
            behaviour_table,
            difference_table,
            grouped,
            pairwise,
            row_difference,
            score_table,
        )
        from sotopia_env.training.evaluation import Match, draw_tasks, evaluate_many

        named, seeds = grouped(policies), list(dict.fromkeys(seed or [0]))
        if against not in (None, "all", *named):
            raise ValueError(f"--against {against!r} is none of the rows: all, {', '.join(named)}")
        played = in_mode(on, agreement, "formal")
        made, family = as_judge(judge), family_and_tasks(played, "test")[0]
        drawn = {one: draw_tasks(played, tasks, one) for one in seeds}
        modes = told_modes(drawn[seeds[0]], family)
        flat = [(name, policy) for name, runs in named.items() for policy in runs]
        tell_other_mode([*(policy for _, policy in flat), partner], modes)
        matches = [Match(policy, policy, partner) for _, policy in flat]
        seats = "evaluated" if all(task.evaluated_seat is not None for task in drawn[seeds[0]]) else "both"
        options: dict[str, Any] = {
            "judge": made,
            "family": family,
            "processes": workers_of(processes, ray, gpus_per_task),
            "allow_train": allow_train,
            "seats": seats,
        }
        found = []
        for one in seeds:
            # Tasks of one id may differ between seeds, so that each seed has files of its own.
            folder = out / f"seed-{one}" if out is not None and len(seeds) > 1 else out
            found.append(evaluate_many(matches, drawn[one], progress=True, seed=one, out=folder, **options))
        print_failures(Counter(failure.kind for one in models_of(made) for failure in one.failures))
        by_policy = list(zip(*found, strict=True))
        rows = [
            Row(name, [run for run, (row, _) in zip(by_policy, flat, strict=True) if row == name]) for name in named
        ]
        pairs = pairwise(rows)
        base = next((row for row in rows if row.name == against), rows[0])
        differences = {row.name: row_difference(row, base) for row in rows if row is not base}
        if as_json:
            record = {"rows": [row.summary for row in rows], "against": base.name, "differences": differences}
            print_json({**record, "pairwise": pairs, "agreement": modes})
            return
        caption = f"{on} against {partner}, judge {judge}" + (f", {modes} agreements" if modes else "")
        caption += f", seeds {', '.join(map(str, seeds))} pooled" if len(seeds) > 1 else ""
        shown = [score_table(rows, caption), behaviour_table(rows)]
        if against == "all":
            shown.append(difference_table(pairs, rows))
        elif differences:
            told = [{"row": name, "against": base.name, **one} for name, one in differences.items()]
            shown.append(difference_table(told, rows))
        show(*shown)
        if all(row.summary["goal"]["mean"] is None for row in rows):
            remedy = "" if models_of(made) else "; --judge llm:MODEL@URL asks a model"
            stderr.print(
                f"the judge {rows[0].summary['judge']} knows the goal of none of these episodes{remedy}",
                soft_wrap=True,
                highlight=False,
            )
