"""Dialogues of the report: who wanted what, every turn as it was said, how it ended, and the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from sotopia_env.episodes import Ending, Episode, Turn, agent_name
from sotopia_env.rewards.dimensions import DIMENSIONS

_PRIVATE = (("limit", "limit"), ("target", "target"), ("list_price", "list price"))


def dialogue_section(episodes: Sequence[Episode], learner: str | None) -> str:
    """Episodes as HTML.

    Args:
        episodes: finished ones; their latest judgement is shown.
        learner: name of the policy whose turns stand on the right.
    """
    if not episodes:
        return ""
    shown = "".join(_dialogue(number, episode, learner) for number, episode in enumerate(episodes, start=1))
    return "<p>Chosen by the seed alone, not for how they went. The learner's turns stand on the right.</p>" + shown


def _dialogue(number: int, episode: Episode, learner: str | None) -> str:
    own = [seat for seat in range(episode.task.num_seats) if episode.policies.get(agent_name(seat)) == learner]
    right = own[0] if len(own) == 1 else None
    seats = "".join(_seat(episode, seat, right) for seat in range(episode.task.num_seats))
    turns = "".join(_turn(turn, episode, right) for turn in episode.turns)
    return (
        f'<article class="dialogue"><h3>Dialogue {number}</h3><p>{escape(episode.task.scenario.situation)}</p>'
        f'<div class="seats">{seats}</div><ol class="turns">{turns}</ol>'
        f"<p><b>Ending:</b> {escape(_ending(episode.ending, episode))}</p>{_scores(episode)}</article>\n"
    )


def _seat(episode: Episode, seat: int, right: int | None) -> str:
    character, scenario = episode.task.characters[seat], episode.task.scenario
    policy = episode.policies.get(agent_name(seat), "")
    hidden: Mapping[str, Any] = scenario.hidden[seat] if seat < len(scenario.hidden) else {}
    prices = ", ".join(
        f"{label} ${hidden[key]:g}" for key, label in _PRIVATE if isinstance(hidden.get(key), int | float)
    )
    role = f"{hidden['role']}, " if "role" in hidden else ""
    who = "learner" if seat == right else policy
    secret = f"<p class='muted'>Secret: {escape(character.secret)}</p>" if character.secret else ""
    return (
        f'<div class="seat{" learner" if seat == right else ""}"><p><b>{escape(character.name)}</b> '
        f'<span class="muted">{escape(role)}{escape(who)}</span></p><p>{escape(scenario.goals[seat])}</p>'
        + (f'<p class="muted">{escape(prices[:1].upper() + prices[1:])}</p>' if prices else "")
        + f"{secret}</div>"
    )


def _turn(turn: Turn, episode: Episode, right: int | None) -> str:
    name = escape(episode.task.characters[turn.seat].name)
    tags = "" if turn.type == "speak" else f'<span class="tag">{escape(turn.type)}</span> '
    text = escape(turn.text)
    if turn.invalid is not None:
        tags += f'<span class="tag invalid">invalid: {escape(turn.invalid)}</span> '
        text = escape(turn.raw) if turn.raw is not None else text
    side = ' class="learner"' if turn.seat == right else ""
    return f'<li{side}><small>#{turn.global_index} {name}</small>{tags}<span class="said">{text}</span></li>'


def _ending(ending: Ending | None, episode: Episode) -> str:
    if ending is None:
        return "still running"
    said = {"agreement": "agreement", "left": "someone left", "stale": "silence", "max_cycles": "turn limit"}
    parts = [said.get(ending.reason, ending.reason)]
    if ending.seat is not None:
        parts.append(f"by {episode.task.characters[ending.seat].name}")
    price = ending.detail.get("price")
    if isinstance(price, int | float):
        parts.append(f"at ${price:g}")
    return " ".join(parts)


def _scores(episode: Episode) -> str:
    if not episode.judgements:
        return ""
    scores = episode.judgements[-1].scores
    known = [dimension for dimension in DIMENSIONS if dimension in scores]
    head = "".join(f"<th>{escape(dimension.replace('_', ' '))}</th>" for dimension in known)
    rows = "".join(
        f"<tr><td>{escape(character.name)}</td>"
        + "".join(f"<td>{_score(scores[dimension][seat])}</td>" for dimension in known)
        + "</tr>"
        for seat, character in enumerate(episode.task.characters)
    )
    return f'<div class="wide"><table><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value + 0.0:.1f}"
