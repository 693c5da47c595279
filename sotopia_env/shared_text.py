"""Texts in the shared memory of Gymnasium's asynchronous vector environments.

Gymnasium reads a shared text once, before anything is written, and copies as many numbers as the longest text could
have. Here a text is read when it is looked at, and costs what it holds.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector.utils import create_shared_memory, read_from_shared_memory, write_to_shared_memory

from sotopia_env.spaces import UnicodeText

_HEADER = 8
"""Bytes in front of each text: how many bytes it has."""
_MOST = 4
"""Bytes of a character in UTF-8, at most."""


class SharedTexts(Sequence[str]):
    """The texts of N environments as they are now. A deep copy, such as a vector environment hands out, is a tuple.

    Args:
        memory: what Gymnasium's ``create_shared_memory`` made for the space.
        space: of each text.
        n: how many texts there are.
    """

    def __init__(self, memory: Any, space: UnicodeText, n: int) -> None:
        """Look at the memory, and read nothing yet."""
        self._bytes = np.frombuffer(memory.get_obj(), dtype=np.uint8)
        self._size = _size(space)
        self._n = n

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return tuple(self)[key]
        if not -self._n <= key < self._n:
            raise IndexError(f"text {key} of {self._n}")
        slot = self._bytes[key % self._n * self._size :]
        length = int(slot[:_HEADER].view(np.uint64)[0])
        return slot[_HEADER : _HEADER + length].tobytes().decode("utf-8")

    def __eq__(self, other: object) -> bool:
        """Whether the texts are equal now."""
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]

    def __deepcopy__(self, memo: dict[int, Any]) -> tuple[str, ...]:
        """The texts themselves."""
        return tuple(self)

    def __repr__(self) -> str:
        return repr(tuple(self))


@create_shared_memory.register(UnicodeText)
def _create(space: UnicodeText, n: int = 1, ctx: Any = multiprocessing) -> Any:
    return ctx.Array("B", n * _size(space))


@read_from_shared_memory.register(UnicodeText)
def _read(space: UnicodeText, shared_memory: Any, n: int = 1) -> SharedTexts:
    return SharedTexts(shared_memory, space, n)


@write_to_shared_memory.register(UnicodeText)
def _write(space: UnicodeText, index: int, value: str, shared_memory: Any) -> None:
    encoded = np.frombuffer(value.encode("utf-8"), dtype=np.uint8)
    slot = np.frombuffer(shared_memory.get_obj(), dtype=np.uint8)[index * _size(space) :]
    slot[:_HEADER].view(np.uint64)[0] = len(encoded)
    slot[_HEADER : _HEADER + len(encoded)] = encoded


def _size(space: UnicodeText) -> int:
    """Bytes of one text, a multiple of the header's."""
    most = _HEADER + _MOST * space.max_length
    return most + -most % _HEADER
