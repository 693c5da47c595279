"""Whether two results are equal, what changed an argument, and where a part draws its randomness from."""

from __future__ import annotations

import json
import math
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from sotopia_env.testing.reports import Violation


def fingerprint(value: Any) -> str:
    """A text that is equal for equal values: arrays, dataclasses and plain objects are read field by field."""
    return json.dumps(_plain(value, ()), ensure_ascii=True)


def difference(first: str, second: str, around: int = 60) -> str:
    """Two fingerprints where they first differ."""
    start = next((i for i, pair in enumerate(zip(first, second, strict=False)) if pair[0] != pair[1]), 0)
    cut = slice(max(0, start - around // 2), start + around)
    return f"{first[cut]!r} against {second[cut]!r}"


def unchanged(what: str, arguments: Any, call: Callable[[], Any]) -> Any:
    """The result of a call that must not change its arguments.

    Raises:
        Violation: they are not what they were.
    """
    before = fingerprint(arguments)
    result = call()
    after = fingerprint(arguments)
    if before != after:
        raise Violation(
            f"{what} changed what it was given: {difference(before, after)}",
            remedy="Copy what you need to change; forks and other policies share these objects",
        )
    return result


def repeatable(what: str, call: Callable[[], Any], where: str = "") -> Any:
    """The result of a call that must give the same again, whatever the state of the global generators.

    Raises:
        Violation: it did not, or it left a global generator in another state.
    """
    with _global_generators(1):
        first = call()
        drawn = _global_states() != _global_states(1)
    with _global_generators(2):
        second = fingerprint(call())
    if fingerprint(first) != second:
        with _global_generators(1):
            third = fingerprint(call())
        shown = difference(fingerprint(first), second)
        if third == fingerprint(first):
            raise Violation(
                f"{what} depends on a global generator (random, numpy.random or torch): {shown}",
                where=where,
                remedy="Draw from the generator you are given, or from one made of a seed of your own",
            )
        raise Violation(
            f"{what} differs between two equal calls: {shown}",
            where=where,
            remedy="Keep no state between calls, and draw from no generator but the one you are given",
        )
    if drawn:
        raise Violation(
            f"{what} drew from a global generator (random, numpy.random or torch)",
            where=where,
            remedy="Draw from the generator you are given, or from one made of a seed of your own",
        )
    return first


def close(first: float | None, second: float | None, tolerance: float) -> bool:
    """Whether two numbers agree; unknown agrees with unknown alone."""
    if first is None or second is None:
        return first is second
    return math.isclose(first, second, rel_tol=tolerance, abs_tol=max(tolerance, 1e-12))


def close_lists(first: Sequence[float | None], second: Sequence[float | None], tolerance: float) -> bool:
    """Whether two lists of numbers agree."""
    pairs = zip(first, second, strict=False)
    return len(first) == len(second) and all(close(a, b, tolerance) for a, b in pairs)


def is_number(value: Any) -> bool:
    """Whether a value is a finite number that plain JSON holds."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def check_json(what: str, value: Any) -> None:
    """Raise a violation where JSON cannot hold a value."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        remedy = "Use dict, list, str, int, float, bool and None; NumPy's numbers need float() or int(), nan is None"
        raise Violation(f"{what} is no plain JSON-able data: {error}", remedy=remedy) from error


def check_name(part: Any, attribute: str, what: str) -> str:
    """The name or version of a part, if it is a text.

    Raises:
        Violation: it is missing, empty or no text.
    """
    value = getattr(part, attribute, None)
    if isinstance(value, str) and value.strip():
        return value
    raise Violation(
        f"{what} has no {attribute}: {value!r:.60}",
        remedy=f"Set {attribute} to a short text; episodes and tables are marked with it",
    )


def _plain(value: Any, above: tuple[int, ...]) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return repr(value)
    if id(value) in above:
        return "..."
    above = (*above, id(value))
    if isinstance(value, np.ndarray):
        return [str(value.dtype), _plain(value.tolist(), above)]
    if isinstance(value, np.generic):
        return [str(value.dtype), _plain(value.item(), above)]
    if isinstance(value, Mapping):
        return {str(key): _plain(item, above) for key, item in value.items()}
    if isinstance(value, Set):
        return sorted(json.dumps(_plain(item, above)) for item in value)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_plain(item, above) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name), above) for field in fields(value)}
    if isinstance(value, type) or callable(value):
        return getattr(value, "__qualname__", type(value).__qualname__)
    inside = getattr(value, "__dict__", None)
    return repr(value) if inside is None else {name: _plain(item, above) for name, item in inside.items()}


@contextmanager
def _global_generators(seed: int) -> Iterator[None]:
    """Seed the global generators for a while; afterwards they are what they were."""
    before = random.getstate(), np.random.get_state()  # noqa: NPY002 - the global one is what is watched
    torch = sys.modules.get("torch")
    torch_before = None if torch is None else torch.random.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    if torch is not None:
        torch.random.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
        if torch is not None:
            torch.random.set_rng_state(torch_before)


def _global_states(seed: int | None = None) -> str:
    """The states of the global generators, now or just after they were seeded."""
    if seed is not None:
        with _global_generators(seed):
            return _global_states()
    torch = sys.modules.get("torch")
    drawn = None if torch is None else torch.random.get_rng_state().tolist()
    return fingerprint([random.getstate(), np.random.get_state(), drawn])  # noqa: NPY002
