"""What kind of part something is, and its check."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from sotopia_env.families import FAMILIES
from sotopia_env.families.base import Family
from sotopia_env.names import import_attribute
from sotopia_env.resolve import list_names
from sotopia_env.rewards.judges.base import BY_RULES, Judge
from sotopia_env.rewards.reward import Reward
from sotopia_env.testing.families import check_family
from sotopia_env.testing.judges import check_judge
from sotopia_env.testing.policies import check_policy
from sotopia_env.testing.reports import Report
from sotopia_env.testing.rewards import check_reward

KINDS: dict[str, Callable[..., Report]] = {
    "policy": check_policy,
    "reward": check_reward,
    "family": check_family,
    "judge": check_judge,
}
"""The check of each kind of part."""

_PARAMETERS = {("observation", "rng"): "policy", ("episode", "agent"): "judge", ("episodes",): "reward"}


def check(part: Any, kind: str | None = None, **options: Any) -> Report:
    """Check a part of any kind.

    Args:
        part: a name, ``module:attribute``, or the object itself.
        kind: one of :data:`KINDS`, where it does not follow from the part.
        options: of the check.

    Returns:
        The report of a part that keeps all its rules.

    Raises:
        ConformanceError: it breaks one.
        ValueError: nobody can tell what kind of part it is.
    """
    if kind is not None and kind not in KINDS:
        raise ValueError(f"kind: {kind!r} is none of {', '.join(KINDS)}")
    return KINDS[kind or kind_of(part)](part, **options)


def kind_of(part: Any) -> str:
    """What kind of part something is: by its name, its class, its methods, or the parameters of a function.

    Raises:
        ValueError: nothing tells.
    """
    found = _named(part) if isinstance(part, str) else _made(part)
    if found is None:
        kinds = ", ".join(KINDS)
        raise ValueError(f"{part!r:.80}: nothing tells what kind of part it is; say kind = one of {kinds}")
    return found


def _named(name: str) -> str | None:
    """The kind of a part given by its name; what ships is known by name, and all else is imported."""
    if name in FAMILIES:
        return "family"
    if name in BY_RULES:
        return "judge"
    if name in list_names()["rewards"]() or name.startswith("monte-carlo:"):
        return "reward"
    if name == "random" or name.partition(":")[0] in ("scripted", "local", "openai"):
        return "policy"
    if ":" not in name:
        raise ValueError(f"{name!r} is no name of this package; give module:attribute, or see: sotopia-env list")
    return _made(import_attribute(name))


def _made(part: Any) -> str | None:
    of_class = part if isinstance(part, type) else type(part)
    for kind, base in (("reward", Reward), ("judge", Judge), ("family", Family)):
        if issubclass(of_class, base):
            return kind
    has = [name for name in ("act", "generate", "score", "judge", "rewards") if callable(getattr(part, name, None))]
    if "act" in has:
        return "policy"
    if "generate" in has:
        return "family"
    if "score" in has or "judge" in has:
        return "judge"
    if not callable(part):
        return None
    try:
        names = tuple(inspect.signature(part).parameters)
    except (TypeError, ValueError):
        return None
    return _PARAMETERS.get(names) or ("reward" if len(names) == 1 else None)
