"""The viewer's page: one file that loads nothing, with a script that unpacks the episodes as they are asked for."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from sotopia_env.rewards.labelling import check_payable, relabel
from sotopia_env.rewards.model_usage import models_in
from sotopia_env.rewards.resolve import get_reward
from sotopia_env.showing.runs import Run
from sotopia_env.storage.journal import replace_file
from sotopia_env.training import pages
from sotopia_env.training.viewer.data import Decoder, index_of, record_of

CHUNK = 50
"""So many episodes are unpacked at once."""


def viewer_page(
    runs: Sequence[Run], *, decode: Decoder | None = None, on_progress: Callable[[int], None] | None = None
) -> str:
    """The page of the episodes of some runs.

    Everything that stands in an episode is packed (gzip, base64) and drawn as text, so that none of it is markup.

    Args:
        runs: the first is what others are put beside.
        decode: what makes texts of the tokens of traces; without it they are shown as numbers.
        on_progress: told how many episodes are done.
    """
    names = [run.name for run in runs]
    told = ", ".join(names) if len(names) < 4 else f"{names[0]} and {len(names) - 1} more"
    return pages.page(
        "viewer.html.j2",
        title=f"Episodes: {told}",
        index=packed(json.dumps({**index_of(runs), "chunk": CHUNK}, ensure_ascii=False, allow_nan=False)),
        chunks=_chunks(runs, decode, on_progress or (lambda done: None)),
    )


def write_viewer(runs: Sequence[Run], out: str | Path, **options: Any) -> Path:
    """Write the page of :func:`viewer_page`, whole or not at all.

    Args:
        runs: what it shows.
        out: the file.
        options: of :func:`viewer_page`.
    """
    path = Path(out)
    replace_file(path, [viewer_page(runs, **options).encode()])
    return path


def with_reward(run: Run, given: Any) -> Run:
    """A run whose episodes are paid by one more reward; the file stays as it is.

    Args:
        run: as it was read.
        given: whatever :func:`sotopia_env.rewards.get_reward` takes.

    Raises:
        ValueError: the reward asks a model, or cannot be computed for these episodes.
    """
    reward = get_reward(given)
    if models_in(reward):
        raise ValueError(f"{reward.name}: it asks a model; pay by sotopia-env relabel, and view what that writes")
    check_payable(reward, run.episodes, run.name)
    return replace(run, episodes=relabel(list(run.episodes), reward))


def packed(text: str) -> str:
    """A text as the page holds it. Its letters are those of base64, so that it is nothing but text in any document."""
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=6, mtime=0)).decode()


def _chunks(runs: Sequence[Run], decode: Decoder | None, on_progress: Callable[[int], None]) -> Iterator[str]:
    episodes = ((run, episode) for run in runs for episode in run.episodes)
    done = 0
    while chunk := list(islice(episodes, CHUNK)):
        records = [record_of(episode, run.traces, decode) for run, episode in chunk]
        done += len(chunk)
        on_progress(done)
        yield packed(json.dumps(records, ensure_ascii=False, allow_nan=False))
