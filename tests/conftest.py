"""Settings of all tests, and a chat server that fails on order."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import settings

# Machines are shared: how long an example takes says nothing of the code.
settings.register_profile("default", deadline=None)
settings.load_profile("default")


def chat_completion(content: str | None, finish_reason: str = "stop", **message: Any) -> dict[str, Any]:
    """What an OpenAI-compatible server answers; 7 tokens read and 3 written."""
    choice = {
        "index": 0,
        "finish_reason": finish_reason,
        "message": {"role": "assistant", "content": content, **message},
    }
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}


@dataclass
class Served:
    """One response: ``body`` as JSON or as it is, sent after ``delay`` seconds, or the connection reset."""

    body: Any = field(default_factory=lambda: chat_completion("I could do $100."))
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    reset: bool = False
    cut: int | None = None
    drip: float = 0.0


class ChatServer(ThreadingHTTPServer):
    """Gives the responses of ``script`` in order, then those of ``otherwise``; writes down every request."""

    completion = staticmethod(chat_completion)
    response = Served
    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        self.script: deque[Served] = deque()
        self.otherwise: Callable[[dict[str, Any]], Served] = lambda request: Served()
        self.requests: list[dict[str, Any]] = []
        self.arrivals: list[float] = []
        self.authorizations: set[str | None] = set()
        self.gate: threading.Barrier | None = None
        self.lock = threading.Lock()
        self.in_flight = self.most_in_flight = 0
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/v1"

    def will(self, **response: Any) -> None:
        """The response to one more request, as the fields of :class:`Served`."""
        self.script.append(Served(**response))

    def always(self, **response: Any) -> None:
        """The response to every request that the script does not reach."""
        self.otherwise = lambda request: Served(**response)

    def answer(self, write: Callable[[dict[str, Any]], str]) -> None:
        """Every request that the script does not reach is answered in words that follow from it."""
        self.otherwise = lambda request: Served(chat_completion(write(request)))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ChatServer

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            server.requests.append({"path": self.path, **request})
            server.arrivals.append(time.monotonic())
            server.authorizations.add(self.headers["Authorization"])
            server.in_flight += 1
            server.most_in_flight = max(server.most_in_flight, server.in_flight)
            served = server.script.popleft() if server.script else server.otherwise(request)
        try:
            if server.gate is not None:
                server.gate.wait(timeout=30)
            time.sleep(served.delay)
        finally:
            with server.lock:
                server.in_flight -= 1
        self._send(served)

    def _send(self, served: Served) -> None:
        if served.reset:
            # Without lingering, closing a socket sends a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return
        body = served.body if isinstance(served.body, bytes) else json.dumps(served.body).encode()
        self.send_response(served.status)
        for name, value in {"Content-Type": "application/json", **served.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if served.drip:
            for i in range(len(body)):
                self.wfile.write(body[i : i + 1])
                time.sleep(served.drip)
        self.wfile.write(body[: served.cut])
        if served.cut is not None:
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """The server's own list of requests is enough."""


@pytest.fixture
def chat_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    """A chat server on this machine; nothing of the caller's environment decides what is called."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    server = ChatServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
