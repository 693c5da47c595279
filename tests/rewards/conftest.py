"""A world small enough to know everything about: two agents say "a" or "b", and three times "a" in four turns wins."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from sotopia_env.environment import SotopiaParallelEnv
from sotopia_env.episodes import Ending, Episode, Judgement, Turn
from sotopia_env.families.base import Family, Move
from sotopia_env.tasks import Character, Scenario, Task

PROBABILITY = 0.6
LENGTH = 4
NEEDED = 3


class Votes(Family):
    """Goal 10 for seat 0 and 0 for seat 1 where "a" was said at least three times; the other way round where not."""

    name = "votes"
    version = "1"

    def __init__(self, unknown: bool = False) -> None:
        self.unknown = unknown
        self.judged = 0

    def generate(self, rng: np.random.Generator, split: str = "train") -> Task:
        people = (Character("c0", "Ada"), Character("c1", "Bo"))
        scenario = Scenario("s", "A vote.", ("More of a.", "More of b."), hidden=({}, {}))
        return Task(f"votes-{int(rng.integers(1000))}", self.name, self.version, split, scenario, people)

    def move(self, task: Task, turn: Turn) -> Move:
        return Move("offer", turn.text) if turn.text in ("a", "b") else Move("none")

    def score(self, episode: Episode) -> Judgement:
        self.judged += 1
        won = sum(turn.text == "a" for turn in episode.turns) >= NEEDED
        goals: list[float | None] = [10.0, 0.0] if won else [0.0, 10.0]
        words = [-sum(turn.text == "b" for turn in episode.turns if turn.seat == seat) for seat in (0, 1)]
        relationship: list[float | None] = [max(-5.0, float(count)) for count in words]
        if self.unknown:
            goals = [None, None]
        return Judgement("rule", self.version, {"goal": goals, "relationship": relationship})


def true_value(turns: Sequence[Turn]) -> float:
    """Expected goal of seat 0 on the unit scale, both seats saying "a" with the probability above."""
    left, missing = LENGTH - len(turns), NEEDED - sum(turn.text == "a" for turn in turns)
    return sum(
        math.comb(left, hits) * PROBABILITY**hits * (1 - PROBABILITY) ** (left - hits)
        for hits in range(max(0, missing), left + 1)
    )


def vote(observation: Any, rng: np.random.Generator) -> str:
    """Say "a" with the probability above."""
    return "a" if rng.random() < PROBABILITY else "b"


@pytest.fixture
def family() -> Votes:
    return Votes()


@pytest.fixture
def make_env() -> Callable[..., SotopiaParallelEnv]:
    def make(unknown: bool = False, **options: Any) -> SotopiaParallelEnv:
        return SotopiaParallelEnv(Votes(unknown), **{"max_cycles": LENGTH, **options})

    return make


@pytest.fixture
def make_episode() -> Callable[..., Episode]:
    """Episodes by hand: ``make_episode("a", "b", "a")`` is three turns, agent_0 first; ``None`` is an invalid turn."""

    def make(*texts: str | None, over: bool = True, seats: Sequence[int] | None = None, **config: Any) -> Episode:
        task = Votes().generate(np.random.default_rng(0))
        order = [i % 2 for i in range(len(texts))] if seats is None else seats
        turns = []
        for index, (seat, text) in enumerate(zip(order, texts, strict=True)):
            kind, invalid = ("speak", None) if text is not None else ("none", "no action was given")
            turns.append(Turn(seat, list(order[:index]).count(seat), index, kind, text or "", None, invalid))
        config = {
            "max_cycles": LENGTH,
            "action_order": "round-robin",
            "max_stale": 2,
            "action_types": ["none", "speak", "non-verbal communication", "action", "leave"],
            **config,
        }
        ending = Ending("max_cycles", truncated=True) if over else None
        return Episode("by-hand", task, config, tuple(turns), ending, seed=0)

    return make


@pytest.fixture
def voter() -> Callable[..., str]:
    return vote


@pytest.fixture
def value_of() -> Callable[[Sequence[Turn]], float]:
    return true_value


@pytest.fixture
def judge(family: Votes) -> Any:
    from sotopia_env.rewards import RuleJudge

    return RuleJudge(family)
