"""From names to policies."""

from __future__ import annotations

import re
from collections.abc import Callable
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

from sotopia_env.agents.functions import FunctionPolicy
from sotopia_env.agents.random_policy import RandomPolicy
from sotopia_env.agents.scripted.erratic import erratic
from sotopia_env.agents.scripted.policy import ChangingPolicy, MixedPolicy, ScriptedPolicy
from sotopia_env.agents.scripted.traits import CLONED, PRESETS
from sotopia_env.names import import_attribute, name_and_options
from sotopia_env.policies import Policy

_ADDRESS = re.compile(r"@(?=https?://)")


def policy_names() -> list[str]:
    """Every form of name :func:`make_policy` takes."""
    return [
        "random",
        "erratic",
        "scripted:mixed",
        "scripted:changing",
        *(f"scripted:{name}" for name in PRESETS),
        "local:DIR or hub id",
        "local:DIR?thinking=on",
        "local:DIR?dtype=float32",
        "vllm:DIR@URL",
        "vllm:DIR",
        "openai:MODEL",
        "openai:MODEL@URL",
        "openai:MODEL@URL?thinking=off",
        "human",
        "module:attribute",
    ]


def make_policy(given: Any, **options: Any) -> Policy:
    """A policy from a name, a model directory, a function, a class or an object.

    Raises:
        ValueError: the name is none of :func:`policy_names`.
    """
    if isinstance(given, str | Path):
        return _named(str(given), options)
    if isinstance(given, type):
        return given(**options)
    if callable(getattr(given, "act", None)):
        return given
    if callable(given):
        return FunctionPolicy(given, **options)
    raise TypeError(f"{given!r:.80} is no policy: give a name, a function (observation, rng), or an object with act")


def _named(name: str, options: dict[str, Any]) -> Policy:
    kind, _, rest = name.partition(":")
    if name == "random":
        return RandomPolicy(**options)
    if name == "erratic":
        return FunctionPolicy(erratic, name=name, **options)
    if kind == "scripted":
        if rest in ("mixed", "changing"):
            kinds = MixedPolicy if rest == "mixed" else ChangingPolicy
            return kinds([ScriptedPolicy(preset) for preset in CLONED], **options)
        return ScriptedPolicy(rest, **options)
    if name == "human":
        from sotopia_env.agents.human import HumanPolicy

        return HumanPolicy(**options)
    if kind == "openai":
        from sotopia_env.agents.endpoint.client import Endpoint
        from sotopia_env.agents.openai_policy import OpenAIPolicy

        return _configured(OpenAIPolicy, rest, options, Endpoint)
    if kind == "vllm":
        from sotopia_env.agents.endpoint.client import Endpoint
        from sotopia_env.agents.local_lm import LocalLM

        source, _, address = _ADDRESS.sub("\n", rest.partition("?")[0], count=1).partition("\n")
        served = {"backend": "vllm", "url": address or None, "name": f"vllm:{source}"}
        return _configured(LocalLM, source + rest[len(rest.partition("?")[0]) :], {**served, **options}, Endpoint)
    if kind == "local" or Path(name.partition("?")[0]).is_dir():
        from sotopia_env.agents.loading import load_model
        from sotopia_env.agents.local_lm import LocalLM

        return _configured(LocalLM, rest if kind == "local" else name, options, load_model)
    if rest:
        return make_policy(import_attribute(name), **options)
    raise ValueError(f"unknown policy {name!r}; one of {', '.join(policy_names())}, or a model directory")


def _configured(kind: Callable[..., Policy], text: str, options: dict[str, Any], below: Callable[..., Any]) -> Policy:
    """A policy whose name may hold options, its own or those of what is below it; they stand in its name."""
    parameters = {**signature(below).parameters, **signature(kind).parameters}
    known = [option for option, parameter in parameters.items() if parameter.kind is Parameter.KEYWORD_ONLY]
    name, given = name_and_options(text, known)
    made = kind(name, **{**given, **options})
    if given and "name" not in {**given, **options}:
        made.name += text.removeprefix(name)
    return made
