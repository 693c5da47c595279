"""What training starts from: every kind of model is trained in 32 bits, saved, and loaded with equal outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel

import sotopia_env
from sotopia_env import training
from sotopia_env.agents.adapters import add_lora
from sotopia_env.agents.embedded import build_embedded_model
from sotopia_env.agents.loading import LoadedModel, load_model
from sotopia_env.episodes import Episode
from sotopia_env.rewards import FunctionReward
from sotopia_env.rewards.reward_model import RewardModel
from sotopia_env.rewards.reward_model.saved import load_reward_model
from sotopia_env.training.start import load_to_train, without_dropout

LORA = LoraConfig(r=2, task_type="CAUSAL_LM")
SETTINGS: dict[str, Any] = {
    "max_steps": 3,
    "learning_rate": 1e-2,
    "lr_scheduler_type": "constant",
    "warmup_steps": 0,
    "per_device_train_batch_size": 4,
    "bf16": False,
    "disable_tqdm": True,
}


def outputs(model: Any) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model.eval()(input_ids=torch.arange(5, 45)[None]).logits
    return logits


@pytest.fixture(scope="module")
def starts(tiny_directory: Path, episodes: list[Episode], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model, one in 16 bits, and an adapter that was cloned."""
    folder = tmp_path_factory.mktemp("starts")
    load_model(tiny_directory).model.to(torch.bfloat16).save_pretrained(folder / "bfloat16")
    load_model(tiny_directory).tokenizer.save_pretrained(folder / "bfloat16")
    args = training.CloningConfig(**SETTINGS)
    training.clone(episodes, tiny_directory, out=folder / "adapter", args=args, peft_config=LORA)
    return {"plain": tiny_directory, "bfloat16": folder / "bfloat16", "adapter": folder / "adapter"}


@pytest.mark.parametrize(
    "kind",
    [
        "bfloat16",
        "adapter",
        *(pytest.param(k, marks=pytest.mark.slow) for k in ("plain", "named adapter", "new adapter")),
    ],
)
def test_what_is_trained_is_saved_and_loads_with_equal_outputs(
    kind: str, starts: dict[str, Path], episodes: list[Episode], brevity: FunctionReward, tmp_path: Path
) -> None:
    def start() -> Any:
        if kind != "named adapter":
            return starts.get(kind, starts["plain"])
        base = load_model(starts["plain"])
        return LoadedModel(add_lora(base.model, r=2), base.tokenizer, "named")

    peft_config = LORA if kind == "new adapter" else None
    before = outputs(load_to_train(start(), peft_config=peft_config).model)

    given = start()
    training.clone(
        episodes, given, out=tmp_path / "bc", args=training.CloningConfig(**SETTINGS), peft_config=peft_config
    )
    cloned = outputs(load_model(tmp_path / "bc").model)
    assert (cloned - before).abs().max() > 1e-2
    if isinstance(given, LoadedModel):
        torch.testing.assert_close(outputs(given.model), cloned)
    assert isinstance(load_model(tmp_path / "bc").model, PeftModel) == ("adapter" in kind)

    training.train_reward_model(
        episodes,
        start(),
        labels={"brevity": brevity},
        out=tmp_path / "rm",
        args=training.RewardModelConfig(normalizer="z-score", **SETTINGS),
        peft_config=peft_config,
    )
    # Loading compares the weights with those that were trained.
    assert (outputs(load_reward_model(tmp_path / "rm").heads.language_model) - before).abs().max() > 1e-2
    assert any(n != 0 for e in RewardModel(str(tmp_path / "rm")).rewards(episodes) for ns in e.values() for n in ns)

    trainer = training.GRPOTrainer(
        start(),
        env=sotopia_env.parallel_env("bargain", reward=brevity, max_cycles=4),
        partner="scripted:firm",
        args=training.GRPOConfig(
            str(tmp_path / "grpo"), num_generations=4, max_turn_tokens=6, beta=0.1, save_steps=1, **SETTINGS
        ),
        peft_config=peft_config,
    )
    trainer.train()
    torch.testing.assert_close(outputs(load_model(tmp_path / "grpo").model), outputs(trainer.model))
    assert (outputs(trainer.model) - before).abs().max() > 1e-2
    first, *_ = training.read_metrics(tmp_path / "grpo" / "metrics.jsonl")
    assert abs(first["kl_to_reference"]) < 1e-5
    weights = {p.dtype for p in trainer.model.parameters() if p.requires_grad}
    assert weights == {torch.float32}


def test_a_checkpoint_in_16_bits_is_trained_in_32(starts: dict[str, Path]) -> None:
    assert load_model(starts["bfloat16"], dtype="auto").model.dtype == torch.bfloat16
    loaded = load_model(starts["bfloat16"], dtype="auto")
    assert load_to_train(loaded).model.dtype == torch.float32
    assert load_to_train(starts["bfloat16"]).model.dtype == torch.float32


def test_an_adapter_goes_on_alone(starts: dict[str, Path]) -> None:
    model = load_to_train(starts["adapter"]).model
    assert all(weight.requires_grad == ("lora_" in name) for name, weight in model.named_parameters())


def test_what_cannot_be_trained_is_refused_at_the_start(starts: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="adapter is an adapter already, and is trained on as it is: leave out --lora"):
        load_to_train(starts["adapter"], peft_config=LORA)
    frozen = load_model(starts["plain"])
    frozen.model.requires_grad_(False)
    with pytest.raises(ValueError, match="there is nothing to train: all weights of tiny\\d+ are frozen"):
        load_to_train(frozen)
    embedded = LoadedModel(*build_embedded_model(["a b"] * 2, 0, hidden_size=32, layers=1, heads=1), "embedded")
    with pytest.raises(ValueError, match="embedded lies in no folder that its adapter could name as its base: save it"):
        load_to_train(embedded, peft_config=LORA)


def test_models_that_peft_knows_no_layers_of_get_adapters_in_all(starts: dict[str, Path]) -> None:
    loaded = load_model(starts["plain"])
    loaded.model.config.model_type = "unheard-of"
    adapted = load_to_train(loaded, peft_config=LoraConfig(r=2, task_type="CAUSAL_LM")).model
    adapted_layers = {name.rpartition(".")[2] for name in adapted.active_peft_config.target_modules}
    assert adapted_layers == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def test_checkpointing_trains_a_frozen_base_s_adapter(
    starts: dict[str, Path], episodes: list[Episode], tmp_path: Path
) -> None:
    found = []
    for checkpointing in (False, True):
        out = tmp_path / str(checkpointing)
        args = training.CloningConfig(gradient_checkpointing=checkpointing, **SETTINGS)
        found.append(outputs(load_model(training.clone(episodes, starts["adapter"], out=out, args=args)).model))
    torch.testing.assert_close(*found, atol=1e-4, rtol=1e-4)
    assert (found[0] - outputs(load_model(starts["adapter"]).model)).abs().max() > 1e-2


def test_without_dropout_a_pass_in_training_is_one_in_use(starts: dict[str, Path]) -> None:
    base = load_model(starts["plain"])
    base.model.config.attention_dropout = 0.5
    for layer in base.model.model.layers:
        layer.self_attn.attention_dropout = 0.5
    model = add_lora(base.model, dropout=0.5)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_()
    used, ids = outputs(model), torch.arange(5, 45)[None]
    assert (model.train()(input_ids=ids).logits - used).abs().max() > 0.1
    without_dropout(model)
    torch.testing.assert_close(model.train()(input_ids=ids).logits, used)
