"""Training from the command line: settings from a YAML file and options by TRL's own names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import trl
from peft import LoraConfig

from sotopia_env.agents.embedded import build_embedded_model
from sotopia_env.agents.loading import LoadedModel
from sotopia_env.storage import load_episodes
from sotopia_env.training.behaviour_cloning import CloningConfig, clone
from sotopia_env.training.corpus import corpus


def read_settings(kind: type[Any], out: Path, config: Path | None, extra: Sequence[str], seed: int) -> Any:
    """Settings of a trainer.

    Args:
        kind: their dataclass.
        out: the folder of the run.
        config: a YAML file with names of the dataclass.
        extra: ``--NAME VALUE`` pairs, which override the file.
        seed: of the run.

    Raises:
        ValueError: a name that the dataclass does not have.
    """
    arguments = ["--output_dir", str(out), "--seed", str(seed), *extra]
    if config is not None:
        if not config.is_file():
            raise FileNotFoundError(f"--config: there is no file {config}")
        arguments = ["--config", str(config), *arguments]
    try:
        (settings,) = trl.TrlParser(kind).parse_args_and_config(args=arguments)
    except SystemExit as error:
        raise ValueError(f"options {' '.join(extra)!r} and {config}: see the message above") from error
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
    played = load_episodes(episodes)
    start: Any = model
    if model == "embedded":
        start = LoadedModel(*build_embedded_model(corpus(played), seed), "embedded")
    adapter = LoraConfig(r=lora_rank, lora_alpha=2 * lora_rank, task_type="CAUSAL_LM") if lora_rank else None
    return clone(played, start, out=out, args=settings, peft_config=adapter)
