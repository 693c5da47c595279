"""Several LoRA adapters on one base model: learner, partner and reference share its weights."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict


def add_lora(
    model: Any,
    name: str = "learner",
    *,
    r: int = 8,
    alpha: int = 16,
    dropout: float = 0.05,
    target_modules: str | Sequence[str] = "all-linear",
    seed: int = 0,
) -> PeftModel:
    """Add a LoRA adapter (Hu et al., 2021, arXiv 2106.09685) and make it the active one. It changes nothing at first.

    Args:
        model: a causal language model, or one that has adapters already.
        name: of the adapter.
        r: rank.
        alpha: scale; the update is multiplied by ``alpha / r``.
        dropout: on the adapter's input, in training.
        target_modules: which modules to adapt; all linear layers but the head by default.
        seed: of the initial weights.

    Returns:
        The model with its adapters; the same object where it had some already.

    Raises:
        ValueError: there is an adapter of this name.
    """
    if isinstance(model, PeftModel) and name in model.peft_config:
        raise ValueError(f"the model has an adapter {name!r} already; its adapters are {', '.join(model.peft_config)}")
    targets = target_modules if isinstance(target_modules, str) else list(target_modules)
    config = LoraConfig(r=r, lora_alpha=alpha, lora_dropout=dropout, target_modules=targets, task_type="CAUSAL_LM")
    with torch.random.fork_rng(), without_known_warnings():
        torch.manual_seed(seed)
        if not isinstance(model, PeftModel):
            return get_peft_model(model, config, adapter_name=name)
        model.add_adapter(name, config)
    model.set_adapter(name)
    return model


@contextmanager
def without_known_warnings() -> Iterator[None]:
    """Without what ``transformers`` 5.23 tells who reads an old name, as PEFT 0.21 and TRL 1.16 do of themselves."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        yield


def copy_adapter(model: PeftModel, name: str) -> None:
    """Add a frozen copy of the active adapter, which stays the active one.

    Args:
        model: has adapters.
        name: of the copy; one that has it already is overwritten.
    """
    active = model.active_adapter
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with torch.random.fork_rng():
        if name not in model.peft_config:
            model.add_adapter(name, model.peft_config[active])
    set_peft_model_state_dict(model, get_peft_model_state_dict(model, adapter_name=active), adapter_name=name)
    # Adding one switches gradients.
    model.set_adapter(active, inference_mode=True)
    for parameter in trained:
        parameter.requires_grad_(True)


def keep_active_adapter(directory: str | Path, model: PeftModel) -> None:
    """Leave the active adapter alone in a folder that adapters were saved in, at its top, where it is looked for.

    Args:
        directory: what ``model.save_pretrained`` wrote: a folder for each adapter but ``"default"``.
        model: the model that was saved.
    """
    for name in model.peft_config:
        folder = Path(directory) / name
        if name == "default" or not folder.is_dir():
            continue
        if name == model.active_adapter:
            for file in folder.iterdir():
                file.replace(Path(directory) / file.name)
        shutil.rmtree(folder)


@contextmanager
def using_adapter(model: Any, name: str | None) -> Iterator[None]:
    """Use one adapter, or with ``None`` the bare base model; afterwards everything is as before, gradients included.

    Raises:
        ValueError: the model has no adapter of this name.
    """
    if not isinstance(model, PeftModel):
        if name is None:
            yield
            return
        raise ValueError(f"adapter {name!r}: the model has no adapters; add one with add_lora, or load one")
    if name is None:
        with model.disable_adapter():
            yield
        return
    if name not in model.peft_config:
        raise ValueError(f"the model has no adapter {name!r}; its adapters are {', '.join(model.peft_config)}")
    before = model.active_adapter
    if before == name:
        yield
        return
    # `set_adapter` also switches gradients, on the way back for adapters that were frozen too.
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.set_adapter(name, inference_mode=True)
    try:
        yield
    finally:
        model.set_adapter(before, inference_mode=True)
        for parameter in trained:
            parameter.requires_grad_(True)
