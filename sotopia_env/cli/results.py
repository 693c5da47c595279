"""Make the published figures anew."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from sotopia_env.cli.common import MOST_PROCESSES, GpusPerTask, RayAddress, clear_errors, cluster_of, stderr, within
from sotopia_env.tables import Table, show


def results(
    names: Annotated[list[str] | None, typer.Argument(help="Which figures; all by default.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for all that is played and measured; the same call goes on.")] = (
        Path("runs/results")
    ),
    docs: Annotated[
        Path | None, typer.Option(help="The project's folder: put the figures into its README and docs.")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(help="Seeds of the training runs, with commas; the reported ones by default.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(envvar="SOTOPIA_ENV_DATA", help="Published data, for the figures that need it.")
    ] = None,
    preset: Annotated[str, typer.Option(help="Size of the training runs: default, or small, to try the command.")] = (
        "default"
    ),
    processes: Annotated[
        int, typer.Option(callback=within(0, MOST_PROCESSES), help="How many share the work; 0: one a core, up to 8.")
    ] = 0,
    ray: RayAddress = None,
    gpus_per_task: GpusPerTask = None,
    listed: Annotated[bool, typer.Option("--list", help="Say which figures there are, and make none.")] = False,
) -> None:
    """Make the figures of README and docs, by the protocol of docs/results.md. Hours, and it goes on where it was."""
    with clear_errors("what is finished stays in the folder, and the same command goes on"):
        from sotopia_env.training import protocol as P
        from sotopia_env.training.quickstart_settings import PRESETS

        if listed:
            rows = [[made.name, made.title, made.command] for made in P.figures().values()]
            show(Table(["figures", "what they show", "alone by"], rows))
            return
        if docs is not None and not (docs / "README.md").is_file():
            raise ValueError(f"--docs: there is no README.md in {docs}; give the project's folder")
        if preset not in PRESETS:
            raise ValueError(f"--preset {preset!r} is none of {', '.join(PRESETS)}")
        asked = P.Protocol(
            out,
            seeds=P.REPORTED_SEEDS if seeds is None else _numbers(seeds),
            data=data,
            processes=processes or min(8, os.cpu_count() or 1),
            ray=cluster_of(ray, gpus_per_task),
            preset=preset,
            progress=True,
        )
        blocks = P.make_figures(asked, names or ())
        if docs is None:
            for name, text in blocks.items():
                show(f"## {name}\n\n{text}")
            return
        for path in P.fill_blocks([docs / "README.md", *sorted((docs / "docs").rglob("*.md"))], blocks):
            stderr.print(f"figures put into {path}", soft_wrap=True, highlight=False)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--seeds: {text!r} is no list of numbers such as 10,11,12") from None
