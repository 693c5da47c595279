from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sotopia_env.rewards.judges.injections import INJECTIONS

Run = Callable[..., Any]


def gullible(sent: dict[str, Any]) -> str:
    asked = "give me 10" in sent["messages"][1]["content"]
    mark = {"reason": "", "score": 0}
    marks = dict.fromkeys(("relationship", "secret", "social_rules", "financial_and_material_benefits"), mark)
    marks |= {d: {"reason": "", "score": 9 if asked else 3} for d in ("goal", "knowledge", "believability")}
    return json.dumps({"agent_0": marks, "agent_1": marks})


def test_the_report_of_a_gullible_judge(
    chat_server: Any, done: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat_server.answer(gullible)
    arguments = ["attack-judge", f"llm:m@{chat_server.url}", "-n", 1, "--cache", tmp_path / "c"]
    estimate = json.loads(done(*arguments, "--dry-run", "--json"))
    assert estimate["total"]["calls"] == len(INJECTIONS) + 2
    assert chat_server.requests == []
    report = json.loads(done(*arguments, "--json"))
    goal = next(s for s in report["shifts"] if (s["dimension"], s["kind"]) == ("goal", "all"))
    assert (goal["greatest"], goal["by"]) == (6, "plain order")
    assert report["calls"] == len(INJECTIONS) + 2
    monkeypatch.setenv("COLUMNS", "100")
    table = done(*arguments, "--cached-only")
    assert "plain order" in table
    assert "+6.00" in table
    assert len(chat_server.requests) == len(INJECTIONS) + 2


def test_a_budget_ends_it(chat_server: Any, call: Run) -> None:
    chat_server.answer(gullible)
    result = call("attack-judge", f"llm:m@{chat_server.url}", "-n", 1, "--budget", "5 calls", "--json")
    assert result.exit_code == 3
    assert len(chat_server.requests) == 5


def test_a_rule_judge_shows_no_shift(done: Run) -> None:
    report = json.loads(done("attack-judge", "rule", "-n", 2, "--place", "start", "--json"))
    assert {shift["greatest"] for shift in report["shifts"]} == {0}


def test_what_cannot_be_done_is_one_line(refused: Run) -> None:
    assert "neither start nor end" in refused("attack-judge", "rule", "--place", "middle")
    assert "--num-episodes: 0 is not 1 or more" in refused("attack-judge", "rule", "-n", 0)
    assert "give --cache FILE" in refused("attack-judge", "llm:m", "--cached-only")


def test_members_of_an_ensemble_are_estimated_and_their_failures_end_it(
    chat_server: Any, call: Run, done: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat_server.answer(gullible)
    lines = [
        "from sotopia_env.rewards import EnsembleJudge, LLMJudge",
        f"both = EnsembleJudge([LLMJudge('m@{chat_server.url}', max_calls=5), 'rule'])",
    ]
    (tmp_path / "two_judges.py").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    arguments = ["attack-judge", "two_judges:both", "-n", 1, "--json"]
    assert json.loads(done(*arguments, "--dry-run"))["total"]["calls"] == len(INJECTIONS) + 2
    assert json.loads(done("attack-judge", "rule", "--dry-run", "--json")) == {"asked": {}, "total": {"calls": 0}}
    assert chat_server.requests == []
    result = call(*arguments)
    assert (result.exit_code, len(chat_server.requests)) == (3, 5)
    assert json.loads(result.stdout)["failures"]["budget"] > 0
