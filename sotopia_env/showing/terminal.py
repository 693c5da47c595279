"""Episodes in a terminal: one at length, with its rewards beside the turns, or many in two lines each."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table as Grid
from rich.text import Text

from sotopia_env.episodes import Episode, Judgement, agent_name
from sotopia_env.showing.episode import (
    Offers,
    ShownEpisode,
    ShownSeat,
    ShownTurn,
    ending_text,
    seat_names,
    shown,
    visible,
)
from sotopia_env.tables import UNKNOWN, Cell, Table

WIDTH = 80
"""Columns of an episode as text."""

_COLOURS = ("cyan", "yellow", "green", "magenta", "blue")
_BESIDE = 26
"""Columns of the rewards beside a turn; a longer name goes on in the next line."""


def episode_text(episode: Episode) -> str:
    """An episode to be read, as plain text of 80 columns without a newline at its end."""
    written = io.StringIO()
    # In a notebook a console would draw there, whatever its file.
    console = Console(
        file=written, width=WIDTH, color_system=None, highlight=False, legacy_windows=False, force_jupyter=False
    )
    console.print(episode_parts(shown(episode)))
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines())


def episode_parts(found: ShownEpisode) -> RenderableType:
    """An episode to be read, for a console of any width."""
    return Group(*_parts(found))


def episode_line(episode: Episode) -> RenderableType:
    """An episode in a list: key, family, policies and ending, and below them its scores."""
    policies = ", ".join(dict.fromkeys(episode.policies.get(agent, UNKNOWN) for agent in episode.agents))
    head = [episode.task.family, policies, ending_text(episode.ending, seat_names(episode.task))]
    line = Text(_line(episode.key), style="bold").append("  ".join(["", *map(_line, head)]), style="not bold")
    scores = [
        f"{_short(dimension)} {' '.join(map(_number, values))}"
        for judgement in episode.judgements[-1:]
        for dimension, values in judgement.scores.items()
    ]
    return Group(line, Padding(Text(" · ".join(scores) or "not judged", style="dim"), (0, 0, 0, 4), expand=False))


def _parts(found: ShownEpisode) -> Iterator[RenderableType]:
    episode, facts = found.episode, dict(found.facts)
    yield Text(f"Episode {_line(episode.key)}", style="bold").append(f": {_line(found.ending)}", style="not bold")
    told = [facts["family"], facts["task"], *(["seed " + facts["seed"]] if "seed" in facts else [])]
    yield Text(_line(" · ".join(told)), style="dim")
    yield Padding(_labelled("Situation", episode.task.scenario.situation), (0, 0, 0, 2), expand=False)
    for number, seat in enumerate(found.seats):
        yield ""
        yield from _seat(seat, number)
    yield Rule(style="dim", characters="─")
    names = [seat.name for seat in found.seats]
    for turn in found.turns:
        yield _turn(turn, names)
    yield Rule(style="dim", characters="─")
    yield _labelled("The end", found.ending)
    for judgement in episode.judgements:
        yield ""
        yield from _judged(judgement, names)
    if episode.rewards:
        yield ""
        yield _sums(episode, names)


def _seat(seat: ShownSeat, number: int) -> Iterator[RenderableType]:
    policy = f", {seat.policy}" if seat.policy else ""
    yield Text(_line(seat.name), style=f"bold {_colour(number)}").append(
        _line(f" ({seat.agent}{policy})"), style="not bold default"
    )
    hidden = "; ".join(f"{name} {text}" for name, text in seat.hidden)
    for label, text in (
        ("Goal", seat.goal),
        ("Secret", seat.secret),
        ("Background", seat.background),
        ("Judged by", hidden),
    ):
        if text:
            yield Padding(_labelled(label, text), (0, 0, 0, 2), expand=False)


def _turn(shown_turn: ShownTurn, names: Sequence[str]) -> RenderableType:
    turn = shown_turn.turn
    said = Text().append(_line(names[turn.seat]), style=f"bold {_colour(turn.seat)}")
    if shown_turn.to is not None:
        said.append(f" (only to {_line(', '.join(shown_turn.to)) or 'nobody'})", style="bold")
    said.append(": " if turn.type == "speak" else f" [{turn.type}]: ").append(visible(turn.text))
    if turn.invalid is not None:
        said.append(f"\ninvalid: {visible(turn.invalid)}", style="red")
    if turn.raw is not None:
        said.append(f"\nraw: {visible(turn.raw)}", style="dim")
    if shown_turn.offers is not None and any(shown_turn.offers):
        said.append(f"\non the table: {offers_text(shown_turn.offers, names)}", style="dim")
    # In columns of their own, so that no line of an utterance can pass for a number or for another turn.
    grid = Grid.grid(padding=(0, 1), expand=True)
    grid.add_column(style="dim")
    grid.add_column(ratio=1, overflow="fold")
    columns = [Text(f"#{turn.global_index}"), said]
    if shown_turn.rewards:
        grid.add_column(width=_BESIDE, justify="right", overflow="fold")
        paid = [Text(f"{_line(name)} ").append(_number(value), "bold") for name, value in shown_turn.rewards.items()]
        columns.append(Text("\n").join(paid))
    grid.add_row(*columns)
    return grid


def offers_text(offers: Offers, names: Sequence[str]) -> str:
    """What is on the table, in one line."""
    return _line("; ".join(f"{name} {offer}" for name, offer in zip(names, offers, strict=True) if offer is not None))


def _judged(judgement: Judgement, names: Sequence[str]) -> Iterator[RenderableType]:
    rows = [
        [_short(dimension), *(Cell(None if value is None else value + 0.0, ".2f") for value in values)]
        for dimension, values in judgement.scores.items()
    ]
    title = f"Scores of the judge {_line(judgement.judge)} {_line(judgement.version)}"
    yield Table(["", *map(_line, names)], rows, title)
    findings = [
        (seat, dimension, finding)
        for dimension, by_seat in judgement.evidence.items()
        for seat, found in enumerate(by_seat)
        for finding in found
    ]
    for seat, own in groupby(sorted(findings, key=lambda one: one[0]), key=lambda one: one[0]):
        yield Text(f"Why, {_line(names[seat])}:", style="bold")
        for _, dimension, finding in own:
            yield Padding(_labelled(_short(dimension), finding), (0, 0, 0, 2), expand=False)


def _sums(episode: Episode, names: Sequence[str]) -> Table:
    """What each reward pays in all; unknown where it is for a turn."""
    rows = []
    for reward, by_agent in episode.rewards.items():
        sums = []
        for seat in range(len(names)):
            own = by_agent.get(agent_name(seat), [None])
            known = [value for value in own if value is not None]
            sums.append(_cell(sum(known) if len(known) == len(own) else None))
        rows.append([_line(reward), *sums])
    return Table(["", *map(_line, names)], rows, "Rewards, added up")


def _labelled(label: str, text: str) -> Text:
    return Text(f"{label}: ", style="bold").append(visible(text), style="not bold")


def _line(text: str) -> str:
    """What is named in one line: nothing in it can begin another."""
    return visible(text).replace("\n", "\\n")


def _colour(seat: int) -> str:
    return _COLOURS[seat % len(_COLOURS)]


def _short(dimension: str) -> str:
    return _line(dimension.removeprefix("financial_and_").replace("_", " "))


def _cell(value: float | None) -> Cell:
    """A number with three digits, or all of those before the point."""
    return Cell(None if value is None else value + 0.0, ".0f" if value is not None and abs(value) >= 999.5 else ".3g")


def _number(value: float | None) -> str:
    return _cell(value).text
