"""Settings of all tests, a chat server that fails on order, and a real one."""

from __future__ import annotations

import base64
import itertools
import json
import os
import random
import select
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
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
        self.models: list[str] = []
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

    def fail_in(
        self,
        share: float,
        write: Callable[[dict[str, Any]], str],
        *,
        wrong_schema: str,
        out_of_range: Callable[[str], str],
        patience: float | None,
        delay: float = 0.0,
        seed: int = 0,
    ) -> list[float]:
        """Fail in so many calls, in ten ways in turn, and answer the others in words that follow from the request.

        ``patience`` is what the client waits for a reply; with ``None`` the server itself says that time is up, so that
        nothing depends on how busy the machine is. Returns a list that takes the seconds each call imposes.
        """
        rng, turn = random.Random(seed), itertools.count()
        imposed: list[float] = []

        def serve(request: dict[str, Any]) -> Served:
            said = write(request)
            good = chat_completion(said)
            faults: list[dict[str, Any]] = [
                {"status": 500},
                {"status": 429, "headers": {"Retry-After": "0.05"}},
                {"reset": True},
                {"status": 408} if patience is None else {"delay": 2 * patience},
                {"body": json.dumps(good)[:50].encode()},
                {"body": chat_completion(said[: len(said) // 2], "length")},
                {"body": chat_completion(wrong_schema)},
                {"body": chat_completion("All did well: 0 points off, 10 of 10.")},
                {"body": chat_completion(out_of_range(said))},
                {"body": chat_completion("")},
            ]
            fault = faults[next(turn) % len(faults)] if rng.random() < share else {"body": good}
            response = {"delay": delay, **fault}
            imposed.append(min(response["delay"], patience or 0.0) + (0.05 if "headers" in response else 0.0))
            return Served(**response)

        self.otherwise = serve
        return imposed

    def arrived(self, calls: int) -> int:
        """How many requests came, once as many did or 20 s have passed.

        On a busy machine a client may give up before its request is read.
        """
        deadline = time.monotonic() + 20
        while len(self.requests) < calls and time.monotonic() < deadline:
            time.sleep(0.02)
        return len(self.requests)

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

    def do_GET(self) -> None:
        self._send(Served({"object": "list", "data": [{"id": name} for name in self.server.models]}))

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


# --- a real server ------------------------------------------------------------------------------------------------


@pytest.fixture
def serve_smollm2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], AbstractContextManager[tuple[Path, str]]]:
    """``with serve_smollm2() as (model, url)``: SmolLM2 behind ``transformers serve``, without a network.

    The model is a folder, which is also its name on the server.
    """
    source = os.environ.get("SOTOPIA_ENV_SMOLLM2")
    if not source:
        pytest.skip("SOTOPIA_ENV_SMOLLM2 names no directory with SmolLM2-135M-Instruct as GGUF")
    pytest.importorskip("fastapi", reason="transformers serve needs transformers[serving]")
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)

    @contextmanager
    def serve() -> Iterator[tuple[Path, str]]:
        model = tmp_path / "smollm2"
        _save_smollm2(source, model)
        with _served(model, tmp_path / "home") as url:
            yield model, url

    return serve


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def _served(directory: Path, home: Path) -> Iterator[str]:
    """``transformers serve`` with one model, without a network."""
    port = _free_port()
    (home / "hub").mkdir(parents=True)
    environment = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [str(Path(sys.executable).with_name("transformers")), "serve", "--host", "127.0.0.1"]
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--port", str(port), "--device", "cpu", str(directory)], env=environment, stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + 300
        while server.poll() is None and time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.5)
        else:
            pytest.fail(f"the server did not start: {(home / 'log').read_text()[-2000:]}")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(timeout=30)


def _save_smollm2(source: str, directory: Path) -> None:
    """The weights of a GGUF file as an ordinary directory."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from sotopia_env.agents.loading import load_model

    loaded = load_model(source, device="cpu")
    settings = loaded.model.config.to_dict()
    settings.pop("quantization_config", None)
    config = AutoConfig.for_model(settings.pop("model_type"), **settings)
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    plain.load_state_dict(loaded.model.state_dict())
    # The server samples only where the model's own settings do; a temperature alone changes nothing.
    plain.generation_config.do_sample = True
    plain.save_pretrained(directory)
    loaded.tokenizer.save_pretrained(directory)


# --- a browser ----------------------------------------------------------------------------------------------------

PATIENCE = 60
"""Seconds that a page, or the browser, may take."""


class Chromium:
    """A browser without a window, driven through its pipe: no library is needed for it."""

    def __init__(self, program: str, home: Path) -> None:
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
        command = [program, *options, "--remote-debugging-pipe", f"--user-data-dir={home}", "about:blank"]
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{to_browser} 4>&{from_browser}', "bash", *command],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._left = b""
        self._numbers = itertools.count(1)
        self._tabs: dict[str, Tab] = {}

    def tab(self) -> Tab:
        """One more tab, empty."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._tabs[session] = Tab(self, session)
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable", session)
        return self._tabs[session]

    def send(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """The result of one command of the DevTools protocol."""
        message = {"id": next(self._numbers), "method": method, "params": params}
        os.write(self._write, json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == message["id"]:
                assert "error" not in answer, answer
                return dict(answer["result"])
            if answer.get("sessionId") in self._tabs:
                self._tabs[answer["sessionId"]].take_down(answer)

    def close(self) -> None:
        """End it; whether it answers before it ends is its own affair."""
        os.write(self._write, json.dumps({"id": next(self._numbers), "method": "Browser.close"}).encode() + b"\0")
        self._process.wait(timeout=PATIENCE)
        os.close(self._write)
        os.close(self._read)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._left:
            assert select.select([self._read], [], [], PATIENCE)[0], "the browser does not answer"
            part = os.read(self._read, 65_536)
            assert part, "the browser has ended"
            self._left += part
        message, self._left = self._left.split(b"\0", 1)
        return dict(json.loads(message))


class Tab:
    """One tab. ``asked`` lists every address it was to load, ``faults`` what went wrong on the page."""

    def __init__(self, browser: Chromium, session: str) -> None:
        self._browser, self._session = browser, session
        self.asked: list[str] = []
        self.faults: list[str] = []

    def open(self, url: str, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Load a page anew, and wait until it says that it is ready."""
        self.asked.clear()
        self.faults.clear()
        self._send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setEmulatedMedia", features=[scheme])
        self._send("Page.navigate", url="about:blank")
        self._send("Page.navigate", url=url)
        self.wait("document.documentElement?.dataset.ready !== undefined")

    def value(self, expression: str) -> Any:
        """What an expression is on the page; a promise is awaited."""
        found = self._send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, expression: str) -> None:
        """Wait until an expression is true."""
        deadline = time.monotonic() + PATIENCE
        while not self.value(expression):
            assert time.monotonic() < deadline, (expression, self.faults, self.value("document.body.innerText"))
            time.sleep(0.02)

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self._send("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Press and let go a key."""
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        self._send("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self._send("Input.dispatchKeyEvent", type="keyUp", key=key)

    def shot(self, path: Path) -> None:
        """Write what is seen as PNG."""
        path.write_bytes(base64.b64decode(self._send("Page.captureScreenshot", format="png")["data"]))

    def take_down(self, event: dict[str, Any]) -> None:
        """Note what the page asks for, and what goes wrong on it."""
        params = event.get("params", {})
        if event.get("method") == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])
        if event.get("method") == "Runtime.exceptionThrown":
            self.faults.append(json.dumps(params["exceptionDetails"]))
        if event.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.faults.append(params["entry"]["text"])

    def _send(self, method: str, **params: Any) -> dict[str, Any]:
        return self._browser.send(method, self._session, **params)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """Chromium; ``chromium.tab()`` opens a tab."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("there is no chromium to open pages with")
    found = Chromium(program, tmp_path_factory.mktemp("browser"))
    yield found
    found.close()
