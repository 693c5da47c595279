"""A real server of vLLM: its tokens and log-probabilities are those of one plain pass, and follow what is learnt."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sotopia_env
from sotopia_env.agents.adapters import add_lora
from sotopia_env.agents.embedded import build_embedded_model
from sotopia_env.agents.generation import Continuation, Sampling
from sotopia_env.agents.loading import LoadedModel, load_model
from sotopia_env.agents.local_lm import LocalLM
from sotopia_env.resolve import make_policy
from sotopia_env.training.batches import corpus


def played(policy: LocalLM, sampling: Sampling, count: int = 12) -> tuple[list[list[int]], list[Continuation]]:
    rng = np.random.default_rng(0)
    prompts = [rng.integers(5, 300, size=rng.integers(5, 60)).tolist() for _ in range(count)]
    return prompts, policy.generator.generate(prompts, rng.random((count, sampling.max_new_tokens)), sampling)


def furthest(model: Any, prompts: list[list[int]], found: list[Continuation], temperature: float) -> float:
    """How far a log-probability is from that of one plain pass."""
    worst = 0.0
    for prompt, row in zip(prompts, found, strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([[*prompt, *row.ids]])).logits[0, len(prompt) - 1 : -1]
        expected = (logits / temperature).log_softmax(-1)[range(len(row.ids)), list(row.ids)]
        worst = max(worst, float((expected - torch.tensor(row.logprobs)).abs().max()))
    return worst


@pytest.mark.slow
def test_a_real_server_samples_what_the_weights_say_and_follows_them(
    tmp_path: Path, serve_vllm: Callable[[Path], AbstractContextManager[str]]
) -> None:
    episodes = sotopia_env.rollout("bargain", "scripted:mixed", num_episodes=8, seed=0, max_cycles=6)
    model, tokenizer = build_embedded_model(corpus(episodes), seed=0, hidden_size=256, heads=4, key_heads=2, layers=2)
    LoadedModel(model, tokenizer).save(tmp_path / "base")
    sampling = Sampling(temperature=0.8, max_new_tokens=16)
    with serve_vllm(tmp_path / "base") as url:
        # As a policy by name: its tokens are kept, and the same seeds give the same dialogues.
        policy = make_policy(f"vllm:{tmp_path / 'base'}@{url}?max_new_tokens=12&timeout=300")
        traces: dict[Any, Any] = {}
        first = sotopia_env.rollout("bargain", policy, num_episodes=4, batch_size=4, max_cycles=3, traces=traces)
        again = sotopia_env.rollout("bargain", policy, num_episodes=4, batch_size=4, max_cycles=3)
        assert [[turn.text for turn in e.turns] for e in first] == [[turn.text for turn in e.turns] for e in again]
        assert traces
        assert policy.context_length == model.config.max_position_embeddings
        turns = [turn for own in traces.values() for turn in own]
        kept = [Continuation(turn.ids, turn.logprobs, turn.truncated) for turn in turns]
        assert furthest(model, [list(turn.prompt_ids) for turn in turns], kept, 1.0) < 2e-3

        # A learner with an adapter: the server plays it as it is now.
        base = load_model(tmp_path / "base", device="cpu")
        adapted = LoadedModel(add_lora(base.model, r=4), base.tokenizer)
        learner = LocalLM(adapted, backend="vllm", url=url)
        for step in range(3):
            prompts, found = played(learner, sampling)
            assert furthest(adapted.model.eval(), prompts, found, 0.8) < 2e-3, step
            with torch.no_grad():
                for name, weight in adapted.model.named_parameters():
                    if "lora_B" in name:
                        weight.normal_(std=0.2)

        # A learner of all weights.
        whole = LocalLM(load_model(tmp_path / "base", device="cpu"), backend="vllm", url=url)
        with torch.no_grad():
            whole.model.model.layers[0].mlp.down_proj.weight.mul_(2.0)
        prompts, found = played(whole, sampling)
        assert furthest(whole.model, prompts, found, 0.8) < 2e-3
        assert furthest(model, prompts, found, 0.8) > 0.1
