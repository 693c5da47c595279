"""Measure the package's own reading of text against what people did."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from sotopia_env.cli.common import AsJson, clear_errors, print_json


def measure_agreement(
    data: Annotated[Path, typer.Argument(help="A file of Deal or No Deal, or the folder it is in.")],
    as_json: AsJson = False,
) -> None:
    """How well agreements and divisions are read in the human dialogues of Deal or No Deal."""
    with clear_errors():
        from sotopia_env.human_text import agreement_report, load_human_dialogues

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
