from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

pytestmark = pytest.mark.slow
EXAMPLE = Path(__file__).parents[2] / "examples" / "stable_baselines3_menu.py"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_ppo_reaches_95_percent_of_the_best_scripted_policy(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("stable_baselines3")
    pytest.importorskip("supersuit")
    spec = importlib.util.spec_from_file_location("example_stable_baselines3_menu", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    found = example.main(steps=40_000, tasks=60, scripts=0)
    scripted = [value for name, value in found.items() if name.startswith("scripted:")]
    assert len(scripted) >= 10
    assert found["PPO on the menu"] >= 0.95 * max(scripted)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("learner", ["PPO", "A2C"])
@pytest.mark.parametrize("number", [1, 4])
def test_a_learner_trains_on_the_first_call_of_the_readme(learner: str, number: int) -> None:
    sb3 = pytest.importorskip("stable_baselines3")
    from stable_baselines3.common.env_util import make_vec_env

    def make() -> gymnasium.Env[Any, Any]:
        return gymnasium.make(
            "sotopia_env:sotopia/Bargain-v0",
            agent="agent_0",
            partner="scripted:firm",
            reward="episode",
            max_cycles=20,
            interface="menu",
        )

    envs = make_vec_env(make, n_envs=number, seed=0)
    model = getattr(sb3, learner)("MlpPolicy", envs, n_steps=128 // number, seed=0, device="cpu")
    # Two hundred tasks and more: of the worlds that also drew empty zones every ninth paid nan.
    model.learn(1_536)
    assert len(model.ep_info_buffer) == 100
    assert np.isfinite([episode["r"] for episode in model.ep_info_buffer]).all()
    assert all(np.isfinite(weight.detach().numpy()).all() for weight in model.policy.parameters())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_ppo_with_masks_steps_the_single_agent_view() -> None:
    pytest.importorskip("sb3_contrib")
    from sb3_contrib import MaskablePPO
    from sb3_contrib.common.wrappers import ActionMasker

    def mask_of(env: Any) -> np.ndarray:
        view = env.unwrapped
        return view.parallel.scene(view.agent).mask

    view = gymnasium.make("sotopia_env:sotopia/Bargain-v0", interface="menu")
    env = ActionMasker(view, mask_of)
    model = MaskablePPO("MlpPolicy", env, n_steps=64, batch_size=64, seed=0, device="cpu").learn(128)
    observation, info = env.reset(seed=0)
    over = False
    while not over:
        act, _ = model.predict(observation, action_masks=mask_of(env))
        observation, _, terminated, truncated, info = env.step(int(act))
        assert info["invalid_action"] is None
        over = terminated or truncated
    assert info["ending"] is not None
