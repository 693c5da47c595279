import sys
import traceback

import pytest

from sotopia_env import rewards as R
from sotopia_env.agents.endpoint.call_log import CallLog
from sotopia_env.agents.endpoint.calls import ModelCalls


def make(server, **options):
    return ModelCalls(f"m@{server.url}", **{"retries": 0, "max_tokens": 100, **options})


def questions(calls, number):
    return [calls.request([{"role": "user", "content": f"{i:03} " * 100}], f"question {i}", {}) for i in range(number)]


def test_a_budget_in_money_is_never_overdrawn(chat_server):
    # A reply costs 7 + 3 tokens: 0.01 in money. Before it is known, 200 + 100 tokens are set aside for it: 0.3.
    calls = make(chat_server, max_cost=0.36, price_in=1000, price_out=1000)
    outcomes = calls.ask(questions(calls, 60))
    assert calls.cost == pytest.approx(0.01 * len(chat_server.requests))
    assert 0.36 - 0.3 < calls.cost <= 0.36
    failed = [outcome for outcome in outcomes if not isinstance(outcome, str)]
    assert len(failed) == 60 - len(chat_server.requests)
    assert {failure.kind for failure in failed} == {"budget"}
    assert "max_cost is 0.36, 0.07 is spent" in failed[0].detail


def test_a_server_that_counts_no_tokens_cannot_be_held_to_a_budget_in_money(chat_server):
    body = chat_server.completion("words")
    del body["usage"]
    chat_server.always(body=body)
    calls = make(chat_server, max_cost=0.45, price_in=1000, price_out=1000)
    outcomes = calls.ask(questions(calls, 3))
    assert len(chat_server.requests) == 1
    assert "counts no tokens" in outcomes[1].detail


def test_a_shared_ledger_is_a_shared_budget(chat_server):
    ledger = CallLog()
    one, other = (make(chat_server, max_calls=5, ledger=ledger) for _ in range(2))
    one.ask(questions(one, 3))
    outcomes = other.ask(questions(other, 4))
    assert [isinstance(outcome, str) for outcome in outcomes] == [True, True, False, False]
    assert len(chat_server.requests) == ledger.usage.calls == 5


def test_an_estimate_in_tokens_money_and_cached_share(chat_server, tmp_path):
    calls = make(chat_server, cache=tmp_path / "c", price_in=2.0, price_out=8.0)
    asked = questions(calls, 10)
    calls.ask(asked[:4])
    estimate = calls.estimate([*asked, *asked])
    assert (estimate.questions, estimate.cached, estimate.calls) == (10, 4, 6)
    assert (estimate.prompt_tokens, estimate.longest_completion_tokens) == (600, 600)
    assert estimate.highest_cost == pytest.approx((600 * 2 + 600 * 8) / 1e6)


def test_whoever_makes_no_call_needs_neither_key_nor_library(tmp_path, monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "openai", None)
    judge = R.LLMJudge("m", cache=tmp_path / "c", cached_only=True)
    assert judge.calls.endpoint.base_url == "https://api.openai.com/v1"
    assert judge.estimate([]).calls == 0
    assert R.LLMAttributor("m", offline=True).calls.estimate([]).calls == 0
    with pytest.raises(ModuleNotFoundError, match=r"sotopia-env\[openai\]"):
        R.LLMJudge("m")


@pytest.mark.parametrize("key", ["sk-canary-0123456789\n", "sk-canary-0123456789é", "sk-canary-01\r\nX-Evil: 456789"])
def test_a_key_that_cannot_be_sent_stands_in_no_error(chat_server, monkeypatch, caplog, key):
    caplog.set_level("DEBUG")
    monkeypatch.setenv("OPENAI_API_KEY", key)
    if key.endswith("\n"):
        calls = make(chat_server)
        assert calls.ask(questions(calls, 1)) == ["I could do $100."]
        assert chat_server.authorizations == {f"Bearer {key.strip()}"}
    else:
        with pytest.raises(ValueError, match="OPENAI_API_KEY holds characters that no key has") as caught:
            make(chat_server)
        assert "canary" not in "".join(traceback.format_exception(caught.value))
    assert "canary" not in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_cost": 1.0}, "price_in and price_out with it"),
        ({"max_cost": -1.0, "price_in": 1.0, "price_out": 1.0}, "give 0 or more"),
        ({"price_in": 1.0}, "give both"),
        ({"price_in": 1.0, "price_out": -1.0}, "give both, 0 or more"),
        ({"max_cost": 1.0, "price_in": 1.0, "price_out": 1.0, "max_tokens": None}, "give max_tokens too"),
    ],
)
def test_what_makes_no_sense_is_refused(chat_server, options, message):
    with pytest.raises(ValueError, match=message):
        make(chat_server, **options)
