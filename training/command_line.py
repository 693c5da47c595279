"""Training from the command line: settings from a YAML file and options by TRL's own names."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from peft import LoraConfig
from pydantic import ConfigDict, TypeAdapter, ValidationError
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK, get_available_reporting_integrations

from sotopia_env.agents.embedded import build_embedded_model
from sotopia_env.agents.loading import LoadedModel
from sotopia_env.episodes import Episode
from sotopia_env.rewards.dimensions import read_weights
from sotopia_env.storage.episodes import some_episodes
from sotopia_env.tables import Table
from sotopia_env.training.batches import corpus
from sotopia_env.training.behaviour_cloning import CloningConfig, clone
from sotopia_env.training.reward_modelling.config import RewardModelConfig
from sotopia_env.training.reward_modelling.labels import labels_of
from sotopia_env.training.reward_modelling.report import report_table
from sotopia_env.training.reward_modelling.train import REPORT, train_reward_model

_BY_OPTION = {"output_dir": "--out", "seed": "--seed"}
"""Settings that options of the command say."""
_ABOVE_ZERO = frozenset(
    {"per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps", "num_train_epochs"}
    | {"logging_steps", "save_steps", "eval_steps", "num_generations", "num_iterations", "steps_per_generation"}
    | {"temperature", "max_turn_tokens", "max_completion_length", "max_length", "states_per_dialogue"}
)
"""Settings of which 0 is none either."""


def read_settings(kind: type[Any], out: Path, config: Path | None, extra: Sequence[str], seed: int) -> Any:
    """Settings of a trainer.

    ``trl.TrlParser`` cannot read tuples and optional mappings, which these have; names and file format are its own.

    Args:
        kind: their dataclass.
        out: the folder of the run.
        config: a YAML file with names of the dataclass.
        extra: ``--NAME VALUE`` or ``--NAME=VALUE``, which override the file; a ``--NAME`` alone is true.
        seed: of the run.

    Raises:
        ValueError: a name that the dataclass does not have or that an option says, a value of another type or out of
            its range, or a tracker that is not installed.
        FileNotFoundError: there is no such file.
    """
    given = [(f"{config}: {name}", name, [value]) for name, value in _from_file(config).items()]
    # A text is taken as it stands where the setting is one, and as YAML where it is not: "none" may be either.
    given += [(f"--{name}", name, [text, _from_yaml(text)]) for name, text in _pairs(extra)]
    return checked_settings(kind, out, given, seed)


def checked_settings(kind: type[Any], out: Path, given: Sequence[tuple[str, str, Sequence[Any]]], seed: int) -> Any:
    """Settings of a trainer, each checked where it was given; arguments and errors as in :func:`read_settings`.

    Args:
        kind: their dataclass.
        out: the folder of the run.
        given: where it stands, its name, and the readings of its value of which the first that fits is taken.
        seed: of the run.
    """
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind) if field.init]
    defaults = {field.name: field.default for field in fields(kind)}
    values: dict[str, Any] = {}
    for where, name, readings in given:
        if name not in names:
            near = get_close_matches(name, names, n=3)
            remedy = f"; did you mean {' or '.join(near)}?" if near else ""
            raise ValueError(f"{where}: {kind.__name__} has no setting of that name{remedy}")
        if name in _BY_OPTION:
            raise ValueError(f"{where}: {_BY_OPTION[name]} says that; leave it out")
        values[name] = _of_type(hints[name], readings, where)
        _check_number(values[name], default=defaults.get(name), where=where, name=name)
    try:
        settings = kind(**{**values, "output_dir": str(out), "seed": seed})
    except (ValueError, TypeError, ImportError, RuntimeError) as error:
        # Settings are checked by the libraries that know them, which do not say where a value was given.
        raise ValueError(f"{', '.join(where for where, _, _ in given) or kind.__name__}: {error}") from error
    _check_trackers(settings.report_to)
    return settings


def clone_from_file(
    episodes: Path,
    model: str,
    out: Path,
    *,
    config: Path | None = None,
    extra: Sequence[str] = (),
    seed: int = 0,
    lora_rank: int = 0,
) -> Path:
    """Clone the behaviour of the episodes of a file.

    Args:
        episodes: JSON lines.
        model: ``"embedded"`` for a new embedded model, a directory, or a hub id.
        out: the folder for the clone.
        config: a YAML file with settings of :class:`CloningConfig`.
        extra: options that override it.
        seed: of the run, and of the embedded model's weights.
        lora_rank: of an adapter to be trained; 0 trains the whole model.
    """
    settings = read_settings(CloningConfig, out, config, extra, seed)
    played = some_episodes(episodes)
    return clone(played, _start(model, played, seed), out=out, args=settings, peft_config=adapter_of(lora_rank))


def reward_model_from_file(
    episodes: Path,
    model: str,
    out: Path,
    *,
    dimensions: str,
    target: Any = "labels",
    design: str = "direct",
    attributor: str = "rule",
    judge: str = "rule",
    config: Path | None = None,
    extra: Sequence[str] = (),
    seed: int = 0,
    lora_rank: int = 0,
) -> Table:
    """Train a reward model on the episodes of a file.

    Args:
        episodes: JSON lines.
        model: ``"embedded"`` for a new embedded model, a directory, or a hub id.
        out: the folder for the reward model.
        dimensions: names with commas between them; ``NAME=WEIGHT`` where the weight is not 1.
        target: ``"labels"``, ``"outcome"`` or ``"episode"``.
        design: what gives the labels; read where they are the target.
        attributor: where the design needs one.
        judge: who scores the episodes.
        config: a YAML file with settings of :class:`RewardModelConfig`.
        extra: options that override it.
        seed: of the run, and of the embedded model's weights.
        lora_rank: of an adapter to be trained; 0 trains the whole model.

    Returns:
        The report on held-out scenarios as a table.
    """
    settings = read_settings(RewardModelConfig, out, config, extra, seed)
    weights = read_weights(dimensions)
    labels = labels_of(design if target == "labels" else "broadcast", list(weights), attributor, judge)
    played = some_episodes(episodes)
    train_reward_model(
        played,
        _start(model, played, seed),
        labels=labels,
        out=out,
        args=settings,
        target=target,
        weights=weights,
        peft_config=adapter_of(lora_rank),
    )
    return report_table(json.loads((out / REPORT).read_text(encoding="utf-8")))


def _start(model: str, played: Sequence[Episode], seed: int) -> Any:
    if model == "embedded":
        return LoadedModel(*build_embedded_model(corpus(played), seed), "embedded")
    return model


def adapter_of(rank: int) -> LoraConfig | None:
    """Settings of a LoRA adapter of a rank; ``None`` where it is 0."""
    return LoraConfig(r=rank, lora_alpha=2 * rank, task_type="CAUSAL_LM") if rank else None


def _pairs(extra: Sequence[str]) -> list[tuple[str, str]]:
    """Names and texts of ``--NAME VALUE``, ``--NAME=VALUE`` and ``--NAME``."""
    pairs = []
    left = list(extra)
    while left:
        name, given, text = left.pop(0).partition("=")
        if not name.startswith("--"):
            raise ValueError(f"{name!r} belongs to no option; settings are given as --NAME VALUE")
        if not given:
            text = left.pop(0) if left and not left[0].startswith("--") else "true"
        pairs.append((name.removeprefix("--").replace("-", "_"), text))
    return pairs


def _from_file(config: Path | None) -> dict[str, Any]:
    if config is None:
        return {}
    if not config.is_file():
        raise FileNotFoundError(f"--config: there is no file {config}")
    try:
        found = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"--config: {config} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise ValueError(f"--config: {config} holds no mapping of names to values")
    return {str(name): value for name, value in found.items()}


def _from_yaml(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _check_number(value: Any, *, default: Any, where: str, name: str) -> None:
    """Refuse numbers that no trainer can use, and that many take without a word."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    if not math.isfinite(value):
        raise ValueError(f"{where}: {value} is no finite number")
    if value <= 0 and name in _ABOVE_ZERO:
        raise ValueError(f"{where}: {value} is not above 0")
    if value < 0 and value != default:
        raise ValueError(f"{where}: {value} is below 0")


def _check_trackers(names: Sequence[str]) -> None:
    """Refuse a tracker that is not installed before the run begins, not after its model is loaded."""
    here = get_available_reporting_integrations()
    for name in names:
        if name not in INTEGRATION_TO_CALLBACK:
            known = ", ".join(INTEGRATION_TO_CALLBACK)
            raise ValueError(f"--report_to: {name!r} is no tracker; one of none, all, {known}")
        # Of flyte alone there is no telling.
        if name not in (*here, "flyte"):
            installed = f"; installed are {', '.join(here)}" if here else ""
            raise ValueError(
                f"--report_to: {name} is not installed here: pip install {name}, or leave it out{installed}"
            )


def _of_type(hint: Any, readings: Sequence[Any], where: str) -> Any:
    """The first reading of a value that is of the type."""
    adapter: TypeAdapter[Any] = TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
    reasons = []
    for reading in readings:
        try:
            return adapter.validate_python(reading)
        except ValidationError as error:
            reasons.append(error.errors()[0]["msg"])
    raise ValueError(f"{where}: {readings[0]!r} does not fit: {reasons[0]}")
