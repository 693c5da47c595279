"""Compare rewards without training: the reward card."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sotopia_env.cli.common import AsJson, Seed, clear_errors, print_json, stderr


def compare(
    rewards: Annotated[
        list[str] | None, typer.Argument(help="Names, sums, model:FOLDER or module:attribute; all designs by default.")
    ] = None,
    on: Annotated[str, typer.Option(help="Tasks: a family with its split, or a file.")] = "bargain:test",
    policy: Annotated[str, typer.Option(help="Plays all seats, such as a clone's folder.")] = "scripted:changing",
    dimension: Annotated[str, typer.Option(help="Of the truth.")] = "goal",
    turns: Annotated[int, typer.Option(help="Turns whose true advantage is measured.")] = 80,
    continuations: Annotated[int, typer.Option(help="Behind each true value.")] = 64,
    labels: Annotated[int, typer.Option(help="Finished episodes behind each hindsight label.")] = 8,
    tasks: Annotated[int, typer.Option("--tasks", "-n", help="Tasks on which the attacks are played.")] = 100,
    seed: Seed = 0,
    out: Annotated[Path, typer.Option(help="Folder for card.html, card.md, card.json and what was played.")] = Path(
        "runs/card"
    ),
    as_json: AsJson = False,
) -> None:
    """Compare rewards, without training: fidelity, variance, exploitability and cost. The reward card."""
    with clear_errors(f"what was played is in {out}, and the same command goes on"):
        from sotopia_env.training.reward_card import CardSettings, reward_card
        from sotopia_env.training.reward_card_text import card_text

        settings = CardSettings(
            tasks=on,
            policy=policy,
            dimension=dimension,
            attacked=tasks,
            turns=turns,
            continuations=continuations,
            labels=labels,
            seed=seed,
        )
        command = ["sotopia-env", *sys.argv[1:]]
        data = reward_card(rewards or (), settings, out=out, progress=True, command=command)
        print_json(data) if as_json else print(card_text(data), end="")
        stderr.print(f"the page is {out / 'card.html'}", soft_wrap=True, highlight=False)
