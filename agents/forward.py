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


def context_length(model: Any) -> int | None:
    """Returns the longest sequence that a model reads, in tokens; ``None`` where it names none."""
    length = getattr(bare(model).config.get_text_config(), "max_position_embeddings", None)
    return None if length is None else int(length)


def has_routers(model: Any) -> bool:
    """Returns whether a model is a mixture of experts that can say what its routers did.

    Some kinds have settings for that, and no experts.
    """
    config = bare(model).config.get_text_config()
    names = ("num_experts", "num_local_experts", "n_routed_experts")
    counts = [getattr(config, name) for name in names if hasattr(config, name)]
    return hasattr(config, "output_router_logits") and (not counts or any(counts))


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
    shown, output = _showing(model, places, inputs)
    # A head that is used in another way has said all there is to say.
    logits: Tensor = output.logits[0] if shown else output.logits[places]
    return logits.float(), output


def states_at(model: Any, places: Tensor, **inputs: Any) -> Tensor:
    """Returns the last hidden states at some places, (N, width): what the model's head reads.

    Args:
        model: a causal language model of ``transformers``, adapters included.
        places: (B, L) booleans, N of them true.
        inputs: of the forward pass.
    """
    (states,), _ = _showing(model, places, inputs)
    return states[0]


def _showing(model: Any, places: Tensor, inputs: Mapping[str, Any]) -> tuple[list[Tensor], Any]:
    """A forward pass that shows the head some places alone: what it was shown, (1, N, width), and the output."""
    base = bare(model)
    shown: list[Tensor] = []

    def choose(_: Any, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if shown or not args or args[0].shape[:2] != places.shape:
            return None
        shown.append(args[0][places.to(args[0].device)][None])
        return (shown[0], *args[1:])

    hook = base.get_output_embeddings().register_forward_pre_hook(choose)
    try:
        return shown, base(**inputs, use_cache=False)
    finally:
        hook.remove()


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
    return logits_at(model, places == lengths - 1, input_ids=ids, attention_mask=mask, **without_router_loss(model))[0]
