"""The command line: the same strings as in Python, progress on stderr, results on stdout or in files."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
train = typer.Typer(no_args_is_help=True, help="Behaviour cloning and GRPO.")
app.add_typer(train, name="train")

_OPEN_OPTIONS = {"allow_extra_args": True, "ignore_unknown_options": True}
_stderr = Console(stderr=True)

Seed = Annotated[int, typer.Option(help="Of everything.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout instead of a table.")]


@app.command()
def quickstart(
    out: Annotated[Path, typer.Option(help="Folder of the run; the same command goes on where it was cut off.")] = Path(
        "runs/quickstart"
    ),
    seed: Seed = 0,
    preset: Annotated[str, typer.Option(help="default, or small (a few minutes, too short to learn).")] = "default",
    sotopia_data: Annotated[
        Path | None, typer.Option(help="Folder of Sotopia's published files: evaluate on its craigslist tasks too.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The whole loop: experts, cloning, GRPO in the environment, evaluation, report."""
    with _clear_errors():
        from sotopia_env.training.quickstart import PRESETS
        from sotopia_env.training.quickstart import quickstart as run

        if preset not in PRESETS:
            raise ValueError(f"--preset {preset!r} is none of {', '.join(PRESETS)}")
        command = ["sotopia-env", *sys.argv[1:]]
        data = run(out, seed=seed, settings=PRESETS[preset], sotopia_data=sotopia_data, command=command)
        if as_json:
            _print_json(data["evaluation"])


@app.command(name="list")
def list_names(
    kind: Annotated[str, typer.Argument(help="tasks, policies, rewards or judges; everything by default.")] = "",
    as_json: AsJson = False,
) -> None:
    """Every string one may pass."""
    with _clear_errors():
        from sotopia_env.resolve import list_names as names_of

        names = names_of()
        if kind and kind not in names:
            raise ValueError(f"{kind!r} is none of {', '.join(names)}")
        found = {key: make() for key, make in names.items() if kind in ("", key)}
        if as_json:
            _print_json(found)
        else:
            for key, strings in found.items():
                print(*([] if kind else [f"{key}:"]), *(("" if kind else "  ") + text for text in strings), sep="\n")


@app.command()
def rollout(
    tasks: Annotated[str, typer.Argument(help="A family, with its split (bargain:test), or a file of tasks.")],
    policies: Annotated[list[str], typer.Argument(help="One policy for all seats, or one for each.")],
    num_episodes: Annotated[int, typer.Option("--num-episodes", "-n")] = 64,
    out: Annotated[Path | None, typer.Option(help="JSON lines; what it holds already is not played again.")] = None,
    seed: Seed = 0,
    reward: Annotated[str | None, typer.Option(help="A reward to be paid and stored, such as episode.")] = None,
    max_cycles: Annotated[int | None, typer.Option(help="Turn limit; the task's own by default.")] = None,
    batch_size: Annotated[int, typer.Option(help="Episodes played side by side.")] = 64,
    as_json: AsJson = False,
) -> None:
    """Play episodes and judge them by rule."""
    with _clear_errors("finished episodes are in the file, and the same command goes on" if out else None):
        from sotopia_env.rollouts import rollout as play

        episodes = play(
            tasks,
            policies,
            num_episodes=num_episodes,
            seed=seed,
            reward=reward,
            out=out,
            batch_size=batch_size,
            progress=True,
            max_cycles=max_cycles,
        )
        summary = _summary(episodes)
        if as_json:
            _print_json(summary)
            return
        table = Table("", *(f"seat {seat}" for seat in range(episodes[0].task.num_seats)))
        for dimension, means in summary["scores"].items():
            table.add_row(dimension, *("-" if mean is None else f"{mean:.2f}" for mean in means))
        Console().print(table)
        print(f"{len(episodes)} episodes: " + ", ".join(f"{n} {reason}" for reason, n in summary["endings"].items()))


@app.command()
def evaluate(
    policies: Annotated[list[str], typer.Argument(help="One row for each.")],
    on: Annotated[str, typer.Option(help="Tasks: a family with its split, or a file.")] = "bargain:test",
    partner: Annotated[str, typer.Option(help="Sits on all other seats.")] = "scripted:firm",
    judge: Annotated[str, typer.Option(help="Name of the judge.")] = "rule",
    tasks: Annotated[int, typer.Option("--tasks", "-n", help="How many; each is played from every seat.")] = 100,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for the episodes of each row; resumes.")] = None,
    allow_train: Annotated[bool, typer.Option(help="Evaluate on tasks of the training split all the same.")] = False,
    as_json: AsJson = False,
) -> None:
    """Play policies against a partner on held-out tasks, both seats, and compare them."""
    with _clear_errors():
        from sotopia_env.training.comparison import difference, table
        from sotopia_env.training.evaluation import Match, draw_tasks, evaluate_many

        drawn = draw_tasks(on, tasks, seed)
        matches = [Match(policy, policy, partner) for policy in policies]
        options: dict[str, Any] = {"seed": seed, "judge": judge, "out": out, "allow_train": allow_train}
        rows = evaluate_many(matches, drawn, progress=True, **options)
        differences = {row.name: difference(row, rows[0]) for row in rows[1:]}
        if as_json:
            _print_json({"rows": [row.summary for row in rows], "differences": differences})
            return
        print(table([row.summary for row in rows], f"{on} against {partner}, judge {judge}"))
        for name, found in differences.items():
            goal = found["goal"]
            print(f"goal of {name} - {rows[0].name}: {goal['mean']:+.2f} [{goal['low']:+.2f}, {goal['high']:+.2f}]")


@app.command()
def gates(
    family: Annotated[str, typer.Argument(help="The world to check.")] = "bargain",
    tasks: Annotated[int, typer.Option("--tasks", "-n", help="Measured on at each coupling, from both seats.")] = 500,
    clone: Annotated[Path | None, typer.Option(help="A cloned model: does it keep the couplings?")] = None,
    states: Annotated[int, typer.Option(help="States of play at which the clone is forked.")] = 600,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for gates.json and gates.md.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check that a world does what its couplings say: the world gates."""
    with _clear_errors():
        from sotopia_env.training.gates import GateSettings, run_gates
        from sotopia_env.training.gates_page import gates_text

        _only_bargain(family)
        data = run_gates(GateSettings(tasks=tasks, states=states, seed=seed), clone=clone, out=out, progress=True)
        _print_json(data) if as_json else print(gates_text(data), end="")


@app.command(name="table")
def scripted_table(
    family: Annotated[str, typer.Argument(help="The world.")] = "bargain",
    tasks: Annotated[int, typer.Option("--tasks", "-n", help="Each is played from both seats.")] = 50,
    coupling: Annotated[float, typer.Option(help="Of all channels, -0.5 to 1.")] = 1.0,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for table.json and table.md.")] = None,
    as_json: AsJson = False,
) -> None:
    """What good is: every scripted policy against every other, and the best of many scripts."""
    with _clear_errors():
        from sotopia_env.training.scripted_table import TableSettings, table_text
        from sotopia_env.training.scripted_table import scripted_table as play

        _only_bargain(family)
        data = play(TableSettings(tasks=tasks, coupling=coupling, seed=seed), out=out, progress=True)
        _print_json(data) if as_json else print(table_text(data), end="")


@train.command(name="bc", context_settings=_OPEN_OPTIONS)
def train_bc(
    context: typer.Context,
    episodes: Annotated[Path, typer.Argument(help="JSON lines of episodes to clone from.")],
    out: Annotated[Path, typer.Option(help="Folder for the model; the same command goes on.")],
    model: Annotated[str, typer.Option(help="embedded, a directory, or a hub id.")] = "embedded",
    config: Annotated[Path | None, typer.Option(help="YAML with TRL's own names; --NAME VALUE overrides.")] = None,
    seed: Seed = 0,
    lora: Annotated[int, typer.Option(help="Rank of a LoRA adapter; 0 trains the whole model.")] = 0,
) -> None:
    """Clone the behaviour of episodes. Options of TRL's SFTConfig come last."""
    with _clear_errors("the same command goes on from the last checkpoint"):
        from sotopia_env.training.command_line import clone_from_file

        clone_from_file(episodes, model, out, config=config, extra=context.args, seed=seed, lora_rank=lora)
        _stderr.print(f"the clone is in {out}; use it as local:{out}", soft_wrap=True)


@train.command(name="grpo", context_settings=_OPEN_OPTIONS)
def train_grpo(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="What to start from: a directory or a hub id.")],
    out: Annotated[Path, typer.Option(help="Folder for the model; the same command goes on.")],
    tasks: Annotated[str, typer.Option(help="A family, with its split, or a file of tasks.")] = "bargain:train",
    partner: Annotated[str | None, typer.Option(help="A policy or a directory; the start model by default.")] = None,
    reward: Annotated[str, typer.Option(help="What step pays.")] = "episode",
    config: Annotated[Path | None, typer.Option(help="YAML with TRL's own names; --NAME VALUE overrides.")] = None,
    seed: Seed = 0,
) -> None:
    """GRPO in the environment against a frozen partner. Options of TRL's GRPOConfig come last."""
    with _clear_errors("the same command goes on from the last checkpoint"):
        from sotopia_env.make import parallel_env
        from sotopia_env.training.command_line import read_settings
        from sotopia_env.training.grpo import GRPOTrainer
        from sotopia_env.training.grpo_config import GRPOConfig

        args = read_settings(GRPOConfig, out, config, context.args, seed)
        GRPOTrainer(model, env=parallel_env(tasks, reward=reward), partner=partner or model, args=args).train()
        _stderr.print(f"the learner is in {out}; use it as local:{out}", soft_wrap=True)


def main() -> None:
    """The console script."""
    app()


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


def _only_bargain(family: str) -> None:
    if family != "bargain":
        raise ValueError(f"{family!r}: only bargain has gates and a table")


def _print_json(data: Any) -> None:
    json.dump(data, sys.stdout, indent=1)
    print()


@contextmanager
def _clear_errors(after_interrupt: str | None = None) -> Iterator[None]:
    """What a user can mend is one line on stderr; a fault of ours keeps its traceback."""
    try:
        yield
    except KeyboardInterrupt:
        _stderr.print("interrupted" + (f": {after_interrupt}" if after_interrupt else ""))
        raise typer.Exit(130) from None
    except (ValueError, KeyError, OSError, TypeError, ImportError) as error:
        text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
        if isinstance(error, ModuleNotFoundError):
            text += "; models and training need more: pip install 'sotopia-env[train]'"
        # One line, whatever the width of the terminal, and [leave] in a message is no markup.
        line = " ".join(text.split())
        _stderr.print(f"[red]error:[/] {escape(line)}", highlight=False, soft_wrap=True)
        raise typer.Exit(2) from error


if __name__ == "__main__":
    main()
