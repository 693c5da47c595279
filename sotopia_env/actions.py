"""What an agent may do in a turn: five types of action, each with an optional text."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sotopia_env.episodes import seat_of

ACTION_TYPES = ("none", "speak", "non-verbal communication", "action", "leave")
"""The five types of Sotopia, in the order of the ``Discrete(5)`` of the action space. The order never changes."""

MAX_UTTERANCE = 8_192
"""Longest text of one action, in characters. A constant of the package, so that every task has the same spaces."""

_AGENT = re.compile(r"agent_\d{1,3}", re.ASCII)


@dataclass(frozen=True)
class Action:
    """One action.

    Args:
        type: one of :data:`ACTION_TYPES`.
        text: what is said or done; empty for ``none`` and, as a rule, for ``leave``.
        to: seats it is addressed to in private; empty for everyone. Only an environment made with
            ``private_messages=True`` takes any.
    """

    type: str
    text: str = ""
    to: tuple[int, ...] = ()

    def to_space(self, num_seats: int | None = None) -> dict[str, Any]:
        """The action as an element of the dict action space.

        Args:
            num_seats: of an environment with private messages, whose space holds ``to``; ``None`` for any other.
        """
        element: dict[str, Any] = {"action_type": ACTION_TYPES.index(self.type), "argument": self.text}
        if num_seats is not None:
            element["to"] = np.array([seat in self.to for seat in range(num_seats)], dtype=np.int8)
        return element


NONE = Action("none")


def speak(text: str, *, to: str | Iterable[str] = ()) -> Action:
    """Say ``text`` to everyone, or in private to some: ``speak("psst", to="agent_1")``.

    Args:
        text: what is said.
        to: one agent or several, by their ids. Whose name is whose stands in an observation's ``participants``.

    Raises:
        ValueError: one is the id of no agent.
    """
    return Action("speak", text, _seats(to))


def do(text: str, *, to: str | Iterable[str] = ()) -> Action:
    """A physical or formal act, such as ``do("accept")``."""
    return Action("action", text, _seats(to))


def gesture(text: str, *, to: str | Iterable[str] = ()) -> Action:
    """Non-verbal communication, such as ``gesture("nods")``."""
    return Action("non-verbal communication", text, _seats(to))


def leave(text: str = "") -> Action:
    """Leave the conversation."""
    return Action("leave", text)


def read_action(given: Any, *, num_seats: int | None = None) -> tuple[Action, str | None]:
    """Turn whatever was handed to ``step`` into an action.

    Args:
        given: an :class:`Action`, an element of the action space, a bare ``str`` (spoken verbatim, never parsed)
            or ``None``.
        num_seats: of an environment with private messages, whose action space holds ``to``; ``None`` for any other.

    Returns:
        The action and ``None``; or ``none`` and the reason why what was given is not an action.
    """
    if given is None:
        return NONE, "no action was given"
    if isinstance(given, str):
        given = Action("speak", given)
    elif isinstance(given, Mapping):
        kind, text = given.get("action_type"), given.get("argument", "")
        unknown = set(given) - {"action_type", "argument", "" if num_seats is None else "to"}
        if unknown:
            named = sorted(key if isinstance(key, str) else type(key).__name__ for key in unknown)
            return NONE, f"unknown fields {str(named)[:200]}; an action has action_type and argument"
        try:
            name = kind if isinstance(kind, str) else ACTION_TYPES[_index(kind)]
        except (TypeError, ValueError, IndexError):
            # The value itself may be too long to be shown.
            found = type(kind).__name__
            return NONE, f"action_type ({found}) is no number from 0 to {len(ACTION_TYPES) - 1} and no type's name"
        to = _addressed(given["to"], num_seats) if num_seats is not None and "to" in given else ()
        if to is None:
            return NONE, f"to ({type(given['to']).__name__}) is no vector of {num_seats} numbers, each 0 or 1"
        given = Action(name, text, to)
    elif not isinstance(given, Action):
        return NONE, f"a {type(given).__name__} is not an action; give a dict, a str, or speak(...), do(...), leave()"
    return _checked(given)


def _seats(agents: str | Iterable[str]) -> tuple[int, ...]:
    named = list(agents) if isinstance(agents, Iterable) and not isinstance(agents, str) else [agents]
    strange = [name for name in named if not (isinstance(name, str) and _AGENT.fullmatch(name))]
    if strange:
        raise ValueError(
            f"to: {strange[0]!r:.60} is the id of no agent; give agent_0, agent_1, ... (an observation's participants "
            "tell whose name is whose)"
        )
    return tuple(sorted({seat_of(name) for name in named}))


def _index(kind: Any) -> int:
    index = operator.index(kind)
    if index < 0:
        raise ValueError(f"{index} is negative")
    return index


def _addressed(vector: Any, num_seats: int) -> tuple[int, ...] | None:
    """The seats a vector of 0 and 1 chooses, or ``None`` where it is none."""
    try:
        chosen = [_index(number) for number in vector] if isinstance(vector, list | tuple | np.ndarray) else []
    except (TypeError, ValueError):
        return None
    if len(chosen) != num_seats or max(chosen) > 1:
        return None
    return tuple(seat for seat, number in enumerate(chosen) if number)


def problem(kind: Any, text: Any, to: Any = ()) -> str | None:
    """Why fields make no action, or ``None``.

    Args:
        kind: ``type`` of an :class:`Action`.
        text: its ``text``.
        to: its ``to``.
    """
    if not isinstance(kind, str) or kind not in ACTION_TYPES:
        found = f"{kind!r:.60}" if isinstance(kind, str) else type(kind).__name__
        return f"unknown action type {found}; one of {', '.join(ACTION_TYPES)}"
    if not isinstance(text, str):
        return f"the text of an action is a str, not a {type(text).__name__}"
    if len(text) > MAX_UTTERANCE:
        return f"the text has {len(text)} characters; at most {MAX_UTTERANCE} are allowed"
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            return "the text holds a lone surrogate and cannot be encoded"
    if not isinstance(to, tuple) or (to and not all(isinstance(seat, int) for seat in to)):
        return "to is no tuple of seats"
    if kind == "speak" and (not text or text.isspace()):
        return "nothing was said"
    return None


def _checked(action: Action) -> tuple[Action, str | None]:
    reason = problem(action.type, action.text, action.to)
    return (action, None) if reason is None and action.type != "none" else (NONE, reason)
