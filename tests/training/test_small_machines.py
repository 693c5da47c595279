from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from sotopia_env.agents.loading import load_model
from sotopia_env.training import small_machines
from sotopia_env.training.small_machines import (
    fill_in_machine,
    selected_logits,
    selected_logprobs,
    without_autocast,
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
    fill_in_machine(args)
    assert args.use_cpu is (not torch.cuda.is_available())
    assert isinstance(args.bf16, bool)
    assert args.activation_checkpointing is True
    kept = SimpleNamespace(
        use_cpu=True, bf16=False, fp16=True, activation_checkpointing=False, gradient_checkpointing=False
    )
    fill_in_machine(kept)
    assert (kept.use_cpu, kept.bf16, kept.dataloader_pin_memory) == (True, False, False)
