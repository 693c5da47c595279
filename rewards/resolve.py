"""From names to rewards."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sotopia_env.names import NameTable, import_attribute
from sotopia_env.rewards.designs import ATTRIBUTION_DESIGNS, DESIGNS, Kind
from sotopia_env.rewards.reward import Reward, as_reward, from_spec

BY_NAME = NameTable(
    {
        "progress": "sotopia_env.rewards:Progress",
        "length": "sotopia_env.rewards:LengthPenalty",
        "format": "sotopia_env.rewards:FormatPenalty",
        "repetition": "sotopia_env.rewards:RepetitionPenalty",
        "secret": "sotopia_env.rewards:SecretPenalty",
    }
)
"""Rewards that need nothing but their name."""

WITH_ARGUMENT = {
    "monte-carlo": ("sotopia_env.rewards:MonteCarlo", "POLICY", "a policy that continues episodes"),
    "shapley": ("sotopia_env.rewards:Shapley", "POLICY", "a policy that says turns anew"),
    "model": ("sotopia_env.rewards:RewardModel", "FOLDER", "the folder of a trained reward model"),
}
"""Rewards whose name goes on with what they need: ``kind:argument``."""

_OUTCOME, _ATTRIBUTION = "sotopia_env.rewards:Outcome", "sotopia_env.rewards:Attribution"
_PAPER = "progress-paper"
_EXAMPLES = {"POLICY": "scripted:warm", "FOLDER": "runs/rm"}
_TERM = re.compile(r"\s*(?:(?P<weight>[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*\*)?\s*(?P<name>\S.*?)\s*")


def reward_names() -> list[str]:
    """The names :func:`get_reward` knows."""
    first, *penalties = BY_NAME
    with_argument = [f"{kind}:{argument}" for kind, (_, argument, _) in WITH_ARGUMENT.items()]
    return [*DESIGNS, *ATTRIBUTION_DESIGNS, first, _PAPER, *with_argument, *penalties]


def get_reward(given: Any) -> Reward:
    """A reward from whatever stands for one.

    Args:
        given: a design (``"episode"``, ``"uniform"``, ``"broadcast"``, ``"discounted"``, and by the importance of
            turns ``"scaled"``, ``"singular"``, ``"direct"``, ``"direct-centred"``), ``"progress"``,
            ``"progress-paper"``, ``"monte-carlo:POLICY"`` (continuations by that policy on every seat),
            ``"shapley:POLICY"`` (turns said anew by it), ``"model:FOLDER"`` (a trained reward model), a penalty
            (``"length"``, ``"format"``, ``"repetition"``, ``"secret"``), a weighted sum of such names
            (``"episode + 0.5 * length"``), each of them ``as return`` or ``as credit`` where its design may be used as
            either (``"uniform as credit"``; a return is the default), ``module:attribute``, what ``Reward.spec``
            returned, a ``Reward``, or a function of a list of episodes.

    Raises:
        ValueError: no reward of that name.
        TypeError: the object is no reward.
    """
    if isinstance(given, Mapping):
        return from_spec(given)
    if isinstance(given, str):
        if given in DESIGNS:
            return import_attribute(_OUTCOME)(given)
        if given in ATTRIBUTION_DESIGNS:
            return import_attribute(_ATTRIBUTION)(given)
        if given == _PAPER:
            return BY_NAME["progress"](paper=True)
        if (terms := _terms(given)) is not None:
            return sum(terms[1:], terms[0])
        name, said, use = given.rpartition(" as ")
        if said:
            return _used_as(get_reward(name), use)
        if given in BY_NAME:
            return as_reward(BY_NAME[given]())
        kind, _, argument = given.partition(":")
        if kind in WITH_ARGUMENT:
            path, what, needed = WITH_ARGUMENT[kind]
            if not argument:
                raise ValueError(f"{kind} needs {needed}: '{kind}:{_EXAMPLES[what]}'")
            return import_attribute(path)([argument] if what == "POLICY" else argument)
        if ":" not in given:
            raise ValueError(f"unknown reward {given!r}; one of {', '.join(reward_names())}, or module:attribute")
        given = import_attribute(given)
    if isinstance(given, type) and issubclass(given, Reward):
        given = given()
    return as_reward(given)


def name_with_use(reward: Reward) -> str:
    """Returns a reward's name and, where its design may be put to another use, its own: ``uniform as credit``."""
    names = []
    for weight, part in reward.parts():
        name = f"{part.name} as {part.kind}" if len(_kinds(part)) > 1 else part.name
        names.append(name if weight == 1 else f"{weight:g} * {name}")
    return " + ".join(names)


def uses_of(reward: Reward) -> list[Reward]:
    """Returns a reward in each use that its design may be put to; one without a design as it is."""
    return [_used_as(reward, kind) for kind in _kinds(reward)] or [reward]


def _kinds(part: Any) -> tuple[Kind, ...]:
    """What the design of a reward may be used as; nothing where it has no design."""
    design = getattr(part, "design", None)
    known = {**DESIGNS, **ATTRIBUTION_DESIGNS}
    return known[design].kinds if isinstance(design, str) and design in known else ()


def _used_as(reward: Any, use: str) -> Reward:
    kinds = _kinds(reward) or (reward.kind,)
    if use not in kinds:
        raise ValueError(f"reward {reward.name!r} is a {' or a '.join(kinds)}, and not used as {use!r}")
    made: Reward = reward if use == reward.kind else replace(reward, kind=use)
    return made


def _terms(text: str) -> list[Reward] | None:
    """The rewards that ``"a + 0.1 * b"`` adds; ``None`` where it is no sum and no multiple."""
    terms = [_TERM.fullmatch(term) for term in text.split(" + ")]
    if len(terms) == 1 and (terms[0] is None or terms[0]["weight"] is None):
        return None
    if None in terms:
        raise ValueError(f"reward {text!r}: a sum is written 'episode + 0.5 * length'")
    return [float(term["weight"] or 1.0) * get_reward(term["name"]) for term in terms if term is not None]
