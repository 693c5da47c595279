from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from sotopia_env.agents.adapters import add_lora
from sotopia_env.agents.loading import load_model
from sotopia_env.training import scoring
from sotopia_env.training.scoring import scored, selected_logprobs

generator = torch.Generator().manual_seed(0)
ids = torch.randint(5, 60, (5, 40), generator=generator)
first, last = torch.tensor([0, 9, 3, 12, 5]), torch.tensor([40, 31, 17, 40, 22])
places = torch.arange(40)
attention = ((places >= first[:, None]) & (places < last[:, None])).long()
selected = (attention == 1) & (places > first[:, None] + 4) & (places % 3 == 0)
selected[2] = False


def read_logits(logits: Tensor, *_: Tensor) -> tuple[Tensor]:
    return (logits,)


@pytest.mark.parametrize("tokens_at_a_time", [60, 2000])
def test_selected_tokens_are_predicted_as_by_the_whole_model(
    tiny_directory: Path, tokens_at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "tokens_at_a_time", lambda model: tokens_at_a_time)
    model = load_model(tiny_directory).model
    logits = model(input_ids=ids, attention_mask=attention).logits[:, :-1][selected[:, 1:]]
    (found,), _ = scored(model, ids, attention, selected, read_logits)
    assert torch.allclose(found, logits, atol=1e-4)
    expected = (logits / 0.5).log_softmax(-1).gather(-1, ids[selected][:, None])[:, 0]
    assert torch.allclose(selected_logprobs(model, ids, attention, selected, 0.5), expected, atol=1e-4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (rounded,), _ = scored(model, ids, attention, selected, read_logits)
    assert (rounded - logits).abs().mean() < 0.02
    assert model.config._attn_implementation == "sdpa"


def test_gradients_reach_all_weights(tiny_directory: Path) -> None:
    model = load_model(tiny_directory).model
    ids = torch.arange(5, 45).reshape(2, 20)
    scored(model, ids, torch.ones_like(ids), ids % 2 == 0, read_logits)[0][0].sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_logits_of_a_frozen_head_are_made_once(tiny_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gradient() -> Tensor:
        model.zero_grad()
        (logprobs, entropies, constant), _ = scored(model, ids, torch.ones_like(ids), ids % 2 == 0, read)
        assert not constant.requires_grad
        (logprobs * torch.arange(20) + entropies.square()).sum().backward()
        return torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad])

    def read(logits: Tensor, tokens: Tensor, _: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        numbers.append(len(tokens))
        logprobs = logits.log_softmax(-1)
        entropies = -(logprobs.exp() * logprobs).sum(-1)
        return logprobs.gather(-1, tokens[:, None])[:, 0], entropies, entropies.detach()

    model = add_lora(load_model(tiny_directory).model, r=2, dropout=0.0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(generator=torch.Generator().manual_seed(0))
    ids, numbers = torch.arange(5, 45).reshape(2, 20), list[int]()
    whole = gradient()
    assert numbers == [20]
    monkeypatch.setattr(scoring, "LOGITS_AT_A_TIME", 7 * model.get_output_embeddings().weight.shape[0])
    numbers.clear()
    assert (gradient() - whole).norm() < 1e-5 * whole.norm()
    assert numbers == [7, 7, 6]
