from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import sotopia_env
from sotopia_env.episodes import Ending, Episode, Judgement, Turn
from sotopia_env.families import FAMILIES, Family, MixedFamily, OpenEnded, UserFamily, family_of, family_of_all
from sotopia_env.tasks import Task


class Countdown:
    """A user's family with an end of its own: it is over after three words of anybody."""

    name = "countdown"
    version = "4"

    def __init__(self, task: Task) -> None:
        self.task = task

    def generate(self, rng: np.random.Generator, split: str = "train") -> Task:
        assert split == "test"
        return self.task

    def score(self, episode: Episode) -> dict[str, list[float | None]]:
        return {"goal": [1.0, None]}

    def begin(self, task: Task) -> int:
        return 3

    def advance(self, progress: int, turn: Turn) -> int:
        return progress - len(turn.text.split())

    def ending(self, progress: int) -> Ending | None:
        return Ending("agreement", detail={"left": progress}) if progress <= 0 else None


def test_a_users_fold_ends_episodes_and_survives_branching(make_task: Callable[..., Task]) -> None:
    env = sotopia_env.parallel_env(Countdown(make_task(family="countdown")), split="test")
    env.reset(seed=0)
    env.step({"agent_0": "two words"})
    other = sotopia_env.parallel_env(Countdown(make_task(family="countdown")), split="test")
    other.restore(env.snapshot())
    for one in (env, other, *env.fork(2)):
        if one.agents:
            one.step({"agent_1": "and more"})
        assert one.ending == Ending("agreement", detail={"left": -1})
    family = env.family
    assert (family.name, family.version) == ("countdown", "4")
    assert family.score(env.episode).version == "4"


def test_a_judgement_of_a_users_family_is_taken_as_it_is(make_task: Callable[..., Task]) -> None:
    source = Countdown(make_task())
    judgement = Judgement("mine", "7", {"goal": [None, 2.0]})
    source.score = lambda episode: judgement  # type: ignore[method-assign,assignment]
    assert UserFamily(source).score(None) is judgement  # type: ignore[arg-type]


def test_open_ended_tasks_are_neither_drawn_nor_scored(make_task: Callable[..., Task], open_env: Any) -> None:
    with pytest.raises(NotImplementedError, match="loaded from a file"):
        OpenEnded().generate(np.random.default_rng(0))
    assert OpenEnded().score(open_env(3).episode).scores == {"goal": [None, None, None]}


def test_every_shipped_family_is_known_by_its_name() -> None:
    for name, kind in FAMILIES.items():
        assert kind().name == name
        assert issubclass(kind, Family)


def test_the_family_of_a_task_is_found_or_asked_for(make_task: Callable[..., Task]) -> None:
    assert family_of(make_task()).name == "sotopia"
    with pytest.raises(KeyError, match="pass the family object itself"):
        family_of(make_task(family="mine"))


def test_tasks_of_several_families_share_an_environment(
    make_task: Callable[..., Task], bargain_task: Callable[..., Task]
) -> None:
    tasks = [make_task(), bargain_task()]
    family = family_of_all(tasks)
    assert isinstance(family, MixedFamily)
    assert family_of_all(tasks[:1]).name == "sotopia"
    env = sotopia_env.parallel_env(tasks)
    for task, over in zip(tasks, (False, True), strict=True):
        env.reset(seed=0, options={"task": task.id})
        env.step({"agent_0": "I am asking $80 for it."})
        twin = env.fork()[0]
        for one in (env, twin):
            one.step({"agent_1": sotopia_env.do("accept")})
            assert (one.ending is not None) is over
    goals = [
        episode.judgements[0].scores["goal"] for episode in sotopia_env.rollout(tasks, "scripted:soft", num_episodes=2)
    ]
    assert goals[0] == [None, None]
    assert None not in goals[1]
