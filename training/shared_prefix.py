"""Rows that begin alike: what they have in common goes through the model once, there and back.

Dialogues of one group have the scenario in common, and turns at one state all that was said before them. Gradients are
those of the rows by themselves: what each row's tokens ask of the beginning adds up (Prefix Grouper, arXiv 2506.05433).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

from sotopia_env.agents.forward import arguments, bare
from sotopia_env.agents.loading import LARGE, number_of_weights
from sotopia_env.training.memory import rows_at_a_time

SHORTEST = 32
"""A common beginning of fewer tokens is not worth a pass of its own."""


@dataclass(frozen=True)
class Together:
    """Rows that go through the model together.

    Args:
        rows: their numbers.
        shared: with how many tokens all of them begin, which are read once; 0 where each is read by itself.
    """

    rows: list[int]
    shared: int = 0


def can_share(model: Any) -> bool:
    """Returns whether rows can go on from one beginning, and gain by it.

    That takes plain keys and values in all layers, and ten million weights or more. Gradient checkpointing keeps none.

    Args:
        model: a causal language model of ``transformers``, adapters included.
    """
    base, names = bare(model), arguments(model)
    if not {"past_key_values", "position_ids"} <= names.keys() or not base._supports_attention_backend:
        return False
    if base.is_activation_checkpointing or number_of_weights(base) < LARGE:
        return False
    return all(type(layer) is DynamicLayer for layer in DynamicCache(config=base.config).layers)


def rows_that_begin_alike(ids: Sequence[list[int]], before: Sequence[int], tokens: int) -> list[Together]:
    """Returns which rows go together, so that few tokens are read; rows that begin like no other by their length.

    Args:
        ids: of each row, as far as it is read.
        before: how many tokens of each row lie before the first place that is asked about.
        tokens: how many go through the model at a time, about.
    """
    order = sorted(range(len(ids)), key=lambda row: ids[row])
    alike = [min(before[a], before[b], _number_alike(ids[a], ids[b])) for a, b in pairwise(order)]
    _, clusters = _clusters(order, alike, [len(ids[row]) for row in order]) if order else (0, [])
    alone = [rows[0] for rows, _ in clusters if len(rows) == 1]
    found = [Together([alone[i] for i in some]) for some in rows_at_a_time([len(ids[row]) for row in alone], tokens)]
    for rows, shared in clusters:
        if len(rows) > 1:
            room = max(tokens - shared, tokens // 2)
            parts = rows_at_a_time([len(ids[row]) - shared for row in rows], room)
            found += [Together([rows[i] for i in part], shared if len(part) > 1 else 0) for part in parts]
    return found


def beginning(model: Any, ids: Tensor) -> Cache:
    """Returns the keys and values of a beginning, with gradients where they are on.

    Args:
        model: see :func:`can_share`.
        ids: (L,) its tokens.
    """
    base = bare(model)
    read = DynamicCache(config=base.config)
    base.base_model(input_ids=ids[None], past_key_values=read, use_cache=True)
    return read


def going_on_from(read: Cache, rows: int) -> Cache:
    """Returns a memory for so many rows that all begin with what was read.

    Args:
        read: see :func:`beginning`.
        rows: how many.
    """
    memory = DynamicCache()
    for index, layer in enumerate(read.layers):
        assert isinstance(layer, DynamicLayer)
        assert layer.keys is not None
        assert layer.values is not None
        memory.update(layer.keys.expand(rows, -1, -1, -1), layer.values.expand(rows, -1, -1, -1), index)
    return memory


def _clusters(
    rows: Sequence[int], alike: Sequence[int], lengths: Sequence[int]
) -> tuple[int, list[tuple[list[int], int]]]:
    """How few tokens may be read for rows in the order of their tokens, and which rows share how many of them then.

    Args:
        rows: numbers of N rows, N at least 1.
        alike: of each two neighbours, N - 1 of them, how many first tokens they can share.
        lengths: of the rows.
    """
    if len(rows) == 1:
        return lengths[0], [(list(rows), 0)]
    least = min(alike)
    cuts = [0, *(at + 1 for at, number in enumerate(alike) if number == least), len(rows)]
    parts = [_clusters(rows[a:b], alike[a : b - 1], lengths[a:b]) for a, b in pairwise(cuts)]
    apart, together = sum(read for read, _ in parts), sum(lengths) - (len(rows) - 1) * least
    if least >= SHORTEST and together <= apart:
        return together, [(list(rows), least)]
    return apart, [cluster for _, clusters in parts for cluster in clusters]


def _number_alike(one: Sequence[int], other: Sequence[int]) -> int:
    return next((at for at, (mine, theirs) in enumerate(zip(one, other, strict=False)) if mine != theirs), len(one))
