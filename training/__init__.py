"""Training and evaluation: behaviour cloning, GRPO in the environment, credit estimators, tables and reports.

What needs torch is imported when it is first asked for.
"""

from typing import TYPE_CHECKING

from sotopia_env.names import exports

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
else:
    __getattr__ = exports(
        __name__,
        {
            "batches": "Batch collate",
            "behaviour_cloning": "CloningConfig clone",
            "reward_modelling.config": "RewardModelConfig",
            "reward_modelling.train": "train_reward_model",
            "grpo_config": "GRPOConfig",
            "grpo": "GRPOTrainer",
            "rollout_func": "dialogue_return group_dataset make_rollout_func play_groups",
            "estimators": "ESTIMATORS RunningBaseline advantages_by_flag get_estimator",
            "evaluation": "evaluate",
            "comparison": "difference",
            "report": "write_report",
            "callbacks": "read_metrics",
        },
    )

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


def __dir__() -> list[str]:
    """Everything that may be asked for."""
    return __all__
