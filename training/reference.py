"""The policy that the learner is held against: a frozen model, or an adapter that shares the learner's base."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor

from sotopia_env.agents.adapters import copy_adapter, using_adapter
from sotopia_env.agents.digests import describe_model
from sotopia_env.agents.forward import bare
from sotopia_env.agents.loading import LoadedModel, base_of, load_model
from sotopia_env.agents.local_lm import LocalLM
from sotopia_env.describe import Description
from sotopia_env.policies import Policy
from sotopia_env.resolve import make_policy
from sotopia_env.training.scoring import selected_logprobs

PARTNER_ADAPTER = "partner"
"""Name of the frozen adapter on the learner's model, where partner and learner share a base."""

REFERENCE_ADAPTER = "reference"
"""Name of the frozen copy of the learner's adapter that it is held against, where no partner is the same."""


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
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        own_mask: Tensor,
        temperature: float,
        batch_size: int = 32,
        drawable: Callable[[slice], Tensor] | None = None,
    ) -> Tensor:
        """Log-probabilities of the own tokens, as far as the reference is concerned.

        Args:
            input_ids: (B, L).
            attention_mask: (B, L).
            own_mask: (B, L), 1 on the tokens to score.
            temperature: divides the logits, as it did when the tokens were sampled.
            batch_size: rows that go through the model at a time.
            drawable: for some of the rows the tokens, (N, vocabulary), that the learner could draw in each place, where
                it could not draw all: the reference is asked about those alone.

        Returns:
            (B, L), 0 where a token was not to be scored.
        """
        scored = torch.zeros(input_ids.shape, dtype=torch.float32, device=input_ids.device)
        training = self.model.training
        for start in range(0, len(input_ids), batch_size):
            rows = slice(start, start + batch_size)
            selected = own_mask[rows].bool()
            # The learner's, whose model may be the same one: asked before the reference's adapter is on.
            among = None if drawable is None else drawable(rows)
            self.model.eval()
            with self._active():
                values = selected_logprobs(
                    self.model, input_ids[rows], attention_mask[rows], selected, temperature, among
                )
            self.model.train(training)
            scored[rows] = scored[rows].masked_scatter(selected, values)
        return scored

    def _active(self) -> AbstractContextManager[None]:
        return using_adapter(self.model, self.adapter) if self.switch else nullcontext()


def reference_for(loaded: LoadedModel, given: Any, partner: Any) -> Reference:
    """The reference of a run, made before anything is learnt and never from a checkpoint of the learner.

    Args:
        loaded: the learner, with its adapter where it has one.
        given: a directory, a ``LoadedModel`` or a model; ``None`` takes the learner as it is now: the partner where it
            has the same weights, else a copy, of the adapter alone where no more is trained.
        partner: the partner policy, which does not learn.

    Raises:
        ValueError: the one that is given reads other tokens, or another chat template, than the learner.
    """
    model = loaded.model
    if given is not None:
        bare_model = not isinstance(given, LoadedModel | str | Path)
        source = LoadedModel(given, None) if bare_model else given  # type: ignore[arg-type]
        held = source if isinstance(source, LoadedModel) else load_model(source)
        _check_reads_alike(held, loaded)
        return Reference(_frozen(copy.deepcopy(held.model) if bare(held.model) is bare(model) else held.model))
    if isinstance(partner, LocalLM) and partner.model is not None:
        adapters = None if partner.adapter is None else [partner.adapter]
        if describe_model(partner.model, adapters) == describe_model(model):
            shared = bare(partner.model) is bare(model)
            frozen = partner.model if shared else _frozen(partner.model)
            return Reference(frozen, partner.adapter, switch=partner.adapter is not None)
    if _trains_adapter_alone(model):
        copy_adapter(model, REFERENCE_ADAPTER)
        return Reference(model, REFERENCE_ADAPTER, switch=True)
    return Reference(_frozen(copy.deepcopy(model)))


def partner_for(given: Any, loaded: LoadedModel, start: Any, dtype: str | None = None) -> Policy:
    """The partner, frozen: what it shares with the learner does not learn along.

    Args:
        given: a policy, its name, or a directory. Where it is an adapter on the learner's base, or what the learner
            starts from and trains an adapter of, the two share the base.
        loaded: the learner, which may have been given an adapter.
        start: what it was loaded from.
        dtype: what it plays in where it shares the learner's weights; ``None`` is their own number format.
    """
    shared = _on_the_learners_base(given, loaded, start, dtype)
    if shared is not None:
        return shared
    policy = make_policy(given)
    if not isinstance(policy, LocalLM) or bare(policy.model) is not bare(loaded.model):
        return policy
    if policy.adapter is not None and policy.adapter != getattr(loaded.model, "active_adapter", None):
        return policy
    if _trains_adapter_alone(loaded.model):
        copy_adapter(loaded.model, PARTNER_ADAPTER)
        return policy.on(loaded, PARTNER_ADAPTER)
    return policy.on(LoadedModel(_frozen(copy.deepcopy(loaded.model)), loaded.tokenizer, loaded.name), policy.adapter)


def _on_the_learners_base(given: Any, loaded: LoadedModel, start: Any, dtype: str | None) -> LocalLM | None:
    """The partner as one more adapter on the learner's model, where it has the same base; else ``None``."""
    model = loaded.model
    if not isinstance(given, str | Path) or not _trains_adapter_alone(model):
        return None
    path = Path(str(given).removeprefix("local:"))
    if not path.is_dir():
        return None
    if isinstance(start, str | Path) and Path(start).is_dir() and path.samefile(start):
        copy_adapter(model, PARTNER_ADAPTER)
    elif (path / "adapter_config.json").is_file() and _is_base(base_of(path), model):
        with _same_active_adapter(model):
            model.load_adapter(str(path), adapter_name=PARTNER_ADAPTER, is_trainable=False)
    else:
        return None
    return LocalLM(loaded, name=path.resolve().name, adapter=PARTNER_ADAPTER, dtype=dtype)


def _is_base(base: str, model: PeftModel) -> bool:
    own = str(model.active_peft_config.base_model_name_or_path)
    return base == own or (Path(base).is_dir() and Path(own).is_dir() and Path(base).samefile(own))


def _trains_adapter_alone(model: Any) -> bool:
    if not isinstance(model, PeftModel):
        return False
    part = model.active_adapter
    return all(part in name.split(".") for name, weight in model.named_parameters() if weight.requires_grad)


def _check_reads_alike(held: LoadedModel, learner: LoadedModel) -> None:
    remedy = "give a reference of the learner's own kind, such as the model it starts from (which is the default)"
    own = learner.tokenizer.get_vocab()
    if held.tokenizer is None:
        rows = held.model.get_input_embeddings().weight.shape[0]
        if rows <= max(own.values()):
            raise ValueError(f"the reference knows {rows} tokens, but the learner writes {len(own)}; {remedy}")
        return
    theirs = held.tokenizer.get_vocab()
    if theirs != own:
        differing = sorted(token for token in own.keys() | theirs.keys() if own.get(token) != theirs.get(token))
        raise ValueError(
            f"the reference has another vocabulary than the learner ({len(theirs)} tokens and {len(own)}; "
            f"{differing[0]!r} is {theirs.get(differing[0])} and {own.get(differing[0])}): it would read other words "
            f"in the learner's tokens; {remedy}"
        )
    if held.tokenizer.chat_template != learner.tokenizer.chat_template:
        raise ValueError(
            "the reference has another chat template than the learner, so it has never read dialogues as the learner "
            f"writes them; {remedy}"
        )


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
