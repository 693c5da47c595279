"""Numbers of chosen tokens: of the learner, of its reference and of a clone, all from one function.

Rows go through the model some at a time, and the logits of some places are held at a time: what the backward pass needs
beyond that is computed once more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from sotopia_env.agents.decoding import tempered
from sotopia_env.agents.forward import bare, logits_at, states_and_head, without_router_loss
from sotopia_env.training.cpu import fast_attention
from sotopia_env.training.memory import activation_bytes, kept_bytes, rows_at_a_time, tokens_at_a_time
from sotopia_env.training.shared_prefix import Together, beginning, can_share, going_on_from, rows_that_begin_alike

LOGITS_AT_A_TIME = 2**24
"""So many logits are held at a time, 64 MB in 32 bits; with their gradients about four times as much."""

Read = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, ...]]
"""Makes of logits (n, vocabulary), of the n tokens that they predict, and of these tokens' places among all N, some
numbers for each token, (n,). It is called once more in the backward pass, and has to say the same."""


def scored(
    model: Any,
    input_ids: Tensor,
    attention_mask: Tensor,
    selected: Tensor,
    read: Read,
    with_router_loss: bool = False,
) -> tuple[tuple[Tensor, ...], Tensor | None]:
    """What is read from the logits that predict some tokens, as one plain pass over each row by itself gives them.

    Rows are shown to the model without the padding in front of them: so their positions, windows and recurrent states
    are those of a row by itself, whatever the model makes of padding. Nothing is computed behind the last token that
    is predicted.

    Args:
        model: a causal language model, adapters included, not wrapped for several processes.
        input_ids: (B, L) token ids.
        attention_mask: (B, L), 1 on tokens; padding may lie anywhere.
        selected: (B, L) booleans: the N tokens to be predicted. None of them is the first of its row.
        read: of the logits of some tokens.
        with_router_loss: also return the loss of the routers of a mixture of experts, for the batch as a whole.

    Returns:
        What ``read`` made, (N,) each, in the order of ``input_ids[selected]``, and that loss.
    """
    base = bare(model)
    ids, wanted = _to_the_front(input_ids, attention_mask, selected)
    lengths = attention_mask.sum(1) if with_router_loss else _read_lengths(wanted)
    # A token is predicted at the place before it.
    places, first = wanted.roll(-1, dims=1), wanted.sum(1).cumsum(0) - wanted.sum(1)
    found: list[tuple[Tensor, ...]] = [()] * len(ids)
    budget, router_loss = kept_bytes(ids.device), None
    # A loss of the whole batch is not cut into pieces.
    groups = [Together(list(range(len(ids))))] if with_router_loss else _groups(base, ids, wanted, lengths)
    # What is computed again for one group alone was never held beside another's.
    can_again = (
        len(groups) > 1 and torch.is_grad_enabled() and not (with_router_loss or base.is_activation_checkpointing)
    )
    for group in groups:
        rows, shared = group.rows, group.shared
        at, sizes, longest = (
            torch.tensor(rows, device=ids.device),
            wanted[rows].sum(1).tolist(),
            int(lengths[rows].max()),
        )
        which = torch.cat(
            [first[row] + torch.arange(size, device=ids.device) for row, size in zip(rows, sizes, strict=True)]
        )
        mask = (torch.arange(longest, device=ids.device) < lengths[at, None]).long()
        inputs = {"input_ids": ids[at, shared:longest], "attention_mask": mask}
        inputs |= _router_options(base, with_router_loss)
        work = partial(
            _read_group,
            model,
            inputs,
            ids[rows[0], :shared],
            places[at, shared:longest],
            ids[at][wanted[at]],
            which,
            read,
        )
        budget -= (shared + len(rows) * (longest - shared)) * activation_bytes(base.config)
        values, router_loss = checkpoint(work, use_reentrant=False) if can_again and budget < 0 else work()
        for row, part in zip(rows, zip(*(value.split(sizes) for value in values), strict=True), strict=True):
            found[row] = part
    return tuple(map(torch.cat, zip(*found, strict=True))), router_loss


def rows_together(model: Any, input_ids: Tensor, attention_mask: Tensor, selected: Tensor) -> list[list[int]]:
    """Which rows :func:`scored` shows to the model together.

    Args:
        model: a causal language model.
        input_ids: (B, L).
        attention_mask: (B, L).
        selected: (B, L) booleans.
    """
    ids, wanted = _to_the_front(input_ids, attention_mask, selected)
    return [group.rows for group in _groups(bare(model), ids, wanted, _read_lengths(wanted))]


def _to_the_front(input_ids: Tensor, attention_mask: Tensor, selected: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens to the front, in their order, and behind them padding, which no token looks at; and which are wanted."""
    order = (attention_mask == 0).long().argsort(dim=1, stable=True)
    return input_ids.gather(1, order), selected.gather(1, order)


def _read_lengths(wanted: Tensor) -> Tensor:
    """(B,): how many tokens of each row are read, which is all before the last one that is predicted."""
    return (wanted * torch.arange(wanted.shape[1], device=wanted.device)).amax(1).clamp(min=1)


def _groups(base: Any, ids: Tensor, wanted: Tensor, lengths: Tensor) -> list[Together]:
    tokens = tokens_at_a_time(base)
    if len(ids) == 1 or not can_share(base):
        return [Together(rows) for rows in rows_at_a_time(lengths.tolist(), tokens)]
    read = [row[:length].tolist() for row, length in zip(ids, lengths, strict=True)]
    before = [max(0, row.index(True) - 1) if True in row else 0 for row in wanted.tolist()]
    return rows_that_begin_alike(read, before, tokens)


@torch.no_grad()
def selected_logprobs(
    model: Any,
    input_ids: Tensor,
    attention_mask: Tensor,
    selected: Tensor,
    temperature: float,
    among: Tensor | None = None,
) -> Tensor:
    """Log-probabilities of some tokens, (N,); see :func:`scored`.

    Args:
        model: a causal language model.
        input_ids: (B, L).
        attention_mask: (B, L).
        selected: (B, L) booleans, N of them true.
        temperature: divides the logits.
        among: (N, vocabulary) booleans: the tokens that are asked about, where these are not all.
    """

    def read(logits: Tensor, tokens: Tensor, which: Tensor) -> tuple[Tensor]:
        logits = tempered(logits, temperature)
        if among is not None:
            logits = logits.masked_fill(~among[which], -torch.inf)
        return (logits.log_softmax(-1).gather(-1, tokens[:, None])[:, 0],)

    (logprobs,), _ = scored(model, input_ids, attention_mask, selected, read)
    return logprobs


def _router_options(base: Any, with_router_loss: bool) -> dict[str, Any]:
    return {"output_router_logits": True} if with_router_loss else without_router_loss(base)


def _read_group(
    model: Any, inputs: Mapping[str, Any], common: Tensor, places: Tensor, tokens: Tensor, which: Tensor, read: Read
) -> tuple[tuple[Tensor, ...], Tensor | None]:
    """What is read of some rows behind their common beginning, and the loss of their routers where it was asked for."""
    base = bare(model)
    some = max(1, LOGITS_AT_A_TIME // base.get_output_embeddings().weight.shape[0])
    with fast_attention(base, inputs["attention_mask"].shape[1]):
        memory = dict if len(common) == 0 else _memory(base, common, places)
        apart = states_and_head(base, places, **inputs, **memory()) if len(tokens) > some else None
        if apart is None:
            logits, output = logits_at(base, places, **inputs, **memory())
            return read(logits, tokens, which), _router_loss(inputs, output, logits)
    states, head, output = apart

    def read_some(part: Tensor, predicted: Tensor, among: Tensor) -> tuple[Tensor, ...]:
        return read(head(part), predicted, among)

    if not torch.is_grad_enabled():
        reading: Callable[..., tuple[Tensor, ...]] = read_some
    elif any(weight.requires_grad for weight in base.get_output_embeddings().parameters()):
        reading = partial(checkpoint, read_some, use_reentrant=False)
    else:
        reading = partial(_ReadWithSlopes.apply, read_some)
    parts = [reading(*given) for given in zip(states.split(some), tokens.split(some), which.split(some), strict=True)]
    return tuple(map(torch.cat, zip(*parts, strict=True))), _router_loss(inputs, output, states)


def _memory(base: Any, common: Tensor, places: Tensor) -> Callable[[], dict[str, Any]]:
    """What tells the model, anew for each pass, that rows go on from a common beginning."""
    read, (rows, length) = beginning(base, common), places.shape
    positions = torch.arange(len(common), len(common) + length, device=places.device).expand(rows, -1)
    return lambda: {"past_key_values": going_on_from(read, rows), "position_ids": positions}


class _ReadWithSlopes(torch.autograd.Function):
    """What is read of some states and, at once, its derivatives by them: the logits need not be made again.

    A token's numbers hang on its own state alone, so that a factor for each token is all that is missing.
    """

    @staticmethod
    def forward(ctx: Any, read: Callable[..., tuple[Tensor, ...]], states: Tensor, *given: Tensor) -> Any:
        with torch.enable_grad():
            leaf = states.detach().requires_grad_()
            values = read(leaf, *given)
            learnt = [value.sum() for value in values if value.requires_grad]
        slopes = [
            torch.autograd.grad(value, leaf, retain_graph=number < len(learnt))[0]
            for number, value in enumerate(learnt, 1)
        ]
        ctx.learnt = [value.requires_grad for value in values]
        ctx.save_for_backward(*slopes)
        said = tuple(value.detach() for value in values)
        ctx.mark_non_differentiable(*(value for value, learns in zip(said, ctx.learnt, strict=True) if not learns))
        return said

    @staticmethod
    def backward(ctx: Any, *factors: Tensor) -> Any:
        learnt = [factor for factor, learns in zip(factors, ctx.learnt, strict=True) if learns]
        parts = [slope * factor[:, None] for slope, factor in zip(ctx.saved_tensors, learnt, strict=True)]
        given = len(ctx.needs_input_grad) - 2
        return (None, sum(parts[1:], parts[0]).to(parts[0].dtype), *[None] * given)


def _router_loss(inputs: Mapping[str, Any], output: Any, like: Tensor) -> Tensor | None:
    """Some models that have routers say nothing of their loss."""
    if not inputs.get("output_router_logits"):
        return None
    said = getattr(output, "aux_loss", None)
    return like.new_zeros(()) if said is None else said
