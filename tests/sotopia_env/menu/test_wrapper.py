from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test
from pettingzoo.utils import parallel_to_aec

import sotopia_env
from sotopia_env.menu import ACTS, FEATURES, MenuWrapper

FEASIBLE = sotopia_env.Bargain(zones={"wide": 1.0})


def made(mask: Any = "info", **options: Any) -> MenuWrapper:
    return MenuWrapper(sotopia_env.parallel_env(FEASIBLE, reward="episode", **options), mask=mask)


@pytest.mark.parametrize("mask", ["info", "observation", "list"])
def test_pettingzoos_parallel_tests_pass_without_a_warning(mask: str, capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(made(mask), num_cycles=40)
        parallel_seed_test(lambda: made(mask), num_cycles=40)


@pytest.mark.parametrize("mask", ["info", "observation"])
def test_pettingzoos_test_of_alternating_agents_passes(mask: str, capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # The observation is a dict where it holds the mask, and the state is a dict of texts.
        for message in ("Observation space for each agent", "Observation is not a NumPy", "State space is not"):
            warnings.filterwarnings("ignore", message=message)
        api_test(parallel_to_aec(made(mask)), num_cycles=20)


def test_the_single_agent_view_passes_gymnasiums_check() -> None:
    options = {"interface": "menu", "partner": "scripted:firm", "family": FEASIBLE}
    env = gymnasium.make("sotopia_env:sotopia/Bargain-v0", **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped, skip_render_check=True)
    observation, info = env.reset(seed=0)
    assert observation.shape == (len(FEATURES),)
    total, over = 0.0, False
    while not over:
        act = "accept" if info["action_mask"][ACTS.index("accept")] else "propose-20"
        observation, reward, terminated, truncated, info = env.step(ACTS.index(act))
        total, over = total + float(reward), terminated or truncated
    assert info["ending"] == "agreement"
    assert total == pytest.approx(info["scores"]["goal"] / 10)


def test_an_illegal_act_becomes_none_and_is_reported() -> None:
    env = made()
    env.reset(seed=0)
    *_, infos = env.step({"agent_0": ACTS.index("accept"), "agent_1": ACTS.index("ask")})
    assert infos["agent_0"]["invalid_action"] == "act 1 (accept) is not legal now"
    assert infos["agent_1"]["invalid_action"] == "act 3 (ask) is not legal now"
    assert [turn.type for turn in env.episode.turns] == ["none"]
    *_, infos = env.step({"agent_1": 55})
    assert infos["agent_1"]["invalid_action"] == "act 55 (not on the menu) is not legal now"
    *_, infos = env.step({"agent_0": 2.5, "agent_1": 0})
    assert "float" in infos["agent_0"]["invalid_action"]
    assert infos["agent_1"]["invalid_action"] is None


def test_numbers_of_numpy_are_acts_and_words_pass_through() -> None:
    env = made()
    env.reset(seed=0)
    env.step({"agent_0": np.int64(ACTS.index("propose-20"))})
    env.step({"agent_1": "My offer is $30."})
    env.step({"agent_0": np.array(ACTS.index("refuse"))})
    texts = [turn.text for turn in env.episode.turns]
    assert texts[1] == "My offer is $30."
    assert "$30" in texts[2]


def test_masks_stand_where_they_are_wanted() -> None:
    observations, infos = made("info").reset(seed=0)
    mask = infos["agent_0"]["action_mask"]
    assert mask.dtype == np.int8
    assert observations["agent_0"].dtype == np.float32
    _, infos = made("list").reset(seed=0)
    assert infos["agent_0"]["action_mask"] == mask.tolist()
    observations, infos = made("observation").reset(seed=0)
    assert observations["agent_0"]["action_mask"].tolist() == mask.tolist()
    assert "action_mask" not in infos["agent_0"]
    with pytest.raises(ValueError, match="mask: 'infos' is none of info, observation, list"):
        made("infos")


def test_snapshots_and_forks_go_on_alike_and_keep_the_reward(play_at_random: Callable[..., list[Any]]) -> None:
    env = made()
    env.reset(seed=3)
    env.step({"agent_0": ACTS.index("propose-22")})
    snapshot = json.loads(json.dumps(env.snapshot()))
    fork = env.fork()[0]
    other = made()
    other.reset(seed=9)
    other.restore(snapshot)
    courses = [play_at_random(e, np.random.default_rng(1)) for e in (env, fork, other)]
    ends = [(e.episode.turns, e.episode.rewards) for e in (env, fork, other)]
    assert ends[0] == ends[1] == ends[2]
    assert ends[0][1]["episode"]
    for results in zip(*courses, strict=True):
        for agent in ("agent_0", "agent_1"):
            assert (results[0][0][agent] == results[1][0][agent]).all()
            assert (results[0][0][agent] == results[2][0][agent]).all()


def test_what_is_returned_is_nobodys_memory() -> None:
    env = made()
    observations, infos = env.reset(seed=0)
    observations["agent_0"][:] = 7
    infos["agent_0"]["action_mask"][:] = 0
    scene = env.scene("agent_0")
    assert scene.features.max() <= 1
    assert scene.mask.sum() > 20


def test_whole_episodes_are_equal_for_equal_seeds(play_at_random: Callable[..., list[Any]]) -> None:
    def course() -> list[tuple[str, str]]:
        env = made()
        rng = np.random.default_rng(0)
        said = []
        for episode in range(5):
            env.reset(seed=5 if episode == 0 else None)
            play_at_random(env, rng)
            said += [(turn.agent, turn.text) for turn in env.episode.turns]
        return said

    assert course() == course()
