"""Playing in another number format than the model's own: on a copy that follows what is learnt."""

from __future__ import annotations

import copy
import functools
from typing import Any

import numpy as np
import pytest
import torch

from sotopia_env.agents.adapters import add_lora
from sotopia_env.agents.generation import Continuation, Sampling
from sotopia_env.agents.loading import LoadedModel
from sotopia_env.agents.model_generator import ModelGenerator

PROMPTS = [[5, 6, 7], [9, 8, 7, 6]]


def learner(embedded: LoadedModel) -> LoadedModel:
    return LoadedModel(add_lora(copy.deepcopy(embedded.model), seed=1), embedded.tokenizer)


def played(generator: ModelGenerator) -> list[Continuation]:
    return generator.generate(PROMPTS, np.random.default_rng(0).random((2, 8)), Sampling(max_new_tokens=8), ["a", "b"])


def expected(model: Any, found: list[Continuation]) -> list[float]:
    model = copy.deepcopy(model).eval()
    values: list[float] = []
    for prompt, row in zip(PROMPTS, found, strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([[*prompt, *row.ids]])).logits[0, len(prompt) - 1 : -1]
        values += logits.log_softmax(-1)[range(len(row.ids)), list(row.ids)].tolist()
    return values


def test_a_copy_in_bfloat16_follows_the_learner_and_leaves_it_alone(embedded: LoadedModel) -> None:
    loaded = learner(embedded)
    loaded.model.train()
    before = copy.deepcopy(loaded.model.state_dict())
    generator = ModelGenerator(loaded, {3}, dtype="bfloat16")
    assert generator.dtype == torch.bfloat16
    for _ in range(2):
        found = played(generator)
        values = [value for row in found for value in row.logprobs or ()]
        assert values == pytest.approx(expected(loaded.model, found), abs=0.15)
        assert values != pytest.approx(expected(loaded.model, found), abs=1e-6)
        assert loaded.model.training
        assert all(torch.equal(value, before[name]) for name, value in loaded.model.state_dict().items())
        with torch.no_grad():
            for name, weight in loaded.model.named_parameters():
                if "lora_B" in name:
                    weight.normal_(std=0.3)
        before = copy.deepcopy(loaded.model.state_dict())


def test_what_a_trainer_put_around_a_forward_pass_stays_off_the_copy(embedded: LoadedModel) -> None:
    loaded = learner(embedded)
    inner = loaded.model.get_base_model()
    of_the_learner = inner.forward
    # As trl's trainer does for its own way of scoring: a closure over the model in training.
    inner.forward = functools.wraps(of_the_learner)(lambda *args, **options: of_the_learner(*args, **options))
    with torch.no_grad():
        for name, weight in loaded.model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.3)
    found = played(ModelGenerator(loaded, {3}, dtype="bfloat16"))
    del inner.forward
    values = [value for row in found for value in row.logprobs or ()]
    assert values == pytest.approx(expected(loaded.model, found), abs=0.15)
    assert values != pytest.approx(expected(loaded.model, found), abs=1e-5)


def test_a_copy_of_an_adapter_is_not_that_of_another(embedded: LoadedModel) -> None:
    loaded = learner(embedded)
    add_lora(loaded.model, "partner", seed=2)
    with torch.no_grad():
        for name, weight in loaded.model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.3)
    for adapter in ("partner", "learner"):
        found = played(ModelGenerator(loaded, {3}, adapter=adapter, dtype="bfloat16"))
        assert loaded.model.active_adapter == "partner"
        with torch.no_grad():
            loaded.model.set_adapter(adapter)
            values = expected(loaded.model, found)
            loaded.model.set_adapter("partner")
        assert [value for row in found for value in row.logprobs or ()] == pytest.approx(values, abs=0.15)


def test_in_its_own_format_the_model_itself_plays(embedded: LoadedModel) -> None:
    for dtype in (None, "fast", "float32", torch.float32):
        generator = ModelGenerator(embedded, {3}, dtype=dtype)
        assert generator.dtype is None
        assert generator._decoder.model is embedded.model
        found = played(generator)
        values = [value for row in found for value in row.logprobs or ()]
        assert values == pytest.approx(expected(embedded.model, found), abs=1e-4)
