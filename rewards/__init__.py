"""Rewards: judges, designs, and the wrappers that pay them through ``step``."""

from sotopia_env.rewards.designs import DESIGNS, Design
from sotopia_env.rewards.dimensions import DIMENSIONS, overall
from sotopia_env.rewards.judges import FunctionJudge, Judge, RuleJudge
from sotopia_env.rewards.labelling import relabel
from sotopia_env.rewards.monte_carlo import MonteCarlo, StateValues
from sotopia_env.rewards.outcome import Outcome
from sotopia_env.rewards.penalties import FormatPenalty, LengthPenalty, TurnReward
from sotopia_env.rewards.resolve import get_reward, reward_names
from sotopia_env.rewards.reward import FunctionReward, Reward, Sum
from sotopia_env.rewards.sources import EpisodeReward
from sotopia_env.rewards.transforms import ClipReward
from sotopia_env.rewards.wrapper import RewardFailedError, RewardWrapper, reward_of

__all__ = [
    "DESIGNS",
    "DIMENSIONS",
    "ClipReward",
    "Design",
    "EpisodeReward",
    "FormatPenalty",
    "FunctionJudge",
    "FunctionReward",
    "Judge",
    "LengthPenalty",
    "MonteCarlo",
    "Outcome",
    "Reward",
    "RewardFailedError",
    "RewardWrapper",
    "RuleJudge",
    "StateValues",
    "Sum",
    "TurnReward",
    "get_reward",
    "overall",
    "relabel",
    "reward_names",
    "reward_of",
]
