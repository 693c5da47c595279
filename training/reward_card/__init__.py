"""The reward card: what rewards are worth, measured without any training."""

from sotopia_env.training.reward_card.card import CardSettings, read_rewards, reward_card, write_card

__all__ = ["CardSettings", "reward_card", "read_rewards", "write_card"]
