from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest

import sotopia_env
from sotopia_env.wrappers.base import ParallelWrapper


class Counter(ParallelWrapper):
    """Counts steps: the smallest wrapper with a state of its own."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self.steps = [0]

    def step(self, actions: Mapping[str, Any]) -> Any:
        self.steps[0] += 1
        return super().step(actions)

    def wrapper_state(self) -> dict[str, Any]:
        return {"steps": self.steps}

    def restore_wrapper_state(self, state: Mapping[str, Any]) -> None:
        self.steps = list(state["steps"])


def counted() -> Counter:
    env = Counter(Counter(sotopia_env.parallel_env("bargain", reward=None)))
    env.reset(seed=0)
    env.step({"agent_0": "hello"})
    return env


def test_forks_carry_every_wrapper_along_and_share_nothing() -> None:
    env = counted()
    one, other = env.fork(2)
    one.step({"agent_1": "hi"})
    assert (one.steps, other.steps, env.steps) == ([2], [1], [1])
    assert (one.env.steps, other.env.steps, env.env.steps) == ([2], [1], [1])
    assert len(one.episode.turns) == 2
    assert len(env.episode.turns) == len(other.episode.turns) == 1


def test_snapshot_and_restore_carry_every_wrapper_along() -> None:
    env = counted()
    snapshot = env.snapshot()
    env.step({"agent_1": "hi"})
    assert snapshot["wrapper"] == snapshot["env"]["wrapper"] == {"steps": [1]}
    env.restore(snapshot)
    assert env.steps == env.env.steps == [1]
    env.step({"agent_1": "hi"})
    assert snapshot["wrapper"] == {"steps": [1]}


def test_a_wrapper_reads_and_writes_the_bare_environment() -> None:
    env = counted()
    env.max_cycles = 3
    assert env.unwrapped.max_cycles == env.env.max_cycles == 3
    assert env.agents is env.unwrapped.agents
    assert env.observation_space("agent_0") is env.unwrapped.observation_space("agent_0")
    assert env.metadata is env.unwrapped.metadata
    assert env.messages("agent_1") == env.unwrapped.messages("agent_1")
    assert copy.deepcopy(env).steps == [1]


@pytest.mark.parametrize("reward", [None, "episode"])
def test_max_cycles_may_be_assigned_through_wrappers(reward: Any) -> None:
    env = sotopia_env.parallel_env("bargain", reward=reward)
    env.max_cycles = 2
    env.reset(seed=0)
    for word in ("one", "two"):
        env.step({env.unwrapped.acting[0]: word})
    assert env.agents == []
    assert env.unwrapped.ending.reason == "max_cycles"


@pytest.mark.parametrize("wrap", [lambda env: env, Counter], ids=["bare", "wrapped"])
def test_many_are_stepped_as_each_alone(wrap: Callable[[Any], Any]) -> None:
    together, alone = ([wrap(sotopia_env.parallel_env("bargain", reward=None)) for _ in range(3)] for _ in range(2))
    for number in range(3):
        together[number].reset(seed=number)
        alone[number].reset(seed=number)
    actions = [{"agent_0": "hello"}, {"agent_0": "My price is $80."}, {"agent_0": 3}]
    results = type(together[0]).step_many(together, actions)
    for result, env, given in zip(results, alone, actions, strict=True):
        assert str(result) == str(env.step(given))
    assert [env.episode.turns for env in together] == [env.episode.turns for env in alone]
    assert results[2][4]["agent_0"]["invalid_action"] is not None
