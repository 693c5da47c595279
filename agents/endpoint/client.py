"""Calls of OpenAI-compatible servers: many in flight, retried, timed, ending in a reply or in a typed failure.

Whatever goes wrong is data (:class:`Failure`), so that a policy and a judge decide by themselves what it means for
them, and nothing that failed can pass for an answer. The retries are ours and not the client library's: each request
that goes out stands in the ledger.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args
from urllib.parse import urlsplit

import numpy as np

from sotopia_env.agents.endpoint.call_log import ANSWERED, Call, CallLog
from sotopia_env.agents.endpoint.dialect import Dialect, Form, tried_in_words
from sotopia_env.agents.endpoint.replies import KINDS, Failure, Reply, failure_of, read_reply
from sotopia_env.chat_encoding import Thinking
from sotopia_env.installing import install_command

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal
    from openai import AsyncOpenAI

__all__ = ["HOPELESS", "KINDS", "OPENAI_URL", "Endpoint", "EndpointError", "Failure", "Reply", "Request"]

OPENAI_URL = "https://api.openai.com/v1"
"""Where calls go if neither an argument nor the environment names a server."""

HOPELESS = ("authentication", "not_found", "quota")
"""Kinds of failure that every further call would meet."""

_LONGEST_BACKOFF = 60.0
_MODELS_TIMEOUT = 10.0
_MODELS_SHOWN = 8
_NO_KEY = "none"
"""Sent to servers that want no key, since the client library insists on one."""

_log = logging.getLogger(__name__)


class EndpointError(OSError):
    """A call that failed for good. Its message names the server, the model and what was asked, never the key.

    Args:
        message: all of it in words.
        failure: the failure itself.
    """

    def __init__(self, message: str, failure: Failure) -> None:
        super().__init__(message)
        self.failure = failure

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.failure)


@dataclass(frozen=True)
class Request:
    """A chat to be answered.

    Args:
        messages: ``{"role", "content"}`` each.
        label: what it is for, in the ledger and in errors.
        seed: of the server's sampling; ``None`` sends none.
        parameters: fields of this request's body, besides those of the endpoint.
    """

    messages: Sequence[Mapping[str, str]] = field(repr=False)
    label: str
    seed: int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass
class _Session:
    """One connection of the client library, and what its calls have in common.

    Args:
        client: of the library.
        key: see :func:`~sotopia_env.agents.endpoint.replies.read_reply`.
        slots: one for each call that may be in flight.
        told: the waits that were logged already, by kind and number: one line is enough for a whole batch.
        hopeless: the failure that every further call would meet, once there is one.
        batches: that wait for answers.
    """

    client: AsyncOpenAI
    key: str
    slots: asyncio.Semaphore
    told: set[tuple[str, int]] = field(default_factory=set)
    hopeless: list[Failure] = field(default_factory=list)
    batches: set[asyncio.Task[Any]] = field(default_factory=set)

    async def close(self) -> None:
        """Cancel what is in flight, and close the connection."""
        for batch in self.batches:
            batch.cancel()
        await asyncio.gather(*self.batches, return_exceptions=True)
        await self.client.close()


class Endpoint:
    """One model on one OpenAI-compatible server. Synchronous, also where an event loop is running already.

    The key is read from the environment when a call goes out, and is kept nowhere. It is taken out of everything the
    server says, should a server echo it.

    Args:
        model: the model's name on the server.
        base_url: such as ``http://127.0.0.1:8000/v1``; by default ``OPENAI_BASE_URL``, then OpenAI's own.
        api_key_env: the environment variable with the key. A server elsewhere than OpenAI's may do without.
        parameters: further fields of the request's body, such as ``temperature`` or ``max_tokens``; those that are
            ``None`` are left out.
        concurrency: how many calls are in flight at once.
        timeout: seconds one call may take, from the first byte to the last.
        retries: how often a request is repeated after a failure that may pass.
        first_wait: seconds before the first repetition; each further wait is twice as long, up to a minute.
        longest_wait: if a server asks (``Retry-After``) for more seconds than this, the request is given up.
        ledger: a file that takes a line of JSON for each call, or a ledger shared with others.
        thinking: ``"off"`` or ``"on"`` tells the server's chat template whether the model is to think before it speaks
            (``chat_template_kwargs``); ``None`` leaves it to the server.
        offline: it will not be called, so that neither key nor library is needed.

    Raises:
        ModuleNotFoundError: the ``openai`` library is not installed.
        ValueError: the address is none, or holds credentials, or OpenAI's server is called without a key.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        *,
        api_key_env: str = "OPENAI_API_KEY",
        parameters: Mapping[str, Any] | None = None,
        concurrency: int = 64,
        timeout: float = 120.0,
        retries: int = 8,
        first_wait: float = 1.0,
        longest_wait: float = 300.0,
        ledger: CallLog | str | Path | None = None,
        thinking: Thinking | None = None,
        offline: bool = False,
    ) -> None:
        if not offline:
            _require_openai()
        if not model:
            raise ValueError("the model has no name; give one, such as openai:MODEL")
        if concurrency < 1 or timeout <= 0 or retries < 0 or first_wait < 0:
            raise ValueError(
                f"concurrency ({concurrency}) must be 1 or more, timeout ({timeout}) above 0, "
                f"retries ({retries}) and first_wait ({first_wait}) 0 or more"
            )
        self.model = model
        self.base_url = _checked_url(base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL)
        self.api_key_env = api_key_env
        self.parameters = {name: value for name, value in (parameters or {}).items() if value is not None}
        if thinking is not None:
            self.parameters["chat_template_kwargs"] = {
                **self._told_of_thinking(thinking),
                **self.parameters.get("chat_template_kwargs", {}),
            }
        self.concurrency = concurrency
        self.timeout = timeout
        self.retries = retries
        self.first_wait = first_wait
        self.longest_wait = longest_wait
        self.ledger = ledger if isinstance(ledger, CallLog) else CallLog(ledger)
        self.dialect = Dialect(opens_thoughts=thinking == "on")
        self._models: tuple[str, ...] | None = None
        self._session: tuple[BlockingPortal, _Session] | None = None
        self._last_response = 0.0
        # Only spreads repetitions over time; nothing that is recorded depends on it.
        self._jitter = np.random.default_rng(0)
        if not offline:
            self._key()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model!r}, {self.base_url!r})"

    def _told_of_thinking(self, thinking: Thinking) -> dict[str, bool]:
        if thinking not in get_args(Thinking):
            raise ValueError(f"thinking is {thinking!r}; it must be 'off' or 'on'")
        if self.base_url == OPENAI_URL:
            raise ValueError(
                "thinking: OpenAI's server has no chat template; give parameters={'reasoning_effort': ...}"
            )
        return dict.fromkeys(("enable_thinking", "thinking"), thinking == "on")

    def complete(
        self, requests: Sequence[Request], answered: Callable[[int, Reply | Failure], Request | None] | None = None
    ) -> list[Reply | Failure]:
        """Answer many requests side by side.

        Args:
            requests: B requests.
            answered: called with the position of a request and what came of it, as soon as that is known, in a thread
                of its own: whoever keeps replies then loses none when a batch is interrupted. A further request
                that it returns is answered right away, in the place of this one, and ``answered`` is called again.

        Returns:
            B replies or failures, in the same order; those of further requests ``answered`` alone sees. Ctrl-C cancels
            what is in flight.
        """
        if not requests:
            return []
        if self._session is not None:
            portal, session = self._session
            return portal.call(self._complete, session, requests, answered)
        # A loop in a thread of its own for each batch: it works inside a running loop (Jupyter), nothing is left
        # behind after forks and interrupts, and it costs about 25 ms.
        with self.opened():
            return self.complete(requests, answered)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Keep one connection for all calls within, which may come from several threads at once.

        ``concurrency`` is then the limit of all of them together, and after a failure that every further call would
        meet none goes out. On the way out what is still in flight is cancelled.
        """
        import openai
        from anyio.from_thread import start_blocking_portal

        key = self._key()
        with start_blocking_portal() as portal:
            client = openai.AsyncOpenAI(
                api_key=key or _NO_KEY, base_url=self.base_url, max_retries=0, timeout=self.timeout
            )
            session = _Session(client, key, asyncio.Semaphore(self.concurrency))
            self._session = portal, session
            try:
                yield
            finally:
                self._session = None
                portal.call(session.close)

    def error(self, failure: Failure) -> EndpointError:
        """The exception for a failure."""
        calls = "1 call" if failure.attempts == 1 else f"{failure.attempts} calls"
        what = f"{failure.label}: {failure.kind} after {calls} of {self.model} at {self.base_url}: {failure.detail}"
        return EndpointError(f"{what} ({failure.remedy or KINDS[failure.kind].remedy})", failure)

    def _key(self) -> str:
        # A file's last line break often comes along with its key.
        key = os.environ.get(self.api_key_env, "").strip()
        if not (key.isascii() and key.isprintable()):
            # Libraries would write what they cannot send into their errors.
            raise ValueError(f"{self.api_key_env} holds characters that no key has; set it anew")
        if not key and self.base_url == OPENAI_URL:
            raise ValueError(
                f"{self.api_key_env} is not set, and {OPENAI_URL} wants a key; set it, or name another server "
                "(openai:MODEL@http://127.0.0.1:8000/v1, base_url=..., or OPENAI_BASE_URL)"
            )
        return key

    async def _complete(
        self,
        session: _Session,
        requests: Sequence[Request],
        answered: Callable[[int, Reply | Failure], Request | None] | None,
    ) -> list[Reply | Failure]:
        async def ask(request: Request) -> Reply | Failure:
            if session.hopeless:
                self.ledger.give_up()
                return session.hopeless[0]
            outcome = await self._answer(session, request)
            if isinstance(outcome, Failure) and (outcome.kind in HOPELESS or outcome.gone):
                session.hopeless.append(outcome)
            return outcome

        async def answer(position: int) -> Reply | Failure:
            async with session.slots:
                outcome = await ask(requests[position])
                further = None if answered is None else answered(position, outcome)
                while answered is not None and further is not None:
                    further = answered(position, await ask(further))
            return outcome

        batch = asyncio.current_task()
        assert batch is not None
        session.batches.add(batch)
        try:
            return await asyncio.gather(*map(answer, range(len(requests))))
        finally:
            session.batches.discard(batch)

    async def _answer(self, session: _Session, request: Request) -> Reply | Failure:
        """Ask until there is an answer or no hope. A call that waits keeps its slot, which slows the others down."""
        began, unusable, failed = time.monotonic(), 0, 0
        form, usual = self.dialect.form, None
        tried = [form]
        body = {**self.parameters, **request.parameters}
        for attempt in itertools.count(1):
            # A reply without words came of its seed: the same seed might give it again.
            seed = {} if request.seed is None else {"seed": (request.seed + unusable) % 2**31}
            answer, asked_wait = await self._call(session, request, attempt, form, {**body, **seed})
            if isinstance(answer, Reply):
                self.dialect.learn(form, body)
                self.dialect.opens_thoughts |= answer.begins_inside
                return answer
            outcome = answer
            another = self.dialect.another(outcome, tried, request.messages, body, again=failed > 0)
            if another is not None:
                form, usual = another, usual or outcome
                tried.append(form)
                continue
            if usual is not None:
                detail = f"{usual.detail} (and in another form: {outcome.detail})"
                form, outcome, usual = tried[0], replace(usual, attempts=attempt, detail=detail), None
            failed += 1
            outcome = await self._with_models(session.client, outcome)
            limit = KINDS[outcome.kind].retries
            unusable += outcome.kind in ("empty", "truncated")
            if failed > self.retries or (limit is not None and failed > limit):
                break
            if asked_wait is not None and asked_wait > self.longest_wait:
                break
            wait = self._wait(failed, asked_wait)
            level = logging.INFO if (outcome.kind, failed) in session.told else logging.WARNING
            session.told.add((outcome.kind, failed))
            _log.log(level, "%s: %s (%s); again in %.1f s", request.label, outcome.kind, outcome.detail, wait)
            await asyncio.sleep(wait)
        self.ledger.give_up()
        gone = outcome.kind == "connection" and self._last_response < began
        return replace(outcome, detail=outcome.detail + tried_in_words(tried), gone=gone)

    async def _call(
        self, session: _Session, request: Request, attempt: int, form: Form, body: Mapping[str, Any]
    ) -> tuple[Reply | Failure, float | None]:
        """One call: what came of it, and how many seconds the server asks to wait."""
        import openai

        started = time.monotonic()
        outcome: Reply | Failure | None = None
        asked_wait = None
        try:
            # The client's own time-out begins anew with every byte that arrives.
            async with asyncio.timeout(self.timeout):
                response = await self._send(session.client, request, form, body)
            outcome = self._read(response.http_response.content, request.label, attempt, session.key)
        except (openai.APIError, TimeoutError) as error:
            outcome, asked_wait = failure_of(error, request.label, attempt, session.key, self.timeout)
        finally:
            self._record(request, attempt, outcome, time.monotonic() - started)
        if not (isinstance(outcome, Failure) and outcome.status is None):
            self._last_response = time.monotonic()
        return outcome, asked_wait

    async def _send(self, client: AsyncOpenAI, request: Request, form: Form, body: Mapping[str, Any]) -> Any:
        """Send one request, and return the library's raw response."""
        chat: Any = form.messages(request.messages)
        return await client.chat.completions.with_raw_response.create(
            model=self.model, messages=chat, extra_body=form.body(body)
        )

    def _read(self, body: bytes, label: str, attempt: int, key: str) -> Reply | Failure:
        """What a response of status 200 says."""
        return read_reply(body, label, attempt, key, self.dialect.opens_thoughts)

    async def _with_models(self, client: AsyncOpenAI, failure: Failure) -> Failure:
        """A failure that may come of a wrong name, with the names that the server knows.

        Some servers answer a wrong name with 404, others with 500; who answered before knows the name.
        """
        import openai

        if failure.status != 404 and (failure.status != 500 or self.ledger.usage.replies):
            return failure
        if self._models is None:
            try:
                listed = await client.models.list(timeout=_MODELS_TIMEOUT)
                self._models = tuple(str(model.id) for model in listed.data or ())
            except (openai.OpenAIError, ValueError, TypeError, AttributeError):
                self._models = ()
        known = [name for name in self._models if name.partition("@")[0] == self.model.partition("@")[0]]
        if known or not self._models:
            return failure
        names = ", ".join(self._models[:_MODELS_SHOWN]) + (", ..." if len(self._models) > _MODELS_SHOWN else "")
        return replace(failure, kind="not_found", detail=f"{failure.detail}; the models there are: {names}")

    def _record(self, request: Request, attempt: int, outcome: Reply | Failure | None, seconds: float) -> None:
        if outcome is None:
            call = Call(request.label, attempt, "cancelled", None, None, None, seconds)
        else:
            name, status = (ANSWERED, 200) if isinstance(outcome, Reply) else (outcome.kind, outcome.status)
            tokens = (outcome.prompt_tokens, outcome.completion_tokens)
            call = Call(request.label, attempt, name, status, *tokens, seconds)
        self.ledger.record(call, truncated=isinstance(outcome, Reply) and outcome.truncated)

    def _wait(self, attempt: int, asked: float | None) -> float:
        """Seconds until the next call, spread so that calls which failed together do not come back together."""
        if asked is not None:
            return float(asked + self.first_wait * self._jitter.random())
        backoff = min(self.first_wait * 2.0 ** min(attempt - 1, 30), _LONGEST_BACKOFF)
        return float(backoff * (0.75 + 0.25 * self._jitter.random()))


def _require_openai() -> None:
    try:
        import openai  # noqa: F401
    except ModuleNotFoundError as error:
        missing = f"endpoints are called through the openai library: {install_command('openai')}"
        raise ModuleNotFoundError(missing, name="openai") from error


def _checked_url(url: str) -> str:
    """An address without credentials: it stands in errors, ledgers and manifests."""
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError(
            f"the address of the server at {parts.hostname} holds credentials or a query; give the bare address, "
            "and the key in an environment variable (api_key_env=)"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no address of a server; give one such as http://127.0.0.1:8000/v1")
    return url.rstrip("/")
