"""The policy that the learner is held against: a frozen model, or an adapter that shares the learner's base."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor

from sotopia_env.agents.adapters import using_adapter
from sotopia_env.agents.digests import describe_model
from sotopia_env.agents.loading import LoadedModel, load_model
from sotopia_env.agents.local_lm import LocalLM
from sotopia_env.describe import Description
from sotopia_env.training.scoring import selected_logprobs

PARTNER_ADAPTER = "partner"
"""Name of the frozen adapter on the learner's model, where partner and learner share a base."""


@dataclass(frozen=True)
class Reference:
    """A frozen language model.

    Args:
        model: a causal language model.
        adapter: which of its adapters; ``None`` for the bare base of a model with adapters.
        switch: whether the adapter has to be switched on, since the model is the learner's too.
    """

    model: Any
    adapter: str | None = None
    switch: bool = False

    def describe(self) -> Description:
        """What it is: digests of its weights and configuration."""
        if self.adapter is not None:
            return describe_model(self.model, [self.adapter])
        return describe_model(self.model, () if self.switch else None)

    @torch.no_grad()
    def logprobs(
        self, input_ids: Tensor, attention_mask: Tensor, own_mask: Tensor, temperature: float, batch_size: int = 32
    ) -> Tensor:
        """Log-probabilities of the own tokens, as far as the reference is concerned.

        Args:
            input_ids: (B, L).
            attention_mask: (B, L).
            own_mask: (B, L), 1 on the tokens to score.
            temperature: divides the logits, as it did when the tokens were sampled.
            batch_size: rows that go through the model at a time.

        Returns:
            (B, L), 0 where a token was not to be scored.
        """
        scored = torch.zeros(input_ids.shape, dtype=torch.float32, device=input_ids.device)
        training = self.model.training
        self.model.eval()
        with self._active():
            for start in range(0, len(input_ids), batch_size):
                rows = slice(start, start + batch_size)
                selected = own_mask[rows].bool()
                values = selected_logprobs(self.model, input_ids[rows], attention_mask[rows], selected, temperature)
                scored[rows] = scored[rows].masked_scatter(selected, values)
        self.model.train(training)
        return scored

    def _active(self) -> AbstractContextManager[None]:
        return using_adapter(self.model, self.adapter) if self.switch else nullcontext()


def reference_for(model: Any, given: Any, partner: Any) -> Reference:
    """The reference of a run, made before anything is learnt and never from a checkpoint of the learner.

    Args:
        model: the learner, with its adapter where it has one.
        given: a directory, a ``LoadedModel`` or a model; ``None`` takes the partner where it is a language model, else
            a frozen copy of the learner as it is.
        partner: the partner policy.
    """
    if given is not None:
        source = given if isinstance(given, LoadedModel | str | Path) else LoadedModel(given, None)  # type: ignore[arg-type]
        loaded = source if isinstance(source, LoadedModel) else load_model(source)
        return Reference(_frozen(loaded.model))
    if isinstance(partner, LocalLM):
        shared = partner.model is model
        return Reference(partner.model if shared else _frozen(partner.model), partner.adapter, switch=shared)
    if isinstance(model, PeftModel):
        return Reference(model, None, switch=True)
    return Reference(_frozen(copy.deepcopy(model)))


def share_base(partner: Any, loaded: LoadedModel) -> LocalLM | None:
    """The partner as one more adapter on the learner's model, where it is an adapter of the same base.

    Args:
        partner: what was given as partner.
        loaded: the learner.

    Returns:
        The policy, or ``None`` where the two share no base.
    """
    model = loaded.model
    if not isinstance(partner, str | Path) or not isinstance(model, PeftModel):
        return None
    path = Path(partner) / "adapter_config.json"
    if not path.is_file():
        return None
    base = json.loads(path.read_text(encoding="utf-8")).get("base_model_name_or_path")
    if base != model.peft_config[model.active_adapter].base_model_name_or_path:
        return None
    with _same_active_adapter(model):
        model.load_adapter(str(partner), adapter_name=PARTNER_ADAPTER, is_trainable=False)
    return LocalLM(loaded, name=Path(partner).resolve().name, adapter=PARTNER_ADAPTER)


@contextmanager
def _same_active_adapter(model: PeftModel) -> Iterator[None]:
    before = model.active_adapter
    try:
        yield
    finally:
        model.set_adapter(before)


def _frozen(model: Any) -> Any:
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model.eval()
