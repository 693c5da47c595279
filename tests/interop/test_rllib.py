from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from sotopia_env.menu import MenuWrapper

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def test_rllibs_wrapper_plays_whole_episodes(menu: Callable[..., MenuWrapper]) -> None:
    wrappers = pytest.importorskip("ray.rllib.env.wrappers.pettingzoo_env", reason="RLlib is not installed")
    env = wrappers.ParallelPettingZooEnv(menu())
    rng = np.random.default_rng(0)
    for seed in range(3):
        observations, infos = env.reset(seed=seed)
        totals = dict.fromkeys(observations, 0.0)
        over = False
        while not over:
            acts = {a: int(rng.choice(np.flatnonzero(infos[a]["action_mask"]))) for a in observations}
            observations, rewards, terminations, truncations, infos = env.step(acts)
            totals = {a: totals[a] + rewards[a] for a in totals}
            over = terminations["__all__"] or truncations["__all__"]
        assert all(0.0 <= total <= 1.0 for total in totals.values())
