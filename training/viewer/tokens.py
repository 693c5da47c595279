"""Token ids of stored traces as texts, by the tokenizers of the policies that sampled them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

_BEFORE = 4
"""So many tokens are decoded before one, which may stand inside a letter or begin with a space."""


class TokenReader:
    """Makes texts of the token ids of stored traces.

    Args:
        tokenizer: a folder, of all policies; by default each one's own, a folder that is called like the policy.
        places: where these are looked for, such as the folder of a run.

    Attributes:
        unread: the policies whose tokenizer was not found: their tokens are shown as numbers.
    """

    def __init__(self, tokenizer: str | Path | None = None, places: Iterable[Path] = ()) -> None:
        self.unread: set[str] = set()
        self._given = None if tokenizer is None else _loaded(tokenizer)
        self._places = tuple(places)
        self._found: dict[str, Any] = {}

    def __call__(self, policy: str, ids: Sequence[int]) -> list[str]:
        """One text for each id of a turn of a policy."""
        tokenizer = self._given or self._of(policy)
        if tokenizer is None:
            self.unread.add(policy)
            return [f"⟨{index}⟩" for index in ids]
        return token_texts(tokenizer, ids)

    def _of(self, policy: str) -> Any:
        """The tokenizer in a folder that is called like a policy; ``None`` where there is none."""
        if policy not in self._found:
            name = policy.partition("?")[0]
            folders = [place / name for place in self._places] if name else []
            folder = next((one for one in folders if (one / "tokenizer.json").is_file()), None)
            self._found[policy] = None if folder is None else _loaded(folder)
        return self._found[policy]


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


def _loaded(source: str | Path) -> Any:
    # The libraries of models are heavy, and few files have traces beside them.
    from sotopia_env.agents.loading import load_tokenizer

    return load_tokenizer(source).tokenizer
