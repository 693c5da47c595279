"""Rewards: judges, designs, and the wrappers that pay them through ``step``."""

from sotopia_env.rewards.attack_report import AttackReport, measure_attacks
from sotopia_env.rewards.attribution import Attribution, mean_scores
from sotopia_env.rewards.attribution_designs import ATTRIBUTION_DESIGNS, importances_of_credit
from sotopia_env.rewards.attribution_replies import ParsedAttribution, parse_attribution, parse_attributions
from sotopia_env.rewards.attributors import Attributor, FunctionAttributor, RecordedAttributor, RuleAttributor
from sotopia_env.rewards.audit import AuditedTurn, Candidate, collect_audit, load_audit, save_audit
from sotopia_env.rewards.designs import DESIGNS, Design
from sotopia_env.rewards.dimensions import DIMENSIONS, overall
from sotopia_env.rewards.ensemble_judge import EnsembleJudge
from sotopia_env.rewards.judge_reward import JudgeScores
from sotopia_env.rewards.judges import FunctionJudge, Judge, RuleJudge, StrictJudge
from sotopia_env.rewards.labelling import relabel
from sotopia_env.rewards.llm_attributor import LLMAttributor
from sotopia_env.rewards.llm_judge import LLMJudge
from sotopia_env.rewards.measured_attributors import Dial, MonteCarloAttributor
from sotopia_env.rewards.model_calls import CallEstimate, GradeFailure, ModelCalls
from sotopia_env.rewards.monte_carlo import MonteCarlo, StateValues
from sotopia_env.rewards.normalizers import Normalizer, fit_normalizer, normalise_then_sum
from sotopia_env.rewards.outcome import Outcome
from sotopia_env.rewards.penalties import FormatPenalty, LengthPenalty, RepetitionPenalty, SecretPenalty, TurnReward
from sotopia_env.rewards.potentials import FunctionPotential, JudgePotential, Potential, StandingOffer
from sotopia_env.rewards.progress import Progress
from sotopia_env.rewards.recorded_attributions import read_attributions, recorded_importances
from sotopia_env.rewards.relative_judge import RelativeJudge, rank_groups
from sotopia_env.rewards.resolve import get_reward, reward_names
from sotopia_env.rewards.reward import FunctionReward, Reward, Sum
from sotopia_env.rewards.reward_model import RewardModel, RewardModelReward, trl_reward
from sotopia_env.rewards.rubric import RUBRIC, Dimension
from sotopia_env.rewards.shapley import Shapley, ShapleyValues
from sotopia_env.rewards.sources import AttributionReward, EpisodeReward, JudgeReward, ProgressReward
from sotopia_env.rewards.statistics import NormalizeReward, RecordEpisodeStatistics
from sotopia_env.rewards.transforms import AddReward, ClipReward, ScaleReward
from sotopia_env.rewards.wrapper import RewardFailedError, RewardWrapper, reward_of

__all__ = [
    "ATTRIBUTION_DESIGNS",
    "DESIGNS",
    "DIMENSIONS",
    "RUBRIC",
    "AddReward",
    "AttackReport",
    "Attribution",
    "AttributionReward",
    "Attributor",
    "AuditedTurn",
    "CallEstimate",
    "Candidate",
    "ClipReward",
    "Design",
    "Dial",
    "Dimension",
    "EnsembleJudge",
    "EpisodeReward",
    "FormatPenalty",
    "FunctionAttributor",
    "FunctionJudge",
    "FunctionPotential",
    "FunctionReward",
    "GradeFailure",
    "Judge",
    "JudgePotential",
    "JudgeReward",
    "JudgeScores",
    "LLMAttributor",
    "LLMJudge",
    "LengthPenalty",
    "ModelCalls",
    "MonteCarlo",
    "MonteCarloAttributor",
    "NormalizeReward",
    "Normalizer",
    "Outcome",
    "ParsedAttribution",
    "Potential",
    "Progress",
    "ProgressReward",
    "RecordEpisodeStatistics",
    "RecordedAttributor",
    "RelativeJudge",
    "RepetitionPenalty",
    "Reward",
    "RewardFailedError",
    "RewardModel",
    "RewardModelReward",
    "RewardWrapper",
    "RuleAttributor",
    "RuleJudge",
    "ScaleReward",
    "SecretPenalty",
    "Shapley",
    "ShapleyValues",
    "StandingOffer",
    "StateValues",
    "StrictJudge",
    "Sum",
    "TurnReward",
    "fit_normalizer",
    "collect_audit",
    "get_reward",
    "importances_of_credit",
    "load_audit",
    "mean_scores",
    "measure_attacks",
    "normalise_then_sum",
    "overall",
    "parse_attribution",
    "parse_attributions",
    "rank_groups",
    "read_attributions",
    "recorded_importances",
    "relabel",
    "reward_names",
    "reward_of",
    "save_audit",
    "trl_reward",
]
