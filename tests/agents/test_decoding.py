"""Sampling: each row gets what it would get alone, whatever is kept between calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from sotopia_env.agents import decoding, sequence_states
from sotopia_env.agents.adapters import add_lora
from sotopia_env.agents.decoding import Decoder, draw, drawable
from sotopia_env.agents.generation import Sampling

VOCABULARY = 50
SAMPLING = Sampling(max_new_tokens=12)
STOPS = [3, 4, 5]


@pytest.fixture
def model() -> Any:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=VOCABULARY, num_key_value_heads=2, initializer_range=0.3, **sizes)
    return LlamaForCausalLM(config).eval()


def prompts(count: int, seed: int = 0) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(6, VOCABULARY, size=rng.integers(20, 60)).tolist() for _ in range(count)]


def uniforms(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, SAMPLING.max_new_tokens))


def dialogue(decoder: Decoder, count: int, turns: int, keys: list[str] | None = None) -> Iterator[list[Any]]:
    """Several turns: each prompt is the one before, what was sampled, and a reply."""
    sequences = prompts(count)
    for turn in range(turns):
        found = decoder.generate(sequences, uniforms(count, seed=turn), SAMPLING, keys)
        yield found
        replies = prompts(count, seed=100 + turn)
        sequences = [
            [*sequence, *continuation.ids, *reply[: 5 + row]]
            for row, (sequence, continuation, reply) in enumerate(zip(sequences, found, replies, strict=True))
        ]


def test_greedy_is_what_transformers_generates(model: Any) -> None:
    decoder = Decoder(model, STOPS, pad_id=0)
    found = decoder.generate(prompts(6), uniforms(6), Sampling(temperature=0, max_new_tokens=12))
    for prompt, continuation in zip(prompts(6), found, strict=True):
        stock = model.generate(
            torch.tensor([prompt]), max_new_tokens=12, do_sample=False, eos_token_id=STOPS, pad_token_id=0
        )
        assert list(continuation.ids) == stock[0, len(prompt) :].tolist()
        assert continuation.logprobs is None
        assert continuation.truncated == (continuation.ids[-1] not in STOPS)


def test_rows_do_not_depend_on_their_neighbours(model: Any) -> None:
    together = Decoder(model, STOPS, pad_id=0).generate(prompts(16), uniforms(16), SAMPLING)
    for row, prompt in enumerate(prompts(16)):
        (alone,) = Decoder(model, STOPS, pad_id=0).generate([prompt], uniforms(16)[row : row + 1], SAMPLING)
        assert together[row].ids == alone.ids
        assert together[row].logprobs == pytest.approx(alone.logprobs, abs=1e-4)
    assert len({len(continuation.ids) for continuation in together}) > 3


def test_what_is_kept_between_turns_changes_nothing(model: Any) -> None:
    keys = [f"dialogue {row}" for row in range(8)]
    keeping, bare = Decoder(model, STOPS, pad_id=0), Decoder(model, STOPS, pad_id=0, cache_bytes=0)
    for kept, computed in zip(dialogue(keeping, 8, 4, keys), dialogue(bare, 8, 4), strict=True):
        assert [row.ids for row in kept] == [row.ids for row in computed]
        for one, other in zip(kept, computed, strict=True):
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


def test_many_tokens_are_read_in_parts(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [f"dialogue {row}" for row in range(9)]
    whole = list(dialogue(Decoder(model, STOPS, pad_id=0), 9, 3, keys))
    rows: list[int] = []
    model.register_forward_pre_hook(lambda _, __, inputs: rows.append(len(inputs["input_ids"])), with_kwargs=True)
    monkeypatch.setattr(sequence_states, "_TOKENS_AT_A_TIME", 128)
    in_parts = list(dialogue(Decoder(model, STOPS, pad_id=0), 9, 3, keys))
    assert rows[:5] == [2, 2, 2, 2, 1]
    for one, other in zip(whole, in_parts, strict=True):
        assert [row.ids for row in one] == [row.ids for row in other]
        assert [row.logprobs for row in one] == [pytest.approx(row.logprobs, abs=1e-4) for row in other]


def test_only_new_tokens_are_computed(model: Any) -> None:
    computed: list[int] = []
    model.register_forward_pre_hook(
        lambda module, arguments, named: computed.append(named["input_ids"].shape[1]), with_kwargs=True
    )
    turns = dialogue(Decoder(model, STOPS, pad_id=0), 1, 2, ["a"])
    next(turns)
    assert computed[0] == len(prompts(1)[0])
    computed.clear()
    next(turns)
    assert computed[0] <= 6  # the last sampled token, which was never read, and a reply of 5


def test_equal_prompts_and_common_beginnings_are_computed_once(model: Any) -> None:
    seen: list[int] = []
    model.register_forward_pre_hook(
        lambda module, arguments, named: seen.append(named["input_ids"].numel()), with_kwargs=True
    )
    start, (one, other) = prompts(1)[0], prompts(2, seed=1)
    sequences = [start + one] * 4 + [start + other] * 4
    found = Decoder(model, STOPS, pad_id=0).generate(sequences, uniforms(8), SAMPLING)
    assert seen[0] == len(start)
    assert seen[1] == 2 * (max(len(one), len(other)) - 1)
    assert seen[2] == 8
    for row, sequence in enumerate(sequences):
        (alone,) = Decoder(model, STOPS, pad_id=0).generate([sequence], uniforms(8)[row : row + 1], SAMPLING)
        assert found[row].ids == alone.ids


def test_a_prompt_that_differs_early_is_computed_anew(model: Any) -> None:
    decoder = Decoder(model, STOPS, pad_id=0)
    first, second = prompts(2)
    decoder.generate([first], uniforms(1), SAMPLING, ["a"])
    for prompt in (second, first[:18] + second, first[:10], first[:19]):
        found = decoder.generate([prompt], uniforms(1), SAMPLING, ["a"])
        assert found[0].ids == Decoder(model, STOPS, pad_id=0).generate([prompt], uniforms(1), SAMPLING)[0].ids


@pytest.mark.parametrize("fused", [False, True])
def test_changed_weights_make_what_was_kept_worthless(model: Any, fused: bool) -> None:
    decoder = Decoder(model, STOPS, pad_id=0)
    before = decoder.generate(prompts(4), uniforms(4), SAMPLING, list("abcd"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=fused)
    model(torch.tensor([[7, 8]]), labels=torch.tensor([[7, 8]])).loss.backward()
    optimizer.step()
    after = decoder.generate(prompts(4), uniforms(4), SAMPLING, list("abcd"))
    fresh = Decoder(model, STOPS, pad_id=0).generate(prompts(4), uniforms(4), SAMPLING)
    assert [row.logprobs for row in after] == [pytest.approx(row.logprobs, abs=1e-4) for row in fresh]
    assert [row.logprobs for row in after] != [row.logprobs for row in before]


def test_log_probabilities_are_those_of_one_pass_over_the_sequence(model: Any) -> None:
    sampling = Sampling(temperature=0.7, max_new_tokens=12)
    for prompt, continuation in zip(
        prompts(5), Decoder(model, STOPS, pad_id=0).generate(prompts(5), uniforms(5), sampling), strict=True
    ):
        with torch.no_grad():
            logits = model(torch.tensor([[*prompt, *continuation.ids]])).logits[0, len(prompt) - 1 : -1]
        expected = (logits / 0.7).log_softmax(-1)[range(len(continuation.ids)), list(continuation.ids)]
        assert continuation.logprobs == pytest.approx(expected.tolist(), abs=1e-4)


def test_adapters_are_part_of_the_model(model: Any) -> None:
    adapted = add_lora(model, seed=1)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    found = Decoder(adapted.eval(), STOPS, pad_id=0).generate(prompts(3), uniforms(3), SAMPLING)
    merged = Decoder(adapted.merge_and_unload(), STOPS, pad_id=0).generate(prompts(3), uniforms(3), SAMPLING)
    assert [row.ids for row in found] == [row.ids for row in merged]


def test_models_with_a_sliding_window_are_served_without_keeping_anything() -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = MistralConfig(
        vocab_size=VOCABULARY, sliding_window=8, num_key_value_heads=2, initializer_range=0.3, **sizes
    )
    sliding = MistralForCausalLM(config).eval()
    keys = [f"dialogue {row}" for row in range(5)]
    for turn in dialogue(Decoder(sliding, STOPS, pad_id=0), 5, 3, keys):
        assert len(turn) == 5
    together = Decoder(sliding, STOPS, pad_id=0).generate(prompts(5), uniforms(5), SAMPLING)
    for row, prompt in enumerate(prompts(5)):
        (alone,) = Decoder(sliding, STOPS, pad_id=0).generate([prompt], uniforms(5)[row : row + 1], SAMPLING)
        assert together[row].ids == alone.ids


def test_memory_stays_within_its_limit(model: Any) -> None:
    a_token = 2 * 2 * 2 * 8 * 4  # keys and values, layers, heads, head size, bytes
    decoder = Decoder(model, STOPS, pad_id=0, cache_bytes=300 * a_token)
    for _ in dialogue(decoder, 8, 3, [f"dialogue {row}" for row in range(8)]):
        kept = sum(kept.states.size for kept in decoder._kept.values() if kept.states)
        assert 0 < kept == decoder._kept_bytes <= 300 * a_token


def reads(model: Any, decoder: Decoder, count: int, turns: int) -> int:
    """How often a turn went on from what was kept of its dialogue."""
    keys = [f"dialogue {row}" for row in range(count)]
    found = 0
    known = decoder._known

    def counting(key: Any, prompt: list[int]) -> Any:
        nonlocal found
        states = known(key, prompt)
        found += states is not None
        return states

    decoder._known = counting  # type: ignore[method-assign]
    for _ in dialogue(decoder, count, turns, keys):
        pass
    return found


def test_where_not_all_dialogues_fit_some_are_kept_whole(model: Any) -> None:
    a_token = 2 * 2 * 2 * 8 * 4  # keys and values, layers, heads, head size, bytes
    assert reads(model, Decoder(model, STOPS, pad_id=0), 16, 4) == 48
    # In the order of their last use, each would be dropped just before it is read again.
    some = reads(model, Decoder(model, STOPS, pad_id=0, cache_bytes=600 * a_token), 16, 4)
    assert 14 <= some < 48


def test_finished_dialogues_make_room(model: Any) -> None:
    a_token = 2 * 2 * 2 * 8 * 4
    decoder = Decoder(model, STOPS, pad_id=0, cache_bytes=2_000 * a_token)
    for _ in dialogue(decoder, 16, 4, [f"finished {row}" for row in range(16)]):
        pass
    assert reads(model, decoder, 8, 4) >= 16


def test_a_model_in_bfloat16_is_one_pass_but_for_rounding(model: Any) -> None:
    half = model.to(torch.bfloat16)
    sampling = Sampling(max_new_tokens=12)
    found = Decoder(half, STOPS, pad_id=0).generate(prompts(6), uniforms(6), sampling, list("abcdef"))
    for prompt, continuation in zip(prompts(6), found, strict=True):
        with torch.no_grad():
            logits = half(torch.tensor([[*prompt, *continuation.ids]])).logits[0, len(prompt) - 1 : -1]
        expected = logits.float().log_softmax(-1)[range(len(continuation.ids)), list(continuation.ids)]
        assert continuation.logprobs == pytest.approx(expected.tolist(), abs=0.1)


def test_broken_weights_are_reported(model: Any) -> None:
    with torch.no_grad():
        model.lm_head.weight.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="no numbers"):
        Decoder(model, STOPS, pad_id=0).generate(prompts(2), uniforms(2), SAMPLING)


def test_draws_follow_the_distribution() -> None:
    probabilities = torch.tensor([0.5, 0.0, 0.3, 0.2])
    grid = (torch.arange(1_000, dtype=torch.float64) + 0.5) / 1_000
    tokens, logprobs = draw(probabilities.log().expand(1_000, 4), grid, Sampling())
    assert torch.bincount(tokens, minlength=4).tolist() == [500, 0, 300, 200]
    torch.testing.assert_close(logprobs, probabilities.log()[tokens])


def test_large_vocabularies_are_drawn_from_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    logits, uniforms = 3 * torch.randn(400, 1_000), torch.rand(400, dtype=torch.float64)
    uniforms[:2] = torch.tensor([0.0, 1 - 2**-53])
    logits[:, 990:] = -torch.inf
    plain = draw(logits, uniforms, Sampling())
    monkeypatch.setattr(decoding, "_LARGE_VOCABULARY", 100)
    tokens, logprobs = draw(logits, uniforms, Sampling())
    assert torch.equal(tokens, plain[0])
    assert torch.equal(logprobs, plain[1])
    assert logprobs.isfinite().all()


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(top_k=2), [0.625, 0.0, 0.375, 0.0]),
        (Sampling(top_p=0.5), [1.0, 0.0, 0.0, 0.0]),
        (Sampling(top_p=0.6), [0.625, 0.0, 0.375, 0.0]),
        (Sampling(temperature=0.5), [0.25 / 0.38, 0.0, 0.09 / 0.38, 0.04 / 0.38]),
    ],
)
def test_cuts_and_temperature_renormalise(sampling: Sampling, expected: list[float]) -> None:
    logits = torch.tensor([0.5, 1e-9, 0.3, 0.2]).log()
    grid = (torch.arange(4_000, dtype=torch.float64) + 0.5) / 4_000
    tokens, logprobs = draw(logits.expand(4_000, 4), grid, sampling)
    shares = torch.bincount(tokens, minlength=4) / 4_000
    torch.testing.assert_close(shares, torch.tensor(expected), atol=1e-3, rtol=0)
    torch.testing.assert_close(logprobs.exp(), torch.tensor(expected)[tokens], atol=1e-4, rtol=0)
    possible = drawable(logits[None] / sampling.temperature, sampling)[0] & (logits > -20)
    assert possible.tolist() == [share > 0 for share in expected]


@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0, 9.0])
def test_a_cut_among_the_most_likely_tokens_is_the_cut_among_all(scale: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """With flat logits hundreds of tokens reach the probability together, with steep ones a handful."""
    torch.manual_seed(0)
    logits, uniforms = scale * torch.randn(500, 1_000), torch.rand(500, dtype=torch.float64)
    found = draw(logits, uniforms, Sampling(top_p=0.9))
    monkeypatch.setattr(decoding, "_CANDIDATES", ())
    expected = draw(logits, uniforms, Sampling(top_p=0.9))
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])


@pytest.mark.parametrize("wrong", [{"temperature": -1}, {"top_k": 0}, {"top_p": 0.0}, {"max_new_tokens": 0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Sampling(**wrong)
