from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from pettingzoo.utils import parallel_to_aec

from sotopia_env.menu import ACTS, FEATURES, MenuWrapper

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def test_tianshous_wrapper_plays_whole_episodes(menu: Callable[..., MenuWrapper]) -> None:
    tianshou = pytest.importorskip("tianshou.env", reason="Tianshou is not installed")
    env = tianshou.PettingZooEnv(parallel_to_aec(menu("observation")))
    rng = np.random.default_rng(0)
    for seed in range(3):
        observation, _ = env.reset(seed=seed)
        totals, over = np.zeros(2), False
        while not over:
            assert observation["obs"].shape == (len(FEATURES),)
            assert len(observation["mask"]) == len(ACTS)
            act = int(rng.choice(np.flatnonzero(observation["mask"])))
            observation, rewards, terminated, truncated, _ = env.step(act)
            totals, over = totals + np.asarray(rewards), terminated or truncated
        assert ((totals >= 0.0) & (totals <= 1.0)).all()
