"""Training and evaluation: behaviour cloning, GRPO in the environment, credit estimators, tables and reports.

What needs torch is imported when it is first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sotopia_env.training.batches import Batch, collate
    from sotopia_env.training.behaviour_cloning import CloningConfig, clone
    from sotopia_env.training.callbacks import read_metrics
    from sotopia_env.training.comparison import difference
    from sotopia_env.training.estimators import ESTIMATORS, RunningBaseline, advantages_by_flag, get_estimator
    from sotopia_env.training.evaluation import evaluate
    from sotopia_env.training.grpo import GRPOTrainer
    from sotopia_env.training.grpo_config import GRPOConfig
    from sotopia_env.training.report import write_report
    from sotopia_env.training.reward_modelling.config import RewardModelConfig
    from sotopia_env.training.reward_modelling.train import train_reward_model
    from sotopia_env.training.rollout_func import dialogue_return, group_dataset, make_rollout_func, play_groups

_HOMES = {
    "Batch": "batches",
    "collate": "batches",
    "CloningConfig": "behaviour_cloning",
    "clone": "behaviour_cloning",
    "RewardModelConfig": "reward_modelling.config",
    "train_reward_model": "reward_modelling.train",
    "GRPOConfig": "grpo_config",
    "GRPOTrainer": "grpo",
    "dialogue_return": "rollout_func",
    "group_dataset": "rollout_func",
    "make_rollout_func": "rollout_func",
    "play_groups": "rollout_func",
    "ESTIMATORS": "estimators",
    "RunningBaseline": "estimators",
    "advantages_by_flag": "estimators",
    "get_estimator": "estimators",
    "evaluate": "evaluation",
    "difference": "comparison",
    "write_report": "report",
    "read_metrics": "callbacks",
}

__all__ = [
    "Batch",
    "collate",
    "CloningConfig",
    "clone",
    "RewardModelConfig",
    "train_reward_model",
    "GRPOConfig",
    "GRPOTrainer",
    "dialogue_return",
    "group_dataset",
    "make_rollout_func",
    "play_groups",
    "ESTIMATORS",
    "RunningBaseline",
    "advantages_by_flag",
    "get_estimator",
    "evaluate",
    "difference",
    "write_report",
    "read_metrics",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Everything that may be asked for."""
    return __all__
