from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import torch

from sotopia_env.agents.loading import load_model
from sotopia_env.training.cpu import set_device_defaults, without_autocast, written_out_attention


def test_attention_written_out_is_the_fused_kernel_but_for_rounding() -> None:
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(2, 4, 9, 8, generator=generator, requires_grad=True)
    key, value = (torch.randn(2, 2, 9, 8, generator=generator, requires_grad=True) for _ in range(2))
    seen = torch.ones(9, 9, dtype=torch.bool).tril().repeat(2, 1, 1, 1)
    seen[1, :, :, :3] = False  # padding on the left: its places see nothing, and must still be numbers
    real = seen.any(-1).transpose(1, 2)[..., None]
    mask = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
    module = SimpleNamespace(training=False)
    mixed, _ = written_out_attention(module, query, key, value, mask, 8**-0.5)
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, mask, enable_gqa=True)
    expected = expected.transpose(1, 2)
    assert mixed.isfinite().all()
    assert ((mixed - expected) * real).abs().max() < 0.05
    found = torch.autograd.grad((mixed.float() * real).square().sum(), (query, key, value))
    wanted = torch.autograd.grad((expected * real).square().sum(), (query, key, value))
    for ours, theirs in zip(found, wanted, strict=True):
        assert (ours - theirs).norm() < 0.02 * theirs.norm()


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
