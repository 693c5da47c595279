"""``play --web``: from the games to links in the terminal, until Ctrl-C."""

from __future__ import annotations

import traceback
import webbrowser
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from sotopia_env.cli.common import clear_errors, print_json
from sotopia_env.cli.exit_codes import INTERRUPTED
from sotopia_env.cli.games import Games
from sotopia_env.cli.web.server import links, listen, serve
from sotopia_env.cli.web.session import WATCHER, Session
from sotopia_env.episodes import Episode


def play_on_page(
    games: Games,
    console: Console,
    *,
    out: Path | None = None,
    judge: Any = None,
    port: int | None = None,
    open_page: bool = False,
    as_json: bool = False,
) -> None:
    """Serve games on pages of this machine until Ctrl-C.

    Args:
        games: what is played.
        console: where links are printed.
        out: see :class:`Session`.
        judge: see :class:`Session`.
        port: of the page; one that is free by default.
        open_page: whether the browser is to open each link.
        as_json: whether the verdict on each game is printed on stdout.

    Raises:
        typer.Exit: with 130 where a game was broken off.
    """

    def on_end(episode: Episode) -> None:
        if out is not None:
            console.print(Text(f"Episode {episode.key} is in {out}"), soft_wrap=True)
        if as_json:
            print_json({"episode": episode.key, "judgement": asdict(episode.judgements[-1])})

    def on_error(error: Exception) -> None:
        try:
            with clear_errors():
                raise error
        except typer.Exit:
            # It was told in one line; on the page one may try again.
            pass
        except Exception:  # noqa: BLE001
            traceback.print_exc()

    with listen(port) as listening:
        session = Session(games, out=out, judge=judge, on_end=on_end, on_error=on_error)
        try:
            session.start()
            at = links(session, listening.getsockname()[1])
            for viewer, link in at.items():
                told = "Watch it" if viewer == WATCHER else f"Play {viewer}"
                console.print(Text(f"{told}: {link}"), soft_wrap=True)
            console.print("Ctrl-C ends it.")
            for link in at.values() if open_page else ():
                webbrowser.open(link)
            serve(session, listening, at)
        except KeyboardInterrupt:
            # The usual end: what was broken off is said below.
            pass
        finally:
            session.stop()
    if session.broken_off:
        kept = session.unfinished
        where = "nothing of this game was saved" if kept is None else f"this game so far is in {kept}"
        console.print(Text(f"interrupted: {where}"), soft_wrap=True)
        raise typer.Exit(INTERRUPTED)
