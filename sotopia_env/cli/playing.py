"""Play episodes, and list the strings with which one may."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from sotopia_env.cli.common import (
    Agreement,
    AsJson,
    GpusPerTask,
    MeasuredAgreement,
    Processes,
    RayAddress,
    Seed,
    clear_errors,
    in_mode,
    print_json,
    tell_other_mode,
    told_mean,
    within,
    workers_of,
)
from sotopia_env.episodes import Episode, agent_name, seat_of
from sotopia_env.statistics import known_mean
from sotopia_env.tables import Cell, Table, show

MaxCycles = Annotated[int | None, typer.Option(callback=within(1), help="Turn limit; the task's own by default.")]


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
    num_episodes: Annotated[int, typer.Option("--num-episodes", "-n", callback=within(1))] = 64,
    out: Annotated[
        Path | None, typer.Option(help="e.jsonl or e.parquet; the same command goes on where it was cut off.")
    ] = None,
    seed: Seed = 0,
    reward: Annotated[str | None, typer.Option(help="A reward to be paid and stored, such as episode.")] = None,
    max_cycles: MaxCycles = None,
    agreement: MeasuredAgreement = None,
    batch_size: Annotated[int, typer.Option(callback=within(1), help="Episodes played side by side.")] = 64,
    processes: Processes = 1,
    ray: RayAddress = None,
    gpus_per_task: GpusPerTask = None,
    traces: Annotated[bool, typer.Option(help="Store token traces beside the episodes.")] = False,
    as_json: AsJson = False,
) -> None:
    """Play episodes and judge them by rule."""
    with clear_errors("finished episodes are in the file, and the same command goes on" if out else None):
        from sotopia_env.families.formal import told_modes
        from sotopia_env.resolve import family_and_tasks
        from sotopia_env.rollouts.rollout import rollout as play

        played = in_mode(tasks, agreement, "formal")
        family, fixed, _ = family_and_tasks(played, "train")
        drawn = getattr(family, "agreement", "")
        tell_other_mode(policies, drawn if fixed is None else told_modes(fixed, family))
        episodes = play(
            played,
            policies,
            num_episodes=num_episodes,
            seed=seed,
            reward=reward,
            out=out,
            batch_size=batch_size,
            processes=workers_of(processes, ray, gpus_per_task),
            progress=True,
            traces=traces,
            command=["sotopia-env", *sys.argv[1:]],
            max_cycles=max_cycles,
        )
        summary = _summary(episodes, reward, family)
        if as_json:
            print_json(summary)
            return
        rows = [
            [
                dimension,
                *(
                    Cell(value, ".2f", known=known, of=len(episodes))
                    for value, known in zip(means, summary["known"][dimension], strict=True)
                ),
            ]
            for dimension, means in summary["scores"].items()
        ]
        show(Table(["", *(f"seat {seat}" for seat in range(episodes[0].task.num_seats))], rows))
        counted = ", ".join(f"{n} {reason}" for reason, n in summary["endings"].items())
        made = f" ({summary['agreement']} agreements)" if summary["agreement"] else ""
        print(f"{len(episodes)} episodes: {counted}{made}")
        if summary["paid"] is not None:
            print(f"paid by {summary['paid']['reward']}: {told_mean(summary['paid'])}")


def _summary(episodes: list[Any], reward: str | None, family: Any) -> dict[str, Any]:
    from sotopia_env.families.formal import told_modes

    seats = range(episodes[0].task.num_seats)
    judged = [episode.judgements[-1].counted if episode.judgements else {} for episode in episodes]
    unknown = [None for _ in seats]
    found = {
        dimension: [known_mean(scores.get(dimension, unknown)[seat] for scores in judged) for seat in seats]
        for dimension in dict.fromkeys(name for scores in judged for name in scores)
    }
    endings = Counter(episode.ending.reason for episode in episodes)
    invalid = sum(turn.invalid is not None for episode in episodes for turn in episode.turns)
    counted = dict(endings.most_common())
    tasks = [episode.task for episode in episodes]
    return {
        "episodes": len(episodes),
        "agreement": told_modes(tasks, family),
        "endings": counted,
        "invalid_turns": invalid,
        "scores": {dimension: [mean.mean for mean in by_seat] for dimension, by_seat in found.items()},
        "known": {dimension: [mean.count for mean in by_seat] for dimension, by_seat in found.items()},
        "paid": None if reward is None else _paid(episodes),
    }


def _paid(episodes: list[Any]) -> dict[str, Any]:
    from sotopia_env.rewards.labelling import mean_paid

    # After its parts comes the whole; to make the reward once more could load a model.
    *_, name = episodes[0].rewards
    found = mean_paid(episodes, name).to_dict()
    return {"reward": name, **{key: found[key] for key in ("mean", "known", "of")}}


def play(
    tasks: Annotated[str, typer.Argument(help="A family, with its split (bargain:test), or a file of tasks.")],
    policies: Annotated[list[str], typer.Argument(help="Who sits on the other seats: one for all, or one for each.")],
    seat: Annotated[int, typer.Option(help="Your seat.")] = 0,
    seed: Annotated[
        int, typer.Option(callback=within(0), help="Decides the task and the draws of the other side.")
    ] = 0,
    task: Annotated[str | None, typer.Option(help="Id of a task in the file; else the seed chooses one.")] = None,
    max_cycles: MaxCycles = None,
    agreement: Agreement = None,
    judge: Annotated[
        str, typer.Option(help="Who scores it for you: rule, llm:MODEL@URL or module:attribute; stored is the rules'.")
    ] = "rule",
    out: Annotated[Path | None, typer.Option(help="JSON lines that the episode is added to.")] = None,
    as_json: AsJson = False,
) -> None:
    """Sit at the table yourself; afterwards the judge gives its scores and reasons."""
    console = Console(stderr=as_json, highlight=False)
    with clear_errors("nothing was saved"):
        from sotopia_env.agents.human import HumanPolicy
        from sotopia_env.rewards.judges.base import as_judge, judged

        scoring = None if judge == "rule" else as_judge(judge)
        human = HumanPolicy(console=console, read=None if as_json else _line_reader())
        try:
            given = in_mode(tasks, agreement)
            episode = _played(human, tasks, given, policies, seat, seed, task, max_cycles, out)
        except RuntimeError as error:
            if not isinstance(error.__cause__, EOFError):
                raise
            console.print(f"\n{error.__cause__}: nothing was saved")
            raise typer.Exit(1) from None
        if scoring is not None:
            (episode,) = judged([episode], [scoring])
        if not human.turns_taken:
            console.print(f"Episode {episode.key} was played before; this is how it ended.")
        _show_end(human, console, episode, seat)
        if out is not None:
            console.print(Text(f"Episode {episode.key} is in {out}"), soft_wrap=True)
        if as_json:
            print_json({"episode": episode.key, "judgement": asdict(episode.judgements[-1])})


def _line_reader() -> Callable[[str], str] | None:
    """``input`` with line editing, which it has in a terminal once ``readline`` is imported."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    with suppress(ImportError):
        import readline  # noqa: F401
    return input


def _played(
    human: Any,
    tasks: str,
    given: Any,
    policies: list[str],
    seat: int,
    seed: int,
    task: str | None,
    max_cycles: int | None,
    out: Path | None,
) -> Episode:
    from sotopia_env.make import parallel_env
    from sotopia_env.resolve import family_and_tasks, make_policy
    from sotopia_env.rollouts.rollout import rollout

    _, fixed, _ = family_and_tasks(given, "train")
    if fixed is not None:
        chosen = [one for one in fixed if one.id == task] if task is not None else [fixed[seed % len(fixed)]]
        if not chosen:
            raise ValueError(f"--task {task!r} is none of the {len(fixed)} tasks of {tasks}")
        given = chosen[:1]
    elif task is not None:
        raise ValueError(f"--task: the tasks of {tasks} are drawn by the seed; give another --seed")
    num_seats = len(parallel_env(given).possible_agents)
    if not 0 <= seat < num_seats:
        raise ValueError(f"--seat {seat}: there are the seats 0 to {num_seats - 1}")
    if len(policies) not in (1, num_seats - 1):
        raise ValueError(f"{len(policies)} policies for {num_seats - 1} other seats; give one for all or one for each")
    made = [make_policy(policy) for policy in policies]
    seated = made * (num_seats - 1) if len(made) == 1 else made
    seated.insert(seat, human)
    return rollout(given, seated, num_episodes=1, seed=seed, max_cycles=max_cycles, out=out)[0]


def _show_end(human: Any, console: Console, episode: Episode, seat: int) -> None:
    """What the others did last, how it ended, and what the judge says of it, with its evidence."""
    from sotopia_env.agents.human import speaker_names
    from sotopia_env.showing.episode import visible
    from sotopia_env.views import entry_of, view

    seen = view(episode, agent_name(seat))
    participants, turns = seen.texts["participants"], seen.turns
    own = [place for place, turn in enumerate(turns) if turn.seat == seat]
    start = own[-1] + 1 if own and human.turns_taken else 0
    human.show(map(entry_of, turns[start:]), participants)
    ending = episode.ending
    detail = ", ".join(f"{name} {value}" for name, value in ending.detail.items()) if ending else ""
    how = "" if ending is None else ending.reason.replace("_", " ") + (f" ({detail})" if detail else "")
    console.print(Rule(Text(f"The end: {how}")))
    if not episode.judgements:
        return
    judgement = episode.judgements[-1]
    names = [name + (" (you)" if seat_of(agent) == seat else "") for agent, name in speaker_names(participants).items()]
    rows = [
        [dimension, *(Cell(None if value is None else value + 0.0, ".2f") for value in values)]
        for dimension, values in judgement.scores.items()
    ]
    show(
        Table(["dimension", *names], rows, f"Scores of the judge {judgement.judge} {judgement.version}"),
        console=console,
    )
    for dimension, by_seat in judgement.evidence.items():
        for name, findings in zip(names, by_seat, strict=True):
            for finding in findings:
                console.print(Text(f"{dimension}, {name}: ", style="bold").append(visible(finding), style="not bold"))
