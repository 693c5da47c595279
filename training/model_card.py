"""The card of a trained model: what was trained on what, in the ``README.md`` of its folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from transformers import TrainingArguments

import sotopia_env
from sotopia_env.describe import digest
from sotopia_env.episodes import Episode
from sotopia_env.families.formal import is_formal
from sotopia_env.rollouts.manifest import redacted
from sotopia_env.storage.journal import replace_file
from sotopia_env.tables import Table, markdown
from sotopia_env.training.checkpoints import settings
from sotopia_env.training.options import default_of

CARD = "README.md"

_FILLED_IN = frozenset(
    ("accelerator_config", "debug", "eos_token", "hub_token", "pad_to_multiple_of", "pad_token", "report_to")
)
"""Settings whose values are not those given: libraries fill them in, or hide them."""

_HEADER = """\
---
library_name: {library}
tags: [sotopia-env, {tag}]
---
"""


def write_model_card(
    folder: Path,
    tag: str,
    said: str,
    facts: Mapping[str, Any],
    args: TrainingArguments,
    besides: Iterable[Table] = (),
) -> None:
    """Write the card, over any that a library has written there.

    Args:
        folder: of the model.
        tag: the method in a word.
        said: the method in a sentence.
        facts: what it was made of, by name: the start model, data, world.
        args: settings; those are told that are not the usual ones, and none that names a place of the machine.
        besides: tables at the end, such as how good it is.
    """
    # Not those of settings made anew: that would reset what accelerate shares with a trainer.
    usual = {setting.name: default_of(setting) for setting in fields(args)}
    given = settings(args, besides=_FILLED_IN)
    chosen = {name: value for name, value in given.items() if value != usual.get(name)}
    # What is open by default, and came out as off, nobody has chosen.
    chosen = {name: value for name, value in chosen.items() if value is not False or usual.get(name) is not None}
    parts: list[str | Table] = [
        f"# {folder.resolve().name}",
        f"{said} By sotopia-env {sotopia_env.__version__}; `complete.json` says all that decided the result.",
        Table(["", ""], [[name, redacted(str(value))] for name, value in facts.items() if value is not None]),
        "## Settings",
        "Those that are not the usual ones of the command; the seed always.",
        Table(["", ""], [[name, redacted(str(value))] for name, value in {**chosen, "seed": args.seed}.items()]),
        *besides,
    ]
    library = "peft" if (folder / "adapter_config.json").is_file() else "transformers"
    replace_file(folder / CARD, [(_HEADER.format(library=library, tag=tag) + markdown(*parts)).encode()])


def told_fact(folder: Path, name: str) -> str | None:
    """Returns what the card in a folder says of a fact; ``None`` where there is no card, or no such fact."""
    card = folder / CARD
    if not card.is_file():
        return None
    rows = (line.split("|") for line in card.read_text(encoding="utf-8").splitlines() if line.startswith("|"))
    return next((row[2].strip() for row in rows if len(row) > 3 and row[1].strip() == name), None)


def data_facts(episodes: Sequence[Episode]) -> dict[str, Any]:
    """What a model was taught by some episodes: how many, of which worlds, played by whom."""
    worlds = {f"{episode.task.family} {episode.task.version}": None for episode in episodes}
    modes = {"formal" if is_formal(episode.task) else "plain" for episode in episodes}
    players = {name: None for episode in episodes for name in episode.policies.values()}
    return {
        "episodes": len(episodes),
        "worlds": ", ".join(worlds),
        "agreements": " and ".join(sorted(modes)),
        "played by": ", ".join(sorted(players)),
        "digest of their keys": digest([episode.key for episode in episodes]),
    }
