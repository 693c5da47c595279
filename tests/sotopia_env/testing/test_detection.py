from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sotopia_env import rewards as R
from sotopia_env.actions import Action, speak
from sotopia_env.agents.scripted.policy import ScriptedPolicy
from sotopia_env.episodes import Episode
from sotopia_env.families import Bargain
from sotopia_env.testing import KINDS, Report, Violation, check
from sotopia_env.testing.comparing import check_json, difference, fingerprint
from sotopia_env.testing.detection import kind_of
from sotopia_env.testing.reports import NotApplicable, Rule, run_rules


def greets(observation: Any, rng: np.random.Generator) -> Action:
    return speak("Hello.")


def nothing_known(episode: Episode, agent: str) -> dict[str, float | None]:
    return {"goal": None}


def nothing_paid(batch: Sequence[Episode]) -> list[dict[str, list[float | None]]]:
    return [{agent: [0.0 for _ in e.own_turns(agent)] for agent in e.agents} for e in batch]


class DrawsAndScores:
    def generate(self, rng: Any) -> Any: ...

    def score(self, episode: Any) -> Any: ...


class Scores:
    def score(self, episode: Any, agent: Any) -> Any: ...


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ("bargain", "family"),
        ("sotopia", "family"),
        ("rule", "judge"),
        ("episode", "reward"),
        ("monte-carlo:scripted:warm", "reward"),
        ("random", "policy"),
        ("scripted:warm", "policy"),
        ("local:runs/bc", "policy"),
        ("sotopia_env.families:Bargain", "family"),
        ("sotopia_env.rewards:RuleJudge", "judge"),
        ("sotopia_env.rewards:EpisodeReward", None),
        ("sotopia_env.rewards:LengthPenalty", "reward"),
        (ScriptedPolicy, "policy"),
        (Bargain(), "family"),
        (R.RuleJudge(), "judge"),
        (R.LengthPenalty(), "reward"),
        (DrawsAndScores, "family"),
        (Scores(), "judge"),
        (greets, "policy"),
        (nothing_known, "judge"),
        (nothing_paid, "reward"),
        (lambda first, second: None, None),
        (3, None),
    ],
)
def test_the_kind_of_a_part_follows_from_it(part: Any, kind: str | None) -> None:
    if kind is None:
        with pytest.raises(ValueError, match="say kind = one of policy, reward, family, judge"):
            kind_of(part)
    else:
        assert kind_of(part) == kind


def test_any_part_is_checked() -> None:
    for part, kind in ((greets, "policy"), (nothing_paid, "reward"), (nothing_known, "judge"), (Bargain(), "family")):
        report = check(part)
        assert (report.kind, report.passed) == (kind, True)
    assert check(lambda first, second: speak("Hello."), "policy").passed


def test_the_checks_need_no_model_library() -> None:
    script = """if True:
        import sys
        from sotopia_env.testing import check

        assert check("random", observations=4, deterministic=False).passed
        assert not {"torch", "transformers", "trl", "datasets", "openai"} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[3], check=True)


def test_names_and_kinds_that_do_not_exist() -> None:
    with pytest.raises(ValueError, match="'polite' is no name of this package"):
        check("polite")
    with pytest.raises(ValueError, match="kind: 'plugin' is none of policy, reward, family, judge"):
        check(greets, "plugin")
    assert list(KINDS) == ["policy", "reward", "family", "judge"]


def test_what_is_essential_stops_the_check_and_everything_is_reported() -> None:
    def fails() -> str:
        raise Violation("it is blue", where="at noon", remedy="Paint it")

    def does_not_apply() -> str:
        raise NotApplicable("it has no colour")

    rules = [
        Rule("round", lambda: "like a ball"),
        Rule("red", does_not_apply),
        Rule("green", fails),
        Rule("hard", fails, essential=True),
        Rule("heavy", fails),
    ]
    with pytest.raises(AssertionError) as raised:
        run_rules("judge", "thing", rules)
    report: Report = raised.value.report  # type: ignore[attr-defined]
    assert [finding.status for finding in report.findings] == ["passed", "skipped", "failed", "failed", "skipped"]
    assert str(report).splitlines() == [
        "judge 'thing': 1 passed, 2 failed, 2 skipped",
        "ok      round: like a ball",
        "skipped red: it has no colour",
        "FAILED  green: it is blue",
        "          where: at noon",
        "          remedy: Paint it",
        "FAILED  hard: it is blue",
        "          where: at noon",
        "          remedy: Paint it",
        "skipped heavy: not checked, since 'hard' failed",
    ]
    assert report.to_dict()["findings"][2] == {
        "rule": "green",
        "status": "failed",
        "what": "it is blue",
        "where": "at noon",
        "remedy": "Paint it",
    }
    assert str(raised.value).startswith("judge 'thing' breaks 2 of its rules\nFAILED  green: it is blue")


def test_the_exception_of_a_part_is_the_cause() -> None:
    def raises() -> str:
        raise KeyError("price")

    with pytest.raises(AssertionError) as raised:
        run_rules("reward", "thing", [Rule("paid", raises)])
    assert isinstance(raised.value.__cause__, KeyError)
    assert "raised KeyError: 'price'" in str(raised.value)
    assert f"{__file__}, line" in str(raised.value)


def test_equal_values_have_equal_fingerprints() -> None:
    class Thing:
        def __init__(self, size: Any) -> None:
            self.size = size
            self.itself = self

    assert fingerprint(Thing(np.zeros(2))) == fingerprint(Thing(np.zeros(2)))
    assert fingerprint(Thing(np.zeros(2))) != fingerprint(Thing(np.ones(2)))
    assert fingerprint({"a": {3, 1}}) == fingerprint({"a": {1, 3}})
    assert fingerprint(float("nan")) == fingerprint(float("nan"))
    assert fingerprint(0.1) != fingerprint(0.1 + 1e-17 + 1e-16)
    assert fingerprint("\ud800") != fingerprint("\ud801")
    assert difference("same until here", "same until there") == "'same until here' against 'same until there'"


def test_what_json_cannot_hold_is_named() -> None:
    check_json("a score", {"goal": [1, None, 0.5]})
    with pytest.raises(Violation, match="a score is no plain JSON-able data: Object of type int64"):
        check_json("a score", {"goal": np.int64(1)})
    with pytest.raises(Violation, match="nan is None"):
        check_json("a score", {"goal": float("nan")})
