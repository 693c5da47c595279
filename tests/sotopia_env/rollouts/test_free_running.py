"""Dialogues with models behind servers, each at its own pace."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

import sotopia_env
from sotopia_env.agents.openai_policy import OpenAIPolicy
from sotopia_env.rollouts import run
from sotopia_env.rollouts.free_running import calls_at_once


def policy(server: Any, **options: Any) -> OpenAIPolicy:
    return OpenAIPolicy("m", server.url, **{"retries": 0, "timeout": 30.0, **options})


def played(made: Any, **options: Any) -> list[Any]:
    return sotopia_env.rollout("bargain", [made, "scripted:firm"], max_cycles=4, seed=3, **options)


class Held:
    """A response that waits."""

    status, headers, reset, cut, drip = 200, {}, False, None, 0.0  # type: ignore[var-annotated]

    def __init__(self, body: Any, until: threading.Event) -> None:
        self.body, self.until = body, until

    @property
    def delay(self) -> float:
        self.until.wait(20)
        return 0.0


def test_no_dialogue_waits_for_another_ones_turn_and_a_finished_one_makes_room(chat_server: Any) -> None:
    rest, late = threading.Event(), []

    def serve(request: Any) -> Any:
        # Of four dialogues, two at a time, with two own turns each: one waits until the others are over.
        if len(chat_server.requests) == 7:
            rest.set()
        if len(chat_server.requests) > 1:
            return chat_server.response(chat_server.completion("Well."))
        late.append(request)
        return Held(chat_server.completion("Well."), rest)

    chat_server.otherwise = serve
    episodes = played(policy(chat_server), num_episodes=4, batch_size=2)
    assert rest.is_set()
    assert len(late) == 1
    assert [len(episode.own_turns("agent_0")) for episode in episodes] == [2, 2, 2, 2]


def test_the_file_is_that_of_lockstep(chat_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chat_server.answer(lambda sent: f"I think of {sent['seed']}.")
    for file, calls in (("free", 64), ("lockstep", 1)):
        monkeypatch.setattr(run, "calls_at_once", lambda policies, calls=calls: calls)
        played(policy(chat_server), num_episodes=6, batch_size=3, out=tmp_path / f"{file}.jsonl")
    assert (tmp_path / "free.jsonl").read_bytes() == (tmp_path / "lockstep.jsonl").read_bytes()
    assert (tmp_path / "free.jsonl").read_bytes().count(b"\n") == 6


def test_ctrl_c_cancels_what_is_in_flight_and_keeps_what_is_over(chat_server: Any, tmp_path: Path) -> None:
    never = threading.Event()

    def serve(request: Any) -> Any:
        if len(chat_server.requests) <= 2:
            return chat_server.response(chat_server.completion("Well."))
        if len(chat_server.requests) == 3:
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        return Held(chat_server.completion("Well."), never)

    chat_server.otherwise = serve
    made, out = policy(chat_server), tmp_path / "e.jsonl"
    with pytest.raises(KeyboardInterrupt):
        played(made, num_episodes=3, batch_size=1, out=out)
    never.set()
    assert made.usage.outcomes == {"answered": 2, "cancelled": 1}
    chat_server.answer(lambda sent: "Well.")
    before = len(chat_server.requests)
    assert len(played(policy(chat_server), num_episodes=3, out=out)) == 3
    assert len(chat_server.requests) - before == 4


def test_calls_of_all_threads_together_are_limited(chat_server: Any) -> None:
    chat_server.otherwise = lambda sent: chat_server.response(chat_server.completion("Well."), delay=0.01)
    played(policy(chat_server, concurrency=2), num_episodes=8)
    assert chat_server.most_in_flight <= 2


def test_only_policies_that_wait_for_servers_are_asked_one_by_one(chat_server: Any) -> None:
    server = policy(chat_server, concurrency=5)
    scripted, own = sotopia_env.make_policy("scripted:mixed"), sotopia_env.make_policy(lambda observation, rng: "Hi")
    assert calls_at_once([server, scripted]) == 5
    assert calls_at_once([server, own]) == calls_at_once([scripted]) == calls_at_once([]) == 1
