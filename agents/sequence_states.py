"""Keys and values of token sequences: kept one sequence at a time, computed many at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

from sotopia_env.agents.forward import arguments, bare, last_logits

_TOKENS_AT_A_TIME = 2_048
"""A CPU reads so many tokens at a time: 64 prompts of 180 tokens take 0.6 to 0.8 of the time they take in
one piece, whose tensors do not fit into its caches."""


@torch.no_grad()
def memory_of(model: Any) -> Literal["rows", "cache", "none"]:
    """Returns what a model's memory of the tokens it has read is good for, found out by showing it a few.

    ``"rows"``: plain keys and values, alike in all layers, of which a row can be taken out and gone on from, with holes
    between its tokens: attention goes by the mask and the positions that it is given. ``"cache"``: the model's own
    memory takes a padded batch on, token by token (windows, states of recurrent layers, keys of several sizes).
    ``"none"``: it does not, and each token is read with all before it.

    Args:
        model: a causal language model, not in training.
    """
    names = arguments(model)
    if "past_key_values" not in names:
        return "none"
    base = bare(model)
    cache: Any = DynamicCache(config=base.config)
    ids = torch.zeros(1, 2, dtype=torch.long, device=base.get_input_embeddings().weight.device)
    base.base_model(input_ids=ids, past_key_values=cache, use_cache=True)
    if cache.get_seq_length() != 2:
        return "none"
    plain = all(type(layer) is DynamicLayer for layer in cache.layers)
    if not plain or "position_ids" not in names or not base._supports_attention_backend:
        return "none" if _looks_at_padding(base) else "cache"
    sizes = {states.shape for layer in cache.layers for states in (layer.keys, layer.values)}
    devices = {parameter.device for parameter in base.parameters()}
    return "rows" if len(sizes) == len(devices) == 1 else "cache"


def _looks_at_padding(base: Any) -> bool:
    """Whether a token that is masked changes what a model makes of those behind it."""
    device = base.get_input_embeddings().weight.device
    masked = {"attention_mask": torch.tensor([[0, 1, 1, 1]], device=device), "use_cache": False}
    if "position_ids" in arguments(base):
        masked["position_ids"] = torch.tensor([[0, 0, 1, 2]], device=device)
    one, other = (
        base.base_model(input_ids=torch.tensor([[padding, 1, 2, 3]], device=device), **masked)[0][0, 1:]
        for padding in (0, 4)
    )
    # Which of its experts a masked token goes to decides how the others' numbers are rounded.
    experts = any("experts" in name for name in base.config.get_text_config().to_dict())
    allowed = 64 * torch.finfo(one.dtype).eps * float(one.abs().max()) if experts else 0.0
    return bool((one - other).abs().max() > allowed)


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


class Memory:
    """Memory for the keys and values of one batch at a time, used again for the next one.

    Fresh memory costs a CPU more than filling it. GPUs have an allocator that sees to that, and better uses for it.
    """

    def __init__(self) -> None:
        self._flat: Tensor | None = None

    def take(self, like: Tensor, shape: Sequence[int]) -> Tensor:
        """A tensor of this shape, with arbitrary content."""
        if like.device.type != "cpu":
            return like.new_empty(shape)
        size = math.prod(shape)
        if self._flat is None or self._flat.numel() < size or self._flat.dtype != like.dtype:
            self._flat = like.new_empty(size)
        return self._flat[:size].view(*shape)

    def release(self) -> None:
        """Give it back."""
        self._flat = None


class Reread:
    """Sequences that grow together, each read from its beginning for every token: right for any causal model.

    Args:
        model: a causal language model of ``transformers``.
        size: how many sequences.
        pad_id: any token id, for the masked places.
    """

    def __init__(self, model: Any, size: int, pad_id: int) -> None:
        self.ids: list[list[int]] = [[] for _ in range(size)]
        self._model, self._pad_id = model, pad_id

    def extend(self, chunks: Sequence[Sequence[int]]) -> Tensor:
        """Append a chunk of tokens to each sequence; see :meth:`Batch.extend`."""
        growing = [index for index, chunk in enumerate(chunks) if chunk]
        for index in growing:
            self.ids[index].extend(chunks[index])
        device = self._model.get_input_embeddings().weight.device
        found = last_logits(self._model, [self.ids[index] for index in growing], self._pad_id, device)
        logits = found.new_zeros(len(chunks), found.shape[1])
        logits[growing] = found
        return logits


class Batch:
    """Sequences of different lengths that grow together.

    Chunks are aligned to the right, so that the last logits are those of each sequence's last token. Places left over
    are masked; positions are counted per sequence, so that such holes change nothing.

    Args:
        model: a causal language model of ``transformers``.
        rows: B states to go on from; ``None`` starts an empty sequence.
        room: how many tokens may follow, holes included.
        memory: what keys and values are written to; ``None`` leaves that to the model's own cache, for models whose
            layers do not all hold plain keys and values. Nothing can then be gone on from.
        pad_id: any token id, for the masked places.
        with_positions: whether the model takes ``position_ids``.
        options: further arguments of the model's ``forward``.
    """

    def __init__(
        self,
        model: Any,
        rows: Sequence[SequenceStates | None],
        room: int,
        *,
        memory: Memory | None,
        pad_id: int,
        with_positions: bool,
        options: dict[str, Any],
    ) -> None:
        self.ids = [[] if row is None else list(row.ids) for row in rows]
        self._model, self._pad_id, self._with_positions, self._options = bare(model), pad_id, with_positions, options
        self._device = self._model.get_input_embeddings().weight.device
        width = max(len(ids) for ids in self.ids)
        # Where the tokens of each sequence lie: from, to, and behind holes again from, to.
        self._runs = [[[width - len(ids), width]] if ids else [] for ids in self.ids]
        begins = np.array([[width - len(ids)] for ids in self.ids])
        self._mask = self._tensor(np.arange(width) >= begins)
        self._cache: Cache = DynamicCache(config=self._model.config)
        self._layers: list[_BufferedLayer] = []
        if memory is not None:
            self._buffer = _Buffer(memory, len(self._cache.layers), len(rows), width + room)
            self._layers = [_BufferedLayer(self._buffer, index) for index in range(self._buffer.layers)]
            self._cache = Cache(layers=list(self._layers))
            if width > 0:
                self._load(rows, width)
                self._show(slice(None), width)

    def _load(self, rows: Sequence[SequenceStates | None], width: int) -> None:
        states = self._buffer.allocate(next(row.states for row in rows if row is not None))
        for index, row in enumerate(rows):
            start = width - len(self.ids[index])
            if row is not None:
                states[:, index, :, start:width] = row.states
            # Masked places weigh nothing, but nothing times what lies in used memory may be no number.
            states[:, index, :, :start] = 0

    def extend(self, chunks: Sequence[Sequence[int]]) -> Tensor:
        """Append a chunk of tokens to each sequence; an empty one leaves it as it is.

        Returns:
            B x vocabulary logits after the last token of the chunk, meaningless for empty chunks.
        """
        sizes = np.array([len(chunk) for chunk in chunks])
        past, width = self._mask.shape[1], int(sizes.max())
        # Places in a chunk, counted from its first token: negative in front of it.
        places = np.arange(width) - (width - sizes[:, None])
        valid = places >= 0
        tokens = np.full(valid.shape, self._pad_id)
        tokens[valid] = np.fromiter(chain.from_iterable(chunks), np.int64, sizes.sum())
        self._mask = torch.cat([self._mask, self._tensor(valid)], dim=1)
        inputs = {"input_ids": self._tensor(tokens), "attention_mask": self._mask}
        if self._with_positions:
            lengths = np.array([[len(ids)] for ids in self.ids])
            inputs["position_ids"] = self._tensor(np.where(valid, lengths + places, 0))
        for ids, chunk, runs in zip(self.ids, chunks, self._runs, strict=True):
            if not chunk:
                continue
            ids.extend(chunk)
            begin = past + width - len(chunk)
            if runs and runs[-1][1] == begin:
                runs[-1][1] = past + width
            else:
                runs.append([begin, past + width])
        at_a_time = max(1, _TOKENS_AT_A_TIME // width)
        if not self._layers or self._device.type != "cpu" or at_a_time >= len(chunks):
            return self._read(inputs)
        logits = []
        for start in range(0, len(chunks), at_a_time):
            rows = slice(start, start + at_a_time)
            self._show(rows, past)
            logits.append(self._read({name: tensor[rows] for name, tensor in inputs.items()}))
        self._show(slice(None), past + width)
        return torch.cat(logits)

    def _read(self, inputs: dict[str, Tensor]) -> Tensor:
        """The logits after the last of some tokens, which the cache takes in."""
        output = self._model(**inputs, past_key_values=self._cache, use_cache=True, **self._options)
        logits: Tensor = output.logits[:, -1]
        return logits

    def _show(self, rows: slice, length: int) -> None:
        """Let the model see, and write behind, the first places of some rows."""
        self._buffer.rows = rows
        if self._buffer.allocated:
            for layer in self._layers:
                layer.show(length)

    def row(self, index: int) -> SequenceStates:
        """A copy of one sequence's keys and values, without the masked places."""
        states = self._buffer.states[:, index]
        parts = [states[:, :, begin:end] for begin, end in self._runs[index]]
        return SequenceStates(list(self.ids[index]), torch.cat(parts, dim=2))

    def _tensor(self, numbers: NDArray[Any]) -> Tensor:
        return torch.from_numpy(numbers.astype(np.int64, copy=False)).to(self._device)


class _Buffer:
    """The keys and values of all layers of a batch: (2 x layers) x batch x heads x capacity x head size."""

    states: Tensor

    def __init__(self, memory: Memory, layers: int, batch: int, capacity: int) -> None:
        self.layers = layers
        self.rows = slice(None)
        self._memory, self._batch, self._capacity = memory, batch, capacity
        self.allocated = False

    def allocate(self, like: Tensor) -> Tensor:
        """Its memory, for keys or values shaped like these in all but length and number."""
        if not self.allocated:
            shape = (2 * self.layers, self._batch, like.shape[1], self._capacity, like.shape[-1])
            self.states = self._memory.take(like, shape)
            self.allocated = True
        return self.states


class _BufferedLayer(DynamicLayer):
    """One layer's part of a buffer. The stock layer copies all it holds for every new token."""

    def __init__(self, buffer: _Buffer, index: int) -> None:
        super().__init__()
        self._buffer = buffer
        self._index = index

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        start = self.get_seq_length()
        stop = start + key_states.shape[-2]
        states, rows = self._buffer.allocate(key_states), self._buffer.rows
        states[self._index, rows, :, start:stop] = key_states
        states[self._buffer.layers + self._index, rows, :, start:stop] = value_states
        return self.show(stop)

    def show(self, length: int) -> tuple[Tensor, Tensor]:
        """Let the model see the first ``length`` places."""
        self.is_initialized = True
        rows = self._buffer.rows
        self.keys = self._buffer.states[self._index, rows, :, :length]
        self.values = self._buffer.states[self._buffer.layers + self._index, rows, :, :length]
        self.dtype, self.device = self.keys.dtype, self.keys.device
        return self.keys, self.values
