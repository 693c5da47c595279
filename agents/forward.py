"""The forward pass of a causal language model: what it takes, and its logits exactly as ``transformers`` gives them.

What a model does with what its head says (Granite divides, Cohere multiplies, Gemma 2 caps) is never done by hand here:
the model's own forward pass runs, and only the head is shown fewer places.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


def bare(model: Any) -> Any:
    """Returns a causal language model without the adapters around it; those inside its layers stay."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def arguments(model: Any) -> Mapping[str, inspect.Parameter]:
    """Returns the arguments that a model's forward pass names."""
    return inspect.signature(type(bare(model)).forward).parameters


def without_router_loss(model: Any) -> dict[str, Any]:
    """Returns the argument that keeps a mixture of experts from computing the loss of its router, where it has one.

    A model's own settings may ask for it, and with keys and values that are kept it cannot be computed.
    """
    config = bare(model).config.get_text_config()
    return {"output_router_logits": False} if hasattr(config, "output_router_logits") else {}


def logits_at(model: Any, places: Tensor, **inputs: Any) -> tuple[Tensor, Any]:
    """Returns the logits at some places, and whatever else the forward pass gives.

    Args:
        model: a causal language model of ``transformers``, adapters included.
        places: (B, L) booleans, N of them true.
        inputs: of the forward pass: ``input_ids`` (B, L) and what belongs to them.

    Returns:
        (N, vocabulary) numbers in 32 bits, in the order of ``input_ids[places]``, and the output.
    """
    base = bare(model)
    head = base.get_output_embeddings()
    chosen: list[Tensor] = []

    def choose(_: Any, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if chosen or not args or args[0].shape[:2] != places.shape:
            return None
        chosen.append(args[0][places][None])
        return (chosen[0], *args[1:])

    hook = None if head is None else head.register_forward_pre_hook(choose)
    try:
        output = base(**inputs, use_cache=False)
    finally:
        if hook is not None:
            hook.remove()
    logits: Tensor = output.logits
    # A head that is used in another way has said all there is to say.
    return (logits[0] if chosen else logits[places]).float(), output


def last_logits(model: Any, rows: Sequence[Sequence[int]], pad_id: int, device: torch.device) -> Tensor:
    """Returns the logits after the last token of each of B rows, (B, vocabulary): read from their beginning.

    Args:
        model: a causal language model.
        rows: B rows of token ids, none empty.
        pad_id: any token id, for the places behind the shorter rows, which no earlier place looks at.
        device: of the model.
    """
    ids = pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=pad_id).to(device)
    lengths = torch.tensor([len(row) for row in rows], device=device)[:, None]
    places = torch.arange(ids.shape[1], device=device)
    mask = (places < lengths).long()
    return logits_at(
        model, places == lengths - 1, input_ids=ids, attention_mask=mask, **without_router_loss(model)
    )[0]
