"""Check a world, print what good is in it, and measure how well agreements are read in human dialogues."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sotopia_env.cli.common import Agreement, AsJson, Processes, Seed, clear_errors, print_json, within
from sotopia_env.tables import show


def gates(
    family: Annotated[str, typer.Argument(help="The world to check: bargain or divide.")] = "bargain",
    tasks: Annotated[
        int, typer.Option("--tasks", "-n", callback=within(2), help="Measured on at each coupling, from both seats.")
    ] = 500,
    clone: Annotated[Path | None, typer.Option(help="A cloned model: does it keep the couplings?")] = None,
    states: Annotated[int, typer.Option(callback=within(1), help="States of play at which the clone is forked.")] = 600,
    agreement: Agreement = None,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for gates.json, gates.md and what was played.")] = None,
    processes: Processes = 1,
    as_json: AsJson = False,
) -> None:
    """Check that a world does what its couplings say: the world gates."""
    with clear_errors():
        from sotopia_env.families.formal import checked_mode
        from sotopia_env.training.worlds.gates import GateSettings, run_gates
        from sotopia_env.training.worlds.gates_page import gates_parts

        mode = checked_mode(agreement or "plain")
        settings = GateSettings(tasks=tasks, states=states, seed=seed, world=family, agreement=mode)
        data = run_gates(settings, clone=clone, out=out, processes=processes, progress=True)
        print_json(data) if as_json else show(*gates_parts(data))


def scripted_table(
    family: Annotated[str, typer.Argument(help="The world: bargain or divide.")] = "bargain",
    tasks: Annotated[
        int, typer.Option("--tasks", "-n", callback=within(1), help="Each is played from both seats.")
    ] = 50,
    coupling: Annotated[
        float,
        typer.Option(callback=within(-0.5, 1), help="How strongly manners and questions sway the outcome, -0.5 to 1."),
    ] = 1.0,
    agreement: Agreement = None,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for table.json, table.md and what was played.")] = None,
    processes: Processes = 1,
    as_json: AsJson = False,
) -> None:
    """What good is: every scripted policy against every other, and the best of many scripts."""
    with clear_errors():
        from sotopia_env.families.formal import checked_mode
        from sotopia_env.training.worlds.scripted_table import TableSettings, table_parts
        from sotopia_env.training.worlds.scripted_table import scripted_table as play

        mode = checked_mode(agreement or "plain")
        settings = TableSettings(tasks=tasks, coupling=coupling, seed=seed, world=family, agreement=mode)
        data = play(settings, out=out, processes=processes, progress=True)
        print_json(data) if as_json else show(*table_parts(data))


def measure_agreement(
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="Labelled talk; by default the 200 dialogues that come with the package.",
            show_default=False,
        ),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format", help="deal-or-no-deal, casino, craigslist or labelled; by default what the file looks like."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """How well agreements are read in labelled talk (docs/agreement.md)."""
    with clear_errors():
        from sotopia_env.training.agreement import FORMATS, SHIPPED, agreement_report, load_dialogues, report_tables

        if data is None and form in FORMATS.keys() - {"labelled"}:
            raise ValueError(f"--format {form} needs a file; what comes with the package is labelled")
        report = agreement_report(load_dialogues(SHIPPED if data is None else data, form))
        print_json(report) if as_json else show(*report_tables(report))
