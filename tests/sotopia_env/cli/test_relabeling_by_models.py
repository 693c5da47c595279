from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sotopia_env
from sotopia_env.agents.endpoint import Endpoint
from sotopia_env.episodes import Episode
from sotopia_env.rewards import Attribution, relabel
from sotopia_env.storage.episodes import load_episodes, save_episodes

Run = Callable[..., Any]
CANARY = "sk-canary-0123456789abcdef"


@pytest.fixture(scope="module")
def episodes() -> list[Episode]:
    return sotopia_env.rollout("bargain", "scripted:mixed", num_episodes=6, seed=0, max_cycles=8)


@pytest.fixture
def source(episodes: list[Episode], tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    save_episodes(episodes, path)
    return path


def answer(sent: dict[str, Any]) -> str:
    """As judge and as attributor: never 0, and other for every dialogue."""
    question = sent["messages"][1]["content"]
    turns = [json.loads(line) for line in question.split("\n") if line.startswith('{"turn"')]
    first = 1 + sum(map(ord, turns[0]["text"])) % 8
    if "utterance" in question.rsplit("===", 1)[1]:
        own = [turn for turn in turns if "utterance" in turn]
        dimensions = re.findall(r"^- (\w+): ", question, re.MULTILINE)
        return json.dumps({d: {t["utterance"]: 1 + (first + len(t["text"])) % 3 for t in own} for d in dimensions})
    marks = {d: {"reason": "", "score": -first / 8 if low else first} for d, low in RANGES.items()}
    return json.dumps({"agent_0": marks, "agent_1": marks})


RANGES = {
    "believability": 0,
    "relationship": 1,
    "knowledge": 0,
    "secret": 1,
    "social_rules": 1,
    "financial_and_material_benefits": 1,
    "goal": 0,
}


@pytest.fixture
def server(chat_server: Any) -> Any:
    chat_server.answer(answer)
    return chat_server


def command(source: Path, server: Any, *more: object, out: str = "out.jsonl", model: str = "m") -> list[object]:
    name = f"llm:{model}@{server.url}"
    options = ["--judge", name, "--attributor", name, "--dimensions", "goal,relationship,knowledge"]
    return ["relabel", source, "--reward", "direct", *options, "--out", source.with_name(out), *more]


NAME = "direct:goal,relationship,knowledge@llm:m"


def test_estimate_then_labels_then_training_rows(episodes: list[Episode], source: Path, server: Any, done: Run) -> None:
    prices = ["--price-in", 2, "--price-out", 8]
    estimate = json.loads(done(*command(source, server, "--dry-run", *prices, "--json")))
    assert estimate["reward"] == NAME
    assert set(estimate["asked"]) == {"scores by llm:m", "importances by llm:m"}
    assert (estimate["total"]["calls"], estimate["total"]["cached"]) == (18, 0)
    assert 0 < estimate["total"]["highest_cost"] < 1
    assert server.requests == []
    assert not source.with_name("out.jsonl").exists()
    summary = json.loads(done(*command(source, server, *prices, "--ledger", source.with_name("calls"), "--json")))
    assert (summary["calls"], summary["unknown"], summary["failures"], summary["left"]) == (18, 0, {}, 0)
    assert summary["cost"] == pytest.approx(18 * (7 * 2 + 3 * 8) / 1e6)
    assert len(server.requests) == len(source.with_name("calls").read_text().splitlines()) == 18
    # The same in Python.
    name = f"llm:m@{server.url}"
    weights = dict.fromkeys(("goal", "relationship", "knowledge"), 1.0)
    stored = load_episodes(source.with_name("out.jsonl"))
    assert stored == relabel(episodes, Attribution("direct", name, dimensions=weights, judge=name))
    rows = source.with_name("rows.jsonl")
    done("convert", source.with_name("out.jsonl"), rows, "--format", "reward", "--reward", NAME)
    values = [json.loads(line)["value"] for line in rows.read_text().splitlines()]
    paid = [v for episode in stored for own in episode.rewards[NAME].values() for v in own]
    assert sorted(values) == pytest.approx(sorted(paid))
    # A second run into another file makes no call, since the cache stands beside them both.
    before = len(server.requests)
    again = json.loads(done(*command(source, server, "--json", out="again.jsonl")))
    assert again["calls"] == len(server.requests) - before == 0
    assert source.with_name("again.jsonl").read_bytes() == source.with_name("out.jsonl").read_bytes()


def test_a_budget_that_ends_before_the_first_episode_ends_like_any_other(
    source: Path, server: Any, call: Run, done: Run
) -> None:
    result = call(*command(source, server, "--budget", "0 calls"))
    assert result.exit_code == 3
    assert "the budget is used up: 6 episodes are left, and the same command goes on" in result.stderr
    assert "error" not in result.stderr
    assert server.requests == []
    assert json.loads(done(*command(source, server, "--json")))["episodes"] == 6


def test_a_budget_ends_it_and_the_same_command_goes_on(source: Path, server: Any, call: Run, done: Run) -> None:
    limited = command(source, server, "--budget", "8 calls", "--batch-size", 2, "--json")
    first = call(*limited)
    assert first.exit_code == 3
    assert "the budget is used up: 4 episodes are left, and the same command goes on" in first.stderr
    summary = json.loads(first.stdout)
    assert (summary["episodes"], summary["left"], summary["calls"]) == (2, 4, 8)
    manifest = json.loads(source.with_name("out.manifest.json").read_text())
    assert manifest["sessions"][0]["outcome"] == "out of budget"
    assert len(load_episodes(source.with_name("out.jsonl"))) == 2
    second = call(*limited)
    assert (second.exit_code, len(server.requests)) == (3, 16)
    summary = json.loads(done(*limited))
    assert (summary["episodes"], summary["left"], summary["unknown"]) == (6, 0, 0)
    assert len(server.requests) == 18
    done(*command(source, server, out="whole.jsonl"))
    assert source.with_name("out.jsonl").read_bytes() == source.with_name("whole.jsonl").read_bytes()


def test_a_budget_in_money(source: Path, server: Any, call: Run, refused: Run) -> None:
    assert "money needs --price-in and --price-out" in refused(*command(source, server, "--budget", "0.5"))
    assert "give a sum such as 2.50" in refused(*command(source, server, "--budget", "much"))
    # A reply costs 0.003, and 0.1 is set aside for it.
    prices = ["--price-in", 0, "--price-out", 1000, "--max-tokens", 100]
    result = call(*command(source, server, "--budget", "0.12", *prices, "--batch-size", 1, "--json"))
    assert result.exit_code == 3
    summary = json.loads(result.stdout)
    assert summary["cost"] == pytest.approx(0.021)
    assert (summary["calls"], summary["episodes"], summary["left"]) == (7, 2, 4)


def test_cached_only_makes_no_call_wants_no_key_and_counts_what_is_missing(
    source: Path, server: Any, call: Run, done: Run, refused: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(*command(source, server, "--budget", "9 calls", "--batch-size", 3))
    sent = len(server.requests)
    cached = command(source, server, "--cached-only", "--json", out="cached.jsonl")
    summary = json.loads(done(*cached))
    assert (summary["calls"], summary["episodes"]) == (0, 6)
    assert set(summary["failures"]) == {"uncached"}
    stored = load_episodes(source.with_name("cached.jsonl"))
    known = [e for e in stored if None not in [v for own in e.rewards[NAME].values() for v in own]]
    assert len(known) == 3
    assert summary["unknown"] == sum(v is None for e in stored for own in e.rewards[NAME].values() for v in own) > 0
    assert len(server.requests) == sent
    # Labels with gaps are not passed off as what a run with calls would give.
    line = refused(*command(source, server, out="cached.jsonl"))
    assert "cached_only (true, not false)" in line
    # Neither the estimate nor the labels want a key, at OpenAI's address either.
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    at_openai = [str(part).replace(f"@{server.url}", "") for part in command(source, server, "--json", out="o.jsonl")]
    assert "wants a key" in refused(*at_openai)
    assert json.loads(done(*at_openai, "--dry-run"))["total"]["calls"] == 18
    assert json.loads(done(*at_openai, "--cached-only"))["left"] == 0


def test_another_reward_of_the_same_name_is_refused(
    source: Path, server: Any, done: Run, refused: Run, call: Run
) -> None:
    out = source.with_name("out.jsonl")
    plain = ["relabel", source, "--reward", "uniform", "--out", out]
    done(*plain, "--judge", f"llm:m@{server.url}")
    written = out.read_bytes()
    for other in ("rule", f"llm:n@{server.url}"):
        line = refused(*plain, "--judge", other)
        assert "out.jsonl was paid with other reward" in line
        assert "give another file, or remove this one and out.manifest.json" in line
    assert "max_tokens" in refused(*plain, "--judge", f"llm:m@{server.url}", "--max-tokens", 7)
    # A server may move, and how it is asked is nobody's business.
    moved = ["--judge", "llm:m@http://127.0.0.1:9/v1", "--concurrency", 3, "--budget", "5 calls"]
    assert json.loads(done(*plain, *moved, "--json"))["done_before"] == 6
    assert out.read_bytes() == written
    assert "no part of the reward 'length'" in refused(
        "relabel", source, "--reward", "length", "--judge", "rule", "--out", source.with_name("other.jsonl")
    )


def test_under_fire_every_number_is_known_or_counted(source: Path, chat_server: Any, done: Run) -> None:
    chat_server.fail_in(
        0.3,
        answer,
        wrong_schema='{"agent_0": 0, "goal": 0}',
        out_of_range=lambda said: re.sub(r": [-\d.]+", ": 70", said),
        patience=2.0,
    )
    ledger = source.with_name("calls.jsonl")
    summary = json.loads(
        done(*command(source, chat_server, "--timeout", 2, "--concurrency", 16, "--ledger", ledger, "--json"))
    )
    assert summary["calls"] == chat_server.arrived(summary["calls"]) == len(ledger.read_text().splitlines())
    assert (summary["unknown"] > 0) == bool(summary["failures"])
    stored = load_episodes(source.with_name("out.jsonl"))
    values = [v for e in stored for own in e.rewards[NAME].values() for v in own]
    assert len(values) == summary["turns"]
    assert all(value is None or value > 0 for value in values)


def test_a_server_that_is_gone_ends_it_and_nothing_is_written(
    source: Path, server: Any, refused: Run, done: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Endpoint, "_wait", lambda *_: 0.0)
    gone = ["--judge", "llm:m@http://127.0.0.1:9/v1", "--out", source.with_name("out.jsonl")]
    line = refused("relabel", source, "--reward", "uniform", *gone)
    assert "scores of episode 0-0 by llm:m: connection after 6 calls of m at http://127.0.0.1:9/v1" in line
    assert not source.with_name("out.jsonl").exists()
    # The same command goes on where the server has come back, be it elsewhere.
    gone[1] = f"llm:m@{server.url}"
    summary = json.loads(done("relabel", source, "--reward", "uniform", *gone, "--json"))
    assert (summary["episodes"], summary["unknown"]) == (6, 0)


def test_killed_in_the_middle_it_goes_on(source: Path, server: Any, start: Run, done: Run) -> None:
    slow = command(source, server, "--concurrency", 2, "--batch-size", 2)
    server.otherwise = lambda sent: server.response(server.completion(answer(sent)), delay=0.05)
    killed = start(*slow)
    deadline = time.monotonic() + 60
    while len(server.requests) < 9:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    time.sleep(0.1)
    sent = len(server.requests)
    assert sent < 18
    server.answer(answer)
    summary = json.loads(done(*slow, "--json"))
    assert (summary["episodes"], summary["left"], summary["unknown"]) == (6, 0, 0)
    # Replies that were kept are not asked for again: at most those in flight and about to be written are.
    assert 18 <= len(server.requests) <= 18 + 4
    done(*command(source, server, out="whole.jsonl"))
    assert source.with_name("out.jsonl").read_bytes() == source.with_name("whole.jsonl").read_bytes()


def test_no_key_gets_anywhere(
    source: Path, chat_server: Any, call: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    monkeypatch.setattr("sys.argv", ["sotopia-env", "relabel", "--judge", f"llm:m@http://user:{CANARY}@host/v1"])
    caplog.set_level("DEBUG")
    chat_server.will(status=500, body={"error": {"message": f"bad key {CANARY}"}})
    chat_server.answer(lambda sent: answer(sent).replace('"reason": ""', f'"reason": "Key {CANARY}."'))
    ledger = source.with_name("calls.jsonl")
    shown = [call(*command(source, chat_server, "--ledger", ledger, "--timeout", 5))]
    chat_server.always(status=401, body={"error": {"message": CANARY}})
    plain = ["relabel", source, "--reward", "uniform", "--out", source.with_name("third.jsonl")]
    for arguments in (
        command(source, chat_server, out="other.jsonl", model="n"),
        [*plain, "--judge", f"llm:m@http://user:{CANARY}@127.0.0.1/v1"],
        [*plain, "--judge", f"llm:m@http://127.0.0.1/v1?key={CANARY}"],
        ["attack-judge", f"llm:m@{chat_server.url}", source, "-n", 1],
    ):
        shown.append(call(*arguments))
    assert [result.exit_code for result in shown] == [0, 2, 2, 2, 2]
    assert f"Bearer {CANARY}" in chat_server.authorizations
    assert not any(CANARY in result.output + result.stderr + repr(result.exception) for result in shown)
    assert CANARY not in caplog.text
    files = {file.name for file in source.parent.iterdir()}
    assert {"out.jsonl", "out.manifest.json", "replies.sqlite", "calls.jsonl", "other.manifest.json"} <= files
    for file in source.parent.iterdir():
        assert CANARY.encode() not in file.read_bytes(), file
