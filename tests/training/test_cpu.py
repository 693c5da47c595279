from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from sotopia_env.agents.loading import load_model
from sotopia_env.training import cpu as small_machines
from sotopia_env.training.cpu import (
    selected_logits,
    selected_logprobs,
    set_device_defaults,
    without_autocast,
    written_out_attention,
)


@pytest.mark.parametrize("rows_at_a_time", [2, 16])
def test_selected_tokens_are_predicted_as_by_the_whole_model(
    tiny_directory: Path, rows_at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small_machines, "ROWS_AT_A_TIME", rows_at_a_time)
    monkeypatch.setattr(small_machines, "TOKENS_AT_A_TIME", 7)
    model = load_model(tiny_directory).model
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 400, (5, 40), generator=generator)
    first, last = torch.tensor([0, 9, 3, 12, 5]), torch.tensor([40, 31, 17, 40, 22])
    places = torch.arange(40)
    attention = ((places >= first[:, None]) & (places < last[:, None])).long()
    selected = (attention == 1) & (places > first[:, None] + 4) & (places % 3 == 0)
    selected[2] = False
    logits = model(input_ids=ids, attention_mask=attention).logits[:, :-1][selected[:, 1:]]
    assert torch.allclose(selected_logits(model, ids, attention, selected), logits, atol=1e-4)
    expected = (logits / 0.5).log_softmax(-1).gather(-1, ids[selected][:, None])[:, 0]
    assert torch.allclose(selected_logprobs(model, ids, attention, selected, 0.5), expected, atol=1e-4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = selected_logits(model, ids, attention, selected)
    assert (rounded - logits).abs().mean() < 0.02
    assert model.config._attn_implementation == "sdpa"


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


def test_gradients_reach_all_weights(tiny_directory: Path) -> None:
    model = load_model(tiny_directory).model
    ids = torch.arange(5, 45).reshape(2, 20)
    selected_logits(model, ids, torch.ones_like(ids), ids % 2 == 0).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


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
