"""What the commands share: options, JSON on stdout, and errors a user can read."""

from __future__ import annotations

import dis
import json
import select
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from sotopia_env.cli.exit_codes import INTERRUPTED, REFUSED
from sotopia_env.errors import reason_of
from sotopia_env.installing import install_command

if TYPE_CHECKING:
    from sotopia_env.rollouts.executors import RayCluster, Workers

stderr = Console(stderr=True, emoji=False)


MOST = 10**9
"""What no number on a command line is above, unless an option says so: nobody waits for so many."""

MOST_PROCESSES = 1024
"""More are a slip of the keyboard, and would take the machine with them."""


def within(least: float, most: float = MOST, *, above: bool = False) -> Callable[..., Any]:
    """Returns the callback of an option that takes numbers of a range: others are one line and exit code 2.

    Args:
        least: the smallest.
        most: the greatest.
        above: whether the smallest itself is refused.
    """

    def check(param: typer.CallbackParam, value: float | None) -> float | None:
        if value is None or (least <= value <= most and not (above and value == least)):
            return value
        if most != MOST or value > most:
            wanted = f"between {least} and {most}"
        else:
            wanted = f"above {least}" if above else f"{least} or more"
        print_error(f"{param.opts[0]}: {value} is not {wanted}")
        raise typer.Exit(REFUSED)

    return check


def each_within(least: float, most: float = MOST) -> Callable[..., Any]:
    """Returns the callback of an option that may be given several times; arguments as in :func:`within`."""
    check = within(least, most)

    def check_each(param: typer.CallbackParam, values: list[float] | None) -> list[float] | None:
        for value in values or ():
            check(param, value)
        return values

    return check_each


Seed = Annotated[
    int, typer.Option(callback=within(0, 2**32 - 1), help="Decides every random draw: one seed gives one result.")
]
Processes = Annotated[int, typer.Option(callback=within(1, MOST_PROCESSES), help="How many processes share the work.")]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray",
        help="The machines of a Ray cluster share the work: local (this one alone), auto, HOST:PORT or "
        "ray://HOST:PORT.",
    ),
]
GpusPerTask = Annotated[
    float | None,
    typer.Option(
        callback=within(0),
        help="GPUs for each task on Ray; by default 1 where local models play and the cluster has GPUs, else 0.",
    ),
]
FamilyName = Annotated[
    str | None, typer.Option("--family", help="The family of the episodes, where it is your own: module:attribute.")
]
Agreement = Annotated[
    str | None,
    typer.Option(
        help="formal: offers, accept and reject are acts, and words bind nobody; plain: words settle as well. By "
        "default tasks are played as they are (plain, where they say nothing).",
    ),
]
MeasuredAgreement = Annotated[
    str | None,
    typer.Option(
        help="formal: offers, accept and reject are acts, and words bind nobody, so that every deal is certain; plain: "
        "words settle as well. By default formal where a family draws the tasks; those of a file, and published ones, "
        "are played as they are.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout instead of a table.")]

_EXTRAS = {
    "openai": ("openai",),
    "ray": ("ray",),
    "train": (
        "torch",
        "transformers",
        "trl",
        "peft",
        "accelerate",
        "datasets",
        "pyarrow",
        "tokenizers",
        "matplotlib",
        "yaml",
    ),
    "web": ("starlette", "uvicorn"),
}
"""The optional libraries, by the extra that installs them."""


def cluster_of(ray: str | None, gpus_per_task: float | None) -> RayCluster | None:
    """Returns the cluster that shares the work, where there is one.

    Raises:
        ValueError: GPUs are asked for, and no cluster.
    """
    from sotopia_env.rollouts.executors import RayCluster

    if ray is None and gpus_per_task is not None:
        raise ValueError("--gpus-per-task is of tasks on Ray; give --ray too")
    return None if ray is None else RayCluster(ray, gpus_per_task)


def workers_of(processes: int, ray: str | None, gpus_per_task: float | None) -> Workers:
    """Returns who shares the work, as the options say.

    Raises:
        ValueError: they contradict one another.
    """
    cluster = cluster_of(ray, gpus_per_task)
    if cluster is not None and processes > 1:
        raise ValueError(f"--processes {processes}: with --ray the cluster shares the work; give one of them")
    return processes if cluster is None else cluster


def in_mode(tasks: str, agreement: str | None, default: str | None = None) -> Any:
    """Returns the tasks that a command plays, their agreements made in a mode.

    Args:
        tasks: a family with its split and options, the published tasks by name, or a file.
        agreement: the mode that was asked for, of all of them.
        default: of those that a family draws and that name none, where none was asked for; ``None`` takes them as they
            are.

    Returns:
        The name, the mode added to its options; or the tasks of a file or a published set.

    Raises:
        ValueError: there is no such mode, the name asks for the other one, or nothing could be agreed on so.
    """
    from sotopia_env.families.formal import TAG, all_with_agreement, checked_mode
    from sotopia_env.families.resolve import takes_option, with_options
    from sotopia_env.resolve import family_and_tasks

    mode = default if agreement is None else checked_mode(agreement)
    if mode is None:
        return tasks
    family, fixed, _ = family_and_tasks(tasks, "test")
    if fixed is not None:
        # What was written down or published is played as it stands, so that its figures compare.
        return tasks if agreement is None else list(all_with_agreement(fixed, mode, family))
    written = with_options(tasks)[1].get(TAG)
    if written is not None:
        if agreement not in (None, written):
            raise ValueError(f"--agreement {agreement}: {tasks!r} asks for {written} agreements; say it once")
        return tasks
    if agreement is None and not takes_option(tasks, TAG):
        return tasks
    return f"{tasks}{'&' if '?' in tasks else '?'}{TAG}={mode}"


def tell_other_mode(policies: Iterable[str], modes: str) -> None:
    """Say on stderr which models learnt in dialogues of another mode than they are to play in.

    Args:
        policies: by name; the folders of models have cards that tell it.
        modes: of the tasks, as :func:`~sotopia_env.families.formal.told_modes` gives them.
    """
    folders = {name: Path(name.removeprefix("local:").partition("?")[0]) for name in policies}
    if not modes or not any(folder.is_dir() for folder in folders.values()):
        return
    from sotopia_env.training.model_card import told_fact

    for name, folder in folders.items():
        learnt = told_fact(folder, "agreements")
        if learnt is not None and modes not in learnt:
            text = (
                f"{name} learnt with {learnt} agreements and plays with {modes} ones; --agreement {learnt} plays those"
            )
            stderr.print(text, highlight=False, soft_wrap=True)


def print_error(text: str) -> None:
    """Say on stderr what the user has to mend: one line, whatever the width of the terminal."""
    # [leave] in a message is no markup.
    stderr.print(f"[red]error:[/] {escape(' '.join(text.split()))}", highlight=False, soft_wrap=True)


def print_json(data: Any) -> None:
    """Print JSON on stdout, however deep."""
    json.dump(data, sys.stdout, indent=1)
    print()


def told_mean(found: Mapping[str, Any]) -> str:
    """``mean 0.12 a turn (45 of 100 dialogues known)``.

    Args:
        found: ``{"mean", "known", "of"}`` of :func:`~sotopia_env.rewards.labelling.mean_paid`.
    """
    mean = "mean unknown" if found["mean"] is None else f"mean {found['mean']:.4g} a turn"
    return f"{mean} ({found['known']} of {found['of']} dialogues known)"


@contextmanager
def clear_errors(after_interrupt: str | None = None) -> Iterator[None]:
    """What a user can mend is one line on stderr and exit code 2; a fault keeps its traceback.

    One line are: what this package raises on purpose (``ValueError``, ``TypeError``, ``KeyError``), files that cannot
    be read or written, servers that fail, and libraries of an extra that is not installed. The same kinds of error
    raised by Python, by a library or by a part of the user's own are faults, and their traceback says where.

    Args:
        after_interrupt: what to say of the work done when Ctrl-C ends it (exit code 130).
    """
    try:
        yield
    except KeyboardInterrupt:
        stderr.print("interrupted" + (f": {after_interrupt}" if after_interrupt else ""))
        raise typer.Exit(INTERRUPTED) from None
    except (ValueError, TypeError, KeyError, OSError, ModuleNotFoundError, RuntimeError) as error:
        text = _message(error)
        if text is None or (isinstance(error, BrokenPipeError) and _nobody_reads()):
            raise
        print_error(text)
        raise typer.Exit(REFUSED) from error


def _nobody_reads() -> bool:
    """Whether the output goes nowhere, since whoever read it, such as head, has seen enough."""
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    for stream in (sys.stdout, sys.stderr):
        poll.register(stream.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _message(error: Exception) -> str | None:
    """What to tell the user; ``None`` where the error is a fault."""
    if isinstance(error, OSError):
        return reason_of(error)
    if isinstance(error, RuntimeError):
        # A rollout says which policy failed and where; a server that cannot be reached is no fault of the code.
        return str(error) if isinstance(error.__cause__, OSError) else None
    if isinstance(error, ModuleNotFoundError):
        library = (error.name or "").partition(".")[0]
        extra = next((extra for extra, libraries in _EXTRAS.items() if library in libraries), None)
        if extra is None or "pip install" in str(error):
            return extra and str(error)
        return f"{error}; this command needs more: {install_command(extra)}"
    if not _raised_by_the_package(error):
        return None
    return str(error.args[0] if isinstance(error, KeyError) and error.args else error)


def _raised_by_the_package(error: Exception) -> bool:
    """Whether a ``raise`` of this package made the error, rather than Python or a library."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None:
        return False
    code = last.tb_frame.f_code.co_code
    package = str(last.tb_frame.f_globals.get("__name__")).partition(".")[0]
    return package == "sotopia_env" and code[last.tb_lasti] == dis.opmap["RAISE_VARARGS"]
