"""The commands, in the order in which the help lists them."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

import sotopia_env
from sotopia_env.cli import (
    attacking,
    checking,
    convert,
    evaluating,
    listing,
    playing,
    quickstart,
    recipes,
    relabeling,
    results,
    rewards,
    training,
    viewing,
    worlds,
)

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command(name="quickstart")(quickstart.run_quickstart)
app.command(name="recipe")(recipes.recipe)
app.command(name="list")(listing.list_names)
app.command(name="rollout")(playing.rollout)
app.command(name="play")(playing.play)
app.command(name="view")(viewing.view)
app.command(name="show")(viewing.show)
app.add_typer(training.train, name="train")
app.command(name="evaluate")(evaluating.evaluate)
app.command(name="compare")(rewards.compare)
app.command(name="check")(checking.check)
app.command(name="gates")(worlds.gates)
app.command(name="table")(worlds.scripted_table)
app.command(name="relabel")(relabeling.relabel)
app.command(name="attack-judge")(attacking.attack_judge)
app.command(name="audit")(rewards.audit)
app.command(name="fidelity")(rewards.fidelity)
app.command(name="audit-model")(rewards.audit_model)
app.command(name="convert")(convert.convert)
app.command(name="measure-agreement")(worlds.measure_agreement)
app.command(name="results")(results.results)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"sotopia-env {sotopia_env.__version__}")
        raise typer.Exit


@app.callback()
def command_line(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """The same strings as in Python, progress on stderr, results on stdout or in files."""
    # module:attribute may be a file of the folder one is in; `python -m` looks there, a console script does not.
    if not {"", os.getcwd()} & set(sys.path):
        sys.path.append(os.getcwd())


def main() -> None:
    """The console script."""
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Of what is left in the buffer Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
