"""Rewards: judges, designs, and the wrappers that pay them through ``step``."""

from sotopia_env.rewards.attribution import Attribution, mean_scores
from sotopia_env.rewards.attribution_designs import ATTRIBUTION_DESIGNS, importances_of_credit
from sotopia_env.rewards.attribution_replies import (
    ParsedAttribution,
    parse_attribution,
    read_attributions,
    recorded_importances,
)
from sotopia_env.rewards.attributors import Attributor, FunctionAttributor, RecordedAttributor, RuleAttributor
from sotopia_env.rewards.designs import DESIGNS, Design
from sotopia_env.rewards.dimensions import DIMENSIONS, overall
from sotopia_env.rewards.ensemble_judge import EnsembleJudge
from sotopia_env.rewards.judges import FunctionJudge, Judge, RuleJudge
from sotopia_env.rewards.labelling import relabel
from sotopia_env.rewards.llm_judge import JudgeEstimate, JudgeFailure, LLMJudge
from sotopia_env.rewards.measured_attributors import Dial, MonteCarloAttributor
from sotopia_env.rewards.monte_carlo import MonteCarlo, StateValues
from sotopia_env.rewards.outcome import Outcome
from sotopia_env.rewards.penalties import FormatPenalty, LengthPenalty, RepetitionPenalty, SecretPenalty, TurnReward
from sotopia_env.rewards.resolve import get_reward, reward_names
from sotopia_env.rewards.reward import FunctionReward, Reward, Sum
from sotopia_env.rewards.rubric import RUBRIC, Dimension
from sotopia_env.rewards.sources import AttributionReward, EpisodeReward
from sotopia_env.rewards.statistics import NormalizeReward, RecordEpisodeStatistics
from sotopia_env.rewards.transforms import AddReward, ClipReward, ScaleReward
from sotopia_env.rewards.wrapper import RewardFailedError, RewardWrapper, reward_of

__all__ = [
    "ATTRIBUTION_DESIGNS",
    "DESIGNS",
    "DIMENSIONS",
    "RUBRIC",
    "AddReward",
    "Attribution",
    "AttributionReward",
    "Attributor",
    "ClipReward",
    "Design",
    "Dial",
    "Dimension",
    "EnsembleJudge",
    "EpisodeReward",
    "FormatPenalty",
    "FunctionAttributor",
    "FunctionJudge",
    "FunctionReward",
    "Judge",
    "JudgeEstimate",
    "JudgeFailure",
    "LLMJudge",
    "LengthPenalty",
    "MonteCarlo",
    "MonteCarloAttributor",
    "NormalizeReward",
    "Outcome",
    "ParsedAttribution",
    "RecordEpisodeStatistics",
    "RecordedAttributor",
    "RepetitionPenalty",
    "Reward",
    "RewardFailedError",
    "RewardWrapper",
    "RuleAttributor",
    "RuleJudge",
    "ScaleReward",
    "SecretPenalty",
    "StateValues",
    "Sum",
    "TurnReward",
    "get_reward",
    "importances_of_credit",
    "mean_scores",
    "overall",
    "parse_attribution",
    "read_attributions",
    "recorded_importances",
    "relabel",
    "reward_names",
    "reward_of",
]
