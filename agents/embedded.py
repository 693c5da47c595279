"""The embedded model: a small Llama with a tokenizer of its own, the default policy of the package.

It is built from scratch in a second and trained on scripted dialogues, so that the whole pipeline runs on two cores.
It is saved and loaded like any other model, and nothing else in the package knows that it exists.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

MAX_PRICE = 400
"""Whole-dollar prices from $1 to this one are single tokens, with or without a space before them."""

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
"""Append-only, two tokens a message."""

_SPECIAL_TOKENS = ("<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
# The whole amount is one unit, so that the `$85` of `$850`, `$85.50` or `$85,000` is never taken for eighty-five.
_AMOUNT = r"\$\d+(?:,\d{3})*(?:\.\d+)?(?!\w)"
# Amounts, English endings, words, single digits, punctuation, spaces. A space belongs to the word behind it.
_UNITS = Regex(
    rf" ?{_AMOUNT}|'(?:[sdmt]|ll|ve|re)| ?\p{{L}}+|\p{{N}}| ?(?:(?!{_AMOUNT})[^\s\p{{L}}\p{{N}}])+|\s+(?!\S)|\s+"
)
_SPACE = "\u0120"  # how byte-level tokenizers write a space
# Of the sines and cosines of a price: their number, and the shortest and longest wavelength in dollars.
_WAVES = 40
_PERIODS = (20.0, 4.0 * MAX_PRICE)


def build_embedded_model(
    corpus: Iterable[str],
    seed: int,
    *,
    hidden_size: int = 128,
    layers: int = 3,
    heads: int = 4,
    key_heads: int = 1,
    context: int = 2_048,
    max_words: int = 1_500,
    merges: int = 400,
) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """A small Llama, untrained, and its tokenizer.

    Args:
        corpus: texts the tokenizer is made for; their words become single tokens.
        seed: of the initial weights.
        hidden_size: width of the model; the feed-forward layers are three times as wide.
        layers: number of transformer layers.
        heads: attention heads per layer.
        key_heads: so many heads of keys and values, shared among the others: with one, a quarter is kept of what was
            read, and a token of each of 64 dialogues takes 5 ms of one core instead of 7.
        context: longest sequence, in tokens.
        max_words: at most so many words of the corpus become tokens, the most frequent first.
        merges: byte-pair merges, for words the corpus does not hold.

    Raises:
        ValueError: the corpus is empty.
    """
    tokenizer = build_tokenizer(corpus, max_words=max_words, merges=merges)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        intermediate_size=3 * hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_heads,
        max_position_embeddings=context,
        # Far wider than the usual 0.02, which is meant for wide models: cloning starts several times as fast.
        initializer_range=hidden_size**-0.5,
        tie_word_embeddings=True,
        attention_bias=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    rng = np.random.default_rng(seed)
    prices = torch.from_numpy(price_embeddings(hidden_size, config.initializer_range, rng))
    # A price means the same with and without a space before it; one direction tells the two apart.
    apart = torch.from_numpy(rng.normal(scale=config.initializer_range, size=hidden_size)).float()
    embeddings = model.model.embed_tokens.weight
    with torch.no_grad():
        embeddings[tokenizer.convert_tokens_to_ids(_price_tokens(_SPACE))] = prices
        embeddings[tokenizer.convert_tokens_to_ids(_price_tokens(""))] = prices + apart
    return model.eval(), tokenizer


def build_tokenizer(corpus: Iterable[str], *, max_words: int = 1_500, merges: int = 400) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer in which words of the corpus and whole-dollar prices are single tokens.

    Any text can be encoded, and decoding gives it back. Words stand in the vocabulary as they are, so that none of the
    fragments from which they would be merged takes up a row of the embedding.

    Args:
        corpus: texts whose words become tokens, where they occur more than once.
        max_words: at most so many words, the most frequent first.
        merges: byte-pair merges, for words the corpus does not hold.

    Raises:
        ValueError: the corpus is empty.
    """
    units = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(_UNITS, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    counts: Counter[str] = Counter()
    for text, times in Counter(corpus).items():
        for unit, _ in units.pre_tokenize_str(text):
            counts[unit] += times
    if not counts:
        raise ValueError("the corpus of the embedded model is empty; give it the texts the model will read and write")
    # Numbers outside the single-token prices are spelt out, digit by digit.
    words = sorted((unit for unit in counts if not re.search(r"\d", unit)), key=lambda unit: (-counts[unit], unit))

    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Split(Regex(r"\n"), "removed")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    # Each word counts once here: the merges are for words that are not in the corpus.
    trainer = trainers.BpeTrainer(vocab_size=256 + merges, show_progress=False, initial_alphabet=alphabet)
    trained.train_from_iterator(words, trainer)
    learnt = json.loads(trained.to_str())["model"]

    frequent = [word for word in words if counts[word] > 1][:max_words]
    tokens = dict.fromkeys([*_SPECIAL_TOKENS, *learnt["vocab"], *_price_tokens(""), *_price_tokens(_SPACE), *frequent])
    backend = Tokenizer(
        models.BPE(
            vocab={token: index for index, token in enumerate(tokens)},
            merges=[tuple(merge) for merge in learnt["merges"]],
            ignore_merges=True,
        )
    )
    backend.pre_tokenizer = units
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<|pad|>",
        eos_token="<|end|>",
        extra_special_tokens=["<|system|>", "<|user|>", "<|assistant|>"],
        chat_template=CHAT_TEMPLATE,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def _price_tokens(before: str) -> list[str]:
    return [f"{before}${price}" for price in range(1, MAX_PRICE + 1)]


def price_embeddings(hidden_size: int, scale: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Initial embeddings of the prices $1 to $400, in which near prices are near, so that comparing is soon learnt.

    Half of their energy is in the price itself and its logarithm, which tell the dearer of two; the other half in sines
    and cosines of the price, which tell one from its neighbours. (600 steps of cloning, 8 rows each: 1.50 nats a price;
    1.92 with a sixtieth of the energy in the price and wavelengths from $4.)

    Args:
        hidden_size: width of the model, H; at least 4.
        scale: standard deviation of the values, as of the other embeddings.
        rng: draws the rotation that spreads the features over all H directions.

    Returns:
        400 x H values.
    """
    price = np.arange(1, MAX_PRICE + 1)[:, None]
    pairs = min(_WAVES, (hidden_size - 2) // 2)
    angles = 2 * np.pi * price / np.geomspace(*_PERIODS, num=pairs)
    waves = np.hstack([np.sin(angles), np.cos(angles)]) / np.sqrt(2 * pairs)
    sizes = np.hstack([price, np.log(price)])
    sizes = (sizes - sizes.mean(axis=0)) / sizes.std(axis=0) / 2
    features = np.hstack([waves, sizes])
    features = np.pad(features, ((0, 0), (0, hidden_size - features.shape[1])))
    rotation, _ = np.linalg.qr(rng.standard_normal((hidden_size, hidden_size)))
    spread = features @ rotation
    return (spread * scale / spread.std()).astype(np.float32)
