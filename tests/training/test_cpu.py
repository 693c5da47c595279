from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import torch

from sotopia_env.agents.loading import load_model
from sotopia_env.training.cpu import set_device_defaults, without_autocast


def test_the_plain_forward_comes_back_after_sampling(tiny_directory: Path) -> None:
    model = load_model(tiny_directory).model
    with without_autocast(model):
        assert "forward" not in vars(model)
    plain, mixed = model.forward, lambda **_: None
    model._original_forward, model.forward = plain, mixed
    with without_autocast(model):
        assert model.forward is plain
    assert model.forward is mixed


def test_what_is_left_to_the_machine_is_filled_in() -> None:
    args = SimpleNamespace(
        use_cpu=None, bf16=None, fp16=False, activation_checkpointing=None, gradient_checkpointing=True
    )
    set_device_defaults(args)
    assert args.use_cpu is (not torch.cuda.is_available())
    assert isinstance(args.bf16, bool)
    assert args.activation_checkpointing is True
    kept = SimpleNamespace(
        use_cpu=True, bf16=False, fp16=True, activation_checkpointing=False, gradient_checkpointing=False
    )
    set_device_defaults(kept)
    assert (kept.use_cpu, kept.bf16) == (True, False)
