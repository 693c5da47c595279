"""The embedded model: prices as single tokens, words as single tokens, the same bytes for the same seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sotopia_env.agents.embedded import MAX_PRICE, build_embedded_model, build_tokenizer, price_embeddings
from sotopia_env.agents.loading import LoadedModel, load_model
from sotopia_env.chat_encoding import ChatEncoder

CORPUS = ["I can offer $85 for the bike.", "Would $90 work for you? Thanks!", "Let us say $142."] * 2
TOKENIZER = build_tokenizer(CORPUS)


def tokens(text: str) -> list[str]:
    return [token.replace("\u0120", " ") for token in TOKENIZER.convert_ids_to_tokens(TOKENIZER.encode(text))]


@pytest.mark.parametrize("price", [1, 85, 142, 399, MAX_PRICE])
def test_a_whole_dollar_price_is_one_token_with_or_without_a_space(price: int) -> None:
    assert tokens(f"${price}") == [f"${price}"]
    assert tokens(f"for ${price}!")[-2:] == [f" ${price}", "!"]
    assert tokens(f"(${price})") == ["(", f"${price}", ")"]


@pytest.mark.parametrize("text", ["$850", "$85.50", "$85,000", "$85k", "$085", f"${MAX_PRICE + 1}", "$0"])
def test_no_other_amount_is_taken_for_a_price(text: str) -> None:
    spelt = tokens(f"for {text}.")
    assert not any(token.strip().startswith("$") and token.strip() != "$" for token in spelt)
    assert [token for token in spelt if token.isdigit()] == [letter for letter in text if letter.isdigit()]


def test_words_of_the_corpus_are_single_tokens() -> None:
    assert tokens("I can offer $90 for the bike.") == ["I", " can", " offer", " $90", " for", " the", " bike", "."]


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text_comes_back(text: str) -> None:
    ids = TOKENIZER.encode(text, split_special_tokens=True)
    assert TOKENIZER.decode(ids) == text


def test_the_seed_decides_the_weights() -> None:
    (first, words), (second, same_words) = (build_embedded_model(CORPUS, seed=3) for _ in range(2))
    other, _ = build_embedded_model(CORPUS, seed=4)
    assert words.get_vocab() == same_words.get_vocab()
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.lm_head.weight, other.lm_head.weight)
    assert 0.7e6 < first.num_parameters() < 1.5e6


def test_building_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build_embedded_model(CORPUS, seed=3, hidden_size=32, layers=1, heads=1)
    assert torch.equal(torch.rand(3), expected)


def test_near_prices_begin_near_each_other() -> None:
    prices = price_embeddings(128, 0.02, np.random.default_rng(0))
    assert prices.shape == (MAX_PRICE, 128)
    assert prices.std() == pytest.approx(0.02, rel=1e-3)
    unit = prices / np.linalg.norm(prices, axis=1, keepdims=True)
    near, middle, far = ((unit[:-step] * unit[step:]).sum(axis=1).mean() for step in (1, 20, 200))
    assert near > 0.85
    assert near > middle + 0.2 > far + 0.3


def test_a_price_means_the_same_with_and_without_a_space() -> None:
    model, tokenizer = build_embedded_model(CORPUS, seed=0)
    rows = model.get_input_embeddings().weight.detach()
    spaced, bare = (
        rows[tokenizer.convert_tokens_to_ids([f"{space}${price}" for price in (85, 142)])] for space in ("\u0120", "")
    )
    torch.testing.assert_close(spaced[0] - spaced[1], bare[0] - bare[1])


def test_saved_and_loaded_like_any_other_model(tmp_path: Path) -> None:
    model, tokenizer = build_embedded_model(CORPUS, seed=0)
    LoadedModel(model, tokenizer).save(tmp_path / "clone")
    loaded = load_model(tmp_path / "clone", device="cpu")
    assert loaded.name == "clone"
    chat = [{"role": "system", "content": "Sell the bike, at $85 or $850."}, {"role": "user", "content": "Thanks!"}]
    ids = ChatEncoder(tokenizer).encode(chat).ids
    assert ChatEncoder(loaded.tokenizer).encode(chat).ids == ids
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(torch.tensor([ids])).logits, model(torch.tensor([ids])).logits)


def test_an_empty_corpus_is_refused() -> None:
    with pytest.raises(ValueError, match="corpus of the embedded model is empty"):
        build_embedded_model([], seed=0)
