"""What a server sent back, read: a reply, or which kind of failure."""

from __future__ import annotations

import email.utils
import math
import time
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from sotopia_env.thoughts import begins_inside, holds_mark, without_thoughts


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
    "connection": Kind(5, "is the server running and its address right?", of_server=True),
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
        text: its words, without what it thought aloud.
        raw: all it wrote; thoughts that the server sent apart stand before it, between ``<think>`` marks.
        truncated: whether the length limit cut it.
        label: what was asked for.
        attempts: calls it took.
        prompt_tokens: as the server counts them, ``None`` where it did not say.
        completion_tokens: the same for what it wrote.
        begins_inside: whether it goes on with thoughts that the server's chat template had begun.
    """

    text: str
    raw: str = field(repr=False)
    truncated: bool
    label: str
    attempts: int
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    begins_inside: bool = field(default=False, repr=False)


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
        remedy: what its user can do, where that is not the remedy of its kind.
        gone: whether the server answered nothing at all meanwhile, so that it will not answer others either.
    """

    kind: str
    detail: str
    label: str
    attempts: int
    status: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    remedy: str | None = None
    gone: bool = False


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _count_or_none(value: Any) -> int | None:
    whole = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53 and value % 1 == 0
    return int(value) if whole else None


def _usage(value: Any) -> Any:
    return value if isinstance(value, dict) else {}


# Only the words decide: whatever else is odd in a reply counts as not said.
_Text = Annotated[str | None, BeforeValidator(_text_or_none)]
_Count = Annotated[int | None, BeforeValidator(_count_or_none)]


class _Message(BaseModel):
    content: str | list[Any] | None = None
    refusal: _Text = None
    reasoning_content: _Text = None
    reasoning: _Text = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: _Text = None


class _Tokens(BaseModel):
    prompt_tokens: _Count = None
    completion_tokens: _Count = None


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: Annotated[_Tokens, BeforeValidator(_usage)] = _Tokens()


class _Headers(Protocol):
    def get(self, key: str) -> Any: ...


_SHOWN = 400
_THOUGHT_ALONE = (
    "it thought and did not speak; raise max_tokens=, or have it speak at once (openai:MODEL@URL?thinking=off)"
)
_SHORTEST_KEY = 8


def read_reply(body: bytes, label: str, attempt: int, key: str, opened: bool = False) -> Reply | Failure:
    """A response of status 200.

    Args:
        body: all of it.
        label: what was asked for.
        attempt: which call of the request this is.
        key: taken out of the text, should the server echo it.
        opened: whether the server's chat template begins the model's thoughts. A reply that was cut before it closed
            them holds thoughts alone.
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
    message = choice.message
    written, parted = _written(message.content)
    thought = message.reasoning_content or message.reasoning or parted
    raw = f"<think>{thought}</think>{written}" if thought else written
    cut = choice.finish_reason == "length"
    words = without_thoughts(written, opened=opened and cut and not thought and not holds_mark(written)).strip()
    tokens = (completion.usage.prompt_tokens, completion.usage.completion_tokens)
    if choice.finish_reason == "content_filter" or (message.refusal and not words):
        detail = message.refusal or "finish_reason is content_filter"
        return Failure("filtered", detail[:_SHOWN], label, attempt, 200, *tokens)
    if not words:
        detail = f"no words among {len(raw)} characters, finish_reason {choice.finish_reason!r}"
        remedy = _THOUGHT_ALONE if raw.strip() else None
        return Failure("truncated" if cut else "empty", detail, label, attempt, 200, *tokens, remedy)
    return Reply(words, raw, cut, label, attempt, *tokens, begins_inside=not thought and begins_inside(written))


def _written(content: str | list[Any] | None) -> tuple[str, str]:
    """The text of a message, and the thoughts among its parts where it comes in parts."""
    if not isinstance(content, list):
        return content or "", ""
    words, thoughts = [], []
    for part in content:
        if isinstance(part, str):
            words.append(part)
        elif isinstance(part, dict) and part.get("type", "text") in ("text", "output_text"):
            words.append(str(part.get("text") or ""))
        else:
            thoughts += _texts(part)
    return "".join(words), "\n".join(thoughts)


def _texts(part: Any) -> list[str]:
    """All texts inside a part of a message, but for its type."""
    if isinstance(part, str):
        return [part]
    inside = [value for key, value in part.items() if key != "type"] if isinstance(part, dict) else part
    return [text for value in inside for text in _texts(value)] if isinstance(inside, list) else []


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
