"""Stable-Baselines3's PPO learns to bargain on the menu, against a scripted partner that does not learn.

Needs ``pip install stable-baselines3 supersuit``. ``python examples/stable_baselines3_menu.py`` trains for a minute and
a half on one core, and ends with the mean return of the learner beside those of all scripted policies and of the best
of 60 scripts: the same tasks of the test split from both seats, the same partner.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from stable_baselines3 import PPO
from supersuit import pettingzoo_env_to_vec_env_v1
from supersuit.vector import ConcatVecEnv
from supersuit.vector.sb3_vector_wrapper import SB3VecEnvWrapper

import sotopia_env
from sotopia_env.agents import PRESETS
from sotopia_env.menu import MenuPolicy, MenuWrapper
from sotopia_env.training.worlds.scripted_table import draw_scripts
from sotopia_env.wrappers.partners import WithPartners

SEATS = ("agent_0", "agent_1")
FAMILY = sotopia_env.Bargain()


def training_environments(partner: str, per_seat: int, seed: int) -> SB3VecEnvWrapper:
    """Parallel environments with one learner each, half of them on either seat, as SuperSuit makes them for SB3."""

    def seated(learner: str) -> Any:
        env = sotopia_env.parallel_env(FAMILY, reward="episode")
        others = {agent: partner for agent in SEATS if agent != learner}
        return pettingzoo_env_to_vec_env_v1(MenuWrapper(WithPartners(env, others)))

    vector = ConcatVecEnv([lambda learner=learner: seated(learner) for learner in SEATS * per_seat])
    # SB3 resets without a seed: seeded here, the environments go on with their own generators.
    vector.reset(seed=seed)
    return SB3VecEnvWrapper(vector)


def train(partner: str, steps: int, seed: int) -> PPO:
    """PPO with a small network; an episode is a handful of own turns, so nothing is discounted."""
    torch.manual_seed(seed)
    model = PPO(
        "MlpPolicy",
        training_environments(partner, per_seat=16, seed=seed),
        n_steps=64,
        batch_size=512,
        n_epochs=6,
        learning_rate=lambda left: 1.5e-3 * left,
        gamma=1.0,
        gae_lambda=0.95,
        ent_coef=0.005,
        policy_kwargs={"net_arch": [128, 128]},
        device="cpu",
    )
    return model.learn(steps)


def as_policy(model: PPO) -> MenuPolicy:
    """The trained network as a policy of the package, for any environment, table or partner."""
    return MenuPolicy(lambda features, masks: model.predict(features, deterministic=True)[0], name="menu:ppo")


def mean_return(policy: Any, partner: str, tasks: Sequence[sotopia_env.Task], seed: int = 0) -> float:
    """Mean return of a policy over both seats of every task."""
    returns: list[float] = []
    for seat, agent in enumerate(SEATS):
        seated = [policy, partner] if seat == 0 else [partner, policy]
        episodes = sotopia_env.rollout(tasks, seated, num_episodes=len(tasks), seed=seed, reward="episode")
        returns += [float(np.sum(np.array(e.rewards["episode"][agent], dtype=float))) for e in episodes]
    return float(np.mean(returns))


def best_script(partner: str, scripts: int, tasks: int, seed: int) -> Any:
    """The best of many scripts against a partner, chosen on tasks of the training split."""
    rng = np.random.default_rng(seed + 2)
    drawn = [FAMILY.generate(rng) for _ in range(tasks)]
    return max(draw_scripts(scripts, seed), key=lambda script: mean_return(script, partner, drawn, seed + 1))


def main(
    partner: str = "scripted:firm", steps: int = 60_000, tasks: int = 200, scripts: int = 60, seed: int = 0
) -> dict[str, float]:
    """Train, then measure the learner, every scripted policy, and the best of many scripts."""
    start = time.perf_counter()
    model = train(partner, steps, seed)
    print(f"{steps:,} steps against {partner} in {time.perf_counter() - start:.0f} s")
    rng = np.random.default_rng(seed + 1)
    drawn = [FAMILY.generate(rng, "test") for _ in range(tasks)]
    found = {"PPO on the menu": mean_return(as_policy(model), partner, drawn)}
    for name in PRESETS:
        found[f"scripted:{name}"] = mean_return(f"scripted:{name}", partner, drawn)
    best = max(value for name, value in found.items() if name.startswith("scripted:"))
    if scripts:
        found[f"best of {scripts} scripts"] = mean_return(best_script(partner, scripts, 40, seed), partner, drawn)
    for name, value in sorted(found.items(), key=lambda pair: -pair[1]):
        print(f"{name:<24}{value:.3f}  {value / best:6.1%} of the best scripted policy")
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--partner", default="scripted:firm")
    parser.add_argument("--steps", type=int, default=60_000)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--scripts", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    main(**vars(parser.parse_args()))
