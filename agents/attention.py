"""Attention written out for a CPU that computes in bfloat16: what plays and what is trained share it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

_LARGEST_SCORES = 1 << 18
"""Rows by keys of one head's scores up to which they are written out; the fused kernel never holds all of them."""


def can_be_written_out(base: Any) -> bool:
    """Returns whether a model's attention is on a CPU and nothing but scores, a mask and weights, in the fused kernel.

    Args:
        base: a causal language model of ``transformers``, without adapters around it.
    """
    plain = base.config.model_type in _PLAIN_ATTENTION and base.config._attn_implementation == "sdpa"
    return plain and base.device.type == "cpu"


@contextmanager
def writing_out(base: Any) -> Iterator[None]:
    """Have a model use :func:`written_out_attention`, and afterwards what it used before."""
    before = base.config._attn_implementation
    base.set_attn_implementation(_WRITTEN_OUT)
    try:
        yield
    finally:
        base.set_attn_implementation(before)


def written_out_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    scaling: float,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """Plain attention in bfloat16, scores and mask in one operation; ``"eager"`` makes three passes over them.

    The fused kernel repeats keys and values for the heads that share them, and turns a mask of booleans into numbers in
    every layer: a new token of each of 64 dialogues takes it several times as long. Where many tokens read many, whose
    scores would not fit into the processor's memory, it is used all the same.

    Args:
        module: the layer; there is dropout while it is in training.
        query: (B, H, L, D).
        key: (B, G, K, D); H is a multiple of G.
        value: like ``key``.
        attention_mask: (B, 1, L, K), added to the scores.
        scaling: of the scores.
        dropout: the part of the weights that is dropped.

    Returns:
        (B, L, H, D), and no weights.
    """
    batch, heads, length, size = query.shape
    if length > 1 and length * key.shape[2] > _LARGEST_SCORES:
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling)
    # Heads that share a key are rows of one product.
    queries = (query * scaling).to(torch.bfloat16).reshape(batch * key.shape[1], -1, size)
    keys, values = (x.to(torch.bfloat16).flatten(0, 1) for x in (key, value))
    # A row that sees nothing has to see all of it equally: with minus infinity everywhere it would be no number.
    mask = attention_mask.to(torch.bfloat16).clamp_min(torch.finfo(torch.bfloat16).min)
    mask = mask.expand(batch, heads, length, -1).reshape(*queries.shape[:2], -1)
    weights = torch.baddbmm(mask, queries, keys.transpose(1, 2)).softmax(-1)
    weights = torch.nn.functional.dropout(weights, dropout, module.training)
    return torch.bmm(weights, values).view(batch, heads, length, size).transpose(1, 2).contiguous(), None


_WRITTEN_OUT = "sotopia_env_written_out"
# Kinds of models whose attention is nothing but scores, a mask, and weights.
_PLAIN_ATTENTION = ("llama", "mistral", "qwen2", "qwen3")
AttentionInterface.register(_WRITTEN_OUT, written_out_attention)
AttentionMaskInterface.register(_WRITTEN_OUT, ALL_MASK_ATTENTION_FUNCTIONS["eager"])
