"""Run a recipe: a whole training run as YAML."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sotopia_env.cli.common import MOST_PROCESSES, AsJson, clear_errors, print_json, stderr, within
from sotopia_env.cli.model_options import PriceIn, PriceOut
from sotopia_env.tables import show

if TYPE_CHECKING:
    from sotopia_env.training.recipes.schema import QuickstartRecipe, Recipe


def recipe(
    name: Annotated[
        str, typer.Argument(metavar="RECIPE", help="sotopia-rl, small, quickstart, or a file of your own: FILE.yaml.")
    ],
    model: Annotated[str | None, typer.Option(help="What is trained: a directory or a hub id.")] = None,
    judge: Annotated[str | None, typer.Option(help="Who scores dialogues, such as llm:MODEL@URL.")] = None,
    attributor: Annotated[
        str | None, typer.Option(help="Who says how important turns were; a judge that is a model by default.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(envvar="SOTOPIA_ENV_DATA", help="Folder of Sotopia's published files.")
    ] = None,
    stage: Annotated[
        list[str] | None,
        typer.Option(
            help="Run this stage alone; may be given several times. One of experts, filtering, cloning, self-play, "
            "labels, reward-model, grpo, evaluation."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run, by default runs/RECIPE; the same command goes on.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(callback=within(0, 2**32 - 1), help="Decides every random draw; the recipe's by default."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(help="Say what it would take (stages, calls, tokens, money, GPU-hours, memory), and stop."),
    ] = False,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    copy: Annotated[
        Path | None, typer.Option(help="Write the recipe's YAML to a file, to be changed and run; - prints it.")
    ] = None,
    processes: Annotated[
        int,
        typer.Option(
            callback=within(0, MOST_PROCESSES), help="How many processes run the quickstart; 0: one a core, up to 8."
        ),
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Run a whole recipe, or what is left of it: experts, cloning, labels, reward model, GRPO, evaluation.

    Prices are of a million tokens, for whoever is asked; a recipe may give each its own.
    """
    with clear_errors("finished stages stay, and the same command goes on"):
        from sotopia_env.training.recipes.schema import QuickstartRecipe, read_recipe

        if copy is not None:
            _copy(name, copy)
            return
        prices = _prices(price_in, price_out)
        given = {"model": model, "judge": judge, "attributor": attributor, "seed": seed, "prices": prices}
        read = read_recipe(name, **given)
        folder = out or Path("runs") / Path(name).stem
        if isinstance(read, QuickstartRecipe):
            _quickstart(read, folder, data, stage, dry_run, processes, as_json)
            return
        _run(read, folder, data, stage or [], dry_run, as_json)


def _copy(name: str, to: Path) -> None:
    from sotopia_env.training.recipes.schema import recipe_text

    _, text = recipe_text(name)
    if str(to) == "-":
        print(text, end="")
        return
    if to.suffix not in (".yaml", ".yml"):
        raise ValueError(f"--copy: {to} is to be run as a recipe; give a name that ends in .yaml")
    if to.exists():
        raise ValueError(f"--copy: {to} is there already; give another name")
    to.write_text(text, encoding="utf-8")
    stderr.print(f"change it and run it: sotopia-env recipe {to}", soft_wrap=True, highlight=False)


def _prices(price_in: float | None, price_out: float | None) -> Any:
    """The same price for whoever is asked; ``None`` where none is given."""
    if price_in is None and price_out is None:
        return None
    if price_in is None or price_out is None:
        raise ValueError("--price-in and --price-out belong together: give both")
    return {role: {"read": price_in, "written": price_out} for role in ("policy", "judge", "attributor")}


def _run(read: Recipe, out: Path, data: Path | None, stages: list[str], dry_run: bool, as_json: bool) -> None:
    from rich.console import Console

    from sotopia_env.training.recipes.schema import STAGES, StageName

    wanted: list[StageName] = [known for known in STAGES if known in stages]
    if unknown := [name for name in stages if name not in STAGES]:
        raise ValueError(f"--stage {unknown[0]!r} is none of {', '.join(STAGES)}")
    if dry_run:
        from sotopia_env.training.recipes.counts import DryRun
        from sotopia_env.training.recipes.dry_run_tables import dry_run_tables

        finished = frozenset(path.stem for path in (out / "stages").glob("*.json"))
        found = DryRun(read, data, wanted, finished)
        print_json(found.record) if as_json else show(*dry_run_tables(found))
        return
    from sotopia_env.training.recipes.run import RecipeRun

    run = RecipeRun(read, out, data, results=Console(highlight=False, quiet=as_json))
    records = run.run(wanted)
    if as_json:
        print_json(records)
    table = f"; the table is {out / 'evaluation' / 'table.md'}" if "evaluation" in records else ""
    stderr.print(f"the run is in {out}{table}", soft_wrap=True, highlight=False)


def _quickstart(
    read: QuickstartRecipe,
    out: Path,
    data: Path | None,
    stages: list[str] | None,
    dry_run: bool,
    processes: int,
    as_json: bool,
) -> None:
    if stages:
        raise ValueError("--stage: the quickstart goes on from its last finished stage by itself; leave it out")
    if dry_run:
        from sotopia_env.training.recipes.dry_run_tables import quickstart_tables

        show(*quickstart_tables(read.settings))
        return
    from sotopia_env.training.quickstart import quickstart

    number = processes or min(8, os.cpu_count() or 1)
    found = quickstart(out, seed=read.seed, settings=read.settings, sotopia_data=data, processes=number)
    if as_json:
        print_json(found["evaluation"])
