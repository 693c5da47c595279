"""Write the numbers of a reward into stored episodes."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sotopia_env.cli import model_options as models
from sotopia_env.cli.common import (
    AsJson,
    FamilyName,
    GpusPerTask,
    Processes,
    RayAddress,
    clear_errors,
    print_json,
    stderr,
    told_mean,
    within,
    workers_of,
)
from sotopia_env.cli.exit_codes import BUDGET

if TYPE_CHECKING:
    from sotopia_env.episodes import Episode
    from sotopia_env.rewards import Reward


def relabel(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Episodes of this package: .jsonl or .parquet.")],
    reward: Annotated[
        str, typer.Option(help="A name such as discounted, a sum ('episode + 0.5 * length'), or module:attribute.")
    ],
    out: Annotated[Path, typer.Option(help="e.jsonl; the same command goes on where it was cut off.")],
    judge: Annotated[str | None, typer.Option(help="rule, llm:MODEL@URL or module:attribute.")] = None,
    attributor: Annotated[str | None, typer.Option(help="rule, llm:MODEL@URL or module:attribute.")] = None,
    levels: Annotated[int | None, typer.Option(help="How many levels a model's importances have: 3, 5 or 10.")] = None,
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
    family: FamilyName = None,
    batch_size: Annotated[
        int, typer.Option(callback=within(1), help="Episodes that the reward is asked about in one call.")
    ] = 64,
    processes: Processes = 1,
    ray: RayAddress = None,
    gpus_per_task: GpusPerTask = None,
    as_json: AsJson = False,
) -> None:
    """Pay stored episodes by any reward: judgements and one number per own turn are written beside their turns.

    IN stays as it is. A budget that is used up ends the command with exit code 3, and the same command goes on.
    For training rows: sotopia-env convert OUT rows.jsonl --format reward --reward NAME.
    """
    with clear_errors("finished episodes are in the file, and the same command goes on"):
        from sotopia_env.agents.endpoint.call_log import CallLog
        from sotopia_env.rewards.dimensions import read_weights
        from sotopia_env.rewards.labelling import check_payable
        from sotopia_env.rewards.labelling import relabel as relabelled
        from sotopia_env.rewards.model_usage import estimates, graded_by
        from sotopia_env.rewards.resolve import get_reward
        from sotopia_env.storage.episodes import some_episodes

        _check_given(source, out, levels)
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
        episodes = some_episodes(source)
        if dry_run:
            check_payable(made, episodes, source)
            found = estimates(made, _left(episodes, out))
            models.print_estimates(found)
            print_json({"reward": made.name, **models.estimates_record(found)}) if as_json else None
            return
        missing: list[Episode] = []

        def started(left: Sequence[Episode]) -> None:
            missing.extend(left)
            models.print_estimates(estimates(made, left))

        paid = relabelled(
            episodes,
            made,
            family,
            out=out,
            batch_size=batch_size,
            processes=workers_of(processes, ray, gpus_per_task),
            cached_only=cached_only,
            on_start=started,
            progress=True,
            command=sys.argv,
            source=source,
        )
        summary = _summary(made, paid, len(episodes) - len(missing), len(episodes) - len(paid))
        summary |= models.bill(counted, price_in, price_out)
        _report(made, summary, out, as_json)
        if summary["left"]:
            raise typer.Exit(BUDGET)


def _left(episodes: Sequence[Episode], out: Path) -> list[Episode]:
    """The episodes that a file does not hold yet; it is only read."""
    from sotopia_env.storage.episodes import load_episodes

    held = {e.key for e in load_episodes(out)} if out.exists() and out.stat().st_size else set()
    return [episode for episode in episodes if episode.key not in held]


def _report(reward: Reward, summary: Mapping[str, Any], out: Path, as_json: bool) -> None:
    """Say what was done."""
    from sotopia_env.rewards.model_usage import failures_of, models_in

    if models_in(reward):
        models.print_bill(summary, failures_of(reward))
    if summary["left"]:
        stderr.print(
            f"the budget is used up: {summary['left']} episodes are left, and the same command goes on",
            soft_wrap=True,
            highlight=False,
        )
    if as_json:
        print_json({**summary, "failures": dict(failures_of(reward))})
        return
    if summary["episodes"]:
        stderr.print(f"{summary['episodes']} episodes are in {out}", soft_wrap=True, highlight=False)
    print(f"{reward.name}: {summary['turns']} turns, {summary['unknown']} unknown, {told_mean(summary)}")


def _check_given(source: Path, out: Path, levels: int | None) -> None:
    from sotopia_env.rewards.attribution.llm import LEVELS

    if levels not in (None, *LEVELS):
        raise ValueError(f"--levels: {levels} is none of {', '.join(map(str, LEVELS))}")
    if out.suffix == ".parquet":
        raise ValueError(f"--out: {out} cannot be appended to; write a .jsonl, and convert it to parquet")
    if out.resolve() == source.resolve():
        raise ValueError(f"--out: {out} is the file that is read; give another")


def _summary(reward: Reward, episodes: Sequence[Episode], done: int, left: int) -> dict[str, Any]:
    from sotopia_env.rewards.labelling import mean_paid

    values = [value for episode in episodes for own in episode.rewards[reward.name].values() for value in own]
    paid = mean_paid(episodes, reward.name).to_dict()
    return {
        "reward": reward.name,
        "episodes": len(episodes),
        "done_before": done,
        "left": left,
        "turns": len(values),
        "unknown": values.count(None),
        **{key: paid[key] for key in ("mean", "known", "of")},
    }
