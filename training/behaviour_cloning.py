"""Behaviour cloning: a model learns to speak as the agents of some episodes did, in their own turns alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from peft import LoraConfig
from torch import Tensor
from torch.utils.data import Sampler
from transformers import PreTrainedTokenizerBase, TrainingArguments
from trl import SFTConfig, SFTTrainer

from sotopia_env.agents.forward import context_length
from sotopia_env.agents.loading import LoadedModel
from sotopia_env.chat_encoding import ChatEncoder
from sotopia_env.describe import digest
from sotopia_env.episodes import Episode
from sotopia_env.seeds import generator_of
from sotopia_env.training.batches import Row, text_row
from sotopia_env.training.checkpoints import described_run, finished_run, latest_checkpoint, train_and_save
from sotopia_env.training.cpu import set_device_defaults
from sotopia_env.training.data_parallel import call_wrapped, holds_all_weights
from sotopia_env.training.model_card import data_facts, write_model_card
from sotopia_env.training.optimizer import WithMuon
from sotopia_env.training.options import CLONING
from sotopia_env.training.pieces import TrainsInPieces
from sotopia_env.training.scoring import scored
from sotopia_env.training.start import TrainsAnyModel, load_to_train


@dataclass
class CloningConfig(SFTConfig):
    """Settings of behaviour cloning: those of TRL's ``SFTConfig``, with other defaults.

    Args:
        learning_rate: 1e-4 as in Sotopia-RL (LoRA on a 7B model); a small model trained from scratch wants 3e-3.
        bf16: by default whether the machine computes in bfloat16.
        use_cpu: by default where there is no GPU.
        muon: train hidden matrices with Muon (:mod:`sotopia_env.training.optimizer`); for small models from scratch.
        save_steps: checkpoints are what a run goes on from after a kill.
    """

    muon: bool = False
    learning_rate: float = 1e-4
    lr_scheduler_type: str = "cosine"
    warmup_steps: float = 0.03
    num_train_epochs: float = 1.0
    per_device_train_batch_size: int = 32
    gradient_checkpointing: bool = False
    max_length: int | None = None
    remove_unused_columns: bool = False
    dataset_kwargs: dict[str, Any] | None = field(default_factory=lambda: {"skip_prepare_dataset": True})
    logging_steps: float = 10
    save_steps: float = 100
    save_total_limit: int | None = 2
    report_to: str | list[str] | None = "none"
    bf16: bool | None = None  # type: ignore[assignment]
    use_cpu: bool | None = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        """Fill in what depends on the machine.

        Raises:
            ValueError: a setting has no effect here (:mod:`sotopia_env.training.options`).
        """
        CLONING.check(self, CloningConfig)
        set_device_defaults(self)
        super().__post_init__()


def clone(
    episodes: Sequence[Episode],
    model: Any,
    tokenizer: PreTrainedTokenizerBase | None = None,
    *,
    out: str | Path,
    args: CloningConfig | None = None,
    agents: Callable[[Episode], Sequence[str]] | None = None,
    peft_config: LoraConfig | None = None,
    **options: Any,
) -> Path:
    """Teach a model to speak as the agents of some episodes did.

    The loss counts the tokens of own turns, their end-of-turn tokens included, and not those of turns that were
    invalid. A run that was killed goes on from its last checkpoint when called again, and one that is finished returns
    at once.

    Args:
        episodes: the expert's.
        model: a directory, a hub id, a ``LoadedModel``, or a model with its ``tokenizer``.
        tokenizer: where the model comes without one.
        out: the folder for model, ``metrics.jsonl`` and checkpoints.
        args: settings; ``output_dir`` is set by ``out``.
        agents: whose turns of an episode to learn; all agents by default.
        peft_config: train a LoRA adapter instead of the whole model.
        options: passed to TRL's trainer, such as ``callbacks`` or ``optimizers``.

    Returns:
        ``out``, for :func:`~sotopia_env.agents.loading.load_model`.

    Raises:
        ValueError: no own turns at all, a dialogue longer than the model reads, a folder with another run's result, or
            a model that cannot be trained (:func:`~sotopia_env.training.start.load_to_train`).
    """
    started = time.perf_counter()
    out = Path(out)
    args = args or CloningConfig()
    loaded = load_to_train(model, tokenizer, peft_config=peft_config, seed=args.seed, bf16=args.bf16)
    args.output_dir = str(out / "checkpoints")
    rows = cloning_rows(episodes, loaded, agents)
    data = digest([[row.ids, row.own_mask] for row in rows])
    run = described_run(args, start=loaded, data=data, adapter=None if peft_config is None else peft_config.to_dict())
    if finished_run(out, run) is not None:
        return out
    checkpoint = latest_checkpoint(args.output_dir, run)
    trainer = CloningTrainer(
        loaded.model,
        args=args,
        train_dataset=_dataset(rows),
        processing_class=loaded.tokenizer,
        **options,
    )

    def save() -> dict[str, int]:
        LoadedModel(trainer.accelerator.unwrap_model(trainer.model), loaded.tokenizer).save(out)
        facts = {"start model": loaded.name, **data_facts(episodes), "rows": len(rows)}
        said = (
            "A language model that was taught to speak as the agents of these episodes did, in their own turns alone."
        )
        write_model_card(out, "behaviour-cloning", said, facts, args)
        return {
            "rows": len(rows),
            "tokens": sum(len(row.ids) for row in rows),
            "own_tokens": sum(sum(row.own_mask) for row in rows),
        }

    train_and_save(trainer, out, run, checkpoint, save, started=started)
    return out


def cloning_rows(
    episodes: Sequence[Episode], loaded: LoadedModel, agents: Callable[[Episode], Sequence[str]] | None = None
) -> list[Row]:
    """One row for each agent of each episode that has own turns to learn from.

    Raises:
        ValueError: there is none, or one is longer than the model reads: nothing is ever cut silently.
    """
    encoder = ChatEncoder(loaded.tokenizer)
    limit = context_length(loaded.model)
    rows = []
    for episode in episodes:
        for agent in episode.agents if agents is None else agents(episode):
            row = text_row(episode, agent, encoder)
            if limit is not None and len(row.ids) > limit:
                raise ValueError(
                    f"episode {episode.key!r}, {agent}: {len(row.ids)} tokens, but the model reads at most {limit}; "
                    "leave the episode out, play with a smaller max_cycles, or take a model with a longer context"
                )
            if any(row.own_mask):
                rows.append(row)
    if not rows:
        raise ValueError("there is nothing to clone: no agent of these episodes has a valid turn")
    return rows


class CloningTrainer(TrainsInPieces, TrainsAnyModel, WithMuon, SFTTrainer):
    """TRL's ``SFTTrainer`` with batches of rows of like length, and a loss that looks at the own tokens alone."""

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Checkpoints have no card; that of the clone is written once it is finished."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        dataset: Any = self.train_dataset if train_dataset is None else train_dataset
        lengths = dataset["length"]
        batch_size = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        return LengthGrouped(lengths, batch_size, order_seed(self.args))

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The mean negative log-likelihood of the own tokens of the batch, of the model's own logits."""
        if return_outputs or not self._sums_own_tokens(model, num_items_in_batch):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        labels = inputs["labels"]
        with self.accelerator.autocast():
            (losses,), router_loss = call_wrapped(
                model,
                scored,
                inputs["input_ids"],
                inputs["attention_mask"],
                labels != -100,
                _cross_entropy,
                self.aux_loss_enabled,
            )
        loss = losses.sum() / num_items_in_batch
        # Gradients are averaged over the processes, while items are counted over all of them.
        if self.args.average_tokens_across_devices:
            loss = loss * self.accelerator.num_processes
        if router_loss is not None:
            loss = loss + self.router_aux_loss_coef * router_loss / self.current_gradient_accumulation_steps
        return loss

    def pieces(self, model: Any, inputs: Mapping[str, Any], num_items_in_batch: Any) -> Sequence[Mapping[str, Any]]:
        """Some rows each; the loss of routers is one of the whole batch."""
        if self.aux_loss_enabled or not self._sums_own_tokens(model, num_items_in_batch):
            return [inputs]
        groups = self.rows_together(self.accelerator.unwrap_model(model), inputs["labels"] != -100)
        return [{name: tensor[rows] for name, tensor in inputs.items()} for rows in groups]

    def _sums_own_tokens(self, model: Any, num_items_in_batch: Any) -> bool:
        """Whether the loss is the one that is computed here."""
        stock = self.label_smoother is not None or self.args.loss_type != "nll" or self.compute_loss_func is not None
        return num_items_in_batch is not None and not stock and holds_all_weights(model)


def _cross_entropy(logits: Tensor, tokens: Tensor, _: Tensor) -> tuple[Tensor]:
    return (torch.nn.functional.cross_entropy(logits, tokens, reduction="none"),)


def order_seed(args: TrainingArguments) -> int:
    """The seed of the order in which rows are met."""
    return int(args.seed if args.data_seed is None else args.data_seed)


class LengthGrouped(Sampler[int]):
    """Batches of rows of about the same length, in random order: little padding, no trend in length.

    The order follows from seed and epoch alone, so that a run that goes on meets the rows it would have met.

    Args:
        lengths: of the rows.
        batch_size: rows per step of the optimizer.
        seed: of the order.
        chunk: so many batches are drawn at random and sorted by length.
        groups: names of groups whose rows follow each other, and count by the longest of them; each row is one by
            default.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: int,
        seed: int,
        chunk: int = 50,
        groups: Sequence[str] | None = None,
    ) -> None:
        self.lengths = np.asarray(lengths)
        self.batch_size = batch_size
        self.seed = seed
        self.chunk = chunk
        self.epoch = 0
        members: dict[Any, list[int]] = {}
        for index, name in enumerate(range(len(lengths)) if groups is None else groups):
            members.setdefault(name, []).append(index)
        self.members = list(members.values())

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader as an epoch begins."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        rng = generator_of(self.seed, self.epoch)
        longest = np.array([self.lengths[rows].max() for rows in self.members])
        order = rng.permutation(len(self.members))
        size = max(1, self.chunk * self.batch_size * len(self.members) // max(1, len(self.lengths)))
        batches = []
        for start in range(0, len(order), size):
            chunk = order[start : start + size]
            chunk = chunk[np.argsort(longest[chunk], kind="stable")]
            rows = [row for group in chunk for row in self.members[group]]
            batches += [rows[i : i + self.batch_size] for i in range(0, len(rows), self.batch_size)]
        # A batch that is not full has to come last, or it would shift the limits of all that follow.
        full = [batch for batch in batches if len(batch) == self.batch_size]
        rest = [batch for batch in batches if len(batch) < self.batch_size]
        return (int(i) for batch in [*(full[i] for i in rng.permutation(len(full))), *rest] for i in batch)


def _dataset(rows: Sequence[Row]) -> Dataset:
    labels = [[token if own else -100 for token, own in zip(row.ids, row.own_mask, strict=True)] for row in rows]
    return Dataset.from_dict(
        {"input_ids": [row.ids for row in rows], "labels": labels, "length": [len(row.ids) for row in rows]}
    )
