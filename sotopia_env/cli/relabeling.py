"""Write the numbers of a reward into stored episodes."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sotopia_env.cli import model_options as models
from sotopia_env.cli.common import AsJson, clear_errors, print_json, stderr

if TYPE_CHECKING:
    from sotopia_env.episodes import Episode
    from sotopia_env.rewards import Reward
    from sotopia_env.rollouts.manifest import Manifest
    from sotopia_env.storage.episodes import EpisodeWriter
    from sotopia_env.storage.locks import ProcessLocks


def relabel(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Episodes of this package: .jsonl or .parquet.")],
    reward: Annotated[
        str, typer.Option(help="A name such as discounted, a sum ('episode + 0.5 * length'), or module:attribute.")
    ],
    out: Annotated[Path, typer.Option(help="e.jsonl; the same command goes on where it was cut off.")],
    judge: Annotated[str | None, typer.Option(help="rule, llm:MODEL@URL or module:attribute.")] = None,
    attributor: Annotated[str | None, typer.Option(help="rule, llm:MODEL@URL or module:attribute.")] = None,
    levels: Annotated[int | None, typer.Option(help="Of a model's importances: 3, 5 or 10.")] = None,
    dimensions: Annotated[
        str | None, typer.Option(help="goal,relationship,knowledge, or with weights: goal=2,knowledge=1.")
    ] = None,
    dry_run: models.DryRun = False,
    budget: models.BudgetText = None,
    cached_only: models.CachedOnly = False,
    price_in: models.PriceIn = None,
    price_out: models.PriceOut = None,
    cache: models.Cache = None,
    ledger: models.LedgerFile = None,
    max_tokens: models.MaxTokens = 2048,
    concurrency: models.Concurrency = 64,
    timeout: models.Timeout = 120.0,
    batch_size: Annotated[int, typer.Option(help="Episodes that the reward is asked about in one call.")] = 64,
    as_json: AsJson = False,
) -> None:
    """Pay stored episodes by any reward: judgements and one number per own turn are written beside their turns.

    IN stays as it is. A budget that is used up ends the command with exit code 3, and the same command goes on.
    For training rows: sotopia-env convert OUT rows.jsonl --format reward --reward NAME.
    """
    with clear_errors("finished episodes are in the file, and the same command goes on"):
        from sotopia_env.agents.endpoint.call_log import CallLog
        from sotopia_env.rewards.dimensions import read_weights
        from sotopia_env.rewards.model_usage import estimates, graded_by
        from sotopia_env.rewards.resolve import get_reward
        from sotopia_env.storage.episodes import load_episodes

        _check_paths(source, out, batch_size)
        counted = CallLog(ledger)
        replies = cache or out.with_name("replies.sqlite")
        options = models.ModelOptions(
            replies, counted, cached_only, budget, price_in, price_out, max_tokens, concurrency, timeout, dry_run
        )
        scale = {} if levels is None else {"levels": levels}
        made = graded_by(
            get_reward(reward),
            judge=judge and options.of("judge", judge),
            attributor=attributor and options.of("attributor", attributor, **scale),
            dimensions=None if dimensions is None else read_weights(dimensions),
        )
        job = _Job(made, _with_distinct_keys(load_episodes(source), source), out, batch_size, cached_only)
        _check(made, job.episodes)
        if dry_run:
            found = estimates(made, job.left())
            models.print_estimates(found)
            print_json({"reward": made.name, **models.estimates_record(found)}) if as_json else None
            return
        summary = job.run()
        summary |= models.bill(counted, price_in, price_out)
        job.report(summary, as_json)
        if summary["left"]:
            raise typer.Exit(models.EXIT_BUDGET)


@dataclass(frozen=True)
class _Job:
    """Episodes that are paid by a reward, into a file.

    Args:
        reward: pays them.
        episodes: all of them.
        out: the file.
        batch_size: episodes that are asked about at once.
        cached_only: whether no model is called.
    """

    reward: Reward
    episodes: Sequence[Episode]
    out: Path
    batch_size: int
    cached_only: bool

    def left(self) -> list[Episode]:
        """The episodes that the file does not hold yet; it is only read."""
        from sotopia_env.storage.episodes import load_episodes

        held = {e.key for e in load_episodes(self.out)} if self.out.exists() and self.out.stat().st_size else set()
        return [episode for episode in self.episodes if episode.key not in held]

    def run(self) -> dict[str, Any]:
        """Pay what is missing, until all is done or the budget is used up."""
        from sotopia_env.rewards.model_usage import estimates
        from sotopia_env.storage.episodes import EpisodeWriter, locks_beside

        order = {episode.key: place for place, episode in enumerate(self.episodes)}
        locks = locks_beside(self.out)
        with EpisodeWriter(self.out, locks=locks) as writer:
            _check_resumable(self.reward, self.episodes, writer)
            manifest, run = _manifest(self, locks, writer)
            with manifest.session(run, len(self.episodes), sys.argv):
                missing = [episode for episode in self.episodes if episode.key not in writer.finished]
                models.print_estimates(estimates(self.reward, missing))
                done = len(self.episodes) - len(missing)
                left = self._pay(missing, done, writer)
                writer.put_in_order(order.__getitem__)
                finished = [writer.finished[key] for key in order if key in writer.finished]
                manifest.close("out of budget" if left else "complete", len(finished) - done, finished)
                return _summary(self.reward, finished, done, left)

    def report(self, summary: Mapping[str, Any], as_json: bool) -> None:
        """Say what was done."""
        from sotopia_env.rewards.model_usage import failures_of, models_in

        if models_in(self.reward):
            models.print_bill(summary, failures_of(self.reward))
        if summary["left"]:
            stderr.print(
                f"the budget is used up: {summary['left']} episodes are left, and the same command goes on",
                soft_wrap=True,
                highlight=False,
            )
        if as_json:
            print_json({**summary, "failures": dict(failures_of(self.reward))})
            return
        stderr.print(f"{summary['episodes']} episodes are in {self.out}", soft_wrap=True, highlight=False)
        mean = "unknown" if summary["mean"] is None else f"{summary['mean']:.4g}"
        print(f"{self.reward.name}: {summary['turns']} turns, {summary['unknown']} unknown, mean {mean}")

    def _pay(self, missing: Sequence[Episode], done: int, writer: EpisodeWriter) -> int:
        """Write the episodes, batch by batch; how many are left when the budget ends it."""
        from sotopia_env.rewards import relabel as relabelled
        from sotopia_env.rewards.model_usage import out_of_budget

        written = 0
        for batch in _with_progress(_batches(missing, self.batch_size), done, len(self.episodes)):
            paid = relabelled(batch, self.reward)
            # What was not asked for lack of money is not written: it would pass for what could not be known.
            unpaid = out_of_budget(self.reward)
            for episode in paid:
                if episode.key not in unpaid:
                    writer.write(episode)
                    written += 1
            if unpaid:
                break
        return len(missing) - written


def _manifest(job: _Job, locks: ProcessLocks, writer: EpisodeWriter) -> tuple[Manifest, dict[str, Any]]:
    """The manifest beside the file, and what has to be the same for it to go on."""
    from sotopia_env.rollouts.manifest import Manifest, as_stored

    manifest = Manifest(job.out, locks, made="paid")
    run = as_stored({"reward": job.reward, "cached_only": job.cached_only})
    try:
        manifest.check(run)
    except ValueError:
        if writer.finished:
            raise
        # Of a command that failed before it wrote anything.
        manifest.path.unlink()
    return manifest, run


def _check_paths(source: Path, out: Path, batch_size: int) -> None:
    if batch_size < 1:
        raise ValueError(f"--batch-size: {batch_size} is not a positive number")
    if out.suffix == ".parquet":
        raise ValueError(f"--out: {out} cannot be appended to; write a .jsonl, and convert it to parquet")
    if out.resolve() == source.resolve():
        raise ValueError(f"--out: {out} is the file that is read; give another")


def _with_distinct_keys(episodes: list[Episode], source: Path) -> list[Episode]:
    order = {episode.key: place for place, episode in enumerate(episodes)}
    if len(order) < len(episodes):
        twice = next(e.key for place, e in enumerate(episodes) if order[e.key] != place)
        raise ValueError(f"{source}: two episodes have the key {twice!r}; relabel the files of each run apart")
    return episodes


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


def _summary(reward: Reward, episodes: Sequence[Episode], done: int, left: int) -> dict[str, Any]:
    values = [value for episode in episodes for own in episode.rewards[reward.name].values() for value in own]
    known = [value for value in values if value is not None]
    return {
        "reward": reward.name,
        "episodes": len(episodes),
        "done_before": done,
        "left": left,
        "turns": len(values),
        "unknown": len(values) - len(known),
        "mean": sum(known) / len(known) if known else None,
    }
