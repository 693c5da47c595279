"""Make docs/images/play.png anew: a bargain on the page of ``play --web``, in Chromium.

Usage: python tests/play_screenshot.py
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
from pathlib import Path

import uvicorn
from conftest import Chromium

from sotopia_env.cli.games import games_of
from sotopia_env.cli.web.server import app_of, links, listen
from sotopia_env.cli.web.session import Session

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "play.png"
SAID = (
    ("speak", "Good morning! May I ask why you sell it?"),
    ("offer", "$70. It would go to a good home."),
)


def main() -> None:
    """Play a few turns and take the picture."""
    program = shutil.which("chromium") or sys.exit("chromium is not installed")
    games = games_of("bargain:test", "bargain:test?agreement=formal", ["scripted:warm"], 0, seed=5, all_seats=True)
    session = Session(games)
    session.start()
    with listen(None) as listening, tempfile.TemporaryDirectory() as home:
        at = links(session, listening.getsockname()[1])
        server = uvicorn.Server(uvicorn.Config(app_of(session, at, lambda: server.should_exit), log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        browser = Chromium(program, Path(home))
        tab = browser.tab()
        tab.open(at["agent_0"], width=1000, height=640)
        for kind, text in SAID:
            tab.value(f"take({kind!r}, {text!r})")
            tab.wait(f"state.yours && state.turns.some((turn) => turn.text.endsWith({text!r}))")
        PICTURE.parent.mkdir(exist_ok=True)
        tab.shot(PICTURE)
        browser.close()
        server.should_exit = True
        thread.join()


if __name__ == "__main__":
    main()
