"""Digests of language models: weights, configuration and tokenizer, whatever files and folders they came from."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Collection, Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from sotopia_env.describe import Description, digest

_SAMPLED = 16
"""So many values of each tensor are looked at to see whether a model is still the one that was hashed."""

_UNCOUNTED = (
    "_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version", "use_cache", "pad_token_id",
    "bos_token_id", "eos_token_id", "_attn_implementation", "quantization_config",
)  # fmt: skip
"""Of a configuration: where it comes from, how it is computed, and what tokenizer and sampling say better."""

_ADAPTER = ("peft_type", "r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "use_dora")

_WRAPPED = ("base_layer", "original_module")
"""Parts of names that adapters add to those of the base."""

_known: WeakKeyDictionary[Any, dict[tuple[str, ...], tuple[str, str]]] = WeakKeyDictionary()


def describe_model(model: Any, adapters: Collection[str] | None = None) -> Description:
    """Returns the digests of a model's weights and of its configuration.

    The weights are hashed value by value and by name, so that neither the folder nor the number format of memory counts
    (a model saved in 16 bits and read in 32 is the same one). What is hashed once is not hashed again within a process,
    as long as the weights stay as they are.

    Args:
        model: a causal language model, a ``PeftModel`` around one, or another module of weights.
        adapters: the adapters that count; by default the active ones. ``()`` is the bare base.
    """
    used = _active(model) if adapters is None else sorted(adapters)
    sampled = hashlib.sha256()
    for name, tensor in _tensors(model, used):
        values = tensor.detach().flatten()
        some = values[:: max(1, values.numel() // _SAMPLED)][:_SAMPLED].cpu().double().tolist()
        changes = 0 if tensor.is_inference() else tensor._version
        sampled.update(f"{name} {tuple(tensor.shape)} {changes} {some}".encode())
    known = _known.setdefault(model, {})
    if known.get(tuple(used), ("", ""))[0] != sampled.hexdigest():
        known[tuple(used)] = (sampled.hexdigest(), _hashed(model, used))
    described: Description = {"weights": known[tuple(used)][1]}
    config: Any = getattr(model, "config", None)
    if hasattr(config, "to_diff_dict"):
        described["configuration"] = digest(_counted(config.to_diff_dict()))
    return described


def describe_tokenizer(tokenizer: Any) -> str:
    """Returns the digest of a tokenizer's vocabulary, special tokens and chat template."""
    return digest(tokenizer.get_vocab(), tokenizer.special_tokens_map, getattr(tokenizer, "chat_template", None))


def _active(model: Any) -> list[str]:
    return sorted(model.active_adapters) if _has_adapters(model) else []


def _has_adapters(model: Any) -> bool:
    # Where nobody has imported peft, there is no model of its.
    return isinstance(model, getattr(sys.modules.get("peft"), "PeftModel", ()))


def _tensors(model: Any, used: Collection[str]) -> Iterator[tuple[str, Tensor]]:
    """Weights by the names they have without adapters and wrappers; of the adapters those that are used."""
    others = set(model.peft_config) - set(used) if _has_adapters(model) else set()
    found: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        parts = name.removeprefix("base_model.model.").split(".")
        adapter = next((part for part in parts if part in others or part in used), None)
        if isinstance(tensor, Tensor) and adapter not in others:
            found[".".join("*" if part == adapter else part for part in parts if part not in _WRAPPED)] = tensor
    yield from sorted(found.items())


def _hashed(model: Any, used: Collection[str]) -> str:
    found = hashlib.sha256()
    for name, tensor in _tensors(model, used):
        found.update(f"{name} {tuple(tensor.shape)} ".encode())
        found.update(_canonical(tensor).view(torch.uint8).numpy().data)
    for name in used:
        config = model.peft_config[name].to_dict()
        found.update(digest({key: config.get(key) for key in _ADAPTER}).encode())
    return found.hexdigest()[:16]


def _canonical(tensor: Tensor) -> Tensor:
    """The same values in bfloat16 where that loses nothing, else in float32: a cast on loading changes no value."""
    tensor = tensor.detach().cpu().contiguous().flatten()
    if not tensor.is_floating_point() or tensor.dtype in (torch.bfloat16, torch.float64):
        return tensor
    whole = tensor.float()
    half = whole.to(torch.bfloat16)
    return half if torch.equal(half.float(), whole) else whole


def _counted(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _counted(value) if isinstance(value, Mapping) else value
        for name, value in config.items()
        if name not in _UNCOUNTED
    }
