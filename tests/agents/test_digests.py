"""Models are told apart by their weights, configuration and tokenizer, and by nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from sotopia_env.agents.adapters import add_lora
from sotopia_env.agents.digests import describe_model, describe_tokenizer
from sotopia_env.agents.embedded import build_embedded_model
from sotopia_env.agents.loading import LoadedModel, load_model
from sotopia_env.agents.local_lm import LocalLM

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


@pytest.fixture(scope="module")
def tiny_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model, tokenizer = build_embedded_model(["How about $80? Deal."], seed=0, hidden_size=32, layers=2, heads=2)
    directory = tmp_path_factory.mktemp("tiny")
    LoadedModel(model, tokenizer).save(directory)
    return directory


def test_a_model_is_the_same_in_any_folder_and_number_format(tiny_directory: Path, tmp_path: Path) -> None:
    loaded = load_model(tiny_directory)
    loaded.save(tmp_path / "elsewhere")
    assert load_model(tmp_path / "elsewhere").describe() == loaded.describe()
    half = load_model(tiny_directory, dtype="bfloat16")
    half.save(tmp_path / "half")
    assert load_model(tmp_path / "half").describe() == half.describe()
    assert load_model(tmp_path / "half", dtype="float32").describe() == half.describe()
    assert half.describe()["weights"] != loaded.describe()["weights"]
    assert half.describe()["configuration"] == loaded.describe()["configuration"]


@torch.no_grad()
def test_any_changed_weight_is_seen_though_nothing_is_hashed_twice(
    tiny_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sotopia_env.agents import digests

    hashed: list[Any] = []
    monkeypatch.setattr(digests, "_canonical", lambda tensor, made=digests._canonical: hashed.append(1) or made(tensor))
    model = load_model(tiny_directory).model
    first = describe_model(model)
    number = len(hashed)
    assert describe_model(model) == first
    assert len(hashed) == number
    # Not among the values that are looked at.
    max(model.parameters(), key=lambda p: p.numel()).view(-1)[1] += 1e-3
    assert describe_model(model)["weights"] != first["weights"]
    assert load_model(tiny_directory).describe()["weights"] == first["weights"]


@torch.no_grad()
def test_adapters_count_where_they_are_used_and_not_by_their_names(tiny_directory: Path, tmp_path: Path) -> None:
    base = describe_model(load_model(tiny_directory).model)
    loaded = load_model(tiny_directory)
    with_adapter = add_lora(loaded.model, "learner", r=2)
    for name, weight in with_adapter.named_parameters():
        if "lora_B" in name:
            weight += 0.1
    active = describe_model(with_adapter)
    assert describe_model(with_adapter, ()) == base != active
    add_lora(with_adapter, "second", r=2, seed=1)
    assert describe_model(with_adapter, ["learner"]) == active != describe_model(with_adapter)
    with_adapter.save_pretrained(tmp_path, selected_adapters=["learner"])
    again = load_model(tiny_directory, adapter=tmp_path / "learner")
    assert again.model.active_adapters == ["default"]
    assert describe_model(again.model) == active


def test_tokenizers_are_told_by_vocabulary_and_template(tiny_directory: Path) -> None:
    tokenizer = load_model(tiny_directory).tokenizer
    first = describe_tokenizer(tokenizer)
    tokenizer("a batch", padding="max_length", max_length=20)
    assert describe_tokenizer(tokenizer) == first
    tokenizer.chat_template = "{{ messages }}"
    assert describe_tokenizer(tokenizer) != first


def test_a_policy_is_told_by_model_and_sampling(tiny_directory: Path) -> None:
    policy = LocalLM(tiny_directory, name="m", top_p=0.9, batch_size=3)
    said = policy.describe()
    assert said["sampling"] == {"temperature": 1.0, "top_k": None, "top_p": 0.9, "max_new_tokens": 48}
    assert said["thinking"] == "off"
    assert set(said) == {"type", "name", "sampling", "thinking", "model"}
    assert said["model"] == LoadedModel(policy.model, policy.tokenizer).describe()
    assert str(tiny_directory) not in str(said)
