"""Calls of a server that fails in every way: a reply or a typed failure, and each call in the ledger."""

from __future__ import annotations

import asyncio
import email.utils
import json
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sotopia_env.agents.endpoint.client import KINDS, Endpoint, EndpointError, Failure, Reply, Request
from sotopia_env.agents.endpoint.replies import asked_wait


def endpoint(server: Any, **options: Any) -> Endpoint:
    return Endpoint("m", server.url, **{"retries": 3, "first_wait": 0.0, "timeout": 10.0, **options})


def request(label: str = "a question", seed: int | None = None) -> Request:
    return Request([{"role": "user", "content": "Begin."}], label, seed)


def ask(given: Endpoint) -> Reply | Failure:
    return given.complete([request()])[0]


def test_a_reply_is_read_and_counted(chat_server: Any) -> None:
    given = endpoint(chat_server, parameters={"temperature": 0.5, "max_tokens": 20, "top_p": None})
    assert given.complete([request(seed=11)]) == [
        Reply("I could do $100.", "I could do $100.", False, "a question", 1, 7, 3)
    ]
    message = {"role": "user", "content": "Begin."}
    assert chat_server.requests == [
        {
            "path": "/v1/chat/completions",
            "model": "m",
            "messages": [message],
            "temperature": 0.5,
            "max_tokens": 20,
            "seed": 11,
        }
    ]
    usage = given.ledger.usage
    assert (usage.calls, usage.replies, usage.failures) == (1, 1, 0)
    assert (usage.prompt_tokens, usage.completion_tokens, usage.unmetered) == (7, 3, 0)
    assert given.complete([]) == []


@pytest.mark.parametrize(
    ("kind", "status", "response"),
    [
        ("server", 500, {"status": 500, "body": {"error": {"message": "out of memory"}}}),
        ("server", 503, {"status": 503, "body": b"<html>bad gateway</html>"}),
        ("rate_limit", 429, {"status": 429, "headers": {"Retry-After": "0"}, "body": {"error": {"message": "slow"}}}),
        ("connection", None, {"reset": True}),
        ("connection", None, {"cut": 40}),
        ("timeout", None, {"delay": 0.5}),
        ("timeout", None, {"drip": 0.05}),
        ("malformed", 200, {"body": b'{"choices": [{"message": {"content": "I co'}),
        ("malformed", 200, {"body": b"<html>Sign in</html>"}),
        ("malformed", 200, {"body": b""}),
        ("malformed", 200, {"body": b"\xff\xfe\x00"}),
        ("malformed", 200, {"body": []}),
        ("malformed", 200, {"body": {"error": {"message": "busy"}}}),
        ("malformed", 200, {"body": {"choices": []}}),
        ("malformed", 200, {"body": {"choices": [{"text": "old style"}]}}),
        ("malformed", 200, {"body": {"choices": [{"message": {"content": 5}}]}}),
    ],
)
def test_what_may_pass_is_tried_again_and_then_a_typed_failure(
    chat_server: Any, kind: str, status: int | None, response: dict[str, Any]
) -> None:
    given = endpoint(chat_server, timeout=0.2 if kind == "timeout" else 10.0, retries=2)
    chat_server.will(**response)
    assert isinstance(ask(given), Reply)
    chat_server.always(**response)
    failure = ask(given)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.status, failure.attempts) == (kind, status, 3)
    assert given.ledger.usage.outcomes == {"answered": 1, kind: 4}
    assert given.ledger.usage.calls == len(chat_server.requests) == 5
    assert given.ledger.usage.failures == 1


@pytest.mark.parametrize(
    ("kind", "response"),
    [
        ("authentication", {"status": 401, "body": {"error": {"message": "who are you?"}}}),
        ("authentication", {"status": 403, "body": {"error": {"message": "not for you"}}}),
        ("not_found", {"status": 404, "body": {"error": {"message": "no model m"}}}),
        ("rejected", {"status": 400, "body": {"error": {"message": "2,000 tokens are too many"}}}),
        ("rejected", {"status": 422, "body": {"error": {"message": "seed: unknown"}}}),
        ("quota", {"status": 402, "body": {"error": {"message": "pay first"}}}),
        ("quota", {"status": 429, "body": {"error": {"message": "pay first", "code": "insufficient_quota"}}}),
        ("filtered", {"status": 400, "body": {"error": {"message": "no", "code": "content_filter"}}}),
    ],
)
def test_what_cannot_pass_is_asked_once(chat_server: Any, kind: str, response: dict[str, Any]) -> None:
    chat_server.always(**response)
    failure = ask(endpoint(chat_server))
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.attempts) == (kind, 1)
    assert response["body"]["error"]["message"] in failure.detail
    assert len(chat_server.requests) == 1


def test_no_words_are_a_failure_of_their_own_and_another_seed_is_tried(chat_server: Any) -> None:
    completion = chat_server.completion
    given = endpoint(chat_server, retries=8)
    chat_server.will(body=completion(" \n"))
    chat_server.will(body=completion(None))
    assert isinstance(given.complete([request(seed=2**31 - 2)])[0], Reply)
    assert [sent["seed"] for sent in chat_server.requests] == [2**31 - 2, 2**31 - 1, 0]
    # A fault of the server changes no seed: with it or without, the same words come back.
    chat_server.will(status=500)
    given.complete([request(seed=5)])
    assert [sent["seed"] for sent in chat_server.requests[3:]] == [5, 5]
    for body, kind in (
        (completion(""), "empty"),
        (completion("<think>What would I"), "empty"),
        (completion("<think>What would I", "length"), "truncated"),
        (completion(None, "length"), "truncated"),
        (completion(None, "tool_calls", tool_calls=[]), "empty"),
    ):
        chat_server.always(body=body)
        failure = ask(given)
        assert isinstance(failure, Failure)
        assert (failure.kind, failure.attempts, failure.completion_tokens) == (kind, 3, 3)
    for body in (completion("I co", "content_filter"), completion(None, refusal="I cannot help with that.")):
        chat_server.always(body=body)
        failure = ask(given)
        assert isinstance(failure, Failure)
        assert (failure.kind, failure.attempts) == ("filtered", 1)


def test_thoughts_are_no_words_and_a_cut_reply_says_so(chat_server: Any) -> None:
    given = endpoint(chat_server)
    chat_server.will(body=chat_server.completion("<think>\nHe is poor.\n</think>\n\nHello <think> there", "length"))
    reply = ask(given)
    assert isinstance(reply, Reply)
    assert (reply.text, reply.truncated) == ("Hello", True)
    assert reply.raw.startswith("<think>")
    assert given.ledger.usage.truncated == 1


def test_a_server_that_counts_no_tokens_is_said_so(chat_server: Any) -> None:
    body = chat_server.completion("Hello.")
    del body["usage"]
    chat_server.will(body=body)
    given = endpoint(chat_server)
    ask(given)
    assert (given.ledger.usage.unmetered, given.ledger.usage.completion_tokens) == (1, 0)


def test_retry_after_is_waited_for_and_no_longer_than_allowed(chat_server: Any) -> None:
    chat_server.will(status=429, headers={"Retry-After": "0.3"})
    assert isinstance(ask(endpoint(chat_server)), Reply)
    first, second = chat_server.arrivals
    assert second - first >= 0.3
    chat_server.always(status=429, headers={"Retry-After": "3600"})
    failure = ask(endpoint(chat_server, longest_wait=60))
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.attempts) == ("rate_limit", 1)


def test_retry_after_may_be_a_date_or_nonsense() -> None:
    def asked(value: str) -> float | None:
        return asked_wait({"retry-after": value})

    soon = asked(email.utils.formatdate(time.time() + 100, usegmt=True))
    assert soon is not None
    assert 90 < soon <= 100
    assert [asked(value) for value in ("2.5", "-1", "nan", "soon")] == [2.5, 0.0, None, None]


def test_waits_grow_up_to_a_minute(chat_server: Any) -> None:
    given = endpoint(chat_server, first_wait=1.0)
    waits = [given._wait(attempt, None) for attempt in (1, 2, 3, 7, 5000)]
    for wait, longest in zip(waits, (1, 2, 4, 60, 60), strict=True):
        assert 0.75 * longest <= wait <= longest
    assert 5 <= given._wait(4, 5.0) <= 6


def test_a_dead_server_is_a_typed_failure() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    given = Endpoint("m", url, retries=1, first_wait=0.0)
    failure = ask(given)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.attempts, failure.status) == ("connection", 2, None)
    error = given.error(failure)
    assert isinstance(error, EndpointError)
    assert str(error).startswith(f"a question: connection after 2 calls of m at {url}: ")
    assert str(error).endswith("(is the server running and its address right?)")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301


def test_many_calls_are_in_flight_at_once_and_never_more_than_allowed(chat_server: Any) -> None:
    chat_server.answer(lambda sent: sent["messages"][0]["content"])
    chat_server.gate = threading.Barrier(64)
    given = endpoint(chat_server)
    requests = [Request([{"role": "user", "content": f"number {i}"}], str(i)) for i in range(64)]
    replies = given.complete(requests)
    assert [reply.text for reply in replies if isinstance(reply, Reply)] == [f"number {i}" for i in range(64)]
    assert chat_server.most_in_flight == 64
    chat_server.gate, chat_server.most_in_flight = None, 0
    chat_server.always(delay=0.01)
    endpoint(chat_server, concurrency=5).complete(requests[:20])
    assert 1 < chat_server.most_in_flight <= 5


def test_the_ledger_has_the_calls_the_server_saw(chat_server: Any, tmp_path: Path) -> None:
    faults: list[dict[str, Any]] = [
        {"status": 500},
        {"status": 429, "headers": {"Retry-After": "0"}},
        {"reset": True},
        {"body": b"{"},
        {"body": {"choices": []}},
        {"body": chat_server.completion("")},
    ]
    for fault in faults * 3:
        chat_server.will(**fault)
    given = endpoint(chat_server, retries=20, ledger=tmp_path / "deep" / "calls.jsonl")
    outcomes = given.complete([request(str(i)) for i in range(24)])
    calls = [json.loads(line) for line in (tmp_path / "deep" / "calls.jsonl").read_text().splitlines()]
    usage = given.ledger.usage
    replies = [outcome for outcome in outcomes if isinstance(outcome, Reply)]
    assert usage.calls == len(calls) == len(chat_server.requests)
    assert Counter(call["outcome"] for call in calls) == usage.outcomes
    expected = {"server": 3, "rate_limit": 3, "connection": 3, "malformed": 6, "empty": 3}
    assert {kind: usage.outcomes[kind] for kind in expected} == expected
    assert usage.replies == len(replies) == 24 - usage.failures
    assert sum(outcome.attempts for outcome in outcomes) == usage.calls
    assert usage.completion_tokens == 3 * (usage.replies + 3)


def test_replies_are_handed_over_as_they_come_and_requests_may_differ(chat_server: Any) -> None:
    given = endpoint(chat_server, parameters={"temperature": 0.5, "max_tokens": 20}, concurrency=1)
    chat_server.will(status=400)
    told: list[tuple[int, Reply | Failure]] = []
    requests = [request(), Request([{"role": "user", "content": "b"}], "b", parameters={"max_tokens": 7})]
    outcomes = given.complete(requests, lambda position, outcome: told.append((position, outcome)))
    assert sorted(told, key=lambda pair: pair[0]) == list(enumerate(outcomes))
    assert {(sent["temperature"], sent["max_tokens"]) for sent in chat_server.requests} == {(0.5, 20), (0.5, 7)}


def test_works_inside_a_running_loop_and_after_pickling(chat_server: Any) -> None:
    given = endpoint(chat_server)

    async def cell() -> Reply | Failure:
        return ask(given)

    assert isinstance(asyncio.run(cell()), Reply)
    assert isinstance(ask(pickle.loads(pickle.dumps(given))), Reply)  # noqa: S301


def test_an_interrupt_cancels_what_is_in_flight(chat_server: Any) -> None:
    chat_server.always(delay=20)
    given = endpoint(chat_server, timeout=60)
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        while len(chat_server.requests) < 3:
            time.sleep(0.01)
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        given.complete([request(str(i)) for i in range(3)])
    thread.join()
    assert given.ledger.usage.outcomes == {"cancelled": 3}


def test_an_address_is_an_address_and_holds_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for url in ("http://user:swordfish@host/v1", "https://host/v1?api-key=swordfish", "https://host/v1#swordfish"):
        with pytest.raises(ValueError, match="the server at host holds credentials") as caught:
            Endpoint("m", url)
        assert "swordfish" not in str(caught.value)
    for url in ("host/v1", "ftp://host", "http://"):
        with pytest.raises(ValueError, match="is no address"):
            Endpoint("m", url)
    with pytest.raises(ValueError, match="OPENAI_API_KEY is not set"):
        Endpoint("m")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1/")
    assert Endpoint("m").base_url == "http://127.0.0.1:1/v1"
    with pytest.raises(ValueError, match="no name"):
        Endpoint("")
    with pytest.raises(ValueError, match="concurrency"):
        Endpoint("m", concurrency=0)


def test_the_key_goes_to_the_server_and_nowhere_else(
    chat_server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    canary = "sk-canary-0123456789"
    monkeypatch.setenv("OTHER_KEY", canary)
    caplog.set_level("DEBUG")
    given = endpoint(chat_server, api_key_env="OTHER_KEY", ledger=tmp_path / "calls.jsonl", retries=0)
    echo = f"Bearer {canary}"
    texts = []
    for response in (
        {"status": 401, "body": {"error": {"message": f"wrong key: {echo}"}}},
        {"status": 500, "body": echo.encode()},
        {"body": {"headers": echo}},
        {"body": chat_server.completion(f"You sent {echo}")},
    ):
        chat_server.will(**response)
        outcome = ask(given)
        texts.append(repr(outcome))
        if isinstance(outcome, Failure):
            texts.append(str(given.error(outcome)))
    assert chat_server.authorizations == {echo}
    assert sum("[key]" in text for text in texts) == 7
    everything = [*texts, repr(given), repr(vars(given)), caplog.text, (tmp_path / "calls.jsonl").read_text()]
    assert not [text for text in everything if canary in text]
    assert canary.encode() not in pickle.dumps(given)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ModuleNotFoundError, match=r"sotopia-env\[openai\]"):
        Endpoint("m", "http://127.0.0.1:1/v1")


def test_the_library_is_imported_only_when_an_endpoint_is_made() -> None:
    code = (
        "import sys, sotopia_env.agents.endpoint.client, sotopia_env.agents.openai_policy;"
        "print([name for name in ('openai', 'httpx', 'httpx2', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_kind_has_a_remedy() -> None:
    assert all(kind.remedy for kind in KINDS.values())
    assert {name for name, kind in KINDS.items() if kind.of_server} == {
        "connection",
        "rate_limit",
        "authentication",
        "not_found",
        "quota",
    }
