"""What rewards, judges, attributors and potentials share: what each is made of, and how it is written as text."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, ClassVar, Self

from sotopia_env.families.base import Family
from sotopia_env.names import import_attribute, public_path
from sotopia_env.tasks import Task


class Component(ABC):
    """A reward, judge, attributor or potential: itself made of others, and never changed.

    * ``name``: what infos, judgements, stored episodes and reports call it.
    * ``needs``: what it takes besides the episode, such as ``"continuations"``.
    * ``waits``: whether it asks a server, so that others can work meanwhile.
    * ``computes``: whether it runs a model on this machine, so that they had better not.
    * ``SPEC_KEY``: under which key a spec names the type.
    """

    name: str
    needs: ClassVar[tuple[str, ...]] = ()
    waits: ClassVar[bool] = False
    computes: ClassVar[bool] = False
    SPEC_KEY: ClassVar[str] = "type"

    def children(self) -> tuple[Component, ...]:
        """Returns the rewards, judges, attributors and potentials it is directly made of: those among its fields."""
        return tuple(child for value in _fields_of(self).values() for child in _components_in(value))

    def walk(self) -> Iterator[Component]:
        """Returns itself and all it is made of, each once and before its children."""
        seen: set[int] = set()
        left: list[Component] = [self]
        while left:
            component = left.pop()
            if id(component) not in seen:
                seen.add(id(component))
                yield component
                left += reversed(component.children())

    @property
    def works_beside(self) -> bool:
        """Whether it waits for servers more than it computes, and can be asked of some episodes before others."""
        parts = list(self.walk())
        return any(part.waits for part in parts) and not any(part.computes or part.needs for part in parts)

    def with_children(self, change: Callable[[Any], Component]) -> Self:
        """Returns the same made of other children; itself where none of them changes.

        Args:
            change: from a child to what takes its place.
        """
        values = _fields_of(self)
        new = {name: _changed(value, change) for name, value in values.items()}
        changed = {name: value for name, value in new.items() if value is not values[name]}
        return replace(self, **changed) if changed else self  # type: ignore[type-var]

    def check(self, family: Family, tasks: Sequence[Task] | None = None) -> None:
        """Raises ``ValueError`` where it, or what it is made of, can never be computed for these tasks."""
        for child in self.children():
            child.check(family, tasks)

    def for_family(self, family: Family) -> Self:
        """Returns the same with a family at hand that cannot be found again by its name."""
        return self.with_children(lambda child: child.for_family(family))

    def spec(self) -> Any:
        """Returns plain JSON-able data of which an equal one is made: its type by a public path, and its arguments.

        Raises:
            ValueError: something in it cannot be written as text.
        """
        if not is_dataclass(self):
            raise ValueError(
                f"{self.SPEC_KEY}: {type(self).__name__} is no dataclass and cannot be written as text; define spec()"
            )
        return {self.SPEC_KEY: plain(type(self), self.SPEC_KEY), **self._arguments()}

    def _arguments(self, without: str = "") -> dict[str, Any]:
        """Its fields as JSON-able data, one of them left out."""
        return {name: plain(value, name) for name, value in _fields_of(self).items() if name != without}


def plain(value: Any, field: str) -> Any:
    """Returns an argument as JSON-able data: components by their specs, classes and functions by their paths.

    Args:
        value: the argument.
        field: what it is called, for the error.

    Raises:
        ValueError: it cannot be written as text.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Component):
        return plain(value.spec(), field)
    if isinstance(value, Mapping):
        return {str(key): plain(item, field) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, field) for item in value]
    path = public_path(value)
    if path is None:
        raise ValueError(f"{field}: {value!r:.80} cannot be written as text; give it by name or module:attribute")
    return path


def name_function(component: Any) -> None:
    """Gives a component of a function that function's name where it has none, and the function behind a path.

    Args:
        component: a frozen dataclass with the fields ``function`` (a path where a spec was read) and ``name``.
    """
    if isinstance(component.function, str):
        object.__setattr__(component, "function", import_attribute(component.function))
    if not component.name:
        function = component.function
        object.__setattr__(component, "name", getattr(function, "__name__", type(function).__name__))


def _fields_of(component: Any) -> dict[str, Any]:
    names = [field.name for field in fields(component)] if is_dataclass(component) else []
    return {name: getattr(component, name) for name in names}


def _components_in(value: Any) -> list[Component]:
    if isinstance(value, Component):
        return [value]
    return [child for item in value for child in _components_in(item)] if isinstance(value, tuple) else []


def _changed(value: Any, change: Callable[[Any], Component]) -> Any:
    if isinstance(value, Component):
        return change(value)
    if not isinstance(value, tuple):
        return value
    new = tuple(_changed(item, change) for item in value)
    return new if any(one is not old for one, old in zip(new, value, strict=True)) else value
