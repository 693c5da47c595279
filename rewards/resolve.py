"""From names to rewards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sotopia_env.resolve import import_attribute
from sotopia_env.rewards.designs import DESIGNS
from sotopia_env.rewards.monte_carlo import MonteCarlo
from sotopia_env.rewards.outcome import Outcome
from sotopia_env.rewards.reward import Reward, Sum, as_reward

_MONTE_CARLO = "monte-carlo"


def reward_names() -> list[str]:
    """The names :func:`get_reward` knows."""
    return [*DESIGNS, f"{_MONTE_CARLO}:POLICY"]


def get_reward(given: Any) -> Reward:
    """A reward from whatever stands for one.

    Args:
        given: a design (``"episode"``, ``"uniform"``, ``"broadcast"``, ``"discounted"``), ``"monte-carlo:POLICY"``
            (continuations by that policy on every seat), ``module:attribute``, what ``Reward.spec`` returned, a
            ``Reward``, or a function of a list of episodes.

    Raises:
        ValueError: no reward of that name.
        TypeError: the object is no reward.
    """
    if isinstance(given, Mapping):
        return _from_spec(given)
    if isinstance(given, str):
        if given in DESIGNS:
            return Outcome(given)
        kind, _, policy = given.partition(":")
        if kind == _MONTE_CARLO:
            if not policy:
                raise ValueError("monte-carlo needs a policy that continues episodes: 'monte-carlo:scripted:warm'")
            return MonteCarlo([policy])
        if ":" not in given:
            raise ValueError(f"unknown reward {given!r}; one of {', '.join(reward_names())}, or module:attribute")
        given = import_attribute(given)
    if isinstance(given, type) and issubclass(given, Reward):
        given = given()
    return as_reward(given)


def _from_spec(spec: Mapping[str, Any]) -> Reward:
    if "type" not in spec:
        raise ValueError(f"a spec of a reward names its type; got the fields {', '.join(map(str, spec))}")
    found = import_attribute(str(spec["type"]))
    if not (isinstance(found, type) and issubclass(found, Reward)):
        raise TypeError(f"type: {spec['type']!r} is no reward")
    if found is Sum:
        return Sum(tuple((float(weight), get_reward(part)) for weight, part in spec["terms"]))
    return found(**{name: _read(value) for name, value in spec.items() if name != "type"})


def _read(value: Any) -> Any:
    return get_reward(value) if isinstance(value, Mapping) and "type" in value else value
