"""What a server does not take is asked once more in another form, which is remembered; and what replies come as."""

from __future__ import annotations

import json
import logging
import socket
from typing import Any

import pytest

import sotopia_env
from sotopia_env import rewards as R
from sotopia_env.agents.endpoint.client import Endpoint, EndpointError, Failure, Reply, Request
from sotopia_env.agents.openai_policy import OpenAIPolicy

WORDS = "I could do $80."
CHAT = [{"role": "system", "content": "You are Ann."}, {"role": "user", "content": "Begin."}]
SCHEMA = {"type": "object", "properties": {"score": {"type": "number"}}}
FORM = {"type": "json_schema", "json_schema": {"name": "verdict", "strict": True, "schema": SCHEMA}}


def endpoint(server: Any, **options: Any) -> Endpoint:
    return Endpoint("m", server.url, **{"retries": 3, "first_wait": 0.0, "timeout": 10.0, **options})


def ask(given: Endpoint, **parameters: Any) -> Reply | Failure:
    return given.complete([Request(CHAT, "a question", parameters=parameters)])[0]


def words(outcome: Reply | Failure) -> str:
    assert isinstance(outcome, Reply), outcome
    return outcome.text


# --- forms ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "System role not supported"),
        (500, "Jinja Exception: System role not supported"),
        (400, "Conversation roles must alternate user/assistant/user/assistant/..."),
    ],
)
def test_without_a_system_role_its_text_opens_the_first_user_message(
    chat_server: Any, status: int, message: str
) -> None:
    def serve(sent: dict[str, Any]) -> Any:
        if sent["messages"][0]["role"] == "system":
            return chat_server.response({"object": "error", "message": message}, status)
        return chat_server.response(chat_server.completion(WORDS))

    chat_server.otherwise = serve
    given = endpoint(chat_server, retries=0)
    assert [words(ask(given)) for _ in range(3)] == [WORDS] * 3
    # Only the first question went out in the usual form too.
    assert len(chat_server.requests) == given.ledger.usage.calls == 4
    assert chat_server.requests[-1]["messages"] == [{"role": "user", "content": "You are Ann.\n\nBegin."}]


def test_a_policy_plays_where_the_system_role_is_refused(chat_server: Any) -> None:
    def serve(sent: dict[str, Any]) -> Any:
        if sent["messages"][0]["role"] == "system":
            return chat_server.response({"message": "System role not supported"}, 400)
        return chat_server.response(chat_server.completion(WORDS))

    chat_server.otherwise = serve
    policy = OpenAIPolicy("m", chat_server.url, first_wait=0.0)
    (episode,) = sotopia_env.rollout("bargain", [policy, "scripted:firm"], num_episodes=1, max_cycles=4)
    assert {turn.text for turn in episode.own_turns("agent_0")} == {WORDS}


def of_llama_cpp(server: Any, sent: dict[str, Any]) -> Any:
    form = sent.get("response_format", {"type": "text"})
    if form["type"] not in ("text", "json_object"):
        return server.response({"error": {"message": "response_format: Input should be 'text' or 'json_object'"}}, 500)
    return server.response(server.completion(json.dumps({"score": 7} if "schema" in form else {})))


def test_a_schema_goes_out_in_the_form_that_the_server_takes(chat_server: Any) -> None:
    chat_server.otherwise = lambda sent: of_llama_cpp(chat_server, sent)
    given = endpoint(chat_server)
    assert [words(ask(given, response_format=FORM)) for _ in range(2)] == ['{"score": 7}'] * 2
    forms = [sent["response_format"] for sent in chat_server.requests]
    taken = {"type": "json_object", "schema": SCHEMA}
    assert forms == [FORM, taken, taken]


def test_a_fault_that_passes_changes_no_form(chat_server: Any) -> None:
    chat_server.will(status=500)
    given = endpoint(chat_server)
    for _ in range(2):
        ask(given, response_format=FORM)
    # A form that was answered once is not given up.
    chat_server.will(status=500, body={"error": {"message": "response_format"}})
    ask(given, response_format=FORM)
    assert [sent["response_format"] for sent in chat_server.requests] == [FORM] * 5


def test_what_was_tried_is_said(chat_server: Any) -> None:
    chat_server.always(status=422, body={"error": {"message": "no schema, please"}})
    failure = ask(endpoint(chat_server), response_format=FORM)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.attempts, len(chat_server.requests)) == ("rejected", 2, 2)
    assert failure.detail.endswith("; tried the schema as json_schema and as json_object")
    chat_server.requests.clear()
    chat_server.always(status=500, body={"error": {"message": "json_schema"}})
    failure = ask(endpoint(chat_server, retries=2), response_format=FORM)
    assert isinstance(failure, Failure)
    kinds = [sent["response_format"]["type"] for sent in chat_server.requests]
    assert kinds == ["json_schema", "json_object", "json_schema", "json_schema"]


def test_a_judge_is_enforced_at_such_a_server(chat_server: Any) -> None:
    (episode,) = sotopia_env.rollout("mini", "scripted:warm", num_episodes=1, seed=0, max_cycles=4)
    verdict = {agent: {"goal": {"reason": "", "score": 7}} for agent in episode.agents}

    def serve(sent: dict[str, Any]) -> Any:
        served = of_llama_cpp(chat_server, sent)
        return served if served.status != 200 else chat_server.response(chat_server.completion(json.dumps(verdict)))

    chat_server.otherwise = serve
    judge = R.LLMJudge(f"m@{chat_server.url}", dimensions=["goal"], enforce_schema=True, first_wait=0.0)
    assert judge.judge([episode])[0].scores == {"goal": [7.0, 7.0]}
    assert judge.usage.calls == 2


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [500, 404])
def test_a_wrong_name_is_told_with_the_names_there_are(chat_server: Any, status: int) -> None:
    chat_server.models = ["qwen", "llama"]
    chat_server.always(status=status)
    given = endpoint(chat_server)
    failure = ask(given)
    assert isinstance(failure, Failure)
    assert (failure.kind, len(chat_server.requests)) == ("not_found", 1)
    assert str(given.error(failure)).endswith(
        "; the models there are: qwen, llama (is the model's name right, and the address to the last /v1?)"
    )


def test_a_server_that_knows_the_name_or_lists_none_is_asked_again(chat_server: Any) -> None:
    for models in (["m"], ["m@main", "other"], []):
        chat_server.models = models
        chat_server.will(status=500)
        assert isinstance(ask(endpoint(chat_server)), Reply)


# --- a server that is gone ------------------------------------------------------------------------------------------


def dead_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/v1"


def test_a_server_that_is_gone_ends_the_whole_batch_with_a_line_for_each_wait(
    caplog: pytest.LogCaptureFixture,
) -> None:
    given = Endpoint("m", dead_address(), first_wait=0.0, concurrency=4)
    requests = [Request(CHAT, str(i)) for i in range(40)]
    outcomes = given.complete(requests)
    assert {(o.kind, o.gone) for o in outcomes if isinstance(o, Failure)} == {("connection", True)}
    # Five repetitions each of those in flight; nobody else is asked for.
    assert given.ledger.usage.calls == 4 * 6
    assert given.ledger.usage.failures == len(outcomes) == 40
    lines = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(lines) == 5
    assert all("connection" in line.getMessage() and "again in" in line.getMessage() for line in lines)


def test_a_judge_and_an_attributor_raise_where_the_server_is_gone() -> None:
    (episode,) = sotopia_env.rollout("mini", "scripted:warm", num_episodes=1, seed=0, max_cycles=4)
    address = dead_address()
    judge = R.LLMJudge(f"m@{address}", first_wait=0.0)
    with pytest.raises(EndpointError, match="connection after 6 calls"):
        judge.judge([episode])
    with pytest.raises(EndpointError, match="connection after 6 calls"):
        R.LLMAttributor(f"m@{address}", first_wait=0.0).importances([episode], ["goal"])


def test_a_connection_that_fails_among_others_is_no_dead_server(chat_server: Any) -> None:
    chat_server.otherwise = lambda sent: chat_server.response(reset=sent["messages"][0]["content"] == "bad")
    given = endpoint(chat_server, concurrency=2, retries=1)
    requests = [Request([{"role": "user", "content": text}], text) for text in ("a", "bad", "b", "c")]
    outcomes = given.complete(requests)
    assert [isinstance(outcome, Reply) for outcome in outcomes] == [True, False, True, True]


# --- bodies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "raw"),
    [
        ([{"type": "text", "text": WORDS}], WORDS),
        ([{"type": "output_text", "text": WORDS, "annotations": []}], WORDS),
        ([{"type": "text", "text": "I could "}, {"type": "text", "text": "do $80."}], WORDS),
        ([WORDS], WORDS),
        (
            [{"type": "thinking", "thinking": [{"type": "text", "text": "$60"}]}, {"type": "text", "text": WORDS}],
            f"<think>$60</think>{WORDS}",
        ),
        (
            [{"type": "reasoning", "reasoning": "$60"}, {"type": "text", "text": f"<think>b</think>{WORDS}"}],
            f"<think>$60</think><think>b</think>{WORDS}",
        ),
    ],
)
def test_content_in_parts_is_read_by_its_text(chat_server: Any, content: Any, raw: str) -> None:
    chat_server.will(body=chat_server.completion(content))
    reply = ask(endpoint(chat_server))
    assert words(reply) == WORDS
    assert isinstance(reply, Reply)
    assert reply.raw == raw


@pytest.mark.parametrize(
    "usage",
    [None, [], "many", 7, {}, {"prompt_tokens": -1}, {"prompt_tokens": "7", "completion_tokens": None},
     {"prompt_tokens": 1e99, "completion_tokens": 2.5}, {"prompt_tokens": True}, {"prompt_tokens": {"a": 1}}],
)  # fmt: skip
def test_odd_counts_throw_no_words_away(chat_server: Any, usage: Any) -> None:
    chat_server.will(body={**chat_server.completion(WORDS), "usage": usage})
    reply = ask(endpoint(chat_server))
    assert isinstance(reply, Reply)
    assert (reply.text, reply.prompt_tokens, reply.completion_tokens) == (WORDS, None, None)


def test_odd_reasons_to_finish_throw_no_words_away(chat_server: Any) -> None:
    for reason in (7, None, ["stop"], {"type": "stop"}):
        chat_server.will(body=chat_server.completion(WORDS, reason, refusal=0, reasoning_content=[]))
        assert words(ask(endpoint(chat_server))) == WORDS
    chat_server.will(body={**chat_server.completion(WORDS), "usage": {"prompt_tokens": 7.0, "completion_tokens": 3}})
    reply = ask(endpoint(chat_server))
    assert isinstance(reply, Reply)
    assert (reply.prompt_tokens, reply.completion_tokens) == (7, 3)


@pytest.mark.parametrize(
    "body",
    [
        {"content": "", "reasoning_content": "My limit is $60."},
        {"content": None, "reasoning": "My limit is $60."},
        {"content": "<think>My limit is $60.</think>"},
        {"content": [{"type": "thinking", "thinking": "My limit is $60."}]},
    ],
)
def test_thoughts_alone_are_no_reply_and_the_remedy_says_what_helps(chat_server: Any, body: dict[str, Any]) -> None:
    given = endpoint(chat_server)
    for finish, kind in (("stop", "empty"), ("length", "truncated")):
        chat_server.always(body=chat_server.completion(finish_reason=finish, **body))
        failure = ask(given)
        assert isinstance(failure, Failure)
        assert failure.kind == kind
        assert "it thought and did not speak; raise max_tokens=" in str(given.error(failure))
        assert "?thinking=off" in str(given.error(failure))
    chat_server.always(body=chat_server.completion("", "length"))
    failure = ask(given)
    assert isinstance(failure, Failure)
    assert "thought" not in str(given.error(failure))


def test_a_reply_that_was_cut_within_thoughts_that_its_template_begins(chat_server: Any) -> None:
    given = endpoint(chat_server)
    chat_server.will(body=chat_server.completion("I could do $1", "length"))
    assert words(ask(given)) == "I could do $1"
    chat_server.will(body=chat_server.completion(f"My limit is $60.</think>{WORDS}"))
    assert words(ask(given)) == WORDS
    # From now on it is known that the template begins thoughts.
    chat_server.always(body=chat_server.completion("My limit is $6", "length"))
    failure = ask(given)
    assert isinstance(failure, Failure)
    assert failure.kind == "truncated"
    told = endpoint(chat_server, thinking="on")
    assert isinstance(ask(told), Failure)
    chat_server.always(body=chat_server.completion("I could do $1", "length", reasoning_content="My limit is $60."))
    assert words(ask(given)) == "I could do $1"


def test_thinking_is_told_to_the_servers_template(chat_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = sotopia_env.make_policy(f"openai:org/m@{chat_server.url}?thinking=off&max_tokens=7")
    assert isinstance(made, OpenAIPolicy)
    assert (made.name, made.endpoint.model) == ("openai:org/m?thinking=off&max_tokens=7", "org/m")
    ask(made.endpoint)
    assert chat_server.requests[-1]["chat_template_kwargs"] == {"enable_thinking": False, "thinking": False}
    assert chat_server.requests[-1]["max_tokens"] == 7
    judge = R.LLMJudge(f"m@{chat_server.url}?thinking=on")
    assert judge.calls.endpoint.parameters["chat_template_kwargs"] == {"enable_thinking": True, "thinking": True}
    assert judge.name == "llm:m"
    again = R.judges.base.as_judge(judge.spec())
    assert isinstance(again, R.LLMJudge)
    assert again.version == judge.version != R.LLMJudge(f"m@{chat_server.url}").version
    with pytest.raises(ValueError, match="thinking is 'maybe'"):
        endpoint(chat_server, thinking="maybe")
    with pytest.raises(ValueError, match="no option 'api-key'") as caught:
        sotopia_env.make_policy(f"openai:m@{chat_server.url}?api-key=swordfish")
    assert "swordfish" not in str(caught.value)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    with pytest.raises(ValueError, match="reasoning_effort"):
        sotopia_env.make_policy("openai:m?thinking=off")
