"""Settings of GRPO over dialogues."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import trl

from sotopia_env.training.cpu import set_device_defaults
from sotopia_env.training.estimators import get_estimator
from sotopia_env.training.options import GRPO

CHOICES = {
    "rollouts": ("multi-turn", "single-turn"),
    "loss_type": ("grpo", "bnpo", "dr_grpo", "dapo", "luspo", "cispo", "sapo", "vespo"),
    "importance_sampling_level": ("token", "sequence"),
    "scale_rewards": ("none", "group", "batch"),
    "backend": ("decoder", "vllm"),
}
"""What may be chosen; all losses take one advantage per turn."""


@dataclass
class GRPOConfig(trl.GRPOConfig):
    """Settings of GRPO over dialogues: those of TRL's ``GRPOConfig``, with other defaults and a few more.

    One step of the optimizer takes ``per_device_train_batch_size`` dialogues, or turns, in groups of
    ``num_generations``.

    Args:
        rollouts: what is compared, a row each: with ``"multi-turn"`` whole dialogues of one task and seat, with
            ``"single-turn"`` turns at one state that was reached in play (:mod:`sotopia_env.training.single_turn`).
        continuations: of single turns: from each turn the dialogue is played to its end so many times, and the turn is
            worth the mean. With 0 it is worth its own number, which ``step`` pays at once. By default 0 where the
            reward is causal credit, and 1 where turns answer for what comes later.
        states_per_dialogue: of single turns: at so many of the learner's turns each dialogue is branched, drawn at
            random; where it has fewer, at all of them.
        estimator: name of the advantage estimator for returns.
        credit_estimator: name of the one for credit. To groups of single turns all is a return.
        estimator_options: keyword arguments of ``estimator``, such as ``{"baseline": "group", "scale": "group"}``.
        max_turn_tokens: length limit of one turn, in tokens.
        max_completion_length: the constant by which ``loss_type="dr_grpo"`` divides; it limits nothing.
        top_p: the learner draws from the most likely tokens that together reach this probability; it is scored, and
            the reference asked, over the tokens that it may draw.
        top_k: likewise, the k most likely; 0 for all.
        mask_truncated_turns: keep turns that the length limit cut out of the loss. They are counted either way.
        seats: which seats learn; groups take turns.
        reference_rows: for so many dialogues of a step the divergence from the reference is measured where ``beta``
            is 0 and the loss does not need it; 0 measures nothing.
        scale_rewards: ``"none"``, or divide advantages by the standard deviation of the dialogues' returns, of the
            ``"group"`` or of the ``"batch"``.
        disable_dropout: train without dropout, since tokens are drawn without: what is scored is what was sampled.
        evaluation_steps: how often the trainer's ``evaluate`` is called; 0 is never.
        log_dialogue_steps: how often a dialogue of the step, with what each turn was paid, goes to the trackers of
            ``report_to`` (TensorBoard, trackio, wandb); 0 is never.
        backend: what samples the learner's turns: ``"decoder"`` in this process, ``"vllm"`` the server at ``vllm_url``,
            to which the weights are handed over when they have changed.
        vllm_url: of a server of vLLM that serves the start model, on a machine that sees the same files.
        play_dtype: what the decoder plays in, learner and partner: ``"fast"`` is the fastest number format
            (:func:`~sotopia_env.agents.loading.fast_dtype`), on a copy where it is not that of the weights; ``None``
            is always that of the weights. Where turns are not sampled by the very weights in training, as with vLLM or
            a copy, the loss is corrected by the ratio of their probabilities, as TRL does for vLLM, which is logged
            (``sampling/importance_sampling_ratio``).
    """

    rollouts: str = "multi-turn"
    continuations: int | None = None
    states_per_dialogue: int = 1
    estimator: str = "return_to_go"
    credit_estimator: str = "credit"
    estimator_options: dict[str, Any] | None = None
    max_turn_tokens: int = 48
    mask_truncated_turns: bool = False
    seats: tuple[int, ...] = (0, 1)
    reference_rows: int = 16
    evaluation_steps: int = 0
    log_dialogue_steps: int = 10
    backend: str = "decoder"
    vllm_url: str | None = None
    play_dtype: str | None = "fast"

    learning_rate: float = 1e-5
    lr_scheduler_type: str = "constant_with_warmup"
    max_steps: int = 100
    per_device_train_batch_size: int = 64
    num_generations: int | None = 8
    loss_type: str = "dr_grpo"
    max_completion_length: int | None = 512
    top_p: float = 1.0
    top_k: int = 0
    scale_rewards: str = "none"
    gradient_checkpointing: bool = False
    disable_dropout: bool = True
    shuffle_dataset: bool | None = False
    remove_unused_columns: bool | None = False
    logging_steps: float = 1
    save_steps: float = 10
    save_total_limit: int | None = 2
    report_to: str | list[str] | None = "none"
    bf16: bool | None = None  # type: ignore[assignment]
    use_cpu: bool | None = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        """Fill in what depends on the machine, and refuse what would silently go wrong.

        Raises:
            ValueError: a setting has no effect here (:mod:`sotopia_env.training.options`), a name is none, a group
                would span processes, a checkpoint would fall between two generations, or the run has no length.
        """
        GRPO.check(self, GRPOConfig)
        set_device_defaults(self)
        self.seats = tuple(self.seats)
        super().__post_init__()
        get_estimator(self.estimator, **(self.estimator_options or {}))
        get_estimator(self.credit_estimator)
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name}: {getattr(self, name)!r} is none of {', '.join(known)}")
        if (self.backend == "vllm") != (self.vllm_url is not None):
            raise ValueError(
                f"backend = {self.backend!r}, vllm_url = {self.vllm_url!r}: a server is asked with both, backend "
                "'vllm' and its address; start one with: vllm serve MODEL --logprobs-mode processed_logprobs"
            )
        if not self.temperature > 0:
            raise ValueError(f"temperature = {self.temperature}: the learner explores; give a number above 0")
        if self.loss_type == "dr_grpo" and not (self.max_completion_length or 0) > 0:
            raise ValueError(
                f"max_completion_length = {self.max_completion_length}: loss_type 'dr_grpo' divides by it; give a "
                "number above 0, or another loss_type"
            )
        local = self.per_device_train_batch_size * int(self.steps_per_generation or 1)
        if local % int(self.num_generations or 1):
            raise ValueError(
                f"each process plays {local} dialogues at a time, which is no multiple of num_generations = "
                f"{self.num_generations}: a group may not span processes"
            )
        groups = local // int(self.num_generations or 1)
        if self.states_per_dialogue < 1 or groups % self.states_per_dialogue:
            raise ValueError(
                f"states_per_dialogue = {self.states_per_dialogue}: each process plays {groups} groups at a time, and "
                "those of one dialogue belong together; give a divisor of that"
            )
        if self.max_steps < 1:
            raise ValueError("max_steps: give the number of steps; dialogues are generated, so there are no epochs")
        # A number below 1 is a share of the run, as transformers has it.
        every = self.save_steps if self.save_steps >= 1 else math.ceil(self.max_steps * self.save_steps)
        if self.save_strategy == "steps" and every * self.gradient_accumulation_steps % self.generate_every:
            raise ValueError(
                f"save_steps = {self.save_steps}: checkpoints lie between two generations, since dialogues are not "
                f"saved with them; each generation serves {self.generate_every} micro-batches"
            )

    @property
    def generate_every(self) -> int:
        """How many micro-batches each generation of dialogues serves."""
        return int(self.steps_per_generation or 1) * self.num_iterations

    @property
    def num_groups(self) -> int:
        """How many groups the whole run plays."""
        generations = -(-self.max_steps * self.gradient_accumulation_steps // self.generate_every)
        return int(generations * int(self.generation_batch_size or 1) // int(self.num_generations or 1))
