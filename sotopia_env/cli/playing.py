"""Play episodes, alone or at the table oneself."""

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
from sotopia_env.cli.exit_codes import NO
from sotopia_env.episodes import Episode, agent_name
from sotopia_env.statistics import known_mean
from sotopia_env.tables import UNKNOWN, Cell, Table, show

MaxCycles = Annotated[int | None, typer.Option(callback=within(1), help="Turn limit; the task's own by default.")]


def rollout(
    tasks: Annotated[str, typer.Argument(help="A family, with its split (bargain:test), or a file of tasks.")],
    policies: Annotated[list[str], typer.Argument(help="One policy for all seats, or one for each.")],
    num_episodes: Annotated[int, typer.Option("--num-episodes", "-n", callback=within(1), help="How many.")] = 64,
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
    policies: Annotated[
        list[str],
        typer.Argument(
            help="Who sits on the other seats: one for all, or one for each. With --web human is a second person, and "
            "policies for every seat are watched.",
        ),
    ],
    seat: Annotated[int, typer.Option(help="Your seat.")] = 0,
    seed: Annotated[
        int, typer.Option(callback=within(0, 2**32 - 1), help="Decides the task and the draws of the other side.")
    ] = 0,
    task: Annotated[str | None, typer.Option(help="Id of a task in the file; else the seed chooses one.")] = None,
    max_cycles: MaxCycles = None,
    action_order: Annotated[
        str | None, typer.Option(help="round-robin (the default), simultaneous or random: who acts when.")
    ] = None,
    agreement: Agreement = None,
    reward: Annotated[str | None, typer.Option(help="A reward to be paid for each turn, such as episode.")] = None,
    judge: Annotated[
        str, typer.Option(help="Who scores it for you: rule, llm:MODEL@URL or module:attribute; stored is the rules'.")
    ] = "rule",
    out: Annotated[Path | None, typer.Option(help="JSON lines that the episode is added to.")] = None,
    as_json: AsJson = False,
    web: Annotated[bool, typer.Option("--web", help="Play on a page of this machine; a link is printed.")] = False,
    port: Annotated[
        int | None, typer.Option(callback=within(1024, 65535), help="Of the page; one that is free by default.")
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Sit at the table yourself; afterwards the judge gives its scores and reasons."""
    console = Console(stderr=as_json, highlight=False)
    with clear_errors("nothing was saved"):
        from sotopia_env.cli.games import games_of
        from sotopia_env.rewards.judges.base import as_judge

        if not web and (port is not None or open_page):
            raise ValueError(f"{'--open' if port is None else '--port'} is of the page; give --web too")
        scoring = None if judge == "rule" else as_judge(judge)
        options = {"max_cycles": max_cycles, "reward": reward}
        options |= {} if action_order is None else {"action_order": action_order}
        games = games_of(
            tasks, in_mode(tasks, agreement), policies, seat, seed=seed, task=task, all_seats=web, **options
        )
        if web:
            from sotopia_env.cli.web.command import play_on_page

            play_on_page(games, console, out=out, judge=scoring, port=port, open_page=open_page, as_json=as_json)
        else:
            _play_in_terminal(games, console, seat, out=out, judge=scoring, as_json=as_json)


def _play_in_terminal(games: Any, console: Console, seat: int, *, out: Path | None, judge: Any, as_json: bool) -> None:
    from sotopia_env.agents.human import HumanPolicy
    from sotopia_env.rewards.judges.base import judged

    human = HumanPolicy(console=console, read=None if as_json else _line_reader())
    try:
        episode = games.play(human, out=out)
    except RuntimeError as error:
        if not isinstance(error.__cause__, EOFError):
            raise
        console.print(f"\n{error.__cause__}: nothing was saved")
        raise typer.Exit(NO) from None
    if judge is not None:
        (episode,) = judged([episode], [judge])
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


def _show_end(human: Any, console: Console, episode: Episode, seat: int) -> None:
    """What the others did last, how it ended, what was paid, and what the judge says of it, with its evidence."""
    from sotopia_env.cli.games import verdict
    from sotopia_env.views import entry_of, view

    seen = view(episode, agent_name(seat))
    own = [place for place, turn in enumerate(seen.turns) if turn.seat == seat]
    start = own[-1] + 1 if own and human.turns_taken else 0
    human.show(map(entry_of, seen.turns[start:]), seen.texts["participants"])
    found = verdict(episode, seat)
    console.print(Rule(Text(f"The end: {found.how}")))
    for name, paid in list(episode.rewards.items())[-1:]:
        numbers = ", ".join(UNKNOWN if number is None else f"{number + 0.0:.2f}" for number in paid[agent_name(seat)])
        console.print(Text(f"Your turns were paid by {name}: {numbers}"))
    if found.scores is None:
        return
    show(found.scores, console=console)
    for dimension, name, finding in found.findings:
        console.print(Text(f"{dimension}, {name}: ", style="bold").append(finding, style="not bold"))
