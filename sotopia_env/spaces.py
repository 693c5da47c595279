"""Spaces of text: any Unicode string, and the action and observation spaces built from it.

Gymnasium's ``Text`` accepts letters and digits by default and becomes slow and huge with a larger character set. Here
the character set is virtual (every code point), and samples are short and readable.
"""

from __future__ import annotations

import copy
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import create_shared_memory, read_from_shared_memory, write_to_shared_memory

from sotopia_env.actions import ACTION_TYPES, MAX_UTTERANCE

MAX_PROFILE = 32_768
"""Longest situation, goal, background or profile of partners, in characters."""

MAX_TRANSCRIPT = 65_536
"""Longest transcript an observation holds, in characters; older turns drop out of it whole. More than five times the
longest utterance, since each of its line breaks may be followed by four spaces."""

MAX_NAME = 128
"""Longest name of a character, in characters."""

MAX_TURNS = 2**31
"""Bound of the turn counter."""

_SAMPLE_CHARACTERS = "abcdefghijklmnopqrstuvwxyz     "
_SAMPLE_LENGTH = 32


class _CodePoints:
    """All code points as a sequence and as an index, without storing them."""

    def __len__(self) -> int:
        return sys.maxunicode + 1

    def __getitem__(self, key: Any) -> Any:
        return ord(key) if isinstance(key, str) else chr(key)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and len(key) == 1

    def __iter__(self) -> Iterator[str]:
        return map(chr, range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _CodePoints)

    def __hash__(self) -> int:
        return hash(_CodePoints)


class UnicodeText(spaces.Text):
    """Any ``str`` of at most ``max_length`` characters that can be encoded (no lone surrogates).

    Example:
        >>> "Hé — ok?" in UnicodeText(20)
        True
    """

    def __init__(self, max_length: int, *, seed: int | np.random.Generator | None = None) -> None:
        """A space of texts of 0 to ``max_length`` characters."""
        super().__init__(max_length, min_length=0, charset=_SAMPLE_CHARACTERS, seed=seed)

    def contains(self, x: Any) -> bool:
        """Whether ``x`` is an encodable ``str`` within the length."""
        if not isinstance(x, str) or len(x) > self.max_length:
            return False
        if x.isascii():
            return True
        try:
            x.encode("utf-8")
        except UnicodeEncodeError:
            return False
        return True

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """A short readable text."""
        if mask is not None or probability is not None:
            return super().sample(mask) if probability is None else super().sample(mask, probability)
        length = int(self.np_random.integers(1, min(_SAMPLE_LENGTH, self.max_length) + 1))
        picks = self.np_random.integers(0, len(_SAMPLE_CHARACTERS), size=length)
        return "".join(_SAMPLE_CHARACTERS[i] for i in picks)

    @property
    def character_list(self) -> Any:
        """All code points, by number."""
        return _CodePoints()

    def character_index(self, char: str) -> np.int32:
        """The code point of a character."""
        return np.int32(ord(char))

    @property
    def character_set(self) -> Any:
        """All code points."""
        return _CodePoints()

    def __deepcopy__(self, memo: dict[int, Any]) -> UnicodeText:
        """A copy with a generator of its own. All else never changes, and an environment is forked often."""
        twin = copy.copy(self)
        twin._np_random = copy.deepcopy(self._np_random, memo)
        return twin

    def __eq__(self, other: object) -> bool:
        """Whether the other space holds the same texts."""
        return isinstance(other, UnicodeText) and self.max_length == other.max_length

    def __hash__(self) -> int:
        """Equal spaces hash alike."""
        return hash((UnicodeText, self.max_length))

    def __repr__(self) -> str:
        """The constructor call."""
        return f"UnicodeText({self.max_length})"


class _Types(spaces.Discrete):
    """The five types of action; some may be switched off, and then are neither sampled nor contained."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__(len(ACTION_TYPES))
        self.allowed = tuple(ACTION_TYPES.index(kind) for kind in allowed)

    def contains(self, x: Any) -> bool:
        return super().contains(x) and int(x) in self.allowed

    def sample(self, mask: Any = None, probability: Any = None) -> np.int64:
        if mask is not None or probability is not None:
            return super().sample(mask) if probability is None else super().sample(mask, probability)
        return np.int64(self.allowed[int(self.np_random.integers(0, len(self.allowed)))])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Types) and self.allowed == other.allowed

    def __hash__(self) -> int:
        return hash((_Types, self.allowed))


def action_space(allowed: tuple[str, ...] = ACTION_TYPES, num_seats: int | None = None) -> spaces.Dict:
    """``Dict(action_type=Discrete(5), argument=text)``. Forbidden types keep their number but are never sampled.

    Args:
        allowed: the types that may be used.
        num_seats: where messages may be private: adds ``to=MultiBinary(num_seats)``, whose zeros are everyone.
    """
    to = {} if num_seats is None else {"to": spaces.MultiBinary(num_seats)}
    return spaces.Dict({"action_type": _Types(allowed), "argument": UnicodeText(MAX_UTTERANCE), **to})


class Count(spaces.Box):
    """A number of turns: a ``Box`` without axes, so that flattened it is one number. A plain ``int`` is in it too."""

    def __init__(self) -> None:
        """Every count has the same bounds."""
        super().__init__(0, MAX_TURNS - 1, (), np.int64)

    def contains(self, x: Any) -> bool:
        """Whether it is a whole number from 0, as an ``int`` or as an array without axes."""
        if isinstance(x, bool) or not isinstance(x, int | np.integer | np.ndarray):
            return False
        value = np.asarray(x)
        return value.shape == () and value.dtype.kind in "iu" and 0 <= int(value) < MAX_TURNS

    def __repr__(self) -> str:
        """Returns its name."""
        return "Count()"


def observation_space(num_seats: int | None = None) -> spaces.Dict:
    """The dict observation: what one agent may know, as texts, with the cycle and the legal types of action.

    Args:
        num_seats: where messages may be private: adds ``recipients``, the seats one may address now.
    """
    profile = dict.fromkeys(("situation", "participants", "background", "partners", "goal"), MAX_PROFILE)
    lengths = {"agent": 64, "name": MAX_NAME, **profile, "transcript": MAX_TRANSCRIPT}
    return spaces.Dict(
        {
            **{key: UnicodeText(length) for key, length in lengths.items()},
            "turn": Count(),
            "action_types": spaces.MultiBinary(len(ACTION_TYPES)),
            **({} if num_seats is None else {"recipients": spaces.MultiBinary(num_seats)}),
        }
    )


def independent(space: Any) -> Any:
    """A copy of a space with generators of its own, in the same state.

    All else in a space never changes and is shared: environments are forked so often that deep copies would be most of
    the work.
    """
    twin = copy.copy(space)
    # What was never sampled nor seeded has no generator yet.
    if space._np_random is not None:
        twin._np_random = copy.deepcopy(space._np_random)
    if isinstance(space, spaces.Dict):
        twin.spaces = {key: independent(part) for key, part in space.spaces.items()}
    return twin


def state_space(num_seats: int = 2) -> spaces.Dict:
    """Everything known to anyone: situation, all goals and profiles, the whole transcript, and whose turn it is."""
    return spaces.Dict(
        {
            "situation": UnicodeText(MAX_PROFILE),
            "goals": UnicodeText(8 * MAX_PROFILE),
            "backgrounds": UnicodeText(8 * MAX_PROFILE),
            "transcript": UnicodeText(MAX_TRANSCRIPT),
            "turn": Count(),
            "acting": spaces.MultiBinary(num_seats),
        }
    )


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
