"""How much memory training takes, and how much work is done at a time so that it takes no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from sotopia_env.agents.forward import bare

NUMBERS_AT_A_TIME = 3 * 2**18
"""A CPU takes so many hidden numbers (tokens times width) through a model at a time: larger tensors are paged in anew
for every operation. 64 rows of a model of a million parameters take 2.6 times as long in one piece as 16 at a time."""

KEPT_ON_CPU = 2**30
"""Bytes of activations that are kept for the backward pass on a CPU; those of further rows are computed once more."""


def activation_bytes(config: Any) -> int:
    """Returns what a token leaves behind for the backward pass, in bytes, when a model computes in 16 bits.

    Of each layer: its input and norms, queries, keys and values, before and after they are rotated, and what attention
    says, 24 bytes of width in all; and four tensors of the feed-forward layer. Measured for SmolLM2-135M with rows of
    320 tokens: 0.83 to 0.93 MB a token, where this says 0.78.

    Args:
        config: of a causal language model of ``transformers``.
    """
    text = config.get_text_config()
    width = int(text.hidden_size)
    inner = getattr(text, "intermediate_size", None) or 4 * width
    # Some have layers of several sizes.
    inner = max(inner) if isinstance(inner, Sequence) else int(inner)
    experts = int(getattr(text, "num_experts_per_tok", None) or 0)
    if experts:
        inner = experts * int(getattr(text, "moe_intermediate_size", None) or inner)
    return int(text.num_hidden_layers) * (24 * width + 8 * inner)


def kept_bytes(device: torch.device) -> int:
    """Returns how many bytes of activations may be kept for the backward pass: on a GPU half of what is free."""
    if device.type != "cuda":
        return KEPT_ON_CPU
    free, _ = torch.cuda.mem_get_info(device)
    return (free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)) // 2


def tokens_at_a_time(model: Any) -> int:
    """Returns how many tokens go through a model at a time: what is fast on a CPU, what there is room for on a GPU."""
    base = bare(model)
    if base.device.type == "cpu":
        return int(NUMBERS_AT_A_TIME // base.config.get_text_config().hidden_size)
    return max(1, kept_bytes(base.device) // activation_bytes(base.config))


def rows_at_a_time(lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Returns groups of rows of like length, padding included no more than so many tokens each, or one row.

    Args:
        lengths: of the rows, in tokens.
        tokens: how many at a time.
    """
    groups: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda index: lengths[index]):
        if groups and (len(groups[-1]) + 1) * lengths[row] <= tokens:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


@dataclass(frozen=True)
class TrainingMemory:
    """What a step of training needs, in bytes.

    Args:
        weights: of a frozen base.
        trained: what is trained, the adapter or all weights, in 32 bits, with its gradients.
        optimizer: Adam's two means of each trained number.
        activations: of the rows that go through the model together, kept for the backward pass.
        logits: of some places, with their gradients.
        cache: keys and values of the dialogues that are being played.
    """

    weights: int
    trained: int
    optimizer: int
    activations: int
    logits: int
    cache: int

    @property
    def total(self) -> int:
        """Playing and learning take turns, so that the larger of the two counts."""
        return self.weights + self.trained + self.optimizer + max(self.activations + self.logits, self.cache)


def training_memory(
    config: Any,
    *,
    tokens: int,
    dialogues: int = 0,
    dialogue_tokens: int = 0,
    lora_rank: int | None = 8,
    checkpointing: bool = False,
    weight_bytes: int = 2,
    logits: int = 2**24,
) -> TrainingMemory:
    """Returns by formula what a step needs, without what libraries and allocators add to it.

    Args:
        config: of a causal language model of ``transformers``; no weights are made.
        tokens: that go through the model together.
        dialogues: that are played side by side, with their keys and values kept.
        dialogue_tokens: the length of each.
        lora_rank: of an adapter on all linear layers but the head; ``None`` trains all weights.
        checkpointing: keep the input of each layer alone, and compute one layer at a time anew.
        weight_bytes: of each frozen weight: 2 in bfloat16, 4 in 32 bits.
        logits: how many are held at a time (:mod:`sotopia_env.training.scoring`).
    """
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    text, head = config.get_text_config(), model.get_output_embeddings()
    linear = [module for module in model.modules() if isinstance(module, torch.nn.Linear) and module is not head]
    weights = sum(parameter.numel() for parameter in model.parameters())
    adapter = 0 if lora_rank is None else sum(lora_rank * (one.in_features + one.out_features) for one in linear)
    trained = weights if lora_rank is None else adapter
    layers, width = int(text.num_hidden_layers), int(text.hidden_size)
    kept = activation_bytes(config)
    if checkpointing:
        kept = 2 * layers * width + kept // layers
    head_size = getattr(text, "head_dim", None) or width // text.num_attention_heads
    key_heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    return TrainingMemory(
        weights=weights * weight_bytes if lora_rank is not None else 0,
        trained=8 * trained,
        optimizer=8 * trained,
        activations=tokens * kept,
        # In 16 bits and 32, their softmax, and the gradient of each.
        logits=16 * logits,
        cache=dialogues * dialogue_tokens * layers * 2 * int(key_heads) * int(head_size) * weight_bytes,
    )
