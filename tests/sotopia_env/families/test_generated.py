from __future__ import annotations

import numpy as np
import pytest

from sotopia_env.families import Bargain, Divide, MutualFriends
from sotopia_env.families.generated import PEOPLE, Coupling, GeneratedFamily, draw_people, pick


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
