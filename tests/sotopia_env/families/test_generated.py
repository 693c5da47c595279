from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import sotopia_env
from sotopia_env.episodes import Ending, Episode, Turn
from sotopia_env.families import FAMILIES, Bargain, Divide, MutualFriends
from sotopia_env.families.generated import PEOPLE, Coupling, GeneratedFamily, draw_people, pick
from sotopia_env.policies import Context
from sotopia_env.tasks import Task


def test_two_people_are_drawn_with_a_secret_each() -> None:
    secrets = ("you steal", "you lie", "you cheat")
    rng, again = np.random.default_rng(3), np.random.default_rng(3)
    first, second = draw_people("game", secrets, rng)
    people, kept = again.choice(len(PEOPLE), size=2, replace=False), again.choice(3, size=2, replace=False)
    assert [first.id, second.id] == [f"game-{p}-{s}" for p, s in zip(people, kept, strict=True)]
    assert (first.first_name, first.last_name, first.occupation) == PEOPLE[people[0]]
    assert (first.secret, second.secret) == (secrets[kept[0]], secrets[kept[1]])
    assert first.secret != second.secret
    assert first.name != second.name


def test_one_of_several_is_picked_as_likely_as_any() -> None:
    rng, again = np.random.default_rng(0), np.random.default_rng(0)
    assert [pick("abc", rng) for _ in range(20)] == ["abc"[again.integers(3)] for _ in range(20)]


@pytest.mark.parametrize("family", [Bargain, Divide, MutualFriends])
def test_families_that_draw_their_tasks_take_the_same_arguments(family: type[GeneratedFamily]) -> None:
    made = family(0.5, max_cycles=7, judge_bank="training")
    assert made.coupling == Coupling(0.5, 0.5, 0.5)
    task = made.generate(np.random.default_rng(0), "test")
    assert (task.family, task.version, task.split, task.max_cycles) == (family.name, family.version, "test", 7)
    assert all(goal.endswith("Sway: 0.5.") for goal in task.scenario.goals)
    with pytest.raises(ValueError, match="split 'dev' is none of train, validation, test"):
        made.generate(np.random.default_rng(0), "dev")
    with pytest.raises(ValueError, match="judge_bank: 'mine' is none of"):
        family(judge_bank="mine")
    with pytest.raises(ValueError, match=r"coupling: manners is 2; it lies in \[-0.5, 1\]"):
        family(2)
    with pytest.raises(ValueError, match="coupling: {'charm': 1} is neither a number nor numbers for some of manners"):
        family({"charm": 1})
    assert family({"leaks": 0}).coupling == Coupling(1.0, 1.0, 0.0)


@pytest.mark.parametrize("family", [Bargain, Divide, MutualFriends])
def test_tasks_say_by_which_bank_of_words_they_are_judged(family: type[GeneratedFamily]) -> None:
    usual, training = (family(judge_bank=bank).generate(np.random.default_rng(0)) for bank in (None, "training"))
    assert "judge_bank" not in usual.tags
    assert training == replace(usual, tags={**usual.tags, "judge_bank": "training"})
    said = Turn(0, 0, 0, "speak", "I appreciate that.")

    def judged(task: Task, bank: str | None) -> tuple[str, float | None]:
        found = family(judge_bank=bank).score(Episode("e", task, {}, (said,), Ending("left")))
        return found.judge, found.scores["relationship"][0]

    assert judged(usual, None) == judged(usual, "evaluation") == judged(training, "evaluation") == ("rule", 0.0)
    assert judged(training, None) == judged(usual, "training") == ("rule-training", pytest.approx(5 / 3))
    with pytest.raises(ValueError, match="tag judge_bank: 'mine' is none of training, evaluation"):
        judged(replace(usual, tags={"judge_bank": "mine"}), None)


UNDECIDED = ["Hm.", "Well.", "Let me see.", "Once more?"]


@pytest.mark.parametrize("split", Bargain.splits)
@pytest.mark.parametrize("name", ["bargain", "divide", "mutual-friends"])
def test_a_family_as_it_is_pays_every_seat_a_number(name: str, split: str) -> None:
    if split not in FAMILIES[name].splits:
        return
    env = sotopia_env.parallel_env(f"{name}:{split}", reward="episode", max_cycles=6)
    players = [sotopia_env.make_policy(given) for given in ("scripted:mixed", "random")]
    for seed in range(40):
        observations, _ = env.reset(seed=seed)
        paid = []
        while env.agents:
            (agent,) = env.unwrapped.acting
            rng = np.random.default_rng((seed, len(paid)))
            if seed % 4 == 3:
                decision: Any = sotopia_env.leave() if len(paid) > 2 else UNDECIDED[len(paid)]
            else:
                context = Context(f"{seed}", agent, len(paid) // 2, rng)
                (decision,) = players[seed % 2].act([observations[agent]], [context])
            observations, rewards, *_ = env.step({agent: decision})
            paid.append(list(rewards.values()))
        assert np.isfinite(paid).all()
        scores = env.episode.judgements[0].scores
        assert all(score is not None for by_seat in scores.values() for score in by_seat)
