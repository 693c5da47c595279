"""What a run *is*, as plain data: families, rewards, policies and models, described by what decides their numbers.

Every manifest and every fingerprint is made of :func:`describe`, and every refusal to go on with another run of
:func:`differences` and :func:`told`. A description holds no key, no address of a server, no absolute path and nothing
of the machine: a run whose folder has moved is the same run, and one with other weights under the same name is not.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import inspect
import json
import math
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np

from sotopia_env.names import NameTable

Description = dict[str, Any]

HOW = frozenset({"batch_size", "device", "cache_bytes", "env"})
"""Arguments that say how something is computed, and not what; the environment below a wrapper is described apart."""

_LONGEST, _LARGEST = 64, 500
"""Of longer lists and larger mappings a description holds a digest."""

_DIGESTED = NameTable(
    {
        "state_dict": "sotopia_env.agents.digests:describe_model",
        "get_vocab": "sotopia_env.agents.digests:describe_tokenizer",
    }
)
"""Models and tokenizers are known by these methods: what tells them apart needs their libraries."""

_DEEPEST = 12
_SHOWN = 6
"""So many differences are told in an error."""

_LONGEST_TEXT = 80
"""So much of a value, in characters."""

_CONSTANTS = (type(None), bool, int, float, str)


def describe(value: Any) -> Any:
    """Returns what a value is, as plain JSON data.

    * What has a method ``describe()`` says it itself: plain data with all that decides its numbers.
    * A policy with a ``config`` (plain data) is its type, its name and its ``config``.
    * A dataclass is its type and the fields it is made with. Any other object is its type and the arguments it was
      made with, as far as it keeps them under their names (``self.weight`` or ``self._weight`` of
      ``__init__(self, weight)``). Where it keeps one of them otherwise, its public attributes that are plain data
      count too. What it keeps besides its arguments, such as a counter, does not.
    * A model is digests of its weights and configuration, a tokenizer one of its vocabulary and chat template.
    * A function is its path, with the constants it closes over; a path is its last part.

    Args:
        value: a policy, family, reward, judge, or whatever they are made of.
    """
    return _described(value, 0)


def arguments(value: Any) -> Description:
    """Returns the arguments an object was made with, by name, as they are.

    Where it does not keep them all under their names, its public attributes that are plain data stand in.
    """
    held: dict[str, Any] = getattr(value, "__dict__", {})
    plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    try:
        parameters = inspect.signature(type(value)).parameters
    except (TypeError, ValueError):
        return {}
    names = [name for name, parameter in parameters.items() if parameter.kind in plain]
    kept = {name: held[key] for name in names for key in (name, f"_{name}") if key in held}
    if len(kept) < len(names):
        public = {name: item for name, item in held.items() if not name.startswith("_")}
        kept |= {name: item for name, item in public.items() if isinstance(item, (*_CONSTANTS, Mapping, tuple))}
    return {name: item for name, item in kept.items() if name not in HOW}


def typed(value: Any, /, **fields: Any) -> Description:
    """Returns a description of an object: its type, its name, and fields of its own.

    Args:
        value: the object.
        fields: described as they are.
    """
    name = getattr(value, "name", None)
    named = {"name": name} if isinstance(name, str) else {}
    return {"type": _path(type(value)), **named, **{key: _described(item, 1) for key, item in fields.items()}}


def digest(*parts: Any) -> str:
    """Returns a short hash of plain data: equal for equal data, in any process and on any machine."""
    found = hashlib.sha256()
    for part in parts:
        found.update(json.dumps(part, sort_keys=True, default=_described_in_json).encode())
    return found.hexdigest()[:16]


def differences(before: Any, now: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Returns where two descriptions differ: the path of each field, what it was and what it is.

    Args:
        before: what is on record.
        now: what is at hand.
        path: of the two, where they are part of something.
    """
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        names = dict.fromkeys([*before, *now])
        # What follows from another name, or from being something else, need not be told as well.
        other = next((n for n in ("name", "type") if before.get(n) and now.get(n) and before[n] != now[n]), None)
        names = dict.fromkeys([other]) if other else names
        return [d for n in names for d in differences(before.get(n), now.get(n), f"{path}.{n}" if path else str(n))]
    lists = isinstance(before, list) and isinstance(now, list) and len(before) == len(now)
    if lists and any(isinstance(item, Mapping | list) for item in (*before, *now)):
        pairs = enumerate(zip(before, now, strict=True))
        return [d for i, (old, new) in pairs for d in differences(old, new, f"{path}.{i}")]
    return [] if before == now else [(path, before, now)]


def told(found: Sequence[tuple[str, Any, Any]]) -> str:
    """Returns differences in words: ``"reward.weight (0.1, not 0.5)"``; only the first few where there are many."""
    parts = ["{} ({}, not {})".format(path, *_short(before, now)) for path, before, now in found[:_SHOWN]]
    parts += [f"{len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


def _described(value: Any, depth: int) -> Any:
    if isinstance(value, enum.Enum):
        return _described(value.value, depth)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, _CONSTANTS):
        return value
    if isinstance(value, np.generic):
        return _described(value.item(), depth)
    if isinstance(value, Path):
        return value.name
    if isinstance(value, np.ndarray):
        return {
            "digest": hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()[:16],
            "shape": [*value.shape],
        }
    if depth > _DEEPEST:
        return _path(type(value))
    if isinstance(value, Mapping):
        fields = {str(key): _described(item, depth + 1) for key, item in value.items()}
        return fields if len(fields) <= _LARGEST else {"digest": digest(fields), "number": len(fields)}
    if isinstance(value, Set):
        return sorted((_described(item, depth + 1) for item in value), key=str)
    if isinstance(value, list | tuple):
        items = [_described(item, depth + 1) for item in value]
        return items if len(items) <= _LONGEST else {"digest": digest(items), "number": len(items)}
    return _object(value, depth)


def _object(value: Any, depth: int) -> Any:
    if isinstance(value, type):
        return _path(value)
    if callable(own := getattr(value, "describe", None)):
        return _described(own(), depth + 1)
    if isinstance(config := getattr(value, "config", None), Mapping):
        return typed(value, config=config)
    if (method := next((m for m in _DIGESTED if callable(getattr(value, m, None))), None)) is not None:
        return _DIGESTED[method](value)
    if dataclasses.is_dataclass(value):
        kept = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}
    elif inspect.isroutine(value) or isinstance(value, functools.partial):
        return _function(value, depth)
    elif not hasattr(value, "__dict__"):
        # A date, a pattern, bytes: what it shows of itself.
        return {"type": _path(type(value)), "value": repr(value)}
    else:
        kept = arguments(value)
    return {**typed(value), **{n: _described(item, depth + 1) for n, item in kept.items() if n not in HOW}}


def _function(value: Any, depth: int) -> Any:
    if isinstance(value, functools.partial):
        made = {"function": value.func, "arguments": value.args, "keywords": value.keywords}
        return {name: _described(item, depth + 1) for name, item in made.items()}
    owner = getattr(value, "__self__", None)
    if inspect.ismethod(value) and not isinstance(owner, type):
        return {"function": _path(value.__func__), "of": _described(owner, depth + 1)}
    code, cells = getattr(value, "__code__", None), getattr(value, "__closure__", None)
    if code is None or not cells:
        return _path(value)
    # What it collects in lists and counts is its own affair; constants are what it was made with.
    held = {name: cell.cell_contents for name, cell in zip(code.co_freevars, cells, strict=True) if _filled(cell)}
    constants = {name: item for name, item in held.items() if isinstance(item, _CONSTANTS)}
    return {"function": _path(value), "with": _described(constants, depth + 1)} if constants else _path(value)


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _path(value: Any) -> str:
    """The name of a class or function of this package, wherever it stands; of any other its module and name."""
    module, name = getattr(value, "__module__", ""), getattr(value, "__qualname__", type(value).__name__)
    if f"{module}.".startswith("sotopia_env."):
        return str(name)
    # The module that is run is called otherwise in the processes that it starts.
    return f"{'__main__' if module == '__mp_main__' else module}:{name}"


def _described_in_json(value: Any) -> Any:
    return _described(value, 0)


def _short(*values: Any) -> list[str]:
    """Values as text; of long ones the part from shortly before they begin to differ."""
    texts = [json.dumps(value, ensure_ascii=False) for value in values]
    if max(map(len, texts)) <= _LONGEST_TEXT:
        return texts
    apart = next((i for i, letters in enumerate(zip(*texts, strict=False)) if len(set(letters)) > 1), 0)
    start = max(0, apart - _LONGEST_TEXT // 4)
    shown = [text[start : start + _LONGEST_TEXT] for text in texts]
    return [
        ("..." if start else "") + part + ("..." if len(text) > start + _LONGEST_TEXT else "")
        for text, part in zip(texts, shown, strict=True)
    ]
