"""A causal language model with one linear head per dimension, read at chosen tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sotopia_env.agents.forward import bare, context_length, states_at


class ValueHeads(nn.Module):
    """Linear heads on the last hidden states of a language model.

    Since the model is causal, what is read at the last token of a turn depends on nothing later: one pass over a
    dialogue scores all of its turns.

    Args:
        language_model: a causal language model of ``transformers``, or a ``PeftModel`` around one.
        dimensions: D names, one head each.
    """

    location: Tensor
    spread: Tensor

    def __init__(self, language_model: Any, dimensions: Sequence[str]) -> None:
        super().__init__()
        self.language_model = language_model
        self.dimensions = tuple(dimensions)
        # What the model's own head reads is not always as wide as its layers.
        hidden_size = bare(language_model).get_output_embeddings().weight.shape[1]
        # No rotation of the features is better than another to begin with, and 0 predicts the mean of the labels.
        self.heads = nn.Linear(hidden_size, len(self.dimensions), device=language_model.device, dtype=torch.float32)
        nn.init.zeros_(self.heads.weight)
        nn.init.zeros_(self.heads.bias)
        self.register_buffer("location", torch.zeros(len(self.dimensions), device=language_model.device))
        self.register_buffer("spread", torch.ones(len(self.dimensions), device=language_model.device))

    @property
    def context_length(self) -> int | None:
        """The most tokens it reads; ``None`` where it names no limit."""
        return context_length(self.language_model)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, places: Tensor) -> Tensor:
        """What the heads say at some tokens, in units of the labels.

        Args:
            input_ids: (B, L) token ids, padded on the right.
            attention_mask: (B, L), 1 on tokens, 0 on padding.
            places: (B, L) booleans: the N tokens to be read.

        Returns:
            (N, D) numbers in 32 bits, in the order of ``input_ids[places]``.
        """
        states = states_at(self.language_model, places, input_ids=input_ids, attention_mask=attention_mask)
        # Of numbers that are subtracted from each other, 16 bits would leave little.
        with torch.autocast(states.device.type, enabled=False):
            values: Tensor = self.location + self.spread * self.heads(states.float())
        return values

    def gradient_checkpointing_enable(self, *args: Any, **options: Any) -> None:
        """Trade time for memory; called by the trainer, whose settings go to the language model."""
        self.language_model.gradient_checkpointing_enable(*args, **options)
        # Where the embeddings are frozen, nothing else would ask for gradients of what the first layer reads.
        self.language_model.enable_input_require_grads()

    @torch.no_grad()
    def read(
        self, rows: Sequence[Sequence[int]], places: Sequence[Sequence[int]], batch_size: int
    ) -> list[NDArray[np.float64]]:
        """Score many rows, like lengths together.

        Args:
            rows: R rows of token ids.
            places: for each row the indices of P tokens to be read, in ascending order.
            batch_size: so many rows go through the model at a time.

        Returns:
            For each row (P, D) numbers.
        """
        device = self.heads.weight.device
        found = [np.zeros((0, len(self.dimensions)))] * len(rows)
        wanted = [index for index in sorted(range(len(rows)), key=lambda i: len(rows[i])) if places[index]]
        training = self.training
        self.eval()
        try:
            for start in range(0, len(wanted), batch_size):
                batch = wanted[start : start + batch_size]
                inputs = padded([rows[i] for i in batch], [places[i] for i in batch])
                values = self(**{name: tensor.to(device) for name, tensor in inputs.items()})
                parts = values.double().cpu().split([len(places[i]) for i in batch])
                for index, part in zip(batch, parts, strict=True):
                    found[index] = part.numpy()
        finally:
            self.train(training)
        return found


def padded(rows: Sequence[Sequence[int]], places: Sequence[Sequence[int]]) -> dict[str, Tensor]:
    """Rows of tokens as the arguments of :class:`ValueHeads`, padded on the right."""
    shape = (len(rows), max(map(len, rows)))
    input_ids = torch.zeros(shape, dtype=torch.long)
    attention_mask = torch.zeros(shape, dtype=torch.long)
    chosen = torch.zeros(shape, dtype=torch.bool)
    for index, (ids, read) in enumerate(zip(rows, places, strict=True)):
        input_ids[index, : len(ids)] = torch.tensor(ids)
        attention_mask[index, : len(ids)] = 1
        chosen[index, list(read)] = True
    return {"input_ids": input_ids, "attention_mask": attention_mask, "places": chosen}
