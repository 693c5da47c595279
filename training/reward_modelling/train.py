"""Reward modelling: a language model learns to predict the number of each turn, all dimensions at once."""

from __future__ import annotations

import importlib.metadata
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from peft import LoraConfig
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import Sampler
from transformers import Trainer

from sotopia_env.agents.forward import bare, context_length
from sotopia_env.agents.loading import LoadedModel
from sotopia_env.chat_encoding import ChatEncoder
from sotopia_env.describe import digest
from sotopia_env.episodes import Episode
from sotopia_env.rewards import Reward, get_reward
from sotopia_env.rewards.reward_model.heads import ValueHeads, padded
from sotopia_env.rewards.reward_model.normalizers import Normalizer, fit_normalizer
from sotopia_env.rewards.reward_model.saved import Description, Target, save_reward_model
from sotopia_env.training.behaviour_cloning import LengthGrouped, order_seed
from sotopia_env.training.checkpoints import (
    described_run,
    finished_run,
    latest_checkpoint,
    train_and_save,
    write_json,
)
from sotopia_env.training.cpu import fast_attention
from sotopia_env.training.model_card import data_facts, write_model_card
from sotopia_env.training.optimizer import WithMuon
from sotopia_env.training.pieces import TrainsInPieces
from sotopia_env.training.reward_modelling.config import RewardModelConfig
from sotopia_env.training.reward_modelling.labels import LabelledRow, labelled_rows, limits_of, split_by_scenario
from sotopia_env.training.reward_modelling.report import report_on, report_table
from sotopia_env.training.start import load_to_train

REPORT = "report.json"

_WEIGHTS = "model.safetensors"


def train_reward_model(
    episodes: Sequence[Episode],
    model: Any,
    *,
    labels: Mapping[str, Any],
    out: str | Path,
    args: RewardModelConfig | None = None,
    agents: Callable[[Episode], Sequence[str]] | None = None,
    target: Target = "labels",
    weights: Mapping[str, float] | None = None,
    peft_config: LoraConfig | None = None,
    **options: Any,
) -> Path:
    """Teach a language model to predict the numbers of turns, one head per dimension.

    The loss is the squared error over turns and dimensions, each dimension in units of its own deviation and by its
    weight in the reward; unknown labels are left out. A share of the scenarios is held out for the report. A run that
    was killed goes on from its last checkpoint when called again, and one that is finished returns at once.

    Args:
        episodes: finished ones.
        model: what to start from: a directory such as the clone's, a hub id, or a ``LoadedModel``.
        labels: ``{dimension: reward}``, what :func:`get_reward` takes, such as
            ``{"goal": Attribution("direct", dimensions={"goal": 1})}``.
        out: the folder for the model, ``report.json``, ``metrics.jsonl`` and checkpoints.
        args: settings; ``output_dir`` is set by ``out``.
        agents: whose turns of an episode to learn; all agents by default.
        target: ``"labels"``: predict the label of a turn from what was read up to its end. ``"outcome"``: predict the
            outcome of the reward's episode after each turn and right before it; the reward is the difference.
            ``"episode"``: predict it at the end alone, from all that was heard and said; the reward of the last turn.
        weights: ``{dimension: weight}`` of the reward, and of the loss; equal by default.
        peft_config: train a LoRA adapter and the heads instead of the whole model.
        options: passed to the trainer, such as ``callbacks``.

    Returns:
        ``out``, for :class:`~sotopia_env.rewards.RewardModel`.

    Raises:
        ValueError: nothing to learn from, a dimension without any label, a dialogue longer than the model reads, or a
            folder with another run's result.
    """
    started = time.perf_counter()
    out = Path(out)
    rewards = {dimension: get_reward(given) for dimension, given in labels.items()}
    _check(rewards, weights, target)
    args = args or RewardModelConfig(output_dir=str(out))
    args.output_dir = str(out / "checkpoints")
    loaded = load_to_train(model, peft_config=peft_config, seed=args.seed, bf16=args.bf16)
    limit = context_length(loaded.model)
    rows = labelled_rows(episodes, rewards, target, ChatEncoder(loaded.tokenizer), limit, agents)
    trained, held_out = split_by_scenario(rows, args.held_out, args.seed)
    described = _describe(loaded, episodes, rewards, trained, target, weights, args.normalizer)
    run = described_run(
        args,
        start=loaded,
        data=digest([[row.ids, row.places, row.targets_PD] for row in rows]),
        target=target,
        labels=rewards,
        dimensions=described.dimensions,
        adapter=None if peft_config is None else peft_config.to_dict(),
    )
    if finished_run(out, run) is not None:
        return out
    checkpoint = latest_checkpoint(args.output_dir, run)
    torch.manual_seed(args.seed)
    shares = list(described.dimensions.values())
    trainer = ValueTrainer(_heads(loaded, list(rewards), trained), args, trained, shares, **options)

    def save() -> dict[str, int]:
        heads = trainer.accelerator.unwrap_model(trainer.model)
        save_reward_model(out, loaded, heads, described)
        report = report_on(heads, held_out, trained, target)
        write_json(out / REPORT, report)
        facts = {
            "start model": loaded.name,
            **data_facts(episodes),
            "target": target,
            **{f"head of {dimension}": f"{reward.name}" for dimension, reward in rewards.items()},
            "rows": f"{len(trained)}, and {len(held_out)} of other scenarios held out",
        }
        said = "A language model with heads that predict what turns of these episodes are worth."
        write_model_card(out, "reward-model", said, facts, args, [report_table(report)])
        tokens = sum(len(row.ids) for row in trained)
        return {"rows": len(trained), "held_out_rows": len(held_out), "tokens": tokens}

    train_and_save(trainer, out, run, checkpoint, save, started=started)
    return out


class ValueTrainer(TrainsInPieces, WithMuon, Trainer):
    """``transformers``' trainer on labelled rows, batches of like length. Checkpoints hold what is trained alone.

    Args:
        heads: the model.
        args: settings.
        rows: what to learn.
        weights: by how much each of D dimensions counts, whatever their sum; equally by default.
        options: passed to the trainer.
    """

    def __init__(
        self,
        heads: ValueHeads,
        args: RewardModelConfig,
        rows: Sequence[LabelledRow],
        weights: Sequence[float] | None = None,
        **options: Any,
    ) -> None:
        self.rows = list(rows)
        shares_D = torch.ones(len(heads.dimensions)) if weights is None else torch.tensor(list(weights))
        self.shares_D = shares_D / shares_D.mean()
        super().__init__(heads, args, data_collator=_collated, train_dataset=self.rows, **options)
        self.model_accepts_loss_kwargs = False

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The mean squared error over known labels, in units of each dimension's deviation."""
        targets: Tensor = inputs.pop("targets")
        siblings: Tensor = inputs.pop("siblings")
        number = inputs.pop("known", None)
        heads = self.accelerator.unwrap_model(model)
        with self.accelerator.autocast(), fast_attention(bare(heads.language_model), inputs["input_ids"].shape[1]):
            values = model(**inputs)
        known = ~targets.isnan()
        errors = torch.where(known, (values - targets) / heads.spread, 0.0)
        squared = errors.square().sum(dim=0)
        if self.args.between < 1:
            squared = squared - (1 - self.args.between) * between_groups(errors, known, siblings)
        number = known.sum() if number is None else number
        loss = (squared * self.shares_D.to(squared.device)).sum() / number.clamp(min=1)
        return (loss, values) if return_outputs else loss

    def pieces(self, model: Any, inputs: Mapping[str, Any], num_items_in_batch: Any) -> Sequence[Mapping[str, Any]]:
        """Some rows each; dialogues of one task stay together where they are held against each other."""
        places: Tensor = inputs["places"]
        if self.args.between < 1:
            return [inputs]
        of_row, found = places.nonzero()[:, 0].cpu(), []
        for rows in self.rows_together(self.accelerator.unwrap_model(model).language_model, places):
            # Behind the last token that is read nothing counts.
            length = max(1, *(places[rows].any(0).nonzero()[:, 0] + 1).tolist())
            numbers = torch.isin(of_row, rows)
            piece = {name: inputs[name][rows, :length] for name in ("input_ids", "attention_mask", "places")}
            piece |= {name: inputs[name][numbers] for name in ("targets", "siblings")}
            found.append({**piece, "known": (~inputs["targets"].isnan()).sum()})
        return found

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        batch_size = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        lengths = [len(row.ids) for row in self.rows]
        groups = [row.siblings for row in self.rows] if self.args.between < 1 else None
        return LengthGrouped(lengths, batch_size, order_seed(self.args), groups=groups)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        folder = Path(str(output_dir or self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        model: Any = self.accelerator.unwrap_model(self.model)
        # Tied weights are named once here, and what is frozen stands in the base.
        weights = {n: p.detach().cpu().contiguous() for n, p in model.named_parameters() if p.requires_grad}
        save_file(weights, folder / _WEIGHTS, metadata={"format": "pt"})

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        trained: Any = self.accelerator.unwrap_model(self.model if model is None else model)
        weights = load_file(Path(resume_from_checkpoint) / _WEIGHTS)
        for name, parameter in trained.named_parameters():
            if parameter.requires_grad:
                parameter.data.copy_(weights[name])


def _check(rewards: Mapping[str, Reward], weights: Mapping[str, float] | None, target: Target) -> None:
    if not rewards:
        raise ValueError("labels: give a reward for at least one dimension")
    if target not in get_args(Target):
        raise ValueError(f"target: {target!r} is none of {', '.join(get_args(Target))}")
    for dimension, weight in (weights or {}).items():
        if dimension not in rewards:
            raise ValueError(f"weights: there are no labels for {dimension!r}, only for {', '.join(rewards)}")
        if not weight > 0:
            raise ValueError(f"weights: that of {dimension!r} is {weight}; leave the dimension out instead")
    if weights is not None and len(weights) < len(rewards):
        raise ValueError(f"weights: none given for {', '.join(d for d in rewards if d not in weights)}")


def _describe(
    loaded: LoadedModel,
    episodes: Sequence[Episode],
    rewards: Mapping[str, Reward],
    rows: Sequence[LabelledRow],
    target: Target,
    weights: Mapping[str, float] | None,
    normalizer: Any,
) -> Description:
    normalizers: dict[str, Normalizer] = {}
    for index, (dimension, reward) in enumerate(rewards.items()):
        known = [value for row in rows for value in row.targets_PD[:, index].tolist() if not math.isnan(value)]
        normalizers[dimension] = fit_normalizer(normalizer, known, limits_of(reward, dimension))
    return Description(
        dimensions={dimension: 1.0 if weights is None else float(weights[dimension]) for dimension in rewards},
        target=target,
        normalizers=normalizers,
        labels={dimension: _spec(reward) for dimension, reward in rewards.items()},
        base=loaded.name,
        policies=tuple(sorted({name for episode in episodes for name in episode.policies.values()})),
        families={episode.task.family: episode.task.version for episode in episodes},
        versions={name: importlib.metadata.version(name) for name in ("torch", "transformers")},
    )


def _spec(reward: Reward) -> Any:
    try:
        return reward.spec()
    except ValueError:
        # A function without a path has nothing but its name.
        return {"name": reward.name}


def _heads(loaded: LoadedModel, dimensions: Sequence[str], rows: Sequence[LabelledRow]) -> ValueHeads:
    heads = ValueHeads(loaded.model, dimensions)
    targets_ND = np.concatenate([row.targets_PD for row in rows])
    spread = np.nanstd(targets_ND, axis=0)
    heads.location.copy_(torch.from_numpy(np.nanmean(targets_ND, axis=0)))
    # Labels that never differ are met by the bias alone.
    heads.spread.copy_(torch.from_numpy(np.where(spread > 1e-9, spread, 1.0)))
    return heads


def _collated(rows: Sequence[LabelledRow]) -> dict[str, Tensor]:
    targets = torch.from_numpy(np.concatenate([row.targets_PD for row in rows])).float()
    numbers = {name: index for index, name in enumerate(dict.fromkeys(row.siblings for row in rows))}
    siblings = torch.tensor([numbers[row.siblings] for row in rows for _ in row.places])
    read = padded([row.ids for row in rows], [row.places for row in rows])
    return {**read, "targets": targets, "siblings": siblings}


def between_groups(errors_ND: Tensor, known_ND: Tensor, groups_N: Tensor) -> Tensor:
    """The part of the summed squared errors that is due to the mean errors of groups.

    A judge's scale is the task's: where a deal may lie depends on limits that the agent does not see, and over many
    tasks a high price says as much about the partner's limit as about the bargain struck. Within one task it is what
    the agent made of it.

    Args:
        errors_ND: N errors of D dimensions, 0 where the label is unknown.
        known_ND: where it is known.
        groups_N: the number of each error's group.

    Returns:
        (D,) sums over groups of size times squared mean.
    """
    shape = (int(groups_N.max()) + 1, errors_ND.shape[1])
    sums = errors_ND.new_zeros(shape).index_add(0, groups_N, errors_ND)
    sizes = errors_ND.new_zeros(shape).index_add(0, groups_N, known_ND.to(errors_ND.dtype))
    return (sums.square() / sizes.clamp(min=1.0)).sum(dim=0)
