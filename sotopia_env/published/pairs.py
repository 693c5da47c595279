"""Training pairs and reward rows: what an agent was asked, what it answered and, in a reward row, what that was worth.

Published as ``{"input", "output"}`` and ``{"input", "output", "value"}``, one row an utterance.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints

from sotopia_env.actions import Action
from sotopia_env.episodes import Episode, Turn
from sotopia_env.errors import RecordError
from sotopia_env.published.files import local_path
from sotopia_env.published.json_records import read_records
from sotopia_env.published.report import Report
from sotopia_env.rendering import PROMPT, STYLES, addressed, chat, chat_text, json_output, labels, own_output, prompt
from sotopia_env.schema import check_record
from sotopia_env.storage.journal import replace_file
from sotopia_env.views import entry_of, view


def _number(given: object) -> float | None:
    if given is None or (isinstance(given, int | float) and not isinstance(given, bool)):
        return given
    raise ValueError("a number is needed")


class _Row(BaseModel):
    input: Annotated[str, StringConstraints(min_length=1, strict=True)]
    output: Annotated[str, StringConstraints(strict=True)]
    value: Annotated[float | None, Field(allow_inf_nan=False), BeforeValidator(_number)] = None


@dataclass(frozen=True)
class Pair:
    """One utterance with the question for it.

    Args:
        input: what the agent was asked, its whole knowledge included.
        output: what it answered.
        value: the reward of the utterance, in a reward row.
    """

    input: str
    output: str
    value: float | None = None


def load_pairs(path: str | Path, on_error: str = "report") -> list[Pair]:
    """Read training pairs or reward rows.

    Args:
        path: JSON lines, a JSON list, or the id of a data set on the hub with its file.
        on_error: ``"report"`` warns of a row that cannot be used and skips it; ``"raise"`` raises.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: there is no row in it.
        RecordError: a row is wrong and ``on_error`` is ``"raise"``.
    """
    path = local_path(path)
    report = Report(str(path), on_error)
    pairs = []
    for where, raw in read_records(path, report):
        try:
            row = check_record(_Row, raw, where)
        except RecordError as error:
            report.add(error)
            continue
        pairs.append(Pair(row.input, row.output, row.value))
    report.close(len(pairs), "rows")
    if not pairs:
        raise ValueError(f"{path}: there is no row in it")
    return pairs


def training_pairs(
    episodes: Iterable[Episode], style: str = "sotopia", *, template: str = PROMPT, reward: str | None = None
) -> list[Pair]:
    """The pairs of episodes, one for each valid act.

    Args:
        episodes: played with any policies.
        style: ``"sotopia"`` asks in the published text and answers in JSON; ``"native"`` is the package's own chat.
        template: of the question in the ``sotopia`` style; see :func:`~sotopia_env.rendering.prompt`.
        reward: name of a reward the episodes carry, whose number for the utterance becomes ``value``. TurnRewards it
            does not know the worth of are left out.

    Raises:
        ValueError: an episode does not carry that reward, or the style is unknown.
    """
    if style not in STYLES:
        raise ValueError(f"training_pairs: style {style!r} is none of {', '.join(STYLES)}")
    pairs = []
    for episode in episodes:
        if reward is not None and reward not in episode.rewards:
            there = ", ".join(episode.rewards) or "none at all"
            raise ValueError(f"episode {episode.key}: it carries no reward {reward!r}, but {there}; label it first")
        for turn in episode.turns:
            value = None if reward is None else episode.rewards[reward][turn.agent][turn.own_index]
            if turn.type == "none" or (reward is not None and value is None):
                continue
            pairs.append(_pair(episode, turn, style, template, value))
    return pairs


def save_pairs(pairs: Iterable[Pair], path: str | Path) -> int:
    """Write pairs: a ``.json`` file takes a list, as published; any other JSON lines. Returns how many were written."""
    path = Path(path)
    rows = [
        {"input": pair.input, "output": pair.output, **({} if pair.value is None else {"value": pair.value})}
        for pair in pairs
    ]
    if path.suffix == ".json":
        text = json.dumps(rows, ensure_ascii=False, indent=1)
    else:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    replace_file(path, [text.encode()])
    return len(rows)


def _pair(episode: Episode, turn: Turn, style: str, template: str, value: float | None) -> Pair:
    seen = view(episode, turn.agent, turn.global_index)
    entry, names = entry_of(turn), labels(seen.texts["participants"])
    if style == "native":
        return Pair(chat_text(chat(seen.window(), to_act=True)), own_output(entry, names), value)
    private = "" if entry.to is None else f"{addressed(entry.to, names)} "
    return Pair(prompt(seen, template), private + json_output(Action(turn.type, turn.text)), value)
