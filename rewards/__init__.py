"""Rewards: judges, designs, and the wrappers that pay them through ``step``."""

from sotopia_env.agents.endpoint.calls import CallEstimate, ModelCalls
from sotopia_env.rewards.attribution.attributors import (
    Attributor,
    FunctionAttributor,
    RecordedAttributor,
    RuleAttributor,
)
from sotopia_env.rewards.attribution.llm import LLMAttributor
from sotopia_env.rewards.attribution.measured import Dial, MonteCarloAttributor
from sotopia_env.rewards.attribution.recorded import read_attributions, recorded_importances
from sotopia_env.rewards.attribution.replies import ParsedAttribution, parse_attribution, parse_attributions
from sotopia_env.rewards.attribution.reward import Attribution, mean_scores
from sotopia_env.rewards.audit.collect import AuditedTurn, Candidate, collect_audit, load_audit, save_audit
from sotopia_env.rewards.credit.judge_reward import JudgeScores
from sotopia_env.rewards.credit.monte_carlo import MonteCarlo, StateValues
from sotopia_env.rewards.credit.potentials import FunctionPotential, JudgePotential, Potential, StandingOffer
from sotopia_env.rewards.credit.progress import Progress
from sotopia_env.rewards.credit.shapley import Shapley, ShapleyValues
from sotopia_env.rewards.designs import ATTRIBUTION_DESIGNS, DESIGNS, Design, importances_of_credit
from sotopia_env.rewards.dimensions import DIMENSIONS, overall
from sotopia_env.rewards.grader import GradeFailure
from sotopia_env.rewards.judges.base import FunctionJudge, Judge, RuleJudge, StrictJudge
from sotopia_env.rewards.judges.ensemble import EnsembleJudge
from sotopia_env.rewards.judges.injections import AttackReport, measure_attacks
from sotopia_env.rewards.judges.llm import LLMJudge
from sotopia_env.rewards.judges.relative import RelativeJudge, rank_groups
from sotopia_env.rewards.judges.rubric import RUBRIC, Dimension
from sotopia_env.rewards.labelling import relabel
from sotopia_env.rewards.outcome import Outcome
from sotopia_env.rewards.penalties import FormatPenalty, LengthPenalty, RepetitionPenalty, SecretPenalty, TurnReward
from sotopia_env.rewards.resolve import get_reward, reward_names
from sotopia_env.rewards.reward import FunctionReward, Reward, Sum
from sotopia_env.rewards.reward_model.normalizers import Normalizer, fit_normalizer, normalise_then_sum
from sotopia_env.rewards.reward_model.reward import RewardModel, trl_reward
from sotopia_env.rewards.transforms import AddReward, ClipReward, ScaleReward
from sotopia_env.rewards.wrappers.base import RewardFailedError, RewardWrapper, reward_of
from sotopia_env.rewards.wrappers.sources import (
    AttributionReward,
    EpisodeReward,
    JudgeReward,
    ProgressReward,
    RewardModelReward,
)
from sotopia_env.rewards.wrappers.statistics import NormalizeReward, RecordEpisodeStatistics

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
