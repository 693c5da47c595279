"""Several adapters on one base: each is itself, and using one leaves no trace."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from sotopia_env.agents.adapters import add_lora, using_adapter
from sotopia_env.agents.loading import LoadedModel, load_model

IDS = torch.tensor([[5, 6, 7, 8]])


@pytest.fixture
def model(embedded: LoadedModel) -> Any:
    return copy.deepcopy(embedded.model)


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(IDS).logits
    return found


def disturb(model: Any, adapter: str) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if f"lora_B.{adapter}" in name:
                parameter.normal_()


def trained(model: Any) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_a_new_adapter_changes_nothing_and_is_all_that_is_trained(model: Any) -> None:
    before = logits(model)
    adapted = add_lora(model).eval()
    torch.testing.assert_close(logits(adapted), before)
    assert trained(adapted)
    assert all("lora" in name and "learner" in name for name in trained(adapted))


def test_the_seed_decides_an_adapter_and_no_other_generator_moves(model: Any) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    first, second, other = (add_lora(copy.deepcopy(model), seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    name = next(name for name in first if "lora_A" in name)
    assert torch.equal(first[name], second[name])
    assert not torch.equal(first[name], other[name])


def test_adapters_stand_side_by_side(model: Any) -> None:
    base = logits(model)
    adapted = add_lora(model, "partner", seed=1)
    assert add_lora(adapted, "learner", seed=2) is adapted
    adapted.eval()
    disturb(adapted, "partner")
    assert adapted.active_adapter == "learner"
    torch.testing.assert_close(logits(adapted), base)
    with using_adapter(adapted, "partner"):
        changed = logits(adapted)
        with using_adapter(adapted, None):
            torch.testing.assert_close(logits(adapted), base)
        torch.testing.assert_close(logits(adapted), changed)
    assert not torch.allclose(changed, base, atol=1e-3)
    torch.testing.assert_close(logits(adapted), base)


def test_using_an_adapter_leaves_gradients_as_they_were(model: Any) -> None:
    adapted = add_lora(model, "partner")
    add_lora(adapted, "learner")
    before = trained(adapted)
    with using_adapter(adapted, "partner"):
        assert not trained(adapted)
    assert adapted.active_adapter == "learner"
    assert trained(adapted) == before
    adapted.requires_grad_(False)
    with pytest.raises(RuntimeError, match="stop"), using_adapter(adapted, "partner"):
        raise RuntimeError("stop")
    assert adapted.active_adapter == "learner"
    assert not trained(adapted)


def test_libraries_tell_nobody_of_each_others_old_names(embedded: LoadedModel, tmp_path: Path) -> None:
    embedded.save(tmp_path / "base")
    base = load_model(str(tmp_path / "base"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        adapted = add_lora(base.model, r=2)
        LoadedModel(adapted, base.tokenizer, "adapted").save(tmp_path / "adapter")
        assert load_model(str(tmp_path / "adapter")).model.active_adapter == "default"


def test_mistakes_are_named(model: Any) -> None:
    with using_adapter(model, None):
        pass
    with pytest.raises(ValueError, match="'learner': the model has no adapters"), using_adapter(model, "learner"):
        pass
    adapted = add_lora(model)
    with (
        pytest.raises(ValueError, match="no adapter 'partner'; its adapters are learner"),
        using_adapter(adapted, "partner"),
    ):
        pass
    with pytest.raises(ValueError, match="has an adapter 'learner' already"):
        add_lora(adapted)
