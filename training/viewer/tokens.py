"""Token ids of stored traces as texts, by the tokenizers of the policies that wrote them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

_BEFORE = 4
"""So many tokens are decoded before one, which may stand inside a letter or begin with a space."""


def decoder(tokenizer: str | Path | None = None) -> Any:
    """What makes texts of token ids: ``(policy name, ids) -> one text per id``.

    Args:
        tokenizer: a folder, of all policies; by default each one's own, where its name tells the folder. Without one
            ids are shown as numbers.
    """
    found = cache(_tokenizer_of)
    given = None if tokenizer is None else _loaded(tokenizer)

    def decode(policy: str, ids: Sequence[int]) -> list[str]:
        own = found(policy) if given is None else given
        return [f"⟨{index}⟩" for index in ids] if own is None else token_texts(own, ids)

    return decode


def token_texts(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """The text that each token adds to those before it; nothing until a letter of several tokens is whole."""
    texts = []
    shown = 0
    for stop in range(1, len(ids) + 1):
        start = max(0, shown - _BEFORE)
        before = tokenizer.decode(ids[start:shown], clean_up_tokenization_spaces=False)
        text = tokenizer.decode(ids[start:stop], clean_up_tokenization_spaces=False)
        if text.endswith("\ufffd") and stop < len(ids):
            texts.append("")
            continue
        texts.append(text[len(before) :])
        shown = stop
    return texts


def _tokenizer_of(policy: str) -> Any:
    """The tokenizer in the folder that the name of a policy tells; ``None`` where there is none."""
    folder = Path(policy.partition(":")[2] if policy.startswith(("local:", "vllm:")) else policy)
    folder = Path(str(folder).partition("?")[0])
    return _loaded(folder) if (folder / "tokenizer.json").is_file() else None


def _loaded(source: str | Path) -> Any:
    # The libraries of models are heavy, and few files have traces beside them.
    from sotopia_env.agents.loading import load_tokenizer

    return load_tokenizer(source).tokenizer
