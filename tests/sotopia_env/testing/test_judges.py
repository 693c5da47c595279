from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from sotopia_env.episodes import Episode, Judgement
from sotopia_env.families import Bargain
from sotopia_env.rewards import FunctionJudge, Judge, RuleJudge
from sotopia_env.testing import check_judge
from sotopia_env.testing.material import open_ended_task

Broken = Callable[..., Any]

SCORES = "scores are one number or None per seat"
STORED = "judgements can be stored and found again"
UNTOUCHED = "episodes stay as they are"
REPEATS = "equal calls give equal scores"
BATCH = "scores do not depend on the batch"
BLIND = "it does not know who played"
ANY_TEXT = "any text is coped with"


def politeness(episode: Episode, agent: str) -> dict[str, float | None]:
    said = " ".join(turn.text.lower() for turn in episode.own_turns(agent))
    return {"relationship": min(5.0, float(said.count("thank"))), "goal": None}


def test_shipped_judges_keep_the_rules() -> None:
    assert check_judge(RuleJudge()).passed
    assert check_judge(RuleJudge(Bargain(judge_bank="training"))).passed


def test_a_function_keeps_the_rules() -> None:
    report = check_judge(politeness)
    assert report.name == "politeness"
    notes = {finding.rule: finding.what for finding in report.findings}
    assert notes["a version stands in every judgement"].startswith("none is given")
    assert notes["tasks it cannot judge are refused"] == "open-ended tasks are taken"
    assert notes[SCORES] == "6 episodes, 24 scores, 12 unknown"
    assert check_judge(FunctionJudge(politeness, version="2"), tasks=[open_ended_task(3)]).passed


def test_tasks_that_nobody_can_judge_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="the rule judge cannot score open-ended tasks"):
        check_judge("rule", tasks=[open_ended_task()])


class Template(Judge):
    name = "template"

    def judge(self, episodes: Sequence[Episode]) -> Any:
        return [self.one(episode) for episode in episodes]

    def one(self, episode: Episode) -> Any:
        return Judgement(self.name, "1", {"goal": [float(len(episode.own_turns(a)) % 11) for a in episode.agents]})


def test_the_template_keeps_all_rules() -> None:
    assert check_judge(Template()).passed


@pytest.mark.parametrize(
    ("scores", "what"),
    [
        ({}, "no dimension is scored"),
        ({"goal": [1.0]}, "[1.0] is not one value for each of 2 seats"),
        ({"goal": 1.0}, "1.0 is not one value for each of 2 seats"),
        ({"goal": [1.0, math.nan]}, "nan is no number"),
        ({"goal": [1.0, True]}, "True is no number"),
        ({"goal": [1.0, "8"]}, "'8' is no number"),
        ({"goal": [1.0, 11.0]}, "11 is out of range"),
        ({"secret": [1.0, 0.0]}, "1 is out of range"),
    ],
)
def test_wrong_scores(broken: Broken, scores: Any, what: str) -> None:
    class Wrong(Template):
        def one(self, episode: Episode) -> Any:
            return Judgement(self.name, "1", scores)

    found = broken(check_judge, Wrong(), [SCORES])[SCORES]
    assert found.what == what
    assert found.where.startswith("episode ")


def test_evidence_that_no_file_takes(broken: Broken) -> None:
    class Wrong(Template):
        def one(self, episode: Episode) -> Any:
            return replace(super().one(episode), latent={"seats": {1, 2}})

    assert "is no plain JSON-able data" in broken(check_judge, Wrong(), [SCORES])[SCORES].what


def test_too_few_judgements_or_none_at_all(broken: Broken) -> None:
    class Short(Template):
        def judge(self, episodes: Sequence[Episode]) -> Any:
            return super().judge(episodes)[:2]

    assert broken(check_judge, Short(), [SCORES])[SCORES].what == "judge returned 2 results for 6 episodes"

    class Bare(Template):
        def one(self, episode: Episode) -> Any:
            return {"goal": [1.0, 2.0]}

    assert broken(check_judge, Bare(), [SCORES])[SCORES].what == "a dict is no Judgement"


def test_a_judge_without_a_name(broken: Broken) -> None:
    class Nameless(Template):
        name = " "

    assert broken(check_judge, Nameless(), ["it has a name"])


def test_judgements_under_another_name(broken: Broken) -> None:
    class Alias(Template):
        def one(self, episode: Episode) -> Any:
            return replace(super().one(episode), judge="someone else")

    assert broken(check_judge, Alias(), [STORED])[STORED].what == (
        "a judgement is signed 'someone else', not 'template'"
    )


def test_versions_that_are_no_text(broken: Broken) -> None:
    class Number(Template):
        def one(self, episode: Episode) -> Any:
            return replace(super().one(episode), version=2)

    rule = "a version stands in every judgement"
    assert broken(check_judge, Number(), [rule])[rule].what == "a version is no text: {2}"


def test_a_judge_that_changes_episodes(broken: Broken) -> None:
    class Scribbler(Template):
        def one(self, episode: Episode) -> Any:
            episode.task.tags["judged"] = True  # type: ignore[index]
            return super().one(episode)

    assert "judge changed what it was given" in broken(check_judge, Scribbler(), [UNTOUCHED])[UNTOUCHED].what


def test_a_judge_that_rolls_dice(broken: Broken) -> None:
    class Dice(Template):
        def one(self, episode: Episode) -> Any:
            return Judgement(self.name, "1", {"goal": [random.random(), 1.0]})

    found = broken(check_judge, Dice(), [REPEATS, BATCH, BLIND])
    assert "judge depends on a global generator" in found[REPEATS].what
    assert check_judge(Dice(), deterministic=False).passed


def test_a_judge_that_ranks_the_batch(broken: Broken) -> None:
    class Ranking(Template):
        def judge(self, episodes: Sequence[Episode]) -> Any:
            return [Judgement(self.name, "1", {"goal": [float(i), 0.0]}) for i in range(len(episodes))]

    found = broken(check_judge, Ranking(), [BATCH])[BATCH]
    assert found.what == "goal depends on the other episodes of the batch: [1.0, 0.0] and [0.0, 0.0]"


def test_a_judge_that_favours_a_policy(broken: Broken) -> None:
    class Partial(Template):
        def one(self, episode: Episode) -> Any:
            return Judgement(self.name, "1", {"goal": [float(len(episode.key) % 7), 1.0]})

    found = broken(check_judge, Partial(), [BLIND])[BLIND]
    assert found.what.startswith("goal depends on key, seed, policies or rewards of the episode: ")


def test_a_judge_that_a_speaker_can_break(broken: Broken) -> None:
    def strict(episode: Episode, agent: str) -> dict[str, float | None]:
        for turn in episode.own_turns(agent):
            turn.text.encode("latin-1")
        return {"goal": 1.0}

    found = broken(check_judge, strict, [ANY_TEXT])[ANY_TEXT]
    assert found.what.startswith("raised UnicodeEncodeError: ")
    assert "in strict" in found.where


def test_a_refusal_without_words(broken: Broken) -> None:
    class Curt(Template):
        def check(self, family: Any, tasks: Any = None) -> None:
            if family.name == "sotopia":
                raise ValueError

    rule = "tasks it cannot judge are refused"
    assert broken(check_judge, Curt(), [rule])[rule].what == "check raised a ValueError without a text"
