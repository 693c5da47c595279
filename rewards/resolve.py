"""From names to rewards."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sotopia_env.resolve import import_attribute
from sotopia_env.rewards.attribution import Attribution
from sotopia_env.rewards.attribution_designs import ATTRIBUTION_DESIGNS
from sotopia_env.rewards.designs import DESIGNS
from sotopia_env.rewards.monte_carlo import MonteCarlo
from sotopia_env.rewards.outcome import Outcome
from sotopia_env.rewards.progress import Progress
from sotopia_env.rewards.reward import Reward, Sum, as_reward
from sotopia_env.rewards.shapley import Shapley

_MONTE_CARLO = "monte-carlo"
_SHAPLEY = "shapley"
_PROGRESS = ("progress", "progress-paper")
_MODEL = "model"
_TERM = re.compile(r"\s*(?:(?P<weight>[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*\*)?\s*(?P<name>\S.*?)\s*")


def reward_names() -> list[str]:
    """The names :func:`get_reward` knows."""
    with_argument = (f"{_MONTE_CARLO}:POLICY", f"{_SHAPLEY}:POLICY", f"{_MODEL}:FOLDER")
    return [*DESIGNS, *ATTRIBUTION_DESIGNS, *_PROGRESS, *with_argument, *_penalties()]


def get_reward(given: Any) -> Reward:
    """A reward from whatever stands for one.

    Args:
        given: a design (``"episode"``, ``"uniform"``, ``"broadcast"``, ``"discounted"``, and by the importance of
            turns ``"scaled"``, ``"singular"``, ``"direct"``, ``"direct-centred"``), ``"progress"``,
            ``"progress-paper"``, ``"monte-carlo:POLICY"`` (continuations by that policy on every seat),
            ``"shapley:POLICY"`` (turns said anew by it), ``"model:FOLDER"`` (a trained reward model), a penalty
            (``"length"``, ``"format"``, ``"repetition"``, ``"secret"``), a weighted sum of such names
            (``"episode + 0.5 * length"``), ``module:attribute``, what
            ``Reward.spec`` returned, a ``Reward``, or a function of a list of episodes.

    Raises:
        ValueError: no reward of that name.
        TypeError: the object is no reward.
    """
    if isinstance(given, Mapping):
        return _from_spec(given)
    if isinstance(given, str):
        if given in DESIGNS:
            return Outcome(given)
        if given in ATTRIBUTION_DESIGNS:
            return Attribution(given)
        if given in _PROGRESS:
            return Progress(paper=given == _PROGRESS[1])
        if (terms := _terms(given)) is not None:
            return sum(terms[1:], terms[0])
        if given in (penalties := _penalties()):
            return as_reward(penalties[given]())
        kind, _, policy = given.partition(":")
        if kind == _MODEL:
            return _model(policy)
        if kind == _MONTE_CARLO:
            if not policy:
                raise ValueError("monte-carlo needs a policy that continues episodes: 'monte-carlo:scripted:warm'")
            return MonteCarlo([policy])
        if kind == _SHAPLEY:
            if not policy:
                raise ValueError("shapley needs a policy that says turns anew: 'shapley:scripted:warm'")
            return Shapley([policy])
        if ":" not in given:
            raise ValueError(f"unknown reward {given!r}; one of {', '.join(reward_names())}, or module:attribute")
        given = import_attribute(given)
    if isinstance(given, type) and issubclass(given, Reward):
        given = given()
    return as_reward(given)


def _model(folder: str) -> Reward:
    """A trained reward model."""
    # It has a wrapper of its own, and the wrapper reads names: it stands above this file.
    from sotopia_env.rewards.reward_model import RewardModel

    if not folder:
        raise ValueError("model needs the folder of a trained reward model: 'model:runs/rm'")
    return RewardModel(folder)


def _penalties() -> dict[str, type[Reward]]:
    """The penalties by name, with their default arguments."""
    # Penalties wrap environments, and the wrapper reads names: they stand above this file.
    from sotopia_env.rewards import penalties as P

    return {made.name: made for made in (P.LengthPenalty, P.FormatPenalty, P.RepetitionPenalty, P.SecretPenalty)}


def _terms(text: str) -> list[Reward] | None:
    """The rewards that ``"a + 0.1 * b"`` adds; ``None`` where it is no sum and no multiple."""
    terms = [_TERM.fullmatch(term) for term in text.split(" + ")]
    if len(terms) == 1 and (terms[0] is None or terms[0]["weight"] is None):
        return None
    if None in terms:
        raise ValueError(f"reward {text!r}: a sum is written 'episode + 0.5 * length'")
    return [float(term["weight"] or 1.0) * get_reward(term["name"]) for term in terms if term is not None]


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
