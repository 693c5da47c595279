"""The figures that are published, each made anew by a function, kept in a file of its own, and drawn from that file."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console

from sotopia_env.describe import differences, told
from sotopia_env.rollouts.executors import RayCluster, Workers
from sotopia_env.storage.journal import replace_file
from sotopia_env.tables import Table, markdown
from sotopia_env.training import pages
from sotopia_env.training.report import versions

REPORTED_SEEDS = (10, 11, 12, 13, 14)
"""Of the training runs that are reported. Settings were chosen with others, on validation tasks."""

Parts = Sequence[str | Table]
"""Paragraphs of Markdown and tables."""


@dataclass(frozen=True)
class Protocol:
    """How figures are made.

    Args:
        out: the folder that takes everything; the same call goes on.
        seeds: of training runs; what is measured once takes the first.
        data: a folder of published data, for the figures that need it.
        processes: how many share the work.
        ray: the cluster whose machines share what is played; training runs stay here.
        preset: size of the training runs.
        progress: show what is done on stderr.
    """

    out: Path
    seeds: tuple[int, ...] = REPORTED_SEEDS
    data: Path | None = None
    processes: int = 1
    ray: RayCluster | None = None
    preset: str = "default"
    progress: bool = False

    @property
    def workers(self) -> Workers:
        """Who shares what is played."""
        return self.processes if self.ray is None else self.ray

    def __post_init__(self) -> None:
        """Refuse what has no interval over seeds."""
        if len(set(self.seeds)) != len(self.seeds) or not self.seeds:
            raise ValueError(f"seeds: {', '.join(map(str, self.seeds)) or 'none'}; give one or more, each once")


@dataclass(frozen=True)
class Figures:
    """One set of figures.

    Args:
        name: of its file and its block.
        title: what it shows.
        command: what makes it alone, for who wants to repeat it.
        make: plain data, durable in a folder of its own.
        draw: ``{block: parts}`` from that data.
        needs_data: whether published data is needed.
    """

    name: str
    title: str
    command: str
    make: Callable[[Protocol, Path], Mapping[str, Any]]
    draw: Callable[[Mapping[str, Any]], Mapping[str, Parts]]
    needs_data: bool = False
    settings: Callable[[Protocol], Mapping[str, Any]] = field(default=lambda protocol: {"seed": protocol.seeds[0]})


MODULES = ("learning", "rollouts", "worlds", "rewards", "reading")
"""Where the sets stand, in the order in which they are made."""


def figures() -> dict[str, Figures]:
    """All sets of figures, by name."""
    found = (made for name in MODULES for made in import_module(f"sotopia_env.training.protocol.{name}").FIGURES)
    return {made.name: made for made in found}


def make_figures(protocol: Protocol, names: Sequence[str] = ()) -> dict[str, str]:
    """Make what is not made yet.

    Args:
        protocol: how.
        names: of sets; all by default.

    Returns:
        ``{block: Markdown}``, each with its command, version, seeds and time.

    Raises:
        ValueError: there is no set of that name, it needs data and there is none, or its file was made otherwise; the
            error says what differs.
    """
    known = figures()
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"there are no figures {unknown[0]!r}; there are {', '.join(known)}")
    console = Console(stderr=True, quiet=not protocol.progress)
    blocks: dict[str, str] = {}
    for made in (known[name] for name in names or known):
        if made.needs_data and protocol.data is None:
            if names:
                raise ValueError(f"{made.name} needs published data; give its folder with --data, or SOTOPIA_ENV_DATA")
            console.print(f"[bold]{made.name}[/]: left out, it needs --data")
            continue
        record = _made(made, protocol, console)
        for block, parts in made.draw(record["data"]).items():
            blocks[block] = markdown(*parts, _source(made, record))
    return blocks


def _made(made: Figures, protocol: Protocol, console: Console) -> Mapping[str, Any]:
    """The record of a set: read where it is finished, else made now."""
    path = protocol.out / f"{made.name}.json"
    settings = json.loads(json.dumps({**made.settings(protocol), "versions": versions()}))
    if path.exists():
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if other := differences(record["settings"], settings):
            raise ValueError(
                f"{path} was made with other {told(other)}; give another folder, or remove the file to make it anew"
            )
        console.print(f"[bold]{made.name}[/]: made already")
        return record
    console.print(f"[bold]{made.name}[/]: {made.title}")
    folder = protocol.out / made.name
    # Of a call that goes on the time is not known: what was done before it took some, too.
    goes_on = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    data = made.make(protocol, folder)
    seconds = None if goes_on else time.perf_counter() - began
    record = {"settings": settings, "seconds": seconds, "data": data}
    replace_file(path, [json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False).encode()])
    return record


def _source(made: Figures, record: Mapping[str, Any]) -> str:
    """The line below a block: how it was made."""
    settings = record["settings"]
    seeds = settings.get("seeds") or [settings["seed"]]
    took = "" if record["seconds"] is None else f"; {pages.duration(record['seconds'])}"
    which = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {', '.join(map(str, seeds))}"
    return f"`{made.command}`; sotopia-env {settings['versions']['sotopia-env']}, {which}{took}."
