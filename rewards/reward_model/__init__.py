"""The reward model: rows, heads, normalizers, and the reward that it pays."""

from sotopia_env.rewards.reward_model.reward import RewardModel, trl_reward

__all__ = ["RewardModel", "trl_reward"]
