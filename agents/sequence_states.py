"""Keys and values of token sequences: kept one sequence at a time, computed many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer


@dataclass(frozen=True)
class SequenceStates:
    """Keys and values of one sequence.

    Args:
        ids: the N tokens they were computed from.
        states: (2 x layers) x heads x N x head size, keys before values.
    """

    ids: list[int]
    states: Tensor

    def first(self, length: int) -> SequenceStates:
        """The states of the first tokens alone: in a causal model they depend on nothing later."""
        return SequenceStates(self.ids[:length], self.states[:, :, :length])

    @property
    def size(self) -> int:
        """Memory, in bytes."""
        return self.states.numel() * self.states.element_size()


class Batch:
    """Sequences of different lengths that grow together.

    Chunks are aligned to the right, so that the last logits are those of each sequence's last token. Places left over
    are masked; positions are counted per sequence, so that such holes change nothing.

    Args:
        model: a causal language model of ``transformers``.
        rows: B states to go on from; ``None`` starts an empty sequence.
        room: how many tokens are likely to follow, for which memory is set aside.
        buffered: whether all layers hold plain keys and values, which can then be kept beyond the batch.
        pad_id: any token id, for the masked places.
        options: further arguments of the model's ``forward``.
    """

    def __init__(
        self,
        model: Any,
        rows: Sequence[SequenceStates | None],
        room: int,
        *,
        buffered: bool,
        pad_id: int,
        with_positions: bool,
        options: dict[str, Any],
    ) -> None:
        self.ids = [[] if row is None else list(row.ids) for row in rows]
        self._model, self._pad_id, self._with_positions, self._options = model, pad_id, with_positions, options
        self._device = model.get_input_embeddings().weight.device
        width = max(len(ids) for ids in self.ids)
        self._mask = torch.zeros(len(rows), width, dtype=torch.long, device=self._device)
        self._cache: Cache = DynamicCache(config=model.config)
        self._layers: list[_BufferedLayer] = []
        if buffered:
            self._buffer = _Buffer(len(self._cache.layers), room)
            self._layers = [_BufferedLayer(self._buffer, index) for index in range(self._buffer.layers)]
            self._cache = Cache(layers=self._layers)
        if width > 0:
            self._load(rows, width)

    def _load(self, rows: Sequence[SequenceStates | None], width: int) -> None:
        like = next(row.states for row in rows if row is not None)
        self._buffer.allocate(like, len(rows), width)
        for index, row in enumerate(rows):
            start = width - len(self.ids[index])
            if row is not None:
                self._buffer.states[:, index, :, start:width] = row.states
            # Masked places weigh nothing, but 0 times whatever lies in fresh memory may be no number.
            self._buffer.states[:, index, :, :start] = 0
            self._mask[index, start:] = 1
        for layer in self._layers:
            layer.show(width)

    def extend(self, chunks: Sequence[Sequence[int]]) -> Tensor:
        """Append a chunk of tokens to each sequence; an empty one leaves it as it is.

        Returns:
            B x vocabulary logits after the last token of the chunk, meaningless for empty chunks.
        """
        width = max(map(len, chunks))
        tokens = [[self._pad_id] * (width - len(chunk)) + list(chunk) for chunk in chunks]
        valid = [[0] * (width - len(chunk)) + [1] * len(chunk) for chunk in chunks]
        inputs: dict[str, Any] = {"input_ids": torch.tensor(tokens, device=self._device)}
        self._mask = torch.cat([self._mask, torch.tensor(valid, device=self._device)], dim=1)
        if self._with_positions:
            positions = [
                [0] * (width - len(chunk)) + list(range(len(ids), len(ids) + len(chunk)))
                for ids, chunk in zip(self.ids, chunks, strict=True)
            ]
            inputs["position_ids"] = torch.tensor(positions, device=self._device)
        output = self._model(
            **inputs, attention_mask=self._mask, past_key_values=self._cache, use_cache=True, **self._options
        )
        for ids, chunk in zip(self.ids, chunks, strict=True):
            ids.extend(chunk)
        logits: Tensor = output.logits[:, -1]
        return logits

    def row(self, index: int) -> SequenceStates:
        """A copy of one sequence's keys and values, without the masked places."""
        places = self._mask[index].nonzero().flatten()
        return SequenceStates(list(self.ids[index]), self._buffer.states[:, index].index_select(2, places))


class _Buffer:
    """Memory for the keys and values of all layers, with room for more tokens."""

    states: Tensor

    def __init__(self, layers: int, room: int) -> None:
        self.layers = layers
        self.room = room
        self.capacity = 0

    def allocate(self, like: Tensor, batch: int, width: int) -> None:
        """Memory for ``width`` tokens and some more; what is there already is copied."""
        old = self.states if self.capacity else None
        self.capacity = width + self.room
        self.states = like.new_empty(2 * self.layers, batch, like.shape[1], self.capacity, like.shape[-1])
        if old is not None:
            self.states[:, :, :, : old.shape[3]] = old


class _BufferedLayer(DynamicLayer):
    """One layer's part of a buffer. The stock layer copies all it holds for every new token."""

    def __init__(self, buffer: _Buffer, index: int) -> None:
        super().__init__()
        self._buffer = buffer
        self._index = index

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        start = self.get_seq_length()
        stop = start + key_states.shape[-2]
        if stop > self._buffer.capacity:
            self._buffer.allocate(key_states, key_states.shape[0], stop)
        self._buffer.states[self._index, :, :, start:stop] = key_states
        self._buffer.states[self._buffer.layers + self._index, :, :, start:stop] = value_states
        return self.show(stop)

    def show(self, length: int) -> tuple[Tensor, Tensor]:
        """Let the model see the first ``length`` places."""
        self.is_initialized = True
        self.keys = self._buffer.states[self._index, :, :, :length]
        self.values = self._buffer.states[self._buffer.layers + self._index, :, :, :length]
        self.dtype, self.device = self.keys.dtype, self.keys.device
        return self.keys, self.values
