"""Environments as other libraries get them. Each library is optional; its tests skip where it is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

import sotopia_env
from sotopia_env.menu import MenuWrapper


@pytest.fixture
def menu() -> Callable[..., MenuWrapper]:
    """The menu of bargains, which pays the outcome."""

    def make(mask: Any = "info") -> MenuWrapper:
        return MenuWrapper(sotopia_env.parallel_env("bargain", reward="episode"), mask=mask)

    return make


class ByteTokenizer:
    """One id a byte, and two more: padding and the end of a text."""

    pad_token_id = 256
    eos_token_id = 257

    def __len__(self) -> int:
        return 258

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        return list(text.encode("utf-8"))

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        return bytes(i for i in token_ids if i < 256).decode("utf-8", "replace")


@pytest.fixture
def byte_tokenizer() -> ByteTokenizer:
    """A tokenizer without a library."""
    return ByteTokenizer()
