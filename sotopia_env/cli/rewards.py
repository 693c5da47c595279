"""Measure rewards without training: the reward card, audit sets, and what rewards and models are worth on them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from sotopia_env.cli.common import (
    Agreement,
    AsJson,
    FamilyName,
    GpusPerTask,
    Processes,
    RayAddress,
    Seed,
    clear_errors,
    in_mode,
    print_json,
    stderr,
    within,
    workers_of,
)
from sotopia_env.tables import Cell, Table, show


def compare(
    rewards: Annotated[
        list[str] | None, typer.Argument(help="Names, sums, model:FOLDER or module:attribute; all designs by default.")
    ] = None,
    on: Annotated[str, typer.Option(help="Tasks: a family with its split, or a file.")] = "bargain:test",
    policy: Annotated[str, typer.Option(help="Plays all seats, such as a clone's folder.")] = "scripted:changing",
    dimension: Annotated[str, typer.Option(help="The dimension whose true advantage is measured.")] = "goal",
    turns: Annotated[int, typer.Option(callback=within(2), help="Turns whose true advantage is measured.")] = 80,
    continuations: Annotated[
        int, typer.Option(callback=within(4), help="Episodes played on behind each true value.")
    ] = 64,
    labels: Annotated[int, typer.Option(callback=within(2), help="Finished episodes behind each hindsight label.")] = 8,
    tasks: Annotated[
        int, typer.Option("--tasks", "-n", callback=within(2), help="Tasks on which the attacks are played.")
    ] = 100,
    agreement: Agreement = None,
    seed: Seed = 0,
    out: Annotated[Path, typer.Option(help="Folder for card.html, card.md, card.json and what was played.")] = Path(
        "runs/card"
    ),
    as_json: AsJson = False,
) -> None:
    """Compare rewards, without training: fidelity, variance, exploitability and cost. The reward card."""
    with clear_errors(f"what was played is in {out}, and the same command goes on"):
        from sotopia_env.training.reward_card import CardSettings, reward_card
        from sotopia_env.training.reward_card.text import card_parts

        settings = CardSettings(
            tasks=on,
            policy=policy,
            dimension=dimension,
            attacked=tasks,
            turns=turns,
            continuations=continuations,
            labels=labels,
            seed=seed,
            agreement=agreement,
        )
        command = ["sotopia-env", *sys.argv[1:]]
        data = reward_card(rewards or (), settings, out=out, progress=True, command=command)
        print_json(data) if as_json else show(*card_parts(data))
        stderr.print(f"the page is {out / 'card.html'}", soft_wrap=True, highlight=False)


AuditPath = Annotated[Path, typer.Argument(metavar="AUDIT", help="What sotopia-env audit wrote.")]


def audit(
    tasks: Annotated[str, typer.Argument(help="A family, with its split (bargain:test), or a file of tasks.")],
    policy: Annotated[list[str], typer.Option(help="Who plays: one for all seats, or this option once per seat.")],
    turns: Annotated[int, typer.Option(callback=within(1), help="Turns to audit.")] = 60,
    out: Annotated[Path, typer.Option(help="a.jsonl; the same command goes on where it was cut off.")] = Path(
        "audit.jsonl"
    ),
    candidates: Annotated[
        int, typer.Option(callback=within(2), help="Different turns in each state, the played one included.")
    ] = 4,
    continuations: Annotated[
        int,
        typer.Option(
            callback=within(2), help="Episodes played on from each state and candidate, which give the truth."
        ),
    ] = 64,
    label_continuations: Annotated[
        int, typer.Option(callback=within(1), help="Episodes behind each candidate from which labels are read.")
    ] = 8,
    turns_per_episode: Annotated[int, typer.Option(callback=within(1), help="At most so many of one episode.")] = 3,
    agreement: Agreement = None,
    seed: Seed = 0,
    batch_size: Annotated[int, typer.Option(callback=within(1), help="Continuations played side by side.")] = 512,
    processes: Processes = 1,
    ray: RayAddress = None,
    gpus_per_task: GpusPerTask = None,
    as_json: AsJson = False,
) -> None:
    """Play on from turns, and from others the policy could have taken, to measure their true advantage."""
    with clear_errors("finished turns are in the file, and the same command goes on"):
        from sotopia_env.rewards.audit.collect import collect_audit

        if out.suffix != ".jsonl":
            raise ValueError(f"--out: {out} is appended to line by line; give a name that ends in .jsonl")
        collected = collect_audit(
            in_mode(tasks, agreement),
            policy,
            num_turns=turns,
            candidates=candidates,
            continuations=continuations,
            label_continuations=label_continuations,
            turns_per_episode=turns_per_episode,
            seed=seed,
            out=out,
            batch_size=batch_size,
            processes=workers_of(processes, ray, gpus_per_task),
            progress=True,
        )
        summary = _summary(collected)
        if as_json:
            print_json(summary)
            return
        stderr.print(f"{len(collected)} audited turns are in {out}", soft_wrap=True, highlight=False)
        show(_summary_table(summary))


def fidelity(
    audit: AuditPath,
    rewards: Annotated[list[str], typer.Argument(help="Names such as uniform or 'episode + 0.5 * length'.")],
    dimension: Annotated[str, typer.Option(help="The dimension whose true advantage is measured.")] = "goal",
    family: FamilyName = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """How well the numbers of rewards agree with the true advantage, beside what its noise allows."""
    with clear_errors():
        from sotopia_env.families.resolve import as_family
        from sotopia_env.rewards import get_reward
        from sotopia_env.rewards.audit.fidelity import fidelity as measure
        from sotopia_env.training.reward_card.text import fidelity_table

        made = [get_reward(reward) for reward in rewards]
        if family is not None:
            made = [reward.for_family(as_family(family)) for reward in made]
        turns = _audited(audit)
        measured = [measure(turns, reward, dimension, seed=seed) for reward in made]
        found = [(one.name, one.to_dict()) for one in measured]
        if as_json:
            print_json([row for _, row in found])
            return
        show(
            fidelity_table(
                found, found[0][1], "Correlation with the true advantage, and its share of the noise ceiling"
            )
        )


def audit_model(
    model: Annotated[Path, typer.Argument(help="Folder of a reward model.")],
    audit: AuditPath,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """How well a reward model predicts, per dimension, beside the noise ceiling."""
    with clear_errors():
        from sotopia_env.rewards.reward_model.reward import RewardModel
        from sotopia_env.training.reward_modelling.audit_report import Predicted, prediction_report, prediction_tables

        loaded = RewardModel(str(model))
        predicted: Predicted = "advantage" if loaded.saved.description.target == "outcome" else "value"
        report = prediction_report(loaded, _audited(audit), predicted=predicted, seed=seed)
        if as_json:
            print_json(report)
            return
        show(*prediction_tables(report))


def _audited(path: Path) -> list[Any]:
    """The turns of a file that must hold some."""
    from sotopia_env.rewards.audit.collect import load_audit

    turns = load_audit(path)
    if not turns:
        raise ValueError(f"{path} holds no audited turn; audit some with: sotopia-env audit")
    return turns


def _summary(turns: list[Any]) -> dict[str, Any]:
    """How much there is to be told, and how much of it is noise: the ceilings of each dimension."""
    from sotopia_env.rewards.audit.fidelity import fidelity as measure
    from sotopia_env.rewards.audit.numbers import true_advantages

    dimensions = {}
    for dimension in turns[0].scores if turns else ():
        found = measure(turns, true_advantages(turns, dimension), dimension).to_dict()
        levels = ("siblings", "between_turns", "pooled")
        dimensions[dimension] = {level: found[level]["pearson"]["ceiling"] for level in levels}
        dimensions[dimension] |= {"pairs": found["accuracy"]["n"], "clear_pairs": found["accuracy"]["clear_n"]}
    return {
        "turns": len(turns),
        "tasks": len({turn.before.task.id for turn in turns}),
        "candidates": sum(len(turn.candidates) for turn in turns),
        "ceilings": dimensions,
    }


def _summary_table(summary: dict[str, Any]) -> Table:
    rows = [
        [
            dimension,
            *(Cell(found[level], ".2f") for level in ("siblings", "between_turns", "pooled")),
            found["pairs"],
            found["clear_pairs"],
        ]
        for dimension, found in summary["ceilings"].items()
    ]
    title = f"{summary['turns']} turns of {summary['tasks']} tasks, {summary['candidates']} candidates"
    columns = ["noise ceiling", "siblings", "between turns", "pooled", "pairs that differ", "clearly"]
    return Table(columns, rows, title)
