"""How important each turn was, and the rewards made of it."""

from sotopia_env.rewards.attribution.reward import Attribution, mean_scores

__all__ = ["Attribution", "mean_scores"]
