"""Read dialogues: on a page of their own, or in the terminal."""

from __future__ import annotations

import os
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sotopia_env.cli.common import clear_errors, stderr

_MARK = b'<meta name="generator" content="sotopia-env view">'
"""In the first lines of every page of the viewer."""

_FEW = 500
"""So many episodes are written before a progress bar could be read."""


def view(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE|RUN...", help="Files of episodes, also those that Sotopia published, or folders of runs."
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="The page; e.html beside e.jsonl, RUN/episodes.html by default.")] = (
        None
    ),
    reward: Annotated[
        list[str] | None, typer.Option(help="A reward to be computed for the page; may be given several times.")
    ] = None,
    tokenizer: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the tokenizer of stored traces; by default each policy's own, found beside the run."
        ),
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
) -> None:
    """Write a page to read episodes: the talk, offers, rewards beside each turn, scores with their reasons.

    It is one file that loads nothing and can be sent to anybody. Several files are put side by side on equal tasks.
    """
    with clear_errors("nothing was written"):
        from sotopia_env.progress import ProgressBar
        from sotopia_env.showing.runs import read_runs
        from sotopia_env.training.viewer.page import with_reward, write_viewer
        from sotopia_env.training.viewer.tokens import TokenReader

        path = out or _page_beside(sources[0])
        _check_free(path, given=out is not None)
        runs = read_runs(sources, traces=True)
        for name in reward or ():
            runs = [with_reward(run, name) for run in runs]
        tokens = TokenReader(tokenizer, _places_of_models(sources))
        total = sum(len(run.episodes) for run in runs)
        with ProgressBar("view", total, show=total > _FEW, transient=True) as bar:
            write_viewer(runs, path, decode=tokens, on_progress=bar.update)
        size = path.stat().st_size
        told = f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"
        stderr.print(f"{total:,} episodes, {told}", highlight=False)
        if tokens.unread:
            unread = ", ".join(sorted(tokens.unread))
            stderr.print(
                f"tokens of {unread} are shown as numbers; --tokenizer FOLDER makes words of them", markup=False
            )
        print(path)
        if open_page and not webbrowser.open(path.resolve().as_uri()):
            stderr.print("no browser could be opened; open the file yourself", highlight=False)


def show(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A file of episodes, or a folder of a run.")],
    key: Annotated[
        str | None, typer.Argument(metavar="KEY", help="Of the episode, or its beginning; without it all are listed.")
    ] = None,
) -> None:
    """Read an episode in the terminal, or list those of a file."""
    with clear_errors():
        from sotopia_env.showing.episode import shown
        from sotopia_env.showing.runs import find_episode, read_runs
        from sotopia_env.showing.terminal import episode_line, episode_parts, visible

        console = Console(highlight=False)
        runs = read_runs([source])
        if key is not None:
            console.print(episode_parts(shown(find_episode(runs, key))))
            return
        for run in runs:
            if len(runs) > 1:
                console.print(f"{visible(run.name)}:", style="bold", markup=False)
            for episode in run.episodes:
                console.print(episode_line(episode))


def _page_beside(source: Path) -> Path:
    return source / "episodes.html" if source.is_dir() else source.with_suffix(".html")


def _places_of_models(sources: Sequence[Path]) -> list[Path]:
    """Where the folders of the models are looked for that played: beside the episodes, one folder up, and here."""
    folders = [source if source.is_dir() else source.parent for source in sources]
    return [*folders, *(folder.absolute().parent for folder in folders), Path()]


def _check_free(path: Path, *, given: bool) -> None:
    """Refuse to write over anything but an older page of the viewer, or where nothing can be written."""
    if path.is_dir():
        raise ValueError(f"--out: {path} is a folder; name a file in it, such as {path / 'episodes.html'}")
    if path.exists():
        with path.open("rb") as file:
            if _MARK not in file.read(2_000):
                raise ValueError(f"{path} exists and is no page of this command; remove it, or give another --out")
    if not given and path.parent.is_dir() and not os.access(path.parent, os.W_OK):
        raise ValueError(f"nothing can be written into {path.parent}; say where by --out")
