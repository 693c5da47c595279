"""The forward pass of a causal language model: what it takes, and its logits exactly as ``transformers`` gives them.

What a model does with what its head says (Granite divides, Cohere multiplies, Gemma 2 caps) is never done by hand here:
the model's own forward pass runs, and only the head is shown fewer places.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers.utils import ModelOutput


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
    (states,), _ = _showing(model, places, inputs, at_most=1)
    return states[0]


def states_and_head(model: Any, places: Tensor, **inputs: Any) -> tuple[Tensor, Callable[[Tensor], Tensor], Any] | None:
    """Returns what the model's head reads at some places, and what makes logits of any part of it.

    So the logits of many places need not be held all at once.

    Args:
        model: a causal language model of ``transformers``, adapters included.
        places: (B, L) booleans, N of them true, N at least 1.
        inputs: of the forward pass: ``input_ids`` (B, L) and what belongs to them.

    Returns:
        The states, (N, width); a function from (n, width) of them to (n, vocabulary) numbers in 32 bits, as the model's
        own forward pass makes them; and the output, whose logits are those of the first place alone. ``None`` where the
        model makes its logits in another way: then :func:`logits_at` serves.
    """
    base = bare(model)
    # Some go past their base model to the decoder in it, and some name themselves.
    layers = {base.base_model, base.get_decoder()} - {base}
    if not layers:
        return None
    found: list[tuple[Any, Any]] = []

    def note(module: Any, _: Any, output: Any) -> None:
        found.append((module, output))

    hooks = [inner.register_forward_hook(note) for inner in layers]
    try:
        shown, output = _showing(model, places, inputs, at_most=1)
    finally:
        for hook in hooks:
            hook.remove()
    # What came last holds whatever else was called.
    once = len({id(module) for module, _ in found}) == len(found) > 0
    if not shown or not once or not isinstance(found[-1][1], ModelOutput):
        return None
    inner, given = found[-1]
    states = shown[0][0]
    (name, whole), *_ = given.items()
    stand_in = type(given)(**{name: whole.new_zeros(1, 1, whole.shape[-1])})
    some = {"input_ids": inputs["input_ids"][:1, :1], **without_router_loss(base)}

    def head(part: Tensor) -> Tensor:
        # All of the model's own forward pass but its layers: they are stood in for, and the head is shown the states.
        with _with_forward(inner, lambda *_, **__: stand_in), _shown_to_head(base, lambda _: part[None]):
            logits: Tensor = base(**some, use_cache=False).logits[0]
        return logits.float()

    with torch.no_grad():
        same = torch.allclose(head(states[:1]), output.logits[0].float(), rtol=1e-4, atol=1e-4)
    return (states, head, output) if same else None


def _showing(
    model: Any, places: Tensor, inputs: Mapping[str, Any], at_most: int | None = None
) -> tuple[list[Tensor], Any]:
    """A forward pass that shows the head some places alone, or the first of them.

    Returns:
        What there was to be shown, (1, N, width), or nothing where the head is used in another way; and the output.
    """
    shown: list[Tensor] = []

    def choose(states: Tensor) -> Tensor | None:
        if states.shape[:2] != places.shape:
            return None
        shown.append(states[places.to(states.device)][None])
        # Cut before the batch dimension is there, or a product with it would copy the head's weights on a CPU.
        return shown[0][0, :at_most][None]

    with _shown_to_head(bare(model), choose):
        return shown, bare(model)(**inputs, use_cache=False)


@contextmanager
def _shown_to_head(base: Any, choose: Callable[[Tensor], Tensor | None]) -> Iterator[None]:
    """Show the head something else, the first time it is asked, unless ``choose`` returns ``None``."""
    done: list[bool] = []

    def replace(_: Any, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        chosen = None if done or not args else choose(args[0])
        if chosen is None:
            return None
        done.append(True)
        return (chosen, *args[1:])

    hook = base.get_output_embeddings().register_forward_pre_hook(replace)
    try:
        yield
    finally:
        hook.remove()


@contextmanager
def _with_forward(module: Any, forward: Callable[..., Any]) -> Iterator[None]:
    """Let a module do something else for a while."""
    before = vars(module).get("forward")
    module.forward = forward
    try:
        yield
    finally:
        del module.forward
        if before is not None:
            module.forward = before


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
