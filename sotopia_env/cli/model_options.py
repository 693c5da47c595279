"""What commands that ask a model for grades share: its options, the estimate, the budget, the bill."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sotopia_env.cli.common import stderr, within

if TYPE_CHECKING:
    from sotopia_env.agents.endpoint.call_log import CallLog
    from sotopia_env.rewards import CallEstimate

Cache = Annotated[
    Path | None, typer.Option(help="File that keeps a model's replies; replies.sqlite beside --out by default.")
]
LedgerFile = Annotated[Path | None, typer.Option("--ledger", help="File that takes a line for each call.")]
DryRun = Annotated[bool, typer.Option(help="Say what it would take, and stop.")]
CachedOnly = Annotated[bool, typer.Option(help="Make no call; what the cache does not hold is unknown, and counted.")]
BudgetText = Annotated[
    str | None,
    typer.Option("--budget", help="Where to stop: money, with --price-in and --price-out, or '200 calls'."),
]
PriceIn = Annotated[float | None, typer.Option(callback=within(0), help="Price of a million tokens to be read.")]
PriceOut = Annotated[float | None, typer.Option(callback=within(0), help="Price of a million tokens to be written.")]
MaxTokens = Annotated[int, typer.Option(callback=within(1), help="Length limit of a reply.")]
Concurrency = Annotated[int, typer.Option(callback=within(1), help="Calls in flight at once.")]
Timeout = Annotated[float, typer.Option(callback=within(0, above=True), help="Seconds one call may take.")]

_CALLS = re.compile(r"(\d+)\s*calls?")


@dataclass(frozen=True)
class ModelOptions:
    """The options of the command line that every model named on it is made with.

    Args:
        cache: file of replies.
        ledger: counts calls and tokens of all models together.
        cached_only: whether no call is made.
        budget: as written, ``None`` for no limit.
        price_in: of a million tokens read.
        price_out: of a million tokens written.
        max_tokens: length limit of a reply.
        concurrency: calls in flight at once.
        timeout: seconds for a call.
        dry_run: whether there is an estimate alone, which needs no key either.
    """

    cache: Path | None
    ledger: CallLog
    cached_only: bool
    budget: str | None
    price_in: float | None
    price_out: float | None
    max_tokens: int
    concurrency: int
    timeout: float
    dry_run: bool = False

    def __post_init__(self) -> None:
        """Refuse a budget that is none, also where no model is asked."""
        self._limits()

    def of(self, slot: str, given: str, **more: Any) -> Any:
        """What stands for a judge or an attributor: a name as it is, a model with its options.

        Args:
            slot: ``"judge"`` or ``"attributor"``.
            given: the name on the command line.
            more: further options of a model.
        """
        if not given.startswith("llm:"):
            return given
        return {
            slot: given,
            "cache": None if self.cache is None else str(self.cache),
            "ledger": self.ledger,
            "cached_only": self.cached_only,
            "offline": self.cached_only or self.dry_run,
            "price_in": self.price_in,
            "price_out": self.price_out,
            "max_tokens": self.max_tokens,
            "concurrency": self.concurrency,
            "timeout": self.timeout,
            **self._limits(),
            **more,
        }

    def _limits(self) -> dict[str, Any]:
        if self.budget is None:
            return {}
        if calls := _CALLS.fullmatch(self.budget.strip()):
            return {"max_calls": int(calls[1])}
        try:
            money = float(self.budget)
        except ValueError:
            money = math.nan
        if not 0 <= money < math.inf:
            raise ValueError(f"--budget {self.budget!r}: give a sum such as 2.50, or '200 calls'")
        if self.price_in is None or self.price_out is None:
            raise ValueError(
                f"--budget {self.budget}: money needs --price-in and --price-out, per million tokens; "
                f"'{self.budget} calls' needs none"
            )
        return {"max_cost": money}


def print_estimates(estimates: Mapping[str, CallEstimate]) -> None:
    """Say on stderr what would be asked."""
    for what, one in estimates.items():
        share = one.cached / one.questions if one.questions else 1.0
        longest = one.longest_completion_tokens
        written = "any number of tokens" if longest is None else f"at most {longest:,} tokens"
        cost = "" if one.highest_cost is None else f", at most {one.highest_cost:.4g} in money"
        stderr.print(
            f"{what}: {one.questions} questions, {one.cached} in the cache ({share:.0%}), {one.calls} calls or more: "
            f"about {one.prompt_tokens:,} tokens to read, {written} to write{cost}",
            soft_wrap=True,
            highlight=False,
        )


def estimates_record(estimates: Mapping[str, CallEstimate]) -> dict[str, Any]:
    """The same as JSON, with the sum."""
    known = [asdict(one) for one in estimates.values()]
    total = {name: _sum(one[name] for one in known) for name in known[0]} if known else {"calls": 0}
    return {"asked": {what: asdict(one) for what, one in estimates.items()}, "total": total}


def bill(ledger: CallLog, price_in: float | None, price_out: float | None) -> dict[str, Any]:
    """Calls, tokens and money of a command."""
    usage = ledger.usage
    tokens = usage.prompt_tokens, usage.completion_tokens
    cost = None if price_in is None or price_out is None else (tokens[0] * price_in + tokens[1] * price_out) / 1e6
    return {"calls": usage.calls, "prompt_tokens": tokens[0], "completion_tokens": tokens[1], "cost": cost}


def print_bill(spent: Mapping[str, Any], failed: Counter[str]) -> None:
    """Say on stderr what was asked, then :func:`print_failures`."""
    cost = "" if spent["cost"] is None else f", {spent['cost']:.4g} in money"
    tokens = f"{spent['prompt_tokens']:,} tokens read, {spent['completion_tokens']:,} written"
    stderr.print(f"{spent['calls']} calls, {tokens}{cost}", soft_wrap=True, highlight=False)
    print_failures(failed)


def print_failures(failed: Counter[str]) -> None:
    """Say on stderr what could not be had."""
    if failed:
        kinds = ", ".join(f"{kind} {count}" for kind, count in failed.most_common())
        stderr.print(f"unknown since it could not be had: {kinds}", soft_wrap=True, highlight=False)


def _sum(values: Iterable[Any]) -> Any:
    values = list(values)
    return None if None in values else sum(values)
