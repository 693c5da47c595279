"""Write the numbers of a reward into stored episodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sotopia_env.cli.common import AsJson, clear_errors, print_json, stderr

if TYPE_CHECKING:
    from sotopia_env.episodes import Episode
    from sotopia_env.rewards import Reward
    from sotopia_env.storage import EpisodeWriter


def relabel(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Episodes of this package: .jsonl or .parquet.")],
    reward: Annotated[
        str, typer.Option(help="A name such as discounted, a sum ('episode + 0.5 * length'), or module:attribute.")
    ],
    out: Annotated[Path, typer.Option(help="e.jsonl; the same command goes on where it was cut off.")],
    batch_size: Annotated[int, typer.Option(help="Episodes that the reward is asked about in one call.")] = 64,
    as_json: AsJson = False,
) -> None:
    """Pay stored episodes by any reward: judgements and one number per own turn are written beside their turns.

    IN stays as it is. For training rows: sotopia-env convert OUT rows.jsonl --format reward --reward NAME.
    """
    with clear_errors("finished episodes are in the file, and the same command goes on"):
        from sotopia_env.rewards import get_reward
        from sotopia_env.storage import EpisodeWriter, load_episodes

        if batch_size < 1:
            raise ValueError(f"--batch-size: {batch_size} is not a positive number")
        if out.suffix == ".parquet":
            raise ValueError(f"--out: {out} cannot be appended to; write a .jsonl, and convert it to parquet")
        if out.resolve() == source.resolve():
            raise ValueError(f"--out: {out} is the file that is read; give another")
        made = get_reward(reward)
        episodes = load_episodes(source)
        order = {episode.key: place for place, episode in enumerate(episodes)}
        if len(order) < len(episodes):
            twice = next(e.key for place, e in enumerate(episodes) if order[e.key] != place)
            raise ValueError(f"{source}: two episodes have the key {twice!r}; relabel the files of each run apart")
        _check(made, episodes)
        with EpisodeWriter(out) as writer:
            _check_resumable(made, episodes, writer)
            missing = [episode for episode in episodes if episode.key not in writer.finished]
            done = len(episodes) - len(missing)
            for batch in _with_progress(_batches(missing, batch_size), done, len(episodes)):
                _write(made, batch, writer)
            writer.put_in_order(order.__getitem__)
            summary = _summary(made, [writer.finished[key] for key in order], done)
        if as_json:
            print_json(summary)
            return
        stderr.print(f"{summary['episodes']} episodes are in {out}", soft_wrap=True, highlight=False)
        mean = "unknown" if summary["mean"] is None else f"{summary['mean']:.4g}"
        print(f"{made.name}: {summary['turns']} turns, {summary['unknown']} unknown, mean {mean}")


def _check(reward: Reward, episodes: Sequence[Episode]) -> None:
    """Raise where the reward can never be computed for the episodes, before any is paid."""
    from sotopia_env.families import FAMILIES, family_of

    by_family: dict[str, list[Any]] = {}
    for episode in episodes:
        by_family.setdefault(episode.task.family, []).append(episode.task)
    for name, tasks in by_family.items():
        # A family of the user's own is not to be found; whether anything needs it shows when the reward is asked.
        if name in FAMILIES:
            reward.check(family_of(tasks[0]), tasks)


def _check_resumable(reward: Reward, episodes: Sequence[Episode], writer: EpisodeWriter) -> None:
    """Raise where the file to be written holds anything that this command would not have written."""
    turns = {episode.key: episode.turns for episode in episodes}
    for key, stored in writer.finished.items():
        where, remedy = f"{writer.path}, episode {key!r}", "give another --out, or remove the file"
        if key not in turns:
            raise ValueError(f"{where}: it is not among the episodes that are read; {remedy}")
        if stored.turns != turns[key]:
            raise ValueError(f"{where}: its turns are not those of the episode that is read; {remedy}")
        if reward.name not in stored.rewards:
            there = ", ".join(stored.rewards) or "none at all"
            raise ValueError(f"{where}: it has no reward {reward.name!r} but {there}; {remedy}")


def _batches(episodes: Sequence[Episode], size: int) -> Iterator[Sequence[Episode]]:
    for start in range(0, len(episodes), size):
        yield episodes[start : start + size]


def _with_progress(batches: Iterator[Sequence[Episode]], done: int, total: int) -> Iterator[Sequence[Episode]]:
    """The batches, a progress bar on stderr growing with each that is finished."""
    columns = (TextColumn("relabel"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr, transient=True) as bar:
        task = bar.add_task("relabel", total=total, completed=done)
        for batch in batches:
            yield batch
            bar.advance(task, len(batch))


def _write(reward: Reward, batch: Sequence[Episode], writer: EpisodeWriter) -> None:
    from sotopia_env.rewards import relabel as relabelled

    for episode in relabelled(batch, reward):
        writer.write(episode)


def _summary(reward: Reward, episodes: Sequence[Episode], done: int) -> dict[str, Any]:
    values = [value for episode in episodes for own in episode.rewards[reward.name].values() for value in own]
    known = [value for value in values if value is not None]
    return {
        "reward": reward.name,
        "episodes": len(episodes),
        "done_before": done,
        "turns": len(values),
        "unknown": len(values) - len(known),
        "mean": sum(known) / len(known) if known else None,
    }
