"""Settings of reward modelling."""

from __future__ import annotations

from dataclasses import dataclass, field

from transformers import TrainingArguments

from sotopia_env.rewards.reward_model.normalizers import NORMALIZERS
from sotopia_env.training.cpu import set_device_defaults
from sotopia_env.training.options import REWARD_MODEL


@dataclass
class RewardModelConfig(TrainingArguments):
    """Settings of reward modelling: those of ``transformers``' ``TrainingArguments``, with other defaults.

    Args:
        normalizer: how numbers of several dimensions are brought to one scale: ``"range"``, ``"min-max"``,
            ``"z-score"`` or ``"paper"`` (:mod:`sotopia_env.rewards.reward_model.normalizers`).
        held_out: share of the scenarios that is not trained on, and that the report is about.
        between: how much it counts in the loss that tasks differ in their mean score: 1 is the plain squared error; 0
            leaves only what tells dialogues of one task and seat apart. Below 1 these stand in one batch.
        muon: train hidden matrices with Muon (:mod:`sotopia_env.training.optimizer`); for small models.
        learning_rate: 4e-5 as in Sotopia-RL (a 7B model); a small model wants 2e-3, with Muon.
        bf16: by default whether the machine computes in bfloat16.
        use_cpu: by default where there is no GPU.
        save_steps: checkpoints are what a run goes on from after a kill.
    """

    normalizer: str = "range"
    held_out: float = 0.1
    between: float = 1.0
    muon: bool = False
    learning_rate: float = 4e-5
    lr_scheduler_type: str = "cosine"
    warmup_steps: float = 0.03
    num_train_epochs: float = 1.0
    per_device_train_batch_size: int = 16
    logging_steps: float = 10
    save_steps: float = 100
    save_total_limit: int | None = 2
    remove_unused_columns: bool = False
    label_names: list[str] | None = field(default_factory=lambda: ["targets"])
    report_to: str | list[str] | None = "none"
    bf16: bool | None = None  # type: ignore[assignment]
    use_cpu: bool | None = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        """Fill in what depends on the machine.

        Raises:
            ValueError: a setting has no effect here (:mod:`sotopia_env.training.options`), an unknown normalizer, or
                a share that leaves nothing to train on or is none.
        """
        REWARD_MODEL.check(self, RewardModelConfig)
        if self.normalizer not in NORMALIZERS:
            raise ValueError(f"normalizer: {self.normalizer!r} is none of {', '.join(NORMALIZERS)}")
        if not 0 <= self.held_out < 1:
            raise ValueError(f"held_out: {self.held_out} is no share of the scenarios; give 0 or more, below 1")
        if not 0 <= self.between <= 1:
            raise ValueError(f"between: {self.between} is not between 0 and 1")
        set_device_defaults(self)
        super().__post_init__()
