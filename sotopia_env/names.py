"""From text to things and back: ``module:attribute``, tables of names, and the public paths of the package."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

PUBLIC_MODULES = ("sotopia_env", "sotopia_env.rewards", "sotopia_env.agents", "sotopia_env.training")
"""The modules whose names stay where they are: what is written into files names these, never a file of the code."""


def import_attribute(text: str) -> Any:
    """Returns the object behind ``module:attribute``.

    A path inside this package that an earlier version wrote is found again by its name in one of the public modules.

    Raises:
        ValueError: no such module, or it has no such attribute.
    """
    module, _, attribute = text.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ModuleNotFoundError, AttributeError) as error:
        if module.startswith("sotopia_env.") and (public := _public_module(attribute)):
            return getattr(importlib.import_module(public), attribute)
        if isinstance(error, ModuleNotFoundError):
            raise ValueError(f"{text!r}: no module {error.name!r}; is it on the Python path?") from error
        raise ValueError(f"{text!r}: module {module!r} has no attribute {attribute!r}") from error


def name_and_options(text: str, known: Collection[str]) -> tuple[str, dict[str, Any]]:
    """Returns a name and the options that stand behind it: ``DIR?thinking=on&temperature=0.7``.

    Args:
        text: the name, perhaps with options; a value that is JSON is read as such, any other is a text.
        known: the options that it may have.

    Raises:
        ValueError: what stands behind the name are no options, or it has no such option. Values are not shown.
    """
    name, mark, query = text.partition("?")
    if not mark:
        return name, {}
    pairs = parse_qsl(query, keep_blank_values=True)
    unknown = next((option for option, _ in pairs if option not in known), None)
    if unknown is not None or not pairs or len(dict(pairs)) < len(pairs):
        problem = "options are written ?NAME=VALUE&NAME=VALUE" if unknown is None else f"there is no option {unknown!r}"
        raise ValueError(f"{name}?...: {problem}; one may give {', '.join(known)}")
    return name, {option: _value(value) for option, value in pairs}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def public_path(value: Any) -> str | None:
    """Returns ``module:attribute`` of a class or function; ``None`` where it cannot be imported again.

    What this package exports is named by its public module, so that files outlive a move of the code. A lambda, a
    local function and a bound method have no path.
    """
    module, name = getattr(value, "__module__", ""), getattr(value, "__qualname__", "")
    if not name.isidentifier():
        return None
    if module.startswith("sotopia_env."):
        module = _public_module(name, value) or module
    return f"{module}:{name}"


class NameTable(Mapping[str, Any]):
    """A table of names whose values are imported when they are asked for.

    Args:
        paths: ``module:attribute`` by name.
    """

    def __init__(self, paths: Mapping[str, str]) -> None:
        self._paths = dict(paths)

    def __getitem__(self, name: str) -> Any:
        return import_attribute(self._paths[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def __contains__(self, name: object) -> bool:
        return name in self._paths


def exports(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Returns the ``__getattr__`` of a package (PEP 562) that imports what it exports when it is first asked for.

    Args:
        package: its ``__name__``.
        homes: the names that each of its modules gives: ``{"actions": "do speak"}``.
    """
    home_of = {name: f"{package}.{home}" for home, names in homes.items() for name in names.split()}

    def get(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(home_of[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return get


def _public_module(name: str, value: Any = None) -> str | None:
    """The public module that exports a name; with ``value``, the one that exports this very object."""
    for path in PUBLIC_MODULES:
        module = importlib.import_module(path)
        if name in module.__all__ and (value is None or getattr(module, name) is value):
            return path
    return None
