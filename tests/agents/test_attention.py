"""Attention written out: the fused kernel but for rounding, and put back where it was."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from sotopia_env.agents import attention
from sotopia_env.agents.attention import can_be_written_out, writing_out, written_out_attention
from sotopia_env.agents.loading import LoadedModel


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


def test_many_tokens_that_read_many_go_through_the_fused_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(2, 4, 9, 8, generator=generator)
    key, value = (torch.randn(2, 2, 9, 8, generator=generator) for _ in range(2))
    mask = torch.zeros(2, 1, 9, 9).masked_fill(~torch.ones(9, 9, dtype=torch.bool).tril(), -1e30)
    module = SimpleNamespace(training=False, num_key_value_groups=2, is_causal=True)
    rounded, _ = written_out_attention(module, query, key, value, mask, 8**-0.5)
    monkeypatch.setattr(attention, "_LARGEST_SCORES", 80)
    fused, _ = written_out_attention(module, query, key, value, mask, 8**-0.5)
    assert fused.dtype == torch.float32
    assert 0 < (fused - rounded).abs().max() < 0.05
    (last,) = {written_out_attention(module, query[:, :, -1:], key, value, mask[:, :, -1:], 8**-0.5)[0].dtype}
    assert last == torch.bfloat16


def test_a_model_gets_its_own_attention_back(embedded: LoadedModel) -> None:
    config = embedded.model.config
    assert can_be_written_out(embedded.model)
    with pytest.raises(KeyError), writing_out(embedded.model):
        assert config._attn_implementation not in ("sdpa", "eager")
        assert not can_be_written_out(embedded.model)
        raise KeyError
    assert config._attn_implementation == "sdpa"
