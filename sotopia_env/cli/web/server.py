"""The server of the page on which one plays: on this machine alone, for who has a link, and for no other page.

Whoever plays gets a link with a token that nobody can guess; it stands in every request, so that two seats may be
played in one browser, and nothing is kept in it. Requests that name another host (a name that was pointed here), that
come from another page, or that are too long, are refused. The page may load nothing but what this server sends.
"""

from __future__ import annotations

import errno
import secrets
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import cache

import anyio
import uvicorn
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sotopia_env.actions import MAX_UTTERANCE
from sotopia_env.cli.web.session import Act, Session
from sotopia_env.training.pages import digest, page, source

ADDRESS = "127.0.0.1"

MAX_BODY = 16 * MAX_UTTERANCE
"""Longest body of a request, in bytes: the longest text, each of its characters written as an escape of JSON."""

_PATIENCE = 20.0
"""So long a request for news is held open, in seconds."""

_LOOKING = 0.05
"""Between two looks at whether there is any, in seconds."""


class _Sent(BaseModel):
    """What a page sends."""

    model_config = ConfigDict(extra="forbid", strict=True)


class _Turn(_Sent):
    move: str
    kind: Act
    text: str = ""


class _Step(_Sent):
    to_the_end: bool


def links(session: Session, port: int) -> dict[str, str]:
    """A link with a new token for each who plays or watches.

    Args:
        session: the games.
        port: of the server.
    """
    return {viewer: f"http://{ADDRESS}:{port}/{secrets.token_urlsafe(24)}/" for viewer in session.viewers}


def listen(port: int | None) -> socket.socket:
    """A socket on this machine's own address.

    Args:
        port: ``None`` takes one that is free.

    Raises:
        OSError: the port cannot be had; the error says what to do.
    """
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((ADDRESS, port or 0))
        found.listen()
    except OSError as error:
        found.close()
        why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be had ({error.strerror})"
        raise OSError(error.errno, f"--port {port} {why}; give another one, or none for one that is free") from None
    return found


def serve(session: Session, listening: socket.socket, at: Mapping[str, str]) -> None:
    """Serve the pages until the command is ended; the session is then stopped.

    Args:
        session: the games, begun.
        listening: from :func:`listen`.
        at: from :func:`links`.

    Raises:
        KeyboardInterrupt: Ctrl-C ended it.
    """
    app = app_of(session, at, lambda: server.should_exit)
    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    server.run(sockets=[listening])


def app_of(session: Session, at: Mapping[str, str], ending: Callable[[], bool] = lambda: False) -> ASGIApp:
    """The application.

    Args:
        session: the games, begun.
        at: from :func:`links`.
        ending: whether the server is to end, so that no request is held open.
    """
    viewers = {link.rsplit("/", 2)[1]: viewer for viewer, link in at.items()}
    origin = next(iter(at.values())).rsplit("/", 2)[0]

    def viewer_of(request: Request) -> str | None:
        given = request.path_params["token"].encode()
        # Every token is looked at, so that the time it takes tells nothing.
        found = [viewer for token, viewer in viewers.items() if secrets.compare_digest(token.encode(), given)]
        return found[0] if found else None

    def known(answer: Callable[[str, Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            viewer = viewer_of(request)
            if viewer is None:
                return _refused(403, "this link is of no game; take the one that the command prints")
            return await answer(viewer, request)

        return endpoint

    async def shell(viewer: str, request: Request) -> Response:
        return HTMLResponse(_page())

    async def state(viewer: str, request: Request) -> Response:
        since, deadline = request.query_params.get("since"), time.monotonic() + _PATIENCE
        while str(session.version) == since and not ending() and time.monotonic() < deadline:
            await anyio.sleep(_LOOKING)
        return JSONResponse(session.seen(viewer))

    async def act(viewer: str, request: Request) -> Response:
        turn = _Turn.model_validate_json(await _body(request))
        return JSONResponse({"problem": session.act(viewer, turn.move, turn.kind, turn.text)})

    async def step(viewer: str, request: Request) -> Response:
        session.step(to_the_end=_Step.model_validate_json(await _body(request)).to_the_end)
        return JSONResponse({})

    async def again(viewer: str, request: Request) -> Response:
        session.again(viewer)
        return JSONResponse({})

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        # Also where a signal is about to end the process.
        session.stop()

    app = Starlette(
        routes=[
            Route("/{token}/", known(shell)),
            Route("/{token}/state", known(state)),
            Route("/{token}/act", known(act), methods=["POST"]),
            Route("/{token}/again", known(again), methods=["POST"]),
            Route("/{token}/step", known(step), methods=["POST"]),
        ],
        exception_handlers={ValidationError: _unread, _TooLongError: _too_long},
        lifespan=lifespan,
    )
    return _Guard(app, origin)


class _TooLongError(Exception):
    """A body that is too long to be read."""


async def _body(request: Request) -> bytes:
    found = bytearray()
    async for part in request.stream():
        found += part
        if len(found) > MAX_BODY:
            raise _TooLongError
    return bytes(found)


def _refused(status: int, why: str) -> Response:
    return PlainTextResponse(f"{why}\n", status)


async def _unread(request: Request, error: Exception) -> Response:
    return _refused(400, "this is no request of the page")


async def _too_long(request: Request, error: Exception) -> Response:
    return _refused(413, f"at most {MAX_BODY} bytes are read")


class _Guard:
    """Refuses requests that name another host or come from another page, and tells the browser what a page may do.

    Args:
        app: answers the others.
        origin: of the page: ``http://127.0.0.1:PORT``.
    """

    def __init__(self, app: ASGIApp, origin: str) -> None:
        self._app, self._origin = app, origin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_headers()]
            await send(message)

        given = Headers(scope=scope)
        origin = given.get("origin")
        app = self._app
        if given.get("host") != self._origin.removeprefix("http://"):
            app = _refused(403, f"this server answers at {self._origin} alone")
        elif origin != self._origin and (origin is not None or scope["method"] not in ("GET", "HEAD")):
            app = _refused(403, "only the page of this server may ask it")
        await app(scope, receive, send_guarded)


@cache
def _page() -> str:
    return page("play.html.j2", title="Playing", subtitle="", sections={})


@cache
def _headers() -> list[tuple[bytes, bytes]]:
    style, script = digest(source("style.css") + source("play.css")), digest(source("play.js"))
    allowed = (
        f"default-src 'none'; style-src '{style}'; script-src '{script}'; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )
    told = {
        "content-security-policy": allowed,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }
    return [(name.encode(), value.encode()) for name, value in told.items()]
