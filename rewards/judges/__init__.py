"""Judges: episodes to scores per dimension and seat, by rule or by a model."""

from sotopia_env.rewards.judges.base import (
    FunctionJudge,
    Judge,
    RuleJudge,
    StrictJudge,
    as_judge,
    judge_names,
    judged,
    scores_of,
)

__all__ = ["FunctionJudge", "Judge", "RuleJudge", "StrictJudge", "as_judge", "judge_names", "judged", "scores_of"]
