"""What a training run starts from: a model whose weights are trained in 32 bits, and saved so that it loads again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model
from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as LORA_MODULES
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from sotopia_env.agents.adapters import keep_active_adapter, without_known_warnings
from sotopia_env.agents.forward import bare, has_routers
from sotopia_env.agents.loading import FAST, LoadedModel, cast, fast_dtype, load_model, without_progress_bars

_MAMBA = frozenset({"falcon_h1", "falcon_mamba", "mamba", "mamba2", "nemotron_h"})
_NOT_IN_MAMBA = frozenset({"conv1d", "out_proj"})
"""Modules that PEFT refuses to adapt in models of these kinds, whose weights their kernels read past any adapter."""


def load_to_train(
    model: Any,
    tokenizer: PreTrainedTokenizerBase | None = None,
    *,
    peft_config: PeftConfig | None = None,
    seed: int = 0,
    bf16: bool | None = False,
) -> LoadedModel:
    """Returns a model to be trained: with an adapter the adapter alone is, else all weights are.

    What is trained is held in 32 bits, whatever the files hold: in bfloat16 steps of a usual size would change few of
    the weights. A frozen base stays as it is, or is loaded as it computes fastest.

    Args:
        model: a directory, a hub id, a ``LoadedModel``, or a model with its ``tokenizer``. What is loaded already is
            trained in place.
        tokenizer: where the model comes without one.
        peft_config: of an adapter to be added and trained.
        seed: of the adapter's initial weights.
        bf16: whether training computes in bfloat16. A base that is loaded here and stays frozen is then held in the
            format of :func:`~sotopia_env.agents.loading.fast_dtype`, and is not cast anew for each pass.

    Raises:
        ValueError: there is nothing to train, an adapter was to be put on another, or one on a base that lies in no
            folder, or the tokenizer of a model object is nowhere to be had.
    """
    loaded = _loaded(model, tokenizer, whole=peft_config is None, bf16=bool(bf16))
    net = loaded.model
    if peft_config is not None:
        if isinstance(net, PeftModel):
            raise ValueError(
                f"{loaded.name} is an adapter already, and is trained on as it is: leave out --lora (peft_config)"
            )
        if not net.name_or_path:
            raise ValueError(
                f"{loaded.name} lies in no folder that its adapter could name as its base: save it first, with "
                "LoadedModel.save, and start from there"
            )
        if isinstance(peft_config, LoraConfig) and not (peft_config.target_modules or peft_config.target_parameters):
            _choose_modules(peft_config, net)
        with torch.random.fork_rng(), without_known_warnings():
            torch.manual_seed(seed)
            net = get_peft_model(net, peft_config)
    elif isinstance(net, PeftModel):
        # An adapter that was loaded to be used is frozen.
        net.set_adapter(net.active_adapter)
    elif getattr(net, "is_quantized", False):
        raise ValueError(
            f"{loaded.name} is quantized: its weights cannot be trained; train an adapter (--lora 8, peft_config)"
        )
    if bf16 and isinstance(model, str | Path):
        cast(net, fast_dtype(net), frozen=True)
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    if not trained:
        raise ValueError(
            f"there is nothing to train: all weights of {loaded.name} are frozen; thaw them with "
            "model.requires_grad_(True), or train an adapter (--lora 8, peft_config)"
        )
    for parameter in trained:
        if parameter.dtype in (torch.float16, torch.bfloat16):
            parameter.data = parameter.data.float()
    return LoadedModel(net, loaded.tokenizer, loaded.name)


def _choose_modules(config: LoraConfig, model: Any) -> None:
    """Adapt the layers that PEFT chooses in models of this kind or, where it has no choice of its own, all linear ones.

    It makes nothing of its choice by itself in some mixtures of experts (0.21). What only looks like a linear layer,
    such as a router that also says which experts it chose, is left out.
    """
    kind = model.config.model_type
    config.target_modules = list(LORA_MODULES.get(kind, ())) or "all-linear"
    if config.target_modules == "all-linear":
        unfit = {
            name.rpartition(".")[2]
            for name, module in model.named_modules()
            if isinstance(module, torch.nn.Linear) and type(module).__module__.startswith("transformers.models")
        }
        config.exclude_modules = sorted(unfit | _NOT_IN_MAMBA if kind in _MAMBA else unfit) or None


def _loaded(model: Any, tokenizer: PreTrainedTokenizerBase | None, whole: bool, bf16: bool) -> LoadedModel:
    if isinstance(model, LoadedModel):
        return model
    if isinstance(model, str | Path):
        if (Path(model) / "adapter_config.json").is_file():
            return load_model(model)
        return load_model(model, dtype="float32" if whole else FAST if bf16 else None)
    if tokenizer is None:
        source = getattr(model, "name_or_path", "")
        if not source:
            raise ValueError("the model does not say where it was loaded from: pass its tokenizer=, or a LoadedModel")
        tokenizer = AutoTokenizer.from_pretrained(source, padding_side="left")
    return LoadedModel(model, tokenizer)


def without_dropout(model: Any) -> None:
    """Turn dropout off for good, in training too: so that what is scored is what was sampled.

    ``model.eval()`` would turn off checkpointing of activations with it.
    """
    for module in bare(model).modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for name, value in list(vars(module).items()):
            if isinstance(value, float) and ("dropout" in name or name.endswith("pdrop")):
                setattr(module, name, 0.0)


class TrainsAnyModel:
    """For TRL's trainers: models are left as they were, and checkpoints hold the adapter that is trained, and no other.

    TRL has a model that has settings for the loss of its routers compute it ever after, in play too.
    """

    args: Any
    model: Any
    accelerator: Any

    def __init__(self, model: Any, *args: Any, **options: Any) -> None:
        config = bare(model).config.get_text_config()
        before = getattr(config, "output_router_logits", None)
        super().__init__(model, *args, **options)  # type: ignore[call-arg]
        self.aux_loss_enabled = getattr(self, "aux_loss_enabled", False) and has_routers(model)
        if before is not None:
            config.output_router_logits = before

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        with without_progress_bars():
            super()._save(output_dir, state_dict)  # type: ignore[misc]
        model = self.accelerator.unwrap_model(self.model)
        if isinstance(model, PeftModel) and self.args.should_save:
            keep_active_adapter(output_dir or self.args.output_dir, model)
