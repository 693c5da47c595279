"""A model behind a server as a policy: lockstep, seeds, failures that never pass for ``none``."""

from __future__ import annotations

import json
import pickle
import re
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sotopia_env
from sotopia_env.agents.endpoint.client import EndpointError
from sotopia_env.agents.openai_policy import OpenAIPolicy
from sotopia_env.policies import Context
from sotopia_env.rendering import messages


def policy(server: Any, **options: Any) -> OpenAIPolicy:
    return OpenAIPolicy("m", server.url, **{"retries": 2, "first_wait": 0.0, "timeout": 10.0, **options})


def context(turn: int = 0, seed: int = 0) -> Context:
    return Context("e", "agent_0", turn, np.random.default_rng(seed))


def observation(seed: int = 0) -> Any:
    observations, _ = sotopia_env.parallel_env("bargain").reset(seed=seed)
    return observations["agent_0"]


def texts(episodes: list[Any]) -> list[list[tuple[str, str]]]:
    return [[(turn.type, turn.text) for turn in episode.turns] for episode in episodes]


def test_the_native_chat_goes_out_and_the_native_format_comes_back(chat_server: Any) -> None:
    chat_server.will(body=chat_server.completion("[action] accept"))
    made = policy(chat_server, temperature=0.3, top_p=0.9, max_tokens=17, parameters={"stop": ["\n"]})
    (decision,) = made.act([observation()], [context()])
    assert decision.action == sotopia_env.do("accept")
    assert (decision.raw, decision.invalid) == ("[action] accept", None)
    (sent,) = chat_server.requests
    assert sent["messages"] == messages(observation())
    assert (sent["model"], sent["temperature"], sent["top_p"], sent["max_tokens"]) == ("m", 0.3, 0.9, 17)
    assert sent["stop"] == ["\n"]
    assert sent["seed"] == int(np.random.default_rng(0).integers(2**31))
    plain = policy(chat_server, temperature=None, max_tokens=None, send_seed=False, instruction="Be brief.")
    plain.act([observation()], [context()])
    assert set(chat_server.requests[-1]) == {"path", "model", "messages"}
    assert chat_server.requests[-1]["messages"][0]["content"].endswith("\nBe brief.")


def test_what_a_model_writes_is_read_tolerantly_and_its_raw_text_is_kept(chat_server: Any) -> None:
    written = {
        "<think>He is weak.</think>\nHow about $90?": sotopia_env.speak("How about $90?"),
        '```json\n{"action_type": "leave", "argument": ""}\n```': sotopia_env.leave(),
        "[non-verbal communication] nods": sotopia_env.gesture("nods"),
    }
    for raw, action in written.items():
        chat_server.will(body=chat_server.completion(raw))
        (decision,) = policy(chat_server).act([observation()], [context()])
        assert (decision.action, decision.raw, decision.invalid) == (action, raw, None)
    chat_server.will(body=chat_server.completion('{"action_type": "spe', "length"))
    made = policy(chat_server)
    (decision,) = made.act([observation()], [context()])
    assert decision.invalid is not None
    assert decision.invalid.endswith("not valid JSON (the length limit cut it)")
    assert made.usage.truncated == 1


def test_dialogues_in_lockstep_go_out_side_by_side(chat_server: Any) -> None:
    chat_server.gate = threading.Barrier(64)
    made = policy(chat_server)
    sotopia_env.rollout("bargain", made, num_episodes=64, max_cycles=1)
    assert chat_server.most_in_flight == 64
    assert made.usage.calls == len(chat_server.requests) == 64
    assert (made.usage.prompt_tokens, made.usage.completion_tokens) == (7 * 64, 3 * 64)


def test_a_turn_depends_on_its_own_seed_and_on_no_batch_and_no_fault(chat_server: Any) -> None:
    chat_server.answer(lambda sent: f"I think of the number {sent['seed']}, and you?")
    played = [
        sotopia_env.rollout("bargain", policy(chat_server), num_episodes=3, seed=5, max_cycles=4, batch_size=size)
        for size in (1, 3)
    ]
    assert texts(played[0]) == texts(played[1])
    words = [text for episode in texts(played[0]) for _, text in episode]
    assert len(set(words)) == len(words) == 12
    for fault in ({"status": 500}, {"reset": True}, {"body": b"{"}):
        chat_server.will(**fault)
    again = sotopia_env.rollout("bargain", policy(chat_server), num_episodes=3, seed=5, max_cycles=4)
    assert texts(again) == texts(played[0])


def test_a_failure_is_raised_and_the_same_run_goes_on(chat_server: Any, tmp_path: Path) -> None:
    def play(made: OpenAIPolicy) -> list[Any]:
        out = tmp_path / "e.jsonl"
        return sotopia_env.rollout("bargain", made, num_episodes=3, max_cycles=4, batch_size=1, seed=2, out=out)

    chat_server.answer(lambda sent: f"I think of {sent['seed']}.")
    whole = sotopia_env.rollout("bargain", policy(chat_server), num_episodes=3, max_cycles=4, seed=2)
    answer, start = chat_server.otherwise, len(chat_server.requests)
    chat_server.always(status=500)
    fail = chat_server.otherwise
    chat_server.otherwise = lambda sent: (answer if len(chat_server.requests) <= start + 6 else fail)(sent)
    broken = policy(chat_server)
    with pytest.raises(RuntimeError, match=r"policy 'openai:m' failed \(EndpointError: .*own turn 1") as caught:
        play(broken)
    assert isinstance(caught.value.__cause__, EndpointError)
    assert "at task bargain" in str(caught.value)
    assert caught.value.__cause__.failure.kind == "server"
    assert [failure.kind for failure in broken.failures] == ["server"]
    chat_server.otherwise = answer
    before = len(chat_server.requests)
    assert texts(play(policy(chat_server))) == texts(whole)
    assert len(chat_server.requests) - before == 8


def test_a_failure_may_be_an_invalid_turn_which_is_counted_and_says_why(chat_server: Any) -> None:
    chat_server.always(status=400, body={"error": {"message": "too long"}})
    made = policy(chat_server, on_failure="invalid")
    (episode,) = sotopia_env.rollout("bargain", [made, "scripted:firm"], num_episodes=1, max_cycles=4)
    own = episode.own_turns("agent_0")
    assert [turn.type for turn in own] == ["none"] * len(own)
    for turn in own:
        assert turn.invalid is not None
        assert turn.invalid.startswith("the endpoint gave no answer: rejected after 1 calls: status 400")
    assert [failure.kind for failure in made.failures] == ["rejected"] * len(own)
    assert made.usage.failures == len(own) == made.usage.calls


@pytest.mark.parametrize(
    ("kind", "response"),
    [
        ("connection", {"reset": True}),
        ("authentication", {"status": 401}),
        ("not_found", {"status": 404}),
        ("rate_limit", {"status": 429, "headers": {"Retry-After": "0"}}),
    ],
)
def test_a_failure_of_the_server_is_raised_in_any_case(chat_server: Any, kind: str, response: dict[str, Any]) -> None:
    chat_server.always(**response)
    with pytest.raises(EndpointError, match=f"own turn 0: {kind} after") as caught:
        policy(chat_server, on_failure="invalid").act([observation()], [context()])
    assert caught.value.failure.kind == kind


@pytest.mark.parametrize(
    "response",
    [
        {"delay": 0.5},
        {"status": 500},
        {"body": b'{"choices": [{"mess'},
        {"body": {"choices": []}},
        {"body": None},
    ],
)
def test_slow_and_garbling_servers_never_pass_for_none(chat_server: Any, response: dict[str, Any]) -> None:
    chat_server.always(**response)
    with pytest.raises(EndpointError):
        policy(chat_server, timeout=0.2, retries=1).act([observation()], [context()])
    (decision,) = policy(chat_server, timeout=0.2, retries=1, on_failure="invalid").act([observation()], [context()])
    assert decision.action.type == "none"
    assert decision.invalid is not None


def test_made_from_a_name(chat_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = sotopia_env.make_policy(f"openai:cf/@meta/llama3:8b@{chat_server.url}", temperature=0)
    assert isinstance(made, OpenAIPolicy)
    assert made.name == "openai:cf/@meta/llama3:8b"
    assert made.endpoint.base_url == chat_server.url
    assert repr(made) == f"OpenAIPolicy('cf/@meta/llama3:8b', '{chat_server.url}')"
    assert made.act_one(observation()) == sotopia_env.speak("I could do $100.")
    assert made.act_one(observation()).text == "I could do $100."
    assert chat_server.requests[0]["seed"] == chat_server.requests[1]["seed"]
    with pytest.raises(ValueError, match="given twice"):
        OpenAIPolicy(f"m@{chat_server.url}", chat_server.url)
    with pytest.raises(ValueError, match="on_failure"):
        policy(chat_server, on_failure="ignore")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    hosted = sotopia_env.make_policy("openai:m")
    assert isinstance(hosted, OpenAIPolicy)
    assert hosted.endpoint.parameters == {"temperature": 1.0, "max_completion_tokens": 256}


def test_the_key_is_in_no_episode_error_or_configuration(
    chat_server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    canary = "sk-canary-0123456789"
    monkeypatch.setenv("OPENAI_API_KEY", canary)
    chat_server.always(body=chat_server.completion(f"Your key is {canary}."))
    made = policy(chat_server)
    sotopia_env.rollout("bargain", made, num_episodes=1, max_cycles=2, out=tmp_path / "e.jsonl")
    assert chat_server.authorizations == {f"Bearer {canary}"}
    assert "Your key is [key]." in (tmp_path / "e.jsonl").read_text()
    chat_server.always(status=401, body={"error": {"message": f"wrong key {canary}"}})
    with pytest.raises(EndpointError) as caught:
        made.act([observation()], [context()])
    written = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    for text in (written, str(caught.value), repr(vars(made)), json.dumps(made.config), repr(made.failures)):
        assert canary not in text
    assert canary.encode() not in pickle.dumps(made)


@pytest.mark.slow
def test_a_real_model_at_a_real_endpoint_plays_a_task(tmp_path: Path, serve_smollm2: Any) -> None:
    with serve_smollm2() as (model, url):
        made = OpenAIPolicy(
            f"{model}@{url}", name="openai:smollm2", max_tokens=24, timeout=120, ledger=tmp_path / "calls.jsonl"
        )
        started = time.monotonic()
        (episode,) = sotopia_env.rollout("bargain", [made, "scripted:firm"], num_episodes=1, seed=0, max_cycles=6)
        seconds = time.monotonic() - started
        again = made.act([observation()], [context()])[0].raw
        assert again == made.act([observation()], [context()])[0].raw
        assert again != made.act([observation()], [context(seed=1)])[0].raw
    own = episode.own_turns("agent_0")
    usage = made.usage
    for turn in episode.turns:
        print(f"{turn.agent} [{turn.type}] {turn.text!r}")
    print(f"{len(own)} own turns, {seconds:.1f} s, {usage}, scores {episode.judgements[-1].scores}")
    assert episode.ending is not None
    assert len(own) >= 2
    assert all(turn.invalid is None for turn in own)
    assert all(re.search(r"\w", turn.text) for turn in own if turn.type == "speak")
    assert usage.outcomes == {"answered": len(own) + 3}
    assert usage.unmetered == 0
    assert usage.prompt_tokens > 100 * len(own)
    assert 0 < usage.completion_tokens <= 24 * usage.calls
    with pytest.raises(EndpointError, match="connection after 2 calls"):
        OpenAIPolicy(f"{model}@{url}", retries=1, first_wait=0.1).act([observation()], [context()])
