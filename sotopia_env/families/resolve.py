"""From names to families."""

from __future__ import annotations

from typing import Any

from sotopia_env.families.base import Family, UserFamily
from sotopia_env.names import import_attribute


def as_family(given: Any) -> Family:
    """A family from a name (``"bargain"``), ``module:attribute``, a class, or an object with generate and score."""
    from sotopia_env.families import FAMILIES

    if isinstance(given, str):
        if given in FAMILIES:
            return FAMILIES[given]()
        if ":" not in given:
            raise ValueError(f"unknown family {given!r}; one of {', '.join(FAMILIES)}, or module:attribute")
        given = import_attribute(given)
    if isinstance(given, type):
        given = given()
    if isinstance(given, Family):
        return given
    missing = [name for name in ("generate", "score") if not callable(getattr(given, name, None))]
    if missing:
        raise TypeError(f"{given!r:.80} is no family: it has no {' and no '.join(missing)}")
    return UserFamily(given)
