"""Log-probabilities of chosen tokens: of the learner, of its reference and of a clone, all from one function."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from sotopia_env.agents.decoding import log_probabilities
from sotopia_env.agents.forward import bare, logits_at, without_router_loss
from sotopia_env.training.cpu import ROWS_AT_A_TIME, fast_attention


def selected_logits(
    model: Any, input_ids: Tensor, attention_mask: Tensor, selected: Tensor, with_router_loss: bool = False
) -> tuple[Tensor, Tensor | None]:
    """The logits that predict some tokens, as one plain pass over each row by itself gives them.

    Rows are shown to the model without the padding in front of them: so their positions, windows and recurrent states
    are those of a row by itself, whatever the model makes of padding.

    Args:
        model: a causal language model, adapters included, not wrapped for several processes.
        input_ids: (B, L) token ids.
        attention_mask: (B, L), 1 on tokens; padding may lie anywhere.
        selected: (B, L) booleans: the N tokens to be predicted. None of them is the first of its row.
        with_router_loss: also return the loss of the routers of a mixture of experts, for the batch as a whole.

    Returns:
        (N, vocabulary) numbers in 32 bits, in the order of ``input_ids[selected]``, and that loss.
    """
    # Where memory is fast, and where the loss is one of the whole batch, it is not cut into pieces.
    whole = with_router_loss or bare(model).device.type != "cpu"
    at_a_time = len(input_ids) if whole else ROWS_AT_A_TIME
    found: list[Tensor] = [input_ids.new_empty(0)] * len(input_ids)
    router_loss = None
    for rows, logits, _, loss in _in_groups(model, input_ids, attention_mask, selected, at_a_time, with_router_loss):
        router_loss = loss
        for row, values in zip(rows, logits, strict=True):
            found[row] = values
    return torch.cat(found), router_loss


@torch.no_grad()
def selected_logprobs(
    model: Any, input_ids: Tensor, attention_mask: Tensor, selected: Tensor, temperature: float
) -> Tensor:
    """Log-probabilities of some tokens, (N,); see :func:`selected_logits`, of which never many are held."""
    found: list[Tensor] = [input_ids.new_empty(0)] * len(input_ids)
    for rows, logits, tokens, _ in _in_groups(model, input_ids, attention_mask, selected, ROWS_AT_A_TIME):
        for row, values, ids in zip(rows, logits, tokens, strict=True):
            found[row] = log_probabilities(values, temperature).gather(-1, ids[:, None])[:, 0]
    return torch.cat(found)


def _in_groups(
    model: Any,
    input_ids: Tensor,
    attention_mask: Tensor,
    selected: Tensor,
    at_a_time: int,
    with_router_loss: bool = False,
) -> Iterator[tuple[list[int], list[Tensor], list[Tensor], Tensor | None]]:
    """For rows of like length their numbers, logits and selected tokens, and the loss of their routers."""
    base = bare(model)
    options = {"output_router_logits": True} if with_router_loss else without_router_loss(base)
    # Tokens to the front, in their order, and behind them padding, which no token looks at.
    order = (attention_mask == 0).long().argsort(dim=1, stable=True)
    ids, wanted, lengths = input_ids.gather(1, order), selected.gather(1, order), attention_mask.sum(1)
    for rows in lengths.argsort().split(at_a_time):
        longest = int(lengths[rows].max())
        mask = (torch.arange(longest, device=ids.device) < lengths[rows, None]).long()
        read, chosen = ids[rows, :longest], wanted[rows, :longest]
        with fast_attention(base, longest):
            # A token is predicted at the place before it.
            logits, output = logits_at(base, chosen.roll(-1, dims=1), input_ids=read, attention_mask=mask, **options)
        sizes = chosen.sum(1).tolist()
        # Some that have routers say nothing of their loss.
        said = getattr(output, "aux_loss", None)
        loss = None if not with_router_loss else logits.new_zeros(()) if said is None else said
        yield rows.tolist(), list(logits.split(sizes)), list(read[chosen].split(sizes)), loss
