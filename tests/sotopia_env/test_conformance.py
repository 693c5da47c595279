"""PettingZoo's and Gymnasium's own tests, and ours where theirs check less than one expects.

Warnings are errors, but for the three that every text environment gets.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env, data_equivalence
from pettingzoo.test import parallel_api_test, parallel_seed_test

import sotopia_env

FAMILIES = ["bargain"]
ORDERS = ["round-robin", "simultaneous", "random"]
REWARDS = [None, "episode", "uniform"]
ALLOWED = (
    "Observation space for each agent probably should be gymnasium.spaces.box or gymnasium.spaces.discrete",
    "Action space for each agent probably should be gymnasium.spaces.box or gymnasium.spaces.discrete",
    "State space is not an instance of Box or Discrete",
)
UNKNOWN = "The reward is a NaN value"
"""What Gymnasium says of an unknown goal: in a task whose zone is empty no deal could suit both."""

every_environment = pytest.mark.parametrize(
    ("family", "order", "reward"), [(f, o, r) for f in FAMILIES for o in ORDERS for r in REWARDS]
)


@contextmanager
def only_the_three_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for message in ALLOWED:
            warnings.filterwarnings("ignore", message=message)
        yield


@every_environment
def test_parallel_api(family: str, order: str, reward: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with only_the_three_warnings():
        parallel_api_test(sotopia_env.parallel_env(family, action_order=order, reward=reward), num_cycles=60)


@every_environment
def test_parallel_seed(family: str, order: str, reward: Any) -> None:
    with only_the_three_warnings():
        parallel_seed_test(lambda: sotopia_env.parallel_env(family, action_order=order, reward=reward), num_cycles=60)


@every_environment
def test_whole_episodes_are_equal_for_equal_seeds_and_samples(family: str, order: str, reward: Any) -> None:
    """PettingZoo 1.27 compares a single step."""

    def course() -> list[Any]:
        env = sotopia_env.parallel_env(family, action_order=order, reward=reward)
        for number, agent in enumerate(env.possible_agents):
            env.action_space(agent).seed(42 + number)
        seen: list[Any] = []
        for episode in range(8):
            seen.append(env.reset(seed=42 if episode == 0 else None))
            while env.agents:
                seen.append(env.step({agent: env.action_space(agent).sample() for agent in env.agents}))
        return seen

    one, other = course(), course()
    assert len(one) > 20
    assert len(one) == len(other)
    assert all(data_equivalence(known(a), known(b)) for a, b in zip(one, other, strict=True))


def known(data: Any) -> Any:
    """The same data with every nan replaced: nan is not equal to itself."""
    if isinstance(data, dict):
        return {key: known(value) for key, value in data.items()}
    if isinstance(data, tuple | list):
        return [known(value) for value in data]
    return "unknown" if isinstance(data, float) and np.isnan(data) else data


@every_environment
def test_max_cycles_are_played_where_nobody_may_leave(family: str, order: str, reward: Any) -> None:
    types = ("none", "speak", "non-verbal communication", "action")
    env = sotopia_env.parallel_env(family, max_cycles=4, action_order=order, reward=reward, action_types=types)
    for number, agent in enumerate(env.possible_agents):
        env.action_space(agent).seed(number)
    env.reset(seed=0)
    cycles = 0
    while env.agents:
        *_, truncations, _ = env.step({agent: env.action_space(agent).sample() for agent in env.agents})
        cycles += 1
    assert cycles == 4
    assert all(truncations.values())


@pytest.mark.parametrize("reward", REWARDS)
def test_max_cycles_may_be_assigned_through_wrappers(reward: Any) -> None:
    env = sotopia_env.parallel_env("bargain", reward=reward)
    env.max_cycles = 2
    env.reset(seed=0)
    for word in ("one", "two"):
        env.step({env.unwrapped.acting[0]: word})
    assert env.agents == []
    assert env.unwrapped.ending.reason == "max_cycles"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("reward", REWARDS)
@pytest.mark.parametrize(("mode", "kind"), [("ansi", str), ("human", type(None))])
def test_rendering(family: str, reward: Any, mode: str, kind: type, capsys: pytest.CaptureFixture[str]) -> None:
    with only_the_three_warnings():
        env = sotopia_env.parallel_env(family, render_mode=mode, reward=reward)
        env.reset(seed=0)
        assert type(env.render()) is kind
        for number in range(4):
            env.step({env.unwrapped.acting[0]: f"word {number}"})
            assert type(env.render()) is kind
        env.close()
    printed = capsys.readouterr().out
    assert ("#3 agent_" in printed) == (mode == "human")


def test_rendering_without_a_mode_warns() -> None:
    env = sotopia_env.parallel_env("bargain")
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="render_mode"):
        assert env.render() is None


@every_environment
def test_the_state_is_in_its_space_at_every_step(
    play_out: Callable[..., Any], family: str, order: str, reward: Any
) -> None:
    env = sotopia_env.parallel_env(family, action_order=order, reward=reward)
    env.reset(seed=3)
    states = [env.state()]
    while env.agents:
        env.step(dict.fromkeys(env.unwrapped.acting, f"word {len(states)}"))
        states.append(env.state())
    assert all(state in env.state_space for state in states)
    assert len({state["transcript"] for state in states}) == len(states) > 10


def test_metadata_is_pettingzoos() -> None:
    env = sotopia_env.parallel_env("bargain", reward="episode")
    assert env.metadata == {
        "name": "sotopia_v0", "render_modes": ["human", "ansi"], "render_fps": 1, "is_parallelizable": True,
    }  # fmt: skip
    assert env.unwrapped.metadata is env.metadata


@every_environment
def test_what_step_returns_has_plain_types(family: str, order: str, reward: Any, play_out: Callable[..., Any]) -> None:
    env = sotopia_env.parallel_env(family, action_order=order, reward=reward)
    for seed in range(2):
        _, infos = env.reset(seed=seed)
        keys = set(infos["agent_0"])
        for observations, rewards, terminations, truncations, infos in play_out(env, "random", seed):
            for agent in env.possible_agents:
                assert observations[agent] in env.observation_space(agent)
                assert type(rewards[agent]) is float
                assert np.isfinite(rewards[agent]) or env.episode.task.tags["zone"] == "empty"
                assert type(terminations[agent]) is type(truncations[agent]) is bool
                assert set(infos[agent]) == keys


# The single-agent view


@pytest.mark.parametrize("interface", ["text", "dict"])
@pytest.mark.parametrize("agent", ["agent_0", "agent_1"])
@pytest.mark.parametrize("order", ORDERS)
def test_gymnasium_check_env(interface: str, agent: str, order: str, capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=f".*{UNKNOWN}")
        env = gymnasium.make(
            "sotopia_env:sotopia/Bargain-v0", agent=agent, partner="scripted:firm", reward="episode",
            interface=interface, action_order=order,
        )  # fmt: skip
        check_env(env.unwrapped)
