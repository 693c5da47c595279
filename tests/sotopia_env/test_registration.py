"""Ids of Gymnasium and PettingZoo, and vector environments made from them."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pettingzoo
import pytest

import sotopia_env
from sotopia_env.families import FAMILIES, PUBLISHED
from sotopia_env.make import IDS, register_environments
from sotopia_env.rewards import Outcome

DRAWN = [name for name in FAMILIES if name not in PUBLISHED]
NAMESPACE = "sotopia/"

PAID: dict[str, dict[str, Any]] = {name: {} for name in IDS}
PAID["sotopia/Mini-v0"] = {"reward": Outcome("episode", {"social_rules": 1})}
"""What each id is made with: of hand-written scenarios rules never know the goal."""


def test_each_family_that_draws_tasks_has_an_id() -> None:
    assert IDS["sotopia/Bargain-v0"] == "bargain"
    assert IDS["sotopia/MutualFriends-v0"] == "mutual-friends"
    assert sorted(IDS.values()) == sorted(DRAWN)
    assert [name for name in gymnasium.registry if name.startswith(NAMESPACE)] == list(IDS)


def test_a_goal_that_no_rule_knows_is_refused_when_an_id_is_made() -> None:
    with pytest.raises(ValueError, match="the judge 'rule' never knows goal in tasks of 'mini'.*Give another judge"):
        gymnasium.make("sotopia_env:sotopia/Mini-v0")


def test_registering_again_changes_nothing(recwarn: pytest.WarningsRecorder) -> None:
    spec = gymnasium.spec("sotopia/Bargain-v0")
    register_environments()
    assert gymnasium.spec("sotopia/Bargain-v0") is spec
    assert not recwarn.list


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("interface", ["text", "dict", "menu"])
def test_every_id_can_be_made_and_played(name: str, interface: str) -> None:
    env = gymnasium.make(f"sotopia_env:{name}", agent="agent_1", partner="random", interface=interface, **PAID[name])
    env.action_space.seed(0)
    observation, info = env.reset(seed=0)
    terminated = truncated = False
    while not (terminated or truncated):
        assert observation in env.observation_space
        mask = {"mask": info["action_mask"]} if interface == "menu" else {}
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample(**mask))
        assert type(reward) is float
    assert info["ending"] is not None
    assert env.unwrapped.episode.task.family == IDS[name]


@pytest.mark.skipif(not hasattr(pettingzoo, "register"), reason="PettingZoo keeps ids from 1.27 on")
@pytest.mark.parametrize("name", IDS)
def test_pettingzoo_makes_both_apis(name: str) -> None:
    parallel = pettingzoo.make("parallel", name, max_cycles=4, **{"reward": "episode", **PAID[name]})
    aec = pettingzoo.make("aec", name, max_cycles=4, action_order="random", **PAID[name])
    assert parallel.unwrapped.max_cycles == aec.max_cycles == 4
    assert aec.unwrapped.parallel.unwrapped.family.name == IDS[name]
    assert parallel.reward.name.startswith("episode")
    observations, _ = parallel.reset(seed=0)
    assert observations["agent_0"]["agent"] == "agent_0"


# Vector environments

VECTORS = [("sync", {}), ("async", {}), ("async", {"shared_memory": False})]


@pytest.mark.parametrize(("mode", "options"), VECTORS)
@pytest.mark.parametrize("interface", ["text", "dict", "menu"])
def test_vector_environments_play_what_single_ones_play(mode: Any, options: dict[str, Any], interface: str) -> None:
    arguments = {"partner": "scripted:firm", "reward": "uniform", "interface": interface, "max_cycles": 6}
    envs = gymnasium.make_vec(
        "sotopia_env:sotopia/Bargain-v0", num_envs=2, vectorization_mode=mode, vector_kwargs=options, **arguments
    )
    singles = [gymnasium.make("sotopia_env:sotopia/Bargain-v0", **arguments) for _ in range(2)]
    given: dict[str, Any] = {
        "text": ("Hé — I like it “a lot” \U0001f600.", "[action] nods"),
        "dict": {"action_type": np.array([1, 3]), "argument": ("Hé — “a lot” \U0001f600.", "nods")},
        "menu": np.array([1, 1]),
    }
    try:
        seen, _ = envs.reset(seed=[3, 4])
        alone = [env.reset(seed=3 + number)[0] for number, env in enumerate(singles)]
        for _ in range(3):
            assert seen in envs.observation_space
            for number, expected in enumerate(alone):
                assert equal(part(seen, number), expected)
            seen, rewards, terminations, truncations, infos = envs.step(given[interface])
            results = [env.step(part(given[interface], number)) for number, env in enumerate(singles)]
            alone = [result[0] for result in results]
            assert rewards.tolist() == pytest.approx([result[1] for result in results], nan_ok=True)
            assert terminations.tolist() == [result[2] for result in results]
            assert truncations.tolist() == [result[3] for result in results]
            assert infos["turn"].tolist() == [result[4]["turn"] for result in results]
            if any(terminations) or any(truncations):
                break
    finally:
        envs.close()


def part(batch: Any, number: int) -> Any:
    """What one environment of a batch has."""
    if isinstance(batch, dict):
        return {key: value[number] for key, value in batch.items()}
    return batch[number]


def equal(one: Any, other: Any) -> bool:
    if isinstance(other, dict):
        return set(one) == set(other) and all(equal(one[key], other[key]) for key in other)
    return bool(np.array_equal(one, other))


def test_tasks_of_all_families_share_their_spaces() -> None:
    """Or vector environments would refuse to be built."""
    spaces = [sotopia_env.SotopiaEnv(name, interface="dict", reward=None).observation_space for name in DRAWN]
    assert all(space == spaces[0] for space in spaces)
