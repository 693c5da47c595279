"""Games on a page, without a process of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sotopia_env.cli.common import in_mode
from sotopia_env.cli.games import games_of
from sotopia_env.cli.web.session import Session

NEEDED = "the page of play --web needs sotopia-env[web], and its tests httpx2"


class Pages:
    """The pages of some games; each request carries what a browser sends from them."""

    def __init__(self, session: Session) -> None:
        server = pytest.importorskip("sotopia_env.cli.web.server", reason=NEEDED)
        pytest.importorskip("httpx2", reason=NEEDED)
        from starlette.testclient import TestClient

        self.session = session
        self.at: dict[str, str] = server.links(session, 8000)
        app = server.app_of(session, self.at)
        self.client = TestClient(app, base_url="http://127.0.0.1:8000", headers={"Origin": "http://127.0.0.1:8000"})

    def state(self, viewer: str = "agent_0", until: str = "") -> dict[str, Any]:
        """What a page shows now; with ``until`` once the game has come so far, or it is one's turn."""
        since = -1
        while True:
            found = self.client.get(f"{self.at[viewer]}state", params={"since": since}).json()
            if not until or found["phase"] == until or (until == "turn" and (found["yours"] or found["stepping"])):
                return dict(found)
            since = found["version"]

    def act(self, kind: str, text: str = "", viewer: str = "agent_0") -> str | None:
        """Why one's turn was not taken; waits until it is one's turn."""
        move = self.state(viewer, until="turn")["move"]
        answer = self.client.post(f"{self.at[viewer]}act", json={"move": move, "kind": kind, "text": text})
        return answer.json()["problem"]

    def post(self, what: str, body: Any, viewer: str = "agent_0") -> Any:
        """The answer to a request."""
        return self.client.post(f"{self.at[viewer]}{what}", json=body)


@pytest.fixture
def seat_at() -> Iterator[Callable[..., Pages]]:
    """``seat_at("bargain", "scripted:firm")``: the pages of games that are begun."""
    with ExitStack() as opened:

        def make(
            tasks: str,
            *policies: str,
            seat: int = 0,
            out: Path | None = None,
            agreement: str | None = None,
            session: dict[str, Any] | None = None,
            **options: Any,
        ) -> Pages:
            games = games_of(tasks, in_mode(tasks, agreement), policies, seat, all_seats=True, **options)
            begun = Session(games, out=out, **(session or {}))
            opened.callback(begun.stop)
            begun.start()
            return Pages(begun)

        yield make
