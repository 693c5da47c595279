"""PettingZoo's and Gymnasium's own tests, and ours where theirs check less than one expects.

Every family, turn order and API. Warnings are errors, but for those that every text environment gets.
"""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env, data_equivalence
from pettingzoo.test import api_test, max_cycles_test, parallel_api_test, parallel_seed_test, render_test, seed_test
from pettingzoo.test.state_test import state_test
from pettingzoo.utils import aec_to_parallel

import sotopia_env
from sotopia_env.families import FAMILIES, PUBLISHED
from sotopia_env.policies import Context

ALLOWED = (
    "Observation space for each agent probably should be gymnasium.spaces.box or gymnasium.spaces.discrete",
    "Action space for each agent probably should be gymnasium.spaces.box or gymnasium.spaces.discrete",
    "Observation is not a NumPy array",
)
"""The three warnings of every environment that is made of text."""

ALLOWED_OF_STATES = (
    "State space for each environment probably should be gymnasium.spaces.box or gymnasium.spaces.discrete",
    "State is not NumPy array",
)
"""The same of a state that is made of text; only ``state_test`` looks at it."""

DATA = os.environ.get("SOTOPIA_ENV_DATA", "")
ORDERS = ("round-robin", "simultaneous", "random")
DRAWN = [name for name in FAMILIES if name not in PUBLISHED]
STAYING = ("none", "speak", "non-verbal communication", "action")
"""No ``leave``: random actions would end most episodes in their first cycles."""

needs_data = pytest.mark.skipif(not DATA, reason="SOTOPIA_ENV_DATA names no folder of Sotopia's published files")
every_family = pytest.mark.parametrize(
    "family", [*DRAWN, *(pytest.param(name, marks=needs_data) for name in PUBLISHED)]
)
every_order = pytest.mark.parametrize("order", ORDERS)


@contextmanager
def only_allowed_warnings(*more: str) -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for message in (*ALLOWED, *more):
            warnings.filterwarnings("ignore", message=rf".*{message}")
        yield


@pytest.fixture(scope="module")
def source() -> Callable[[str], Any]:
    """What ``parallel_env`` takes for a family: its name, or some of its published tasks."""
    found: dict[str, Any] = {}

    def of(name: str) -> Any:
        if name not in PUBLISHED:
            return name
        if not found:
            tasks = sotopia_env.load_tasks(DATA)
            found.update({family: [task for task in tasks if task.family == family][:40:5] for family in PUBLISHED})
        return found[name]

    return of


def seeded(env: Any) -> Any:
    """The same environment, its random actions decided: the libraries' tests leave them to chance."""
    for number, agent in enumerate(env.possible_agents):
        env.action_space(agent).seed(number)
    return env


# PettingZoo's own tests


@every_family
@every_order
def test_parallel_api(family: str, order: str, source: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with only_allowed_warnings():
        parallel_api_test(seeded(sotopia_env.parallel_env(source(family), action_order=order)), num_cycles=40)


@every_family
@every_order
def test_parallel_seed(family: str, order: str, source: Any) -> None:
    with only_allowed_warnings():
        parallel_seed_test(lambda: sotopia_env.parallel_env(source(family), action_order=order), num_cycles=40)


@every_family
@every_order
@pytest.mark.parametrize("ask_all", [False, True])
def test_aec_api(family: str, order: str, ask_all: bool, source: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with only_allowed_warnings():
        env = sotopia_env.env(source(family), action_order=order, ask_all=ask_all)
        api_test(seeded(env), num_cycles=40)


@every_family
@every_order
def test_aec_seed(family: str, order: str, source: Any) -> None:
    with only_allowed_warnings():
        seed_test(lambda: sotopia_env.env(source(family), action_order=order), num_cycles=40)


@every_family
@every_order
def test_max_cycles(family: str, order: str, source: Any) -> None:
    """The test counts on every agent in every cycle, which is what ``ask_all`` is for."""

    def make(api: Callable[..., Any], **options: Any) -> Any:
        return seeded(api(source(family), action_order=order, action_types=STAYING, max_stale=9, **options))

    module = SimpleNamespace(
        parallel_env=lambda **options: make(sotopia_env.parallel_env, **options),
        env=lambda **options: make(sotopia_env.env, ask_all=True, **options),
    )
    with only_allowed_warnings():
        max_cycles_test(module)


@every_family
@every_order
def test_rendering(family: str, order: str, source: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def make(**options: Any) -> Any:
        return seeded(sotopia_env.env(source(family), action_order=order, action_types=STAYING, **options))

    with only_allowed_warnings():
        render_test(make, custom_tests={"ansi": lambda text: isinstance(text, str), "human": lambda none: none is None})
    assert "#3 agent_" in capsys.readouterr().out


@every_family
@every_order
def test_state(family: str, order: str, source: Any) -> None:
    options = {"action_order": order}
    with only_allowed_warnings(*ALLOWED_OF_STATES):
        aec = seeded(sotopia_env.env(source(family), **options))
        state_test(aec, seeded(sotopia_env.parallel_env(source(family), **options)))


@every_family
@every_order
def test_the_aec_face_converts_back_where_all_are_asked(
    family: str, order: str, source: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with only_allowed_warnings():
        env = aec_to_parallel(sotopia_env.env(source(family), action_order=order, ask_all=True))
        parallel_api_test(seeded(env), num_cycles=40)


@every_order
@pytest.mark.parametrize("reward", ["episode", "uniform"])
def test_reward_wrappers_conform(order: str, reward: str, capsys: pytest.CaptureFixture[str]) -> None:
    feasible = sotopia_env.Bargain(zones={"wide": 1.0})
    options = {"action_order": order, "reward": reward}
    with only_allowed_warnings():
        parallel_api_test(seeded(sotopia_env.parallel_env(feasible, **options)), num_cycles=40)
        parallel_seed_test(lambda: sotopia_env.parallel_env(feasible, **options), num_cycles=40)
        api_test(seeded(sotopia_env.env(feasible, **options)), num_cycles=40)
        seed_test(lambda: sotopia_env.env(feasible, **options), num_cycles=40)


@every_order
@pytest.mark.parametrize("options", [{"interface": "text"}, {"private_messages": True}])
def test_text_and_private_messages_conform(
    order: str, options: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"action_order": order, **options}
    with only_allowed_warnings():
        parallel_api_test(seeded(sotopia_env.parallel_env("bargain", **options)), num_cycles=40)
        parallel_seed_test(lambda: sotopia_env.parallel_env("bargain", **options), num_cycles=40)
        api_test(seeded(sotopia_env.env("bargain", **options)), num_cycles=40)
        seed_test(lambda: sotopia_env.env("bargain", **options), num_cycles=40)


@every_order
@pytest.mark.parametrize("seats", [3, 5])
@pytest.mark.parametrize("private_messages", [False, True])
def test_larger_tables_conform(
    make_task: Callable[..., Any], order: str, seats: int, private_messages: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"action_order": order, "private_messages": private_messages}
    tasks = [make_task(seats)]
    with only_allowed_warnings():
        parallel_api_test(seeded(sotopia_env.parallel_env(tasks, **options)), num_cycles=40)
        parallel_seed_test(lambda: sotopia_env.parallel_env(tasks, **options), num_cycles=40)
        api_test(seeded(sotopia_env.env(tasks, **options)), num_cycles=40)
        seed_test(lambda: sotopia_env.env(tasks, **options), num_cycles=40)


# Gymnasium's own test


@every_family
@every_order
@pytest.mark.parametrize("interface", ["text", "dict"])
def test_gymnasium_check_env(
    family: str, order: str, interface: str, source: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    given = source(family)
    options = {"family": given, "action_order": order, "interface": interface, "reward": None, "partner": "random"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for agent in ("agent_0", "agent_1"):
            check_env(gymnasium.make("sotopia_env:sotopia/Bargain-v0", agent=agent, **options).unwrapped)


# What they do not check


def random_actions(env: Any, seed: int) -> dict[str, Any]:
    """What a random policy would do, for whoever is asked."""
    policy = sotopia_env.make_policy("random")
    bare = env.unwrapped
    actions = {}
    for number, agent in enumerate(bare.acting):
        rng = np.random.default_rng((seed, len(bare.episode.turns), number))
        actions[agent] = policy.act([bare.observe(agent)], [Context("test", agent, 0, rng)])[0].action
    return actions


@every_family
@every_order
def test_spaces_types_and_keys_hold_at_every_step(family: str, order: str, source: Any) -> None:
    env = sotopia_env.parallel_env(source(family), action_order=order)
    for seed in range(3):
        observations, infos = env.reset(seed=seed)
        keys, agents = set(infos["agent_0"]), set(env.possible_agents)
        before: list[Any] = [observations, infos]
        assert env.state() in env.state_space
        while env.agents:
            result = env.step(random_actions(env, seed))
            assert all(set(part) == agents for part in result)
            observations, rewards, terminations, truncations, infos = result
            assert not shared(before, [observations, infos])
            for agent in env.possible_agents:
                assert observations[agent] in env.observation_space(agent)
                assert type(rewards[agent]) is float
                assert type(terminations[agent]) is type(truncations[agent]) is type(infos[agent]["active"]) is bool
                assert set(infos[agent]) == (keys if env.agents else keys | {"final"})
                assert infos[agent]["active"] == (observations[agent]["action_types"].sum() > 1)
            assert env.state() in env.state_space
            before = [observations, infos]
        assert all(terminations.values()) != all(truncations.values())


def shared(one: Any, other: Any) -> bool:
    """Whether two results hold the same dict or array anywhere."""

    def parts(data: Any) -> Iterator[int]:
        if isinstance(data, dict | list | np.ndarray):
            yield id(data)
        if isinstance(data, dict | list):
            for part in data.values() if isinstance(data, dict) else data:
                yield from parts(part)

    return bool(set(parts(one[0])) & set(parts(other[0])) or set(parts(one[1])) & set(parts(other[1])))


@every_family
@every_order
def test_the_aec_face_plays_what_the_parallel_face_plays(family: str, order: str, source: Any) -> None:
    parallel = sotopia_env.parallel_env(source(family), action_order=order)
    aec = sotopia_env.raw_env(source(family), action_order=order)
    for seed in range(2):
        parallel.reset(seed=seed)
        aec.reset(seed=seed)
        while parallel.agents:
            actions = random_actions(parallel, seed)
            results = parallel.step(actions)
            for agent in actions:
                assert aec.agent_selection == agent
                observation, _, terminated, truncated, info = aec.last()
                assert observation in aec.observation_space(agent)
                assert (terminated, truncated, info["active"]) == (False, False, True)
                aec.step(actions[agent])
            assert data_equivalence({agent: aec.observe(agent) for agent in results[0]}, results[0])
            assert data_equivalence([aec.rewards, aec.terminations, aec.truncations, aec.infos], list(results[1:]))
        assert aec.episode.turns == parallel.episode.turns
        for _ in list(aec.agents):
            aec.step(None)
        assert aec.agents == []


COPIES: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda env: pickle.loads(pickle.dumps(env)),  # noqa: S301
}


@every_family
@every_order
@pytest.mark.parametrize("how", COPIES)
def test_copies_in_mid_episode_go_on_identically(family: str, order: str, how: str, source: Any) -> None:
    def course(env: Any) -> str:
        while env.agents:
            env.step(random_actions(env, 5))
        episode = env.episode.to_dict()
        return json.dumps([episode, env.reset()[1]["agent_0"]["task"]])

    def aec_course(env: Any) -> str:
        while env.agents:
            agent = env.agent_selection
            env.step(None if env.terminations[agent] or env.truncations[agent] else f"It is {agent}'s turn.")
        return json.dumps(env.episode.to_dict())

    options = {"action_order": order, "action_types": STAYING, "max_cycles": 60, "max_stale": 60}
    parallel = sotopia_env.parallel_env(source(family), **options)
    parallel.reset(seed=1)
    aec = sotopia_env.env(source(family), **options)
    aec.reset(seed=1)
    single = sotopia_env.SotopiaEnv(source(family), partner="random", reward=None, **options)
    single.reset(seed=1)
    for number in range(3):
        parallel.step(random_actions(parallel, number))
        aec.step(f"Word {number}.")
        single.step(f"Word {number}.")
    assert course(COPIES[how](parallel)) == course(parallel)
    assert aec_course(COPIES[how](aec)) == aec_course(aec)
    twin = COPIES[how](single)
    assert data_equivalence([twin.step("Well."), twin.reset()], [single.step("Well."), single.reset()])


COURSES = """
import json, sys
import sotopia_env
for family in sys.argv[1:]:
    for order in ("round-robin", "simultaneous", "random"):
        env = sotopia_env.parallel_env(family, action_order=order)
        for number, agent in enumerate(env.possible_agents):
            env.action_space(agent).seed(number)
        for seed in (0, None, None):
            print(json.dumps(str(env.reset(seed=seed))))
            while env.agents:
                print(json.dumps(str(env.step({agent: env.action_space(agent).sample() for agent in env.agents}))))
            print(json.dumps(env.episode.to_dict()))
"""


def test_whole_episodes_are_equal_in_processes_with_other_hashes() -> None:
    """Everything that reset and step return, byte for byte. PettingZoo 1.27 compares a single step."""
    path = str(Path(sotopia_env.__file__).parents[1])
    printed = [
        subprocess.run(
            [sys.executable, "-c", COURSES, *DRAWN], capture_output=True, check=True,
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": salt},
        ).stdout
        for salt in ("1", "12345")
    ]  # fmt: skip
    assert printed[0] == printed[1]
    assert printed[0].count(b'"turns"') == 9 * len(DRAWN)


# Single cases


def test_metadata_is_pettingzoos() -> None:
    parallel = sotopia_env.parallel_env("bargain", reward="episode")
    for env, parallelizable in ((parallel, True), (sotopia_env.env("bargain"), False)):
        assert env.metadata == {
            "name": "sotopia_v0", "render_modes": ["human", "ansi"], "render_fps": 1,
            "is_parallelizable": parallelizable,
        }  # fmt: skip
        assert env.unwrapped.metadata is env.metadata


def test_rendering_without_a_mode_warns() -> None:
    env = sotopia_env.parallel_env("bargain")
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="render_mode"):
        assert env.render() is None


@every_order
def test_what_a_reward_pays_is_a_float(order: str, play_out: Callable[..., Any]) -> None:
    env = sotopia_env.parallel_env("bargain", action_order=order, reward="episode")
    for seed in range(2):
        _, infos = env.reset(seed=seed)
        keys = set(infos["agent_0"])
        for _, rewards, _, _, infos in play_out(env, "random", seed):
            for agent in env.possible_agents:
                assert type(rewards[agent]) is float
                assert np.isfinite(rewards[agent]) or env.episode.task.tags["zone"] == "empty"
                assert set(infos[agent]) - {"final"} == keys
