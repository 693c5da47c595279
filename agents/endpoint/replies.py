"""What a server sent back, read: a reply, or which kind of failure."""

from __future__ import annotations

import email.utils
import math
import re
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import BaseModel, Field, ValidationError


@dataclass(frozen=True)
class Kind:
    """A kind of failure.

    Args:
        retries: how often at most such a call is repeated; ``None`` for as often as the endpoint allows.
        remedy: what its user can do.
        of_server: whether it concerns the server or the account, so that every other call would fail too.
    """

    retries: int | None
    remedy: str
    of_server: bool = False


KINDS = {
    "connection": Kind(None, "is the server running and its address right?", of_server=True),
    "timeout": Kind(None, "raise timeout=, or lower concurrency= or the length limit"),
    "rate_limit": Kind(None, "lower concurrency=, or raise longest_wait= or retries=", of_server=True),
    "server": Kind(None, "see the log of the server"),
    "malformed": Kind(None, "is this an OpenAI-compatible server, and its address right to the last /v1?"),
    "empty": Kind(2, "the model wrote no words; another temperature or prompt may help"),
    "truncated": Kind(2, "the length limit ended it before the first word; raise max_tokens="),
    "filtered": Kind(0, "the server's content filter or the model refused this dialogue"),
    "rejected": Kind(0, "the server does not take this request: too long, or a parameter it does not know"),
    "authentication": Kind(0, "set the key in the environment variable that api_key_env= names", of_server=True),
    "not_found": Kind(0, "is the model's name right, and the address to the last /v1?", of_server=True),
    "quota": Kind(0, "the account is used up", of_server=True),
}
"""Every kind of failure."""


@dataclass(frozen=True)
class Reply:
    """What a model answered.

    Args:
        text: its words, without what it thought aloud between ``<think>`` marks.
        raw: all it wrote.
        truncated: whether the length limit cut it.
        label: what was asked for.
        attempts: calls it took.
        prompt_tokens: as the server counts them, ``None`` where it did not say.
        completion_tokens: the same for what it wrote.
    """

    text: str
    raw: str = field(repr=False)
    truncated: bool
    label: str
    attempts: int
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True)
class Failure:
    """A request that was not answered.

    Args:
        kind: one of :data:`KINDS`.
        detail: what happened last, in words.
        label: what was asked for.
        attempts: calls made.
        status: HTTP status of the last response, ``None`` where none came.
        prompt_tokens: of the last call, where the server counted them all the same.
        completion_tokens: the same for what it wrote.
    """

    kind: str
    detail: str
    label: str
    attempts: int
    status: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Tokens(BaseModel):
    prompt_tokens: int | None = Field(default=None, ge=0)
    completion_tokens: int | None = Field(default=None, ge=0)


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: _Tokens | None = None


class _Headers(Protocol):
    def get(self, key: str) -> Any: ...


_THOUGHT = re.compile(r"\s*<think>.*?(</think>|\Z)", re.DOTALL)
_SHOWN = 200
_SHORTEST_KEY = 8


def read_reply(body: bytes, label: str, attempt: int, key: str) -> Reply | Failure:
    """A response of status 200.

    Args:
        body: all of it.
        label: what was asked for.
        attempt: which call of the request this is.
        key: taken out of the text, should the server echo it.
    """
    text = _without_key(body.decode("utf-8", "replace"), key)
    try:
        completion = _Completion.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        detail = f"{where}: {first['msg']}; it begins with {text[:_SHOWN]!r}"
        return Failure("malformed", detail, label, attempt, 200)
    choice = completion.choices[0]
    raw = choice.message.content or ""
    words = _THOUGHT.sub("", raw, count=1).strip()
    cut = choice.finish_reason == "length"
    tokens = completion.usage or _Tokens()
    counts = {"prompt_tokens": tokens.prompt_tokens, "completion_tokens": tokens.completion_tokens}
    if choice.finish_reason == "content_filter" or (choice.message.refusal and not words):
        detail = choice.message.refusal or "finish_reason is content_filter"
        return Failure("filtered", detail[:_SHOWN], label, attempt, 200, **counts)
    if not words:
        detail = f"no words among {len(raw)} characters, finish_reason {choice.finish_reason!r}"
        return Failure("truncated" if cut else "empty", detail, label, attempt, 200, **counts)
    return Reply(words, raw, cut, label, attempt, **counts)


def failure_of(error: Exception, label: str, attempt: int, key: str, timeout: float) -> tuple[Failure, float | None]:
    """What an exception of the client library means, and how many seconds the server asks to wait.

    Args:
        error: an ``openai.APIError`` or a ``TimeoutError``.
        label: what was asked for.
        attempt: which call of the request this is.
        key: taken out of the text, should the server echo it.
        timeout: seconds the call was given.
    """
    import openai

    if isinstance(error, TimeoutError | openai.APITimeoutError):
        return Failure("timeout", f"no complete response within {timeout:g} s", label, attempt), None
    if not isinstance(error, openai.APIStatusError):
        detail = f"{error}" if error.__cause__ is None else f"{type(error.__cause__).__name__}: {error.__cause__}"
        return Failure("connection", _without_key(detail, key)[:_SHOWN], label, attempt), None
    status = error.status_code
    code = str(error.code or "") + str(error.type or "")
    detail = f"status {status}: {_without_key(error.response.text, key)[:_SHOWN]}"
    return Failure(_kind(status, code), detail, label, attempt, status), asked_wait(error.response.headers)


def _kind(status: int, code: str) -> str:
    if status == 402 or (status == 429 and "quota" in code):
        return "quota"
    if "content_filter" in code:
        return "filtered"
    known = {401: "authentication", 403: "authentication", 404: "not_found", 429: "rate_limit", 408: "timeout"}
    if status in known:
        return known[status]
    return "server" if status >= 500 or status in (409, 425) else "rejected"


def asked_wait(headers: _Headers) -> float | None:
    """Seconds the server asks to wait (``Retry-After``, a number or a date); ``None`` where it does not."""
    given = headers.get("retry-after")
    if given is None:
        return None
    try:
        seconds = float(given)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(given).timestamp() - time.time()
        except ValueError:
            return None
    return None if math.isnan(seconds) else max(0.0, seconds)


def _without_key(text: str, key: str) -> str:
    # Servers that want no key get a word such as EMPTY, which a speaker may use.
    return text.replace(key, "[key]") if len(key) >= _SHORTEST_KEY else text
