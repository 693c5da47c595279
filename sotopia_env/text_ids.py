"""Texts as token ids, and ids as what a model wrote: the tokenizer's side of a chat.

What is said never becomes a control token, and stands as it would in the middle of a longer text: some tokenizers put
a space before every text they are given. Decoding keeps the marks of thoughts, which are special tokens for many.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from sotopia_env.thoughts import is_mark

_ANCHORS = ("\n", ".", "0", "x")
"""Texts to stand before another one; one that does not grow together with it is found among them."""


class ChatTemplateError(ValueError):
    """A chat template that cannot be used for exact bookkeeping; the message names the remedy."""


class TextIds:
    """The tokens of pieces of a chat.

    Args:
        tokenizer: any ``transformers`` tokenizer with a chat template.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        added = {int(index): token for index, token in tokenizer.added_tokens_decoder.items()}
        template = str(tokenizer.chat_template)
        control = {int(index): str(tokenizer.convert_ids_to_tokens(index)) for index in tokenizer.all_special_ids}
        dropped = {index for index in control if not is_mark(control[index])}
        for index, token in added.items():
            if token.special or (token.content in template and not token.content.isspace()):
                control[index] = token.content
            if token.special and not is_mark(token.content):
                dropped.add(index)
        self.control_ids = frozenset(control)
        """Tokens that only the template may write: special ones, and added ones that stand in the template."""
        longest_first = sorted(control.values(), key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self._dropped = frozenset(dropped)
        self._added = tuple(sorted({token.content for token in added.values()} | set(control.values())))
        self._spaced = self._encode("a") != self._inner("a")
        """Whether the tokenizer puts a space before a text."""
        mark = longest_first[0] if longest_first else ""
        self._spaced_after_tokens = self._encode(f"{mark}a")[len(self._encode(mark)) :] == self._encode("a")
        # Bound to the instance, so that the cache is freed together with it.
        self.of_content = lru_cache(maxsize=65_536)(self._of_content)

    def continues(self, before: str) -> bool:
        """Whether a text behind another one gets no space that this tokenizer puts before a text."""
        after_token = before.endswith(self._added) and self._spaced_after_tokens
        return self._spaced and bool(before) and not after_token

    def space_before_control(self, piece: str) -> str:
        """The white space with which a template's text begins before a control token; empty where none follows."""
        rest = piece.lstrip()
        return piece[: len(piece) - len(rest)] if self._control.match(rest) else ""

    def of_template(self, piece: str, *, inner: bool = False) -> tuple[int, ...]:
        """The tokens of a template's own text, control tokens among them.

        Args:
            piece: the text.
            inner: whether it goes on with another one; see :meth:`continues`.
        """
        if not piece:
            return ()
        return self._inner(piece) if inner and self._spaced else self._encode(piece)

    def _of_content(self, text: str, inner: bool = False) -> tuple[int, ...]:
        """The tokens of a content, none of them a control token.

        Args:
            text: the content.
            inner: whether it goes on with another text.

        Raises:
            ChatTemplateError: the tokenizer makes a control token of plain text.
        """
        ids = self._plain(text, inner)
        if self.control_ids.isdisjoint(ids):
            return ids
        # `split_special_tokens` leaves added tokens that are not special. None survives a cut after its first letter.
        first, *rest = _cut(text, self._control)
        ids = sum((self._plain(part, True) for part in rest), start=self._plain(first, inner))
        if not self.control_ids.isdisjoint(ids):
            raise ChatTemplateError(
                f"the tokenizer {self._tokenizer.name_or_path!r} makes control tokens of the plain text {text[:80]!r}; "
                "use a fast tokenizer"
            )
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """What a model wrote: without special tokens, except for the marks of thoughts and channels."""
        kept = [index for index in ids if index not in self._dropped]
        text = self._tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return str(text)

    def _plain(self, text: str, inner: bool) -> tuple[int, ...]:
        encode = self._inner if inner and self._spaced else self._encode
        return encode(text, split_special_tokens=True)

    def _inner(self, text: str, **options: Any) -> tuple[int, ...]:
        for anchor in _ANCHORS:
            before, whole = self._encode(anchor, **options), self._encode(anchor + text, **options)
            if whole[: len(before)] == before:
                return whole[len(before) :]
        return self._encode(text, **options)

    def _encode(self, text: str, **options: Any) -> tuple[int, ...]:
        return tuple(self._tokenizer.encode(text, add_special_tokens=False, **options))


def _cut(text: str, pattern: re.Pattern[str]) -> Iterator[str]:
    start = 0
    for match in pattern.finditer(text):
        yield text[start : match.start() + 1]
        start = match.start() + 1
    yield text[start:]
