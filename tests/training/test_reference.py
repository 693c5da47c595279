"""The reference is the model as it is given; partners do not learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig

import sotopia_env
from sotopia_env import training
from sotopia_env.agents.embedded import build_embedded_model
from sotopia_env.agents.loading import LoadedModel, load_model
from sotopia_env.agents.local_lm import LocalLM
from sotopia_env.rewards import FunctionReward
from sotopia_env.training.reference import PARTNER_ADAPTER, REFERENCE_ADAPTER
from sotopia_env.training.start import load_to_train


@pytest.fixture(scope="module")
def adapter(tiny_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone that is an adapter, far from its base."""
    loaded = load_to_train(tiny_directory, peft_config=LoraConfig(r=2, task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, weight in loaded.model.named_parameters():
            if "lora_B" in name:
                weight.normal_()
    folder = tmp_path_factory.mktemp("adapter") / "clone"
    loaded.save(folder)
    return folder


def another() -> LocalLM:
    """A partner with a vocabulary of its own."""
    model, tokenizer = build_embedded_model(["Other words, such as these."] * 3, 1, hidden_size=32, layers=1, heads=2)
    return LocalLM(LoadedModel(model, tokenizer, "another"), max_new_tokens=6)


def trainer_for(start: Any, partner: Any, out: Path, reward: Any = "episode", **options: Any) -> Any:
    args = training.GRPOConfig(
        str(out),
        max_steps=2,
        per_device_train_batch_size=4,
        num_generations=4,
        max_turn_tokens=6,
        learning_rate=1e-2,
        lr_scheduler_type="constant",
        warmup_steps=0,
        beta=0.05,
        bf16=False,
        save_strategy="no",
        disable_tqdm=True,
    )
    env = sotopia_env.parallel_env("bargain", reward=reward, max_cycles=4)
    return training.GRPOTrainer(start, env=env, partner=partner, args=args, **options)


@pytest.mark.parametrize("start", ["plain", "adapter", "new adapter"])
@pytest.mark.parametrize("partner", ["scripted", "itself", "another"])
def test_at_equal_weights_the_divergence_is_0(
    start: str, partner: str, brevity: FunctionReward, tiny_directory: Path, adapter: Path, tmp_path: Path
) -> None:
    given = adapter if start == "adapter" else tiny_directory
    partners = {"scripted": "scripted:firm", "itself": str(given), "another": another()}
    lora = LoraConfig(r=2, task_type="CAUSAL_LM") if start == "new adapter" else None
    trainer = trainer_for(str(given), partners[partner], tmp_path / "out", brevity, peft_config=lora)
    trainer.train()
    first, second = (m for m in training.read_metrics(tmp_path / "out/metrics.jsonl") if "kl_to_reference" in m)
    assert abs(first["kl_to_reference"]) < 1e-6
    assert abs(first["kl"]) < 1e-6
    assert second["kl_to_reference"] > 1e-6
    # One more adapter, or the partner's weights: a copy of the whole only where there is neither.
    if start != "plain":
        assert trainer.reference.model is trainer.model
        assert trainer.reference.adapter == (PARTNER_ADAPTER if partner == "itself" else REFERENCE_ADAPTER)
    elif partner == "itself":
        assert trainer.reference.model is trainer.rollout.partner.model


@pytest.mark.parametrize("kind", ["plain", "adapter", "new adapter"])
def test_a_partner_that_was_given_the_learner_s_own_model_does_not_learn(
    kind: str, brevity: FunctionReward, tiny_directory: Path, adapter: Path, tmp_path: Path
) -> None:
    loaded = load_model(adapter if kind == "adapter" else tiny_directory)
    lora = LoraConfig(r=2, task_type="CAUSAL_LM") if kind == "new adapter" else None
    partner = LocalLM(loaded, max_new_tokens=6, top_p=0.9)
    trainer = trainer_for(loaded, partner, tmp_path / "out", brevity, peft_config=lora)
    partner = trainer.rollout.partner
    assert partner.sampling.top_p == 0.9
    before = partner.describe()["model"]["weights"]
    learner = LoadedModel(trainer.model, loaded.tokenizer).describe()["weights"]
    assert learner == before
    trainer.train()
    assert partner.describe()["model"]["weights"] == before
    assert LoadedModel(trainer.model, loaded.tokenizer).describe()["weights"] != before


def test_a_reference_that_reads_otherwise_is_refused(tiny_directory: Path, tmp_path: Path) -> None:
    other = another()
    with pytest.raises(
        ValueError, match=r"another vocabulary than the learner .* give a reference of the learner's own"
    ):
        trainer_for(
            tiny_directory, "scripted:firm", tmp_path / "a", reference=LoadedModel(other.model, other.tokenizer)
        )
    small = build_embedded_model(["a b"] * 2, 1, hidden_size=32, layers=1, heads=2, max_words=1, merges=1)[0]
    with pytest.raises(ValueError, match=r"the reference knows \d+ tokens, but the learner writes \d+"):
        trainer_for(tiny_directory, "scripted:firm", tmp_path / "b", reference=small)
    rendered = load_model(
        tiny_directory, chat_template="{% for m in messages %}{{ m.content + eos_token }}{% endfor %}"
    )
    with pytest.raises(ValueError, match="another chat template than the learner"):
        trainer_for(tiny_directory, "scripted:firm", tmp_path / "c", reference=rendered)
