from __future__ import annotations

import pytest
from transformers import LlamaConfig, Qwen2Config

from sotopia_env.training.memory import activation_bytes, rows_at_a_time, training_memory

SMALL = LlamaConfig(
    vocab_size=100,
    hidden_size=8,
    intermediate_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    tie_word_embeddings=True,
)
LAYER = 8 * 8 * 2 + 8 * 4 * 2 + 8 * 16 * 3 + 2 * 8
"""Queries and output, keys and values, the feed-forward layer, two norms."""


def test_rows_of_like_length_go_together_up_to_a_number_of_tokens() -> None:
    assert rows_at_a_time([5, 9, 4, 40, 5], 16) == [[2, 0, 4], [1], [3]]
    assert rows_at_a_time([], 16) == []


def test_memory_by_formula_is_that_of_its_parts() -> None:
    need = training_memory(SMALL, tokens=10, dialogues=3, dialogue_tokens=20, lora_rank=2, logits=100)
    weights = 100 * 8 + 2 * LAYER + 8
    assert need.weights == 2 * weights
    adapter = 2 * 2 * ((8 + 8) * 2 + (8 + 4) * 2 + (8 + 16) * 3)
    assert (need.trained, need.optimizer) == (8 * adapter, 8 * adapter)
    assert activation_bytes(SMALL) == 2 * (24 * 8 + 8 * 16)
    assert need.activations == 10 * activation_bytes(SMALL)
    assert need.cache == 3 * 20 * 2 * 2 * 1 * 4 * 2
    assert need.logits == 1600
    assert need.total == need.weights + need.trained + need.optimizer + need.activations + need.logits
    whole = training_memory(SMALL, tokens=10, lora_rank=None, checkpointing=True)
    assert (whole.weights, whole.trained, whole.optimizer) == (0, 8 * weights, 8 * weights)
    assert whole.activations == 10 * (2 * 2 * 8 + 24 * 8 + 8 * 16)


def test_a_model_of_7_billion_takes_what_is_said_of_it() -> None:
    qwen = Qwen2Config(
        vocab_size=152_064,
        hidden_size=3_584,
        intermediate_size=18_944,
        num_hidden_layers=28,
        num_attention_heads=28,
        num_key_value_heads=4,
    )
    need = training_memory(qwen, tokens=8_192)
    assert need.weights == pytest.approx(15.2e9, rel=0.01)
    assert need.activations / 8_192 == pytest.approx(6.6e6, rel=0.02)
