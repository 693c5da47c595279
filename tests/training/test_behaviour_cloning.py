from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig
from trl import SFTTrainer

from sotopia_env.agents.loading import load_model
from sotopia_env.agents.local_lm import LocalLM
from sotopia_env.episodes import Episode
from sotopia_env.training.behaviour_cloning import (
    CloningConfig,
    CloningTrainer,
    LengthGrouped,
    _dataset,
    clone,
    cloning_rows,
)
from sotopia_env.training.callbacks import read_metrics
from sotopia_env.training.checkpoints import COMPLETE


def settings(**changes: Any) -> CloningConfig:
    common: dict[str, Any] = {
        "learning_rate": 1e-2,
        "per_device_train_batch_size": 8,
        "num_train_epochs": 4,
        "save_steps": 2,
        "logging_steps": 1,
        "bf16": False,
        "disable_tqdm": True,
    }
    return CloningConfig(**{**common, **changes})


def weights(directory: Path) -> dict[str, torch.Tensor]:
    return load_model(directory).model.state_dict()  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def cloned(episodes: list[Episode], tiny_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clone(episodes, tiny_directory, out=tmp_path_factory.mktemp("clone"), args=settings())


def test_the_clone_learns_and_can_be_loaded_as_a_policy(cloned: Path) -> None:
    losses = [line["loss"] for line in read_metrics(cloned / "metrics.jsonl") if "loss" in line]
    assert len(losses) == 12
    assert losses[-1] < 0.75 * losses[0]
    summary = json.loads((cloned / COMPLETE).read_text())
    assert (summary["rows"], summary["steps"]) == (24, 12)
    assert summary["loss"] == losses[-1]
    assert not (cloned / "checkpoints").exists()
    assert LocalLM(cloned).name == cloned.name


def test_its_card_says_what_was_trained_on_what(cloned: Path, tiny_directory: Path) -> None:
    card = (cloned / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlibrary_name: transformers\ntags: [sotopia-env, behaviour-cloning]\n---\n# ")
    told = dict(re.findall(r"^\| (\S[^|]*?) +\| (\S[^|]*?) +\|$", card, re.MULTILINE))
    assert told["start model"] == tiny_directory.name
    assert told["rows"] == "24"
    assert told["played by"] == "scripted:mixed"
    assert told["learning_rate"] == "0.01"
    assert told["seed"] == "42"
    filled_in = {"accelerator_config", "eos_token", "hub_token", "report_to", "activation_checkpointing"}
    assert not filled_in & told.keys()
    assert str(cloned.parent) not in card
    assert str(tiny_directory.parent) not in card


def test_a_finished_run_is_not_repeated(cloned: Path, episodes: list[Episode], tiny_directory: Path) -> None:
    before = (cloned / COMPLETE).stat().st_mtime_ns
    clone(episodes, tiny_directory, out=cloned, args=settings())
    assert (cloned / COMPLETE).stat().st_mtime_ns == before


def test_another_run_does_not_overwrite_it(cloned: Path, episodes: list[Episode], tiny_directory: Path) -> None:
    with pytest.raises(ValueError, match=r"other settings\.learning_rate \(0\.01, not 0\.001\)"):
        clone(episodes, tiny_directory, out=cloned, args=settings(learning_rate=1e-3))
    with pytest.raises(ValueError, match=r"written by a run with other data \("):
        clone(episodes[:-1], tiny_directory, out=cloned, args=settings())
    other = load_model(tiny_directory)
    with torch.no_grad():
        next(iter(other.model.parameters())).view(-1)[7] += 1.0
    with pytest.raises(ValueError, match=r"written by a run with other start\.weights \("):
        clone(episodes, other, out=cloned, args=settings())


def test_a_killed_run_ends_as_if_it_had_not_been(
    cloned: Path,
    episodes: list[Episode],
    tiny_directory: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dies_after: Callable[..., Any],
) -> None:
    step = CloningTrainer.training_step
    monkeypatch.setattr(CloningTrainer, "training_step", dies_after(8, step))
    with pytest.raises(KeyboardInterrupt):
        clone(episodes, tiny_directory, out=tmp_path, args=settings())
    monkeypatch.setattr(CloningTrainer, "training_step", step)
    saved = sorted(path.name for path in (tmp_path / "checkpoints").glob("checkpoint-*"))
    assert saved == ["checkpoint-6", "checkpoint-8"]
    # The kill came while checkpoint 8 was being written.
    (tmp_path / "checkpoints" / "checkpoint-8" / COMPLETE).unlink()
    (tmp_path / "checkpoints" / "checkpoint-8" / "model.safetensors").write_bytes(b"half")
    clone(episodes, tiny_directory, out=tmp_path, args=settings())
    expected = weights(cloned)
    assert all(torch.equal(value, expected[name]) for name, value in weights(tmp_path).items())
    steps = [line["step"] for line in read_metrics(tmp_path / "metrics.jsonl") if "loss" in line]
    assert steps == list(range(1, 13))


def test_the_loss_on_a_cpu_equals_that_of_trl(episodes: list[Episode], tiny_directory: Path, tmp_path: Path) -> None:
    loaded = load_model(tiny_directory)
    rows = cloning_rows(episodes, loaded)
    trainer = CloningTrainer(
        loaded.model,
        args=settings(output_dir=str(tmp_path)),
        train_dataset=_dataset(rows),
        processing_class=loaded.tokenizer,
    )
    batch = trainer.data_collator([dict(record) for record in trainer.train_dataset.select(range(20))])
    own = sum(sum(row.own_mask) for row in rows[:20])
    gradients, losses = [], []
    for compute in (CloningTrainer.compute_loss, SFTTrainer.compute_loss):
        loss = compute(trainer, trainer.model, dict(batch), num_items_in_batch=own)
        loss.backward()
        gradients.append(torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None]))
        losses.append(loss.item())
        trainer.model.zero_grad()
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert torch.allclose(gradients[0], gradients[1], atol=1e-6)


def test_a_dialogue_longer_than_the_context_is_refused(episodes: list[Episode], tiny_directory: Path) -> None:
    loaded = load_model(tiny_directory)
    loaded.model.config.max_position_embeddings = 64
    with pytest.raises(ValueError, match=r"agent_0: \d+ tokens, but the model reads at most 64"):
        cloning_rows(episodes, loaded)


def test_agents_without_a_valid_turn_give_no_row(episodes: list[Episode], tiny_directory: Path) -> None:
    loaded = load_model(tiny_directory)
    first_alone = replace(episodes[0], turns=episodes[0].turns[:1])
    assert len(cloning_rows([first_alone], loaded)) == 1
    with pytest.raises(ValueError, match="nothing to clone"):
        cloning_rows([first_alone], loaded, lambda _: ["agent_1"])


def test_an_adapter_is_trained_alone(episodes: list[Episode], tiny_directory: Path, tmp_path: Path) -> None:
    lora = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    out = clone(
        episodes[:4], str(tiny_directory), out=tmp_path / "lora", args=settings(num_train_epochs=2), peft_config=lora
    )
    assert (out / "adapter_model.safetensors").stat().st_size < (tiny_directory / "model.safetensors").stat().st_size
    loaded = load_model(out)
    trained = [value for name, value in loaded.model.named_parameters() if "lora_B" in name]
    assert all(value.abs().sum() > 0 for value in trained)
    base = weights(tiny_directory)
    kept = loaded.model.get_base_model().state_dict()
    assert torch.equal(kept["model.embed_tokens.weight"], base["model.embed_tokens.weight"])


def test_batches_hold_rows_of_like_length_in_an_order_of_seed_and_epoch() -> None:
    lengths = [10 * (i % 7) + i % 3 for i in range(100)]
    sampler = LengthGrouped(lengths, batch_size=8, seed=1, chunk=4)
    first = list(sampler)
    assert sorted(first) == list(range(100))
    assert list(LengthGrouped(lengths, batch_size=8, seed=1, chunk=4)) == first
    sampler.set_epoch(1)
    assert list(sampler) != first
    batches = [first[i : i + 8] for i in range(0, 96, 8)]
    spread = [max(lengths[i] for i in batch) - min(lengths[i] for i in batch) for batch in batches]
    assert sum(spread) / len(spread) < 20
    assert len(first[96:]) == 4
    grouped = list(LengthGrouped(lengths, batch_size=8, seed=1, chunk=4, groups=[str(i // 4) for i in range(100)]))
    assert sorted(grouped) == list(range(100))
    assert all(grouped[i] // 4 == grouped[i + 3] // 4 for i in range(0, 100, 4))
