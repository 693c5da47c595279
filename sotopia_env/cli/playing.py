"""Play episodes, and list the strings with which one may."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from sotopia_env.cli.common import AsJson, Seed, clear_errors, print_json


def list_names(
    kind: Annotated[str, typer.Argument(help="tasks, policies, rewards or judges; everything by default.")] = "",
    as_json: AsJson = False,
) -> None:
    """Every string one may pass."""
    with clear_errors():
        from sotopia_env.resolve import list_names as names_of

        names = names_of()
        if kind and kind not in names:
            raise ValueError(f"{kind!r} is none of {', '.join(names)}")
        found = {key: make() for key, make in names.items() if kind in ("", key)}
        if as_json:
            print_json(found)
        else:
            for key, strings in found.items():
                print(*([] if kind else [f"{key}:"]), *(("" if kind else "  ") + text for text in strings), sep="\n")


def rollout(
    tasks: Annotated[str, typer.Argument(help="A family, with its split (bargain:test), or a file of tasks.")],
    policies: Annotated[list[str], typer.Argument(help="One policy for all seats, or one for each.")],
    num_episodes: Annotated[int, typer.Option("--num-episodes", "-n")] = 64,
    out: Annotated[
        Path | None, typer.Option(help="e.jsonl or e.parquet; the same command goes on where it was cut off.")
    ] = None,
    seed: Seed = 0,
    reward: Annotated[str | None, typer.Option(help="A reward to be paid and stored, such as episode.")] = None,
    max_cycles: Annotated[int | None, typer.Option(help="Turn limit; the task's own by default.")] = None,
    batch_size: Annotated[int, typer.Option(help="Episodes played side by side.")] = 64,
    processes: Annotated[int, typer.Option(help="How many processes share the work.")] = 1,
    traces: Annotated[bool, typer.Option(help="Store token traces beside the episodes.")] = False,
    as_json: AsJson = False,
) -> None:
    """Play episodes and judge them by rule."""
    with clear_errors("finished episodes are in the file, and the same command goes on" if out else None):
        from sotopia_env.rollouts import rollout as play

        episodes = play(
            tasks,
            policies,
            num_episodes=num_episodes,
            seed=seed,
            reward=reward,
            out=out,
            batch_size=batch_size,
            processes=processes,
            progress=True,
            traces=traces,
            command=["sotopia-env", *sys.argv[1:]],
            max_cycles=max_cycles,
        )
        summary = _summary(episodes)
        if as_json:
            print_json(summary)
            return
        table = Table("", *(f"seat {seat}" for seat in range(episodes[0].task.num_seats)))
        for dimension, means in summary["scores"].items():
            table.add_row(dimension, *("-" if mean is None else f"{mean:.2f}" for mean in means))
        Console().print(table)
        print(f"{len(episodes)} episodes: " + ", ".join(f"{n} {reason}" for reason, n in summary["endings"].items()))


def _summary(episodes: list[Any]) -> dict[str, Any]:
    seats = range(episodes[0].task.num_seats)
    judged = [episode.judgements[-1].scores for episode in episodes if episode.judgements]
    dimensions = list(dict.fromkeys(name for scores in judged for name in scores))
    means = {}
    for dimension in dimensions:
        columns = [[scores[dimension][seat] for scores in judged if dimension in scores] for seat in seats]
        known = [[value for value in column if value is not None] for column in columns]
        means[dimension] = [sum(values) / len(values) if values else None for values in known]
    endings = Counter(episode.ending.reason for episode in episodes)
    invalid = sum(turn.invalid is not None for episode in episodes for turn in episode.turns)
    counted = dict(endings.most_common())
    return {"episodes": len(episodes), "endings": counted, "invalid_turns": invalid, "scores": means}
