"""How much memory training takes, and how much work is done at a time so that it takes no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

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
