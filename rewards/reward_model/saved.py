"""Reward models on disk: the language model, its heads, and what they were trained with. No pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from sotopia_env.agents.digests import describe_model, describe_tokenizer
from sotopia_env.agents.loading import LoadedModel, load_model
from sotopia_env.chat_encoding import ChatEncoder
from sotopia_env.rewards.reward_model.heads import ValueHeads
from sotopia_env.rewards.reward_model.normalizers import Normalizer
from sotopia_env.rewards.reward_model.rows import rendering_fingerprint
from sotopia_env.storage.journal import replace_file

DESCRIPTION = "reward_model.json"
HEADS = "heads.safetensors"
FORMAT = 1

Target = Literal["labels", "outcome", "episode"]

_SAMPLED_VALUES = 64


class RewardModelError(ValueError):
    """A reward model cannot be loaded, or was trained with something else; the message says what."""


@dataclass(frozen=True)
class Description:
    """What a reward model was trained with.

    Args:
        dimensions: ``{dimension: weight}``, in the order of the heads.
        target: ``"labels"`` (heads predict the label of a turn), ``"outcome"`` (they predict the score of the episode
            around every turn, and the reward of a turn is by how much it changes that) or ``"episode"`` (they predict
            it at the end alone).
        normalizers: one for each dimension, fitted to the training labels.
        labels: specs of the rewards that gave the labels, by dimension.
        base: what training started from.
        rendering: fingerprint of how views become tokens.
        weights: fingerprint of the language model's weights.
        policies: who played the training episodes.
        families: which families, with their versions.
        versions: of this package's parts and libraries.
        format: of this record.
    """

    dimensions: Mapping[str, float]
    target: Target
    normalizers: Mapping[str, Normalizer]
    labels: Mapping[str, Any]
    base: str
    rendering: str = ""
    weights: str = ""
    policies: tuple[str, ...] = ()
    families: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    format: int = FORMAT


@dataclass(frozen=True)
class SavedRewardModel:
    """A reward model, loaded.

    Args:
        heads: the model.
        encoder: turns chats into its tokens.
        description: what it was trained with.
    """

    heads: ValueHeads
    encoder: ChatEncoder
    description: Description

    def describe(self) -> dict[str, Any]:
        """What decides its numbers: digests of language model, tokenizer and heads, and how labels were normalised."""
        return {
            **describe_model(self.heads.language_model),
            "tokenizer": describe_tokenizer(self.encoder.tokenizer),
            "heads": {name: tensor.cpu().numpy() for name, tensor in _head_state(self.heads).items()},
            "dimensions": list(self.description.dimensions),
            "target": self.description.target,
            "normalizers": self.description.normalizers,
        }


def save_reward_model(folder: str | Path, loaded: LoadedModel, heads: ValueHeads, described: Description) -> None:
    """Write a reward model: whole language model or adapter, tokenizer, heads and description.

    Args:
        folder: is made.
        loaded: the language model under the heads, with its tokenizer.
        heads: trained.
        described: fingerprints are filled in here.
    """
    folder = Path(folder)
    loaded.save(folder)
    own = {name: tensor.detach().cpu().contiguous() for name, tensor in _head_state(heads).items()}
    save_file(own, folder / HEADS, metadata={"format": "pt"})
    record = {
        **asdict(described),
        "rendering": rendering_fingerprint(ChatEncoder(loaded.tokenizer)),
        "weights": weights_fingerprint(loaded.model),
    }
    replace_file(folder / DESCRIPTION, [json.dumps(record, indent=1).encode(), b"\n"])


def read_description(folder: str | Path) -> Description:
    """What a reward model was trained with.

    Raises:
        RewardModelError: the folder holds none, or one of another format.
    """
    path = Path(folder) / DESCRIPTION
    if not path.is_file():
        raise RewardModelError(f"{folder} holds no {DESCRIPTION}: it is no reward model; train one with train rm")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RewardModelError(f"{path} is no JSON: {error}") from error
    version = record.get("format") if isinstance(record, dict) else None
    if version != FORMAT:
        raise RewardModelError(f"{path}: format is {version!r}, this package reads {FORMAT}; train the model anew")
    try:
        normalizers = {d: Normalizer(**fields) for d, fields in record["normalizers"].items()}
        return Description(**{**record, "normalizers": normalizers, "policies": tuple(record["policies"])})
    except (KeyError, TypeError, AttributeError) as error:
        raise RewardModelError(f"{path} is damaged: {error}; train the model anew") from error


def load_reward_model(folder: str | Path, device: str | None = None) -> SavedRewardModel:
    """Load a reward model, and make sure that it is what was trained.

    Args:
        folder: what :func:`save_reward_model` wrote.
        device: by default the first GPU, or the CPU where there is none.

    Raises:
        RewardModelError: there is none, or its base, its rendering or its format is not what it was trained with.
    """
    described = read_description(folder)
    loaded = load_model(folder, device=device)
    encoder = ChatEncoder(loaded.tokenizer)
    if (rendering := rendering_fingerprint(encoder)) != described.rendering:
        raise RewardModelError(
            f"{folder}: it was trained on another rendering of dialogues ({described.rendering}, now {rendering}): "
            "tokenizer, chat template or the package's own format differ; train it anew with this version"
        )
    if (weights := weights_fingerprint(loaded.model)) != described.weights:
        raise RewardModelError(
            f"{folder}: the weights of its language model are not those it was trained with ({described.weights}, now "
            f"{weights}); its base was {described.base!r}: put that back, or train it anew"
        )
    heads = ValueHeads(loaded.model, list(described.dimensions))
    try:
        state = load_file(Path(folder) / HEADS)
        for name, tensor in _head_state(heads).items():
            tensor.copy_(state[name])
    except (OSError, KeyError, RuntimeError, SafetensorError) as error:
        raise RewardModelError(f"{Path(folder) / HEADS} does not fit {DESCRIPTION}: {error}") from error
    return SavedRewardModel(heads.eval().requires_grad_(False), encoder, described)


def weights_fingerprint(model: torch.nn.Module) -> str:
    """A short hash of a model's weights: of their names, shapes and a sample of values, in 16 bits.

    A sample, since hashing all of a large model takes minutes; in 16 bits, since a model may be loaded in more or fewer
    than it was saved in.
    """
    digest = hashlib.sha256()
    # An adapter is saved without its name, and is "default" when it is loaded; no other counts.
    own, others = getattr(model, "active_adapter", None), set(getattr(model, "peft_config", ()))
    named = {
        ".".join("default" if part == own else part for part in name.split(".")): weight
        for name, weight in model.named_parameters()
        if (others - {own}).isdisjoint(name.split("."))
    }
    for name, weight in sorted(named.items()):
        values = weight.detach().flatten()
        step = max(1, values.numel() // _SAMPLED_VALUES)
        sample = values[::step][:_SAMPLED_VALUES].to(torch.bfloat16).cpu().view(torch.int16)
        digest.update(f"{name} {tuple(weight.shape)} {sample.tolist()}".encode())
    return digest.hexdigest()[:16]


def _head_state(heads: ValueHeads) -> dict[str, torch.Tensor]:
    return {
        "weight": heads.heads.weight.data,
        "bias": heads.heads.bias.data,
        "location": heads.location,
        "spread": heads.spread,
    }
