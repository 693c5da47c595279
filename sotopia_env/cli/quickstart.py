"""The whole loop in one command."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, cast

import typer

from sotopia_env.cli.common import MOST_PROCESSES, AsJson, Seed, clear_errors, print_json, within


def run_quickstart(
    out: Annotated[Path, typer.Option(help="Folder of the run; the same command goes on where it was cut off.")] = Path(
        "runs/quickstart"
    ),
    seed: Seed = 0,
    preset: Annotated[str, typer.Option(help="default, or small (a few minutes, too short to learn).")] = "default",
    variant: Annotated[
        str, typer.Option(help="What pays the learner: paper or on-policy (a reward model), or outcome.")
    ] = "on-policy",
    agreement: Annotated[
        str,
        typer.Option(
            help="How agreements are made in all that is played: formal, by acts alone, so that no reading of words "
            "decides what a model is paid; or plain, in words as well."
        ),
    ] = "formal",
    split: Annotated[
        str, typer.Option(help="Evaluate on test tasks, or on validation, where settings are tried.")
    ] = "test",
    sotopia_data: Annotated[
        Path | None, typer.Option(help="Folder of Sotopia's published files: evaluate on its craigslist tasks too.")
    ] = None,
    processes: Annotated[
        int,
        typer.Option(
            callback=within(0, MOST_PROCESSES),
            help="How many share the work, up to one a core; 0: as many as that, up to 8.",
        ),
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """The whole loop: experts, cloning, labels, reward model, GRPO in the environment, evaluation, report."""
    with clear_errors("the same command goes on from the last finished stage or checkpoint"):
        from sotopia_env.training.quickstart import quickstart
        from sotopia_env.training.quickstart_settings import PRESETS, Split, Variant

        if preset not in PRESETS:
            raise ValueError(f"--preset {preset!r} is none of {', '.join(PRESETS)}")
        command = ["sotopia-env", *sys.argv[1:]]
        settings = replace(
            PRESETS[preset], agreement=agreement, variant=cast(Variant, variant), split=cast(Split, split)
        )
        data = quickstart(
            out,
            seed=seed,
            settings=settings,
            sotopia_data=sotopia_data,
            processes=processes or min(8, os.cpu_count() or 1),
            command=command,
        )
        if as_json:
            print_json(data["evaluation"])
