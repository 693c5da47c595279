"""Check a world, and print what good is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from sotopia_env.cli.common import AsJson, Seed, clear_errors, print_json


def gates(
    family: Annotated[str, typer.Argument(help="The world to check: bargain or divide.")] = "bargain",
    tasks: Annotated[int, typer.Option("--tasks", "-n", help="Measured on at each coupling, from both seats.")] = 500,
    clone: Annotated[Path | None, typer.Option(help="A cloned model: does it keep the couplings?")] = None,
    states: Annotated[int, typer.Option(help="States of play at which the clone is forked.")] = 600,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for gates.json and gates.md.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check that a world does what its couplings say: the world gates."""
    with clear_errors():
        from sotopia_env.training.gates import GateSettings, run_gates
        from sotopia_env.training.gates_page import gates_text

        settings = GateSettings(tasks=tasks, states=states, seed=seed, world=family)
        data = run_gates(settings, clone=clone, out=out, progress=True)
        print_json(data) if as_json else print(gates_text(data), end="")


def scripted_table(
    family: Annotated[str, typer.Argument(help="The world: bargain or divide.")] = "bargain",
    tasks: Annotated[int, typer.Option("--tasks", "-n", help="Each is played from both seats.")] = 50,
    coupling: Annotated[float, typer.Option(help="Of all channels, -0.5 to 1.")] = 1.0,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for table.json and table.md.")] = None,
    as_json: AsJson = False,
) -> None:
    """What good is: every scripted policy against every other, and the best of many scripts."""
    with clear_errors():
        from sotopia_env.training.scripted_table import TableSettings, table_text
        from sotopia_env.training.scripted_table import scripted_table as play

        settings = TableSettings(tasks=tasks, coupling=coupling, seed=seed, world=family)
        data = play(settings, out=out, progress=True)
        print_json(data) if as_json else print(table_text(data), end="")


def measure_agreement(
    data: Annotated[Path, typer.Argument(help="A file of Deal or No Deal, or the folder it is in.")],
    as_json: AsJson = False,
) -> None:
    """How well agreements and divisions are read in the human dialogues of Deal or No Deal."""
    with clear_errors():
        from sotopia_env.families.divide.human_dialogues import agreement_report, load_human_dialogues

        report = agreement_report(load_human_dialogues(data))
        if as_json:
            figures = {
                group: {name: share.to_dict() for name, share in found.items()}
                for group, found in report["figures"].items()
            }
            print_json({**report, "figures": figures})
            return
        table = Table("", *(f"{name} ({count})" for name, count in report["dialogues"].items()))
        for name in report["figures"]["all"]:
            table.add_row(name, *(str(found[name]) for found in report["figures"].values()))
        Console(width=130).print(table)
        for outcome, counted in report["outcomes"].items():
            print(f"{outcome}: {counted['dialogues']} dialogues, an agreement found in {counted['found']}")
