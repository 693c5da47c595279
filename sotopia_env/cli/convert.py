"""Turn a file of episodes into another format: training pairs, reward rows, Sotopia's own formats, parquet."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sotopia_env.cli.common import clear_errors, stderr

if TYPE_CHECKING:
    from sotopia_env.episodes import Episode

FORMATS = ("sft", "reward", "sotopia", "parquet", "jsonl")


def convert(
    source: Annotated[
        str, typer.Argument(metavar="IN", help="Episodes: of this package, published by Sotopia, or a hub id.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A file; for sotopia a .jsonl, or a folder.")],
    to: Annotated[str, typer.Option("--format", help=f"One of {', '.join(FORMATS)}.")],
    style: Annotated[
        str, typer.Option(help="Words of the questions of sft and reward: sotopia or native.")
    ] = "sotopia",
    prompt: Annotated[
        Path | None, typer.Option(help="A text with {agent}, {history}, {turn}, {action_types}: another question.")
    ] = None,
    reward: Annotated[str, typer.Option(help="Whose numbers the rows of reward hold.")] = "discounted",
    judge: Annotated[str | None, typer.Option(help="Whose stored scores count, such as gpt-4.")] = None,
    tag: Annotated[
        str | None, typer.Option(help="Name of the experiment in --format sotopia; else sotopia-env.")
    ] = None,
    profiles: Annotated[
        str | None, typer.Option(help="Sotopia's profiles for published episodes; SOTOPIA_ENV_DATA by default.")
    ] = None,
) -> None:
    """Turn episodes into training pairs (sft), reward rows (reward), Sotopia's formats, parquet or JSON lines."""
    with clear_errors():
        from sotopia_env.published.export import TAG
        from sotopia_env.published.pairs import save_pairs, training_pairs
        from sotopia_env.published.writing import save_published
        from sotopia_env.rendering import PROMPT
        from sotopia_env.storage.episodes import save_episodes

        if to not in FORMATS:
            raise ValueError(f"--format {to!r} is none of {', '.join(FORMATS)}")
        if out.exists() and out.resolve() == Path(source).expanduser().resolve() and not out.is_dir():
            raise ValueError(f"{out}: IN and OUT are one file, which holds more than --format {to}; name another OUT")
        template = PROMPT if prompt is None else prompt.read_text(encoding="utf-8")
        episodes = _read(source, profiles)
        if to in ("sft", "reward"):
            episodes, name = (episodes, None) if to == "sft" else _labelled(episodes, reward, judge)
            pairs = training_pairs(episodes, style, template=template, reward=name)
            if not pairs:
                raise ValueError(f"{source}: no utterance has a known worth; --judge NAME takes stored scores")
            written = f"{save_pairs(pairs, out)} rows of {len(episodes)} episodes"
        elif to == "sotopia":
            written = f"{save_published(episodes, out, judge, TAG if tag is None else tag)} episodes"
        elif to == "parquet":
            from sotopia_env.storage.parquet import save_parquet

            save_parquet(episodes, out)
            written = f"{len(episodes)} episodes"
        else:
            save_episodes(episodes, out)
            written = f"{len(episodes)} episodes"
        stderr.print(f"{written} are in {out}", soft_wrap=True, highlight=False)


def _read(source: str, profiles: str | None) -> list[Episode]:
    """Episodes of the package's own format or of a published one."""
    from sotopia_env.published.files import DATA_VARIABLE
    from sotopia_env.published.reading import any_episodes

    return any_episodes(source, profiles or os.environ.get(DATA_VARIABLE))


def _labelled(episodes: Sequence[Episode], name: str, judge: str | None) -> tuple[list[Episode], str]:
    """Episodes that carry a reward, and its name there."""
    from sotopia_env.rewards import Outcome, get_reward, relabel

    if judge is None and all(name in episode.rewards for episode in episodes):
        return list(episodes), name

    def stored(episode: Episode, agent: str) -> dict[str, float | None]:
        return _stored_scores(episode, agent, judge)

    reward: Any = get_reward(name) if judge in (None, "rule") else Outcome(name, judge=stored)
    return relabel(list(episodes), reward), reward.name


def _stored_scores(episode: Episode, agent: str, judge: str | None) -> dict[str, float | None]:
    found = [judgement for judgement in episode.judgements if judgement.judge == judge]
    if not found:
        there = ", ".join(judgement.judge for judgement in episode.judgements) or "none at all"
        raise ValueError(f"episode {episode.key}: no scores of {judge!r}; it has {there}")
    seat = episode.agents.index(agent)
    return {dimension: values[seat] for dimension, values in found[-1].scores.items()}
