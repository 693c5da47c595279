from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from sotopia_env import rewards as R
from sotopia_env.episodes import Episode, Turn
from sotopia_env.rewards.penalties import TurnReward
from sotopia_env.rewards.turn_rewards import TurnRewards
from sotopia_env.testing import check_reward
from sotopia_env.testing.material import open_ended_task

Broken = Callable[..., Any]

FLAGS = "its flags say what its numbers mean"
ALIGNED = "there is one number for each own turn"
UNTOUCHED = "episodes stay as they are"
REPEATS = "equal calls give equal numbers"
BATCH = "numbers do not depend on the batch"
FAILED = "a failed judge is unknown, not 0"
RUNNING = "a running episode knows what is certain"
ONLINE = "play pays what relabel writes"
FORKS = "forks are paid alike"
SPEC = "it can be written down and made again"
ANY_TEXT = "any text is coped with"


def brevity(episodes: Sequence[Episode]) -> list[dict[str, list[float | None]]]:
    return [{a: [-float(len(t.text.split())) for t in e.own_turns(a)] for a in e.agents} for e in episodes]


@pytest.mark.parametrize("name", list(R.DESIGNS))
def test_shipped_designs_keep_the_rules(name: str) -> None:
    assert check_reward(R.get_reward(name)).passed


@pytest.mark.parametrize(
    "reward",
    [
        R.LengthPenalty(target_words=4),
        R.FormatPenalty(),
        R.Outcome("uniform", dimensions={"goal": 1, "relationship": 2}, kind="credit"),
        R.Outcome("episode", scale="native") + 0.5 * R.LengthPenalty(target_words=4) + R.FormatPenalty(),
        R.ClipReward(R.Outcome("discounted") + R.LengthPenalty(target_words=2), -0.2, 0.2),
    ],
    ids=lambda reward: reward.name,
)
def test_shipped_rewards_keep_the_rules(reward: R.Reward) -> None:
    assert check_reward(reward).passed


def test_monte_carlo_keeps_the_rules() -> None:
    assert check_reward(R.MonteCarlo(["scripted:warm"], k=2), episodes=2, max_cycles=4).passed


def test_functions_keep_the_rules() -> None:
    report = check_reward(R.FunctionReward(brevity, timing="causal"), tasks=[open_ended_task(3)])
    skipped = [finding.rule for finding in report.findings if finding.status == "skipped"]
    assert skipped == [FAILED, "every process says the same"]
    report = check_reward(lambda episodes: brevity(episodes))
    skipped = {finding.rule: finding.what for finding in report.findings if finding.status == "skipped"}
    assert list(skipped) == [FAILED, RUNNING, SPEC, "every process says the same"]
    assert "cannot be written as text" in skipped[SPEC]


def test_a_reward_that_can_never_be_computed_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="the rule judge cannot score open-ended tasks"):
        check_reward("episode", tasks=[open_ended_task()])


def numbers(episode: Episode, value: Callable[[Turn], Any]) -> dict[str, list[Any]]:
    return {agent: [value(turn) for turn in episode.own_turns(agent)] for agent in episode.agents}


class Template(R.Reward):
    """A causal return that keeps all rules: the number of characters of a turn."""

    name = "template"
    kind = "return"
    timing = "causal"

    def rewards(self, episodes: Sequence[Episode]) -> Any:
        return [self.one(episode) for episode in episodes]

    def one(self, episode: Episode) -> Any:
        return numbers(episode, lambda turn: float(len(turn.text)))

    def spec(self) -> dict[str, Any]:
        raise ValueError("local classes have no name")


def test_the_template_keeps_all_rules() -> None:
    assert check_reward(Template()).passed


def test_unknown_flags(broken: Broken) -> None:
    class Flagged(Template):
        kind = "bonus"  # type: ignore[assignment]

    assert broken(check_reward, Flagged(), [FLAGS])[FLAGS].what == "kind of 'template' is 'bonus'"


def test_a_reward_without_a_name(broken: Broken) -> None:
    class Nameless(Template):
        name = ""

    assert broken(check_reward, Nameless(), ["it has a name"])


@pytest.mark.parametrize(
    ("one", "what"),
    [
        (lambda episode: {"agent_0": []}, "numbers for"),
        (lambda episode: {}, "there are no numbers for this agent"),
        (lambda episode: numbers(episode, lambda turn: math.nan), "nan is no number"),
        (lambda episode: numbers(episode, lambda turn: math.inf), "inf is no number"),
        (lambda episode: numbers(episode, lambda turn: "1"), "'1' is no number"),
        (lambda episode: numbers(episode, lambda turn: True), "True is no number"),
    ],
)
def test_numbers_that_are_none(broken: Broken, one: Callable[[Episode], Any], what: str) -> None:
    class Wrong(Template):
        def one(self, episode: Episode) -> Any:
            return one(episode)

    found = broken(check_reward, Wrong(), [ALIGNED])[ALIGNED]
    assert what in found.what
    assert "agent_" in found.where


def test_numbers_for_the_turns_of_others(broken: Broken) -> None:
    class Misaligned(Template):
        def one(self, episode: Episode) -> Any:
            return {agent: [1.0 for _ in episode.turns] for agent in episode.agents}

    found = broken(check_reward, Misaligned(), [ALIGNED])[ALIGNED]
    assert "own turns" in found.what
    assert "an invalid action is a turn too" in found.remedy


def test_too_few_results(broken: Broken) -> None:
    class Short(Template):
        def rewards(self, episodes: Sequence[Episode]) -> Any:
            return super().rewards(episodes)[:1]

    assert broken(check_reward, Short(), [ALIGNED])[ALIGNED].what == "it returned 1 results for 4 episodes"


def test_a_reward_that_changes_episodes(broken: Broken) -> None:
    class Scribbler(Template):
        def one(self, episode: Episode) -> Any:
            episode.task.tags["paid"] = True  # type: ignore[index]
            return super().one(episode)

    assert "changed what it was given" in broken(check_reward, Scribbler(), [UNTOUCHED])[UNTOUCHED].what


def test_a_reward_with_a_memory(broken: Broken) -> None:
    class Counting(Template):
        calls = 0

        def one(self, episode: Episode) -> Any:
            self.calls += 1
            return numbers(episode, lambda turn: float(self.calls))

    found = broken(check_reward, Counting(), [REPEATS, BATCH, RUNNING, ONLINE, FORKS])
    assert "the reward differs between two equal calls" in found[REPEATS].what
    assert "play says" in found[ONLINE].what
    assert check_reward(Counting(), deterministic=False).passed


def test_a_reward_that_normalises_over_the_batch(broken: Broken) -> None:
    class Normalised(Template):
        timing = "hindsight"  # type: ignore[assignment]

        def rewards(self, episodes: Sequence[Episode]) -> Any:
            most = max((len(episode.turns) for episode in episodes), default=1)
            return [numbers(episode, lambda turn: len(turn.text) / most) for episode in episodes]

    found = broken(check_reward, Normalised(), [BATCH])[BATCH]
    assert found.what.startswith("it depends on the other episodes of the batch: ")

    class Grouped(Normalised):
        needs = ("group",)  # type: ignore[assignment]

    assert check_reward(Grouped()).passed


def test_a_failed_judge_that_is_taken_for_zero(broken: Broken) -> None:
    class Forgiving(R.Outcome):
        def _finished(self, episode: Episode) -> TurnRewards:
            return {
                agent: [0.0 if value is None else value for value in values]
                for agent, values in super()._finished(episode).items()
            }

    found = broken(check_reward, Forgiving("uniform"), [FAILED])[FAILED]
    assert found.what.startswith("its judge failed, yet every number is known: [0, 0")


def test_a_causal_reward_that_revises_itself(broken: Broken) -> None:
    class Revised(Template):
        def one(self, episode: Episode) -> Any:
            return numbers(episode, lambda turn: float(len(episode.turns)))

    found = broken(check_reward, Revised(), [RUNNING, ONLINE])
    assert "in mid-episode and" in found[RUNNING].what
    assert re.match(r"play says \[1, 3, 5.*\], relabel \[(\d+)(, \1)+\]", found[ONLINE].what)


def test_a_causal_reward_that_waits_for_the_end(broken: Broken) -> None:
    class Late(Template):
        def one(self, episode: Episode) -> Any:
            return numbers(episode, lambda turn: None if episode.ending is None else 1.0)

    found = broken(check_reward, Late(), [RUNNING, ONLINE])
    assert "does not know a turn that was replied to, and says 1.0 at the end" in found[RUNNING].what
    assert "None" in found[ONLINE].what


def test_a_turn_reward_that_contradicts_itself(broken: Broken) -> None:
    @dataclass(frozen=True, init=False)
    class Torn(TurnReward):
        name: str = "torn"

        def value(self, turn: Turn) -> float:
            return 1.0

        def of_turn(self, turn: Turn, replied: bool) -> float:
            return 2.0

    found = broken(check_reward, Torn(), [RUNNING])
    assert "of_turn of 'torn' differs from rewards" in found[RUNNING].what


def test_recent_numbers_that_differ(broken: Broken) -> None:
    class Hasty(Template):
        def recent(self, episodes: Sequence[Episode], settled: Sequence[int]) -> Any:
            return [[0.5] * (len(e.turns) - start) for e, start in zip(episodes, settled, strict=True)]

    found = broken(check_reward, Hasty(), [RUNNING, ONLINE])
    assert "recent of 'template' from turn 0 on is [0.5], rewards [" in found[RUNNING].what


def test_a_spec_that_forgets_an_argument(broken: Broken) -> None:
    class Forgetful(R.Outcome):
        def spec(self) -> dict[str, Any]:
            return R.Outcome("discounted").spec()

    found = broken(check_reward, Forgetful("discounted", gamma=0.5), [SPEC])[SPEC]
    assert found.what.startswith("it differs once made again from its spec: ")


def test_a_reward_that_a_speaker_can_break(broken: Broken) -> None:
    class Strict(Template):
        def one(self, episode: Episode) -> Any:
            return numbers(episode, lambda turn: float(len(turn.text.encode("latin-1"))))

    assert "raised UnicodeEncodeError" in broken(check_reward, Strict(), [ANY_TEXT])[ANY_TEXT].what
