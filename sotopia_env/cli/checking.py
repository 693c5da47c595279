"""Check a part of one's own."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sotopia_env.cli.common import AsJson, Seed, clear_errors, print_json, within
from sotopia_env.cli.exit_codes import NO


def check(
    part: Annotated[str, typer.Argument(help="module:attribute, or a name such as scripted:warm.")],
    kind: Annotated[
        str | None, typer.Option(help="policy, reward, family or judge; found out where the part tells.")
    ] = None,
    tasks: Annotated[
        str | None, typer.Option(help="What it is checked on: a family, with its split, or a file of tasks.")
    ] = None,
    seed: Seed = 0,
    tolerance: Annotated[
        float | None,
        typer.Option(callback=within(0), help="How far equal numbers may be apart; models may need 1e-4."),
    ] = None,
    not_deterministic: Annotated[
        bool, typer.Option("--not-deterministic", help="It cannot repeat itself: leave out the rules that ask for it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check that a policy, reward, family or judge keeps the rules. Exit code 1 where it breaks one."""
    with clear_errors():
        from sotopia_env.testing import ConformanceError
        from sotopia_env.testing import check as run
        from sotopia_env.testing.detection import kind_of

        found = kind or kind_of(part)
        options: dict[str, Any] = {"seed": seed}
        if tasks is not None:
            options["tasks"] = _tasks_for(found, tasks)
        if tolerance is not None:
            options["tolerance"] = tolerance
        if not_deterministic:
            options["deterministic"] = False
        unknown = {"family": {"tolerance", "deterministic"}, "policy": {"tolerance"}}.get(found, set()) & set(options)
        if unknown:
            raise ValueError(f"a {found} takes no {' and no '.join(sorted(unknown))}")
        try:
            report = run(part, found, **options)
        except ConformanceError as broken:
            report = broken.report
        print_json(report.to_dict()) if as_json else print(report)
        if not report.passed:
            raise typer.Exit(NO)


def _tasks_for(kind: str, tasks: str) -> Any:
    """Tasks as the check of a kind takes them: that of a family wants the tasks themselves."""
    if kind != "family":
        return tasks
    from sotopia_env.published import load_tasks

    return load_tasks(tasks)
