"""Batches that are trained on some rows at a time: the gradients are those of the whole, its activations never held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from sotopia_env.training.memory import rows_at_a_time, tokens_at_a_time


class TrainsInPieces:
    """For a trainer of ``transformers`` whose loss is a sum over rows, by a number that is the whole batch's.

    Each piece goes there and back before the next one does, and gradients add up.
    """

    accelerator: Any

    def pieces(
        self, model: Any, inputs: Mapping[str, Any], num_items_in_batch: Tensor | int | None
    ) -> Sequence[Mapping[str, Any]]:
        """A batch in pieces, in the form of a batch each; itself where its loss is no such sum."""
        raise NotImplementedError

    def training_step(
        self, model: Any, inputs: Mapping[str, Any], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """There and back over a batch; returns its loss."""
        pieces = self.pieces(model, inputs, num_items_in_batch)
        losses = []
        for number, piece in enumerate(pieces, 1):
            # Processes add up their gradients once, however many pieces each of them has.
            with self.accelerator.no_sync(model) if number < len(pieces) else nullcontext():
                losses.append(super().training_step(model, piece, num_items_in_batch))  # type: ignore[misc]
        return torch.stack(losses).sum()

    def rows_together(self, language_model: Any, places: Tensor) -> list[Tensor]:
        """Which rows of a batch make a piece each, in ascending order.

        Args:
            language_model: what is trained, not wrapped.
            places: (B, L) booleans: what is learnt from, behind the last of which nothing is read.
        """
        lengths = (places * torch.arange(1, places.shape[1] + 1, device=places.device)).amax(1)
        groups = rows_at_a_time(lengths.tolist(), tokens_at_a_time(language_model))
        return [torch.tensor(sorted(rows)) for rows in groups]
