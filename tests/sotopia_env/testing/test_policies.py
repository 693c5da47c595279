from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sotopia_env.actions import Action, leave, speak
from sotopia_env.agents.resolve import policy_names
from sotopia_env.families import Bargain
from sotopia_env.policies import Context, Decision, Observation
from sotopia_env.resolve import make_policy
from sotopia_env.testing import check_policy
from sotopia_env.testing.material import HostilePolicy, open_ended_task

Broken = Callable[..., Any]
OFFLINE = [name for name in policy_names() if name.startswith("scripted:") or name == "random"]

VALID = "act returns one valid decision for each observation"
UNTOUCHED = "observations stay as they are"
ANY_TEXT = "any text is coped with"
LONG = "long texts are coped with, or refused with a reason"
REPEATS = "equal calls give equal decisions"
BATCH = "a decision does not depend on the batch"
ACT_ONE = "act_one is act for one"
FORKS = "forks play on alike"
ROLLOUTS = "rollouts of any batch size are equal"
PROCESSES = "every process says the same"


@pytest.mark.parametrize("name", OFFLINE)
def test_shipped_policies_keep_the_rules(name: str) -> None:
    report = check_policy(make_policy(name))
    assert report.passed
    assert report.name == name
    assert [finding.rule for finding in report.findings if finding.status == "skipped"] == [PROCESSES]


@pytest.mark.parametrize("name", ["scripted:warm", "random"])
def test_shipped_policies_keep_the_rules_among_three(name: str) -> None:
    assert check_policy(make_policy(name), tasks=[open_ended_task(3)]).passed


class Template:
    """A policy that keeps all rules; the classes below each break one."""

    name = "template"

    def act(self, observations: Sequence[Observation], contexts: Sequence[Context]) -> Any:
        return [Decision(self.decide(o, c.rng)) for o, c in zip(observations, contexts, strict=True)]

    def act_one(self, observation: Observation, context: Context | None = None) -> Action:
        return self.decide(observation, np.random.default_rng(0) if context is None else context.rng)

    def decide(self, observation: Observation, rng: np.random.Generator) -> Action:
        return speak(f"I say {rng.integers(1000)} after {len(observation['transcript'])} characters.")


def test_the_template_keeps_all_rules() -> None:
    assert check_policy(Template()).passed
    assert check_policy(HostilePolicy(), deterministic=False).passed


def test_a_policy_without_a_name(broken: Broken) -> None:
    class Nameless(Template):
        name = ""

    found = broken(check_policy, Nameless(), ["it has a name"])
    assert found["it has a name"].what == "the policy has no name: ''"


def test_too_few_decisions(broken: Broken) -> None:
    class Short(Template):
        def act(self, observations: Any, contexts: Any) -> Any:
            return super().act(observations, contexts)[:3]

    found = broken(check_policy, Short(), [VALID])
    assert found[VALID].what == "act returned 3 results for 16 observations"


@pytest.mark.parametrize(
    ("returned", "what"),
    [
        ("Hello", "act returned a str among its results, not a Decision"),
        (Decision("Hello"), "the decision's action is a str"),  # type: ignore[arg-type]
        (Decision(Action("shout", "Hello")), "the decision's action is invalid (unknown action type 'shout'"),
        (Decision(speak(" ")), "the decision's action is invalid (nothing was said), and the decision does not say so"),
        (Decision(speak("Hi"), invalid="no JSON"), "the decision is marked invalid, yet its action is 'speak'"),
        (Decision(speak("Hi"), raw=3), "raw is a int"),  # type: ignore[arg-type]
    ],
)
def test_wrong_decisions(broken: Broken, returned: Any, what: str) -> None:
    class Wrong(Template):
        def act(self, observations: Any, contexts: Any) -> Any:
            return [returned] * len(observations)

    found = broken(check_policy, Wrong(), [VALID])[VALID]
    assert what in found.what
    assert found.where.startswith("task bargain")
    assert "own turn 0" in found.where


def test_a_policy_that_needs_somebody_to_ask(broken: Broken) -> None:
    class NotEmpty(Template):
        def act(self, observations: Any, contexts: Any) -> Any:
            width = max(len(observation["goal"]) for observation in observations)
            assert width
            return super().act(observations, contexts)

    found = broken(check_policy, NotEmpty(), [VALID])[VALID]
    assert "raised ValueError" in found.what
    assert f"{__file__}, line" in found.where
    assert found.where.endswith("in act")


def test_a_policy_that_writes_into_observations(broken: Broken) -> None:
    class Scribbler(Template):
        def decide(self, observation: Any, rng: np.random.Generator) -> Action:
            observation["action_types"][4] = 0
            return super().decide(observation, rng)

    found = broken(check_policy, Scribbler(), [UNTOUCHED])[UNTOUCHED]
    assert found.what.startswith("act changed what it was given: ")


def test_a_policy_that_cannot_read_what_others_say(broken: Broken) -> None:
    class Naive(Template):
        def decide(self, observation: Any, rng: np.random.Generator) -> Action:
            said = [int(word[1:]) for word in observation["transcript"].split() if word.startswith("$") and word[1:]]
            return speak(f"At most {max(said, default=0)}.")

    fails = broken(check_policy, Naive(), [VALID])
    assert "raised ValueError: invalid literal for int()" in fails[VALID].what

    class Careful(Template):
        def decide(self, observation: Any, rng: np.random.Generator) -> Action:
            said = observation["transcript"]
            if "\x1b" in said:
                raise RuntimeError("what is this")
            return super().decide(observation, rng)

    found = broken(check_policy, Careful(), [ANY_TEXT])[ANY_TEXT]
    assert found.what == "raised RuntimeError: what is this"


@pytest.mark.parametrize(("error", "passes"), [(ValueError("too long for me"), True), (ValueError(), False)])
def test_a_policy_with_a_short_memory(broken: Broken, error: Exception, passes: bool) -> None:
    class Short(Template):
        def decide(self, observation: Any, rng: np.random.Generator) -> Action:
            if len(observation["transcript"]) > 6000:
                raise error
            return super().decide(observation, rng)

    if passes:
        notes = {finding.rule: finding.what for finding in check_policy(Short()).findings}
        assert "of them refused: too long for me" in notes[LONG]
    else:
        assert broken(check_policy, Short(), [LONG])[LONG].what == "act raised a ValueError without a text"


@pytest.mark.slow
def test_a_local_model_keeps_the_rules() -> None:
    pytest.importorskip("torch")
    from sotopia_env.agents.embedded import build_embedded_model
    from sotopia_env.agents.loading import LoadedModel
    from sotopia_env.agents.local_lm import LocalLM

    model, tokenizer = build_embedded_model(
        ["You sell the bike for $72."] * 4, seed=0, hidden_size=32, layers=2, heads=2
    )
    policy = LocalLM(LoadedModel(model, tokenizer, "embedded"), max_new_tokens=8)
    report = check_policy(policy, tasks=Bargain(max_cycles=6), observations=8)
    assert [finding.rule for finding in report.findings if finding.status == "skipped"] == [PROCESSES]


@pytest.mark.parametrize("draw", [random.random, lambda: np.random.rand()])  # noqa: NPY002
def test_a_policy_that_draws_from_a_global_generator(broken: Broken, draw: Callable[[], float]) -> None:
    class Global(Template):
        def decide(self, observation: Any, rng: np.random.Generator) -> Action:
            return speak(f"{draw():.6f}")

    found = broken(check_policy, Global(), [REPEATS, BATCH, ACT_ONE, FORKS, ROLLOUTS])
    assert found[REPEATS].what.startswith("act depends on a global generator (random, numpy.random or torch): ")


def test_a_policy_that_draws_and_throws_away(broken: Broken) -> None:
    class Wasteful(Template):
        def decide(self, observation: Any, rng: np.random.Generator) -> Action:
            random.random()
            return super().decide(observation, rng)

    found = broken(check_policy, Wasteful(), [REPEATS, ACT_ONE])
    assert found[REPEATS].what == "act drew from a global generator (random, numpy.random or torch)"


def test_a_policy_with_a_memory(broken: Broken) -> None:
    class Counting(Template):
        calls = 0

        def decide(self, observation: Any, rng: np.random.Generator) -> Action:
            self.calls += 1
            return speak(f"This is my answer number {self.calls}.")

    found = broken(check_policy, Counting(), [REPEATS, BATCH, ACT_ONE, FORKS, ROLLOUTS])
    assert found[REPEATS].what.startswith("act differs between two equal calls: ")
    assert "This is my answer number" in found[FORKS].what or found[FORKS].where.startswith("task bargain")
    assert check_policy(Counting(), deterministic=False).passed


def test_a_policy_that_looks_at_the_batch(broken: Broken) -> None:
    class Crowded(Template):
        def act(self, observations: Any, contexts: Any) -> Any:
            return [Decision(speak(f"We are {len(observations)}."))] * len(observations)

    found = broken(check_policy, Crowded(), [BATCH, ACT_ONE, ROLLOUTS])
    assert found[BATCH].what == ("in a batch of 16: speak 'We are 16.', in a batch of one: speak 'We are 1.'")
    assert "'We are 1.'" in found[ROLLOUTS].what


def test_a_policy_whose_generator_is_shared_by_the_batch(broken: Broken) -> None:
    class Shared(Template):
        def act(self, observations: Any, contexts: Any) -> Any:
            rng = contexts[0].rng if contexts else None
            return [Decision(speak(f"{rng.integers(1000)}")) for _ in observations]

    found = broken(check_policy, Shared(), [BATCH, ROLLOUTS, ACT_ONE])
    assert "in reversed order" in found[BATCH].what


def test_a_policy_whose_act_one_differs(broken: Broken) -> None:
    class Two(Template):
        def act_one(self, observation: Any, context: Any = None) -> Action:
            return leave()

    found = broken(check_policy, Two(), [ACT_ONE])[ACT_ONE]
    assert "in act_one with the context: leave ''" in found.what

    class None_(Template):  # noqa: N801
        act_one = None  # type: ignore[assignment]

    assert broken(check_policy, None_(), [ACT_ONE])[ACT_ONE].what == "there is no act_one"


def test_a_policy_that_differs_between_processes(
    broken: Broken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "def salted(observation, rng):\n    return 'I say %d' % (hash(observation['goal']) % 1000)\n"
    (tmp_path / "salted_policy.py").write_text(source, encoding="utf-8")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    found = broken(check_policy, "salted_policy:salted", [PROCESSES])[PROCESSES]
    assert found.what.startswith("two processes disagree: ")
    assert found.where == "PYTHONHASHSEED=1 and PYTHONHASHSEED=2"
