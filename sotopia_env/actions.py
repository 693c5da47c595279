"""What an agent may do in a turn: five types of action, each with an optional text."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ACTION_TYPES = ("none", "speak", "non-verbal communication", "action", "leave")
"""The five types of Sotopia, in the order of the ``Discrete(5)`` of the action space. The order never changes."""

MAX_UTTERANCE = 8_192
"""Longest text of one action, in characters. A constant of the package, so that every task has the same spaces."""


@dataclass(frozen=True)
class Action:
    """One action.

    Args:
        type: one of :data:`ACTION_TYPES`.
        text: what is said or done; empty for ``none`` and, as a rule, for ``leave``.
    """

    type: str
    text: str = ""

    def to_space(self) -> dict[str, Any]:
        """The action as an element of the dict action space."""
        return {"action_type": ACTION_TYPES.index(self.type), "argument": self.text}


NONE = Action("none")


def speak(text: str) -> Action:
    """Say ``text`` to everyone."""
    return Action("speak", text)


def do(text: str) -> Action:
    """A physical or formal act, such as ``do("accept")``."""
    return Action("action", text)


def gesture(text: str) -> Action:
    """Non-verbal communication, such as ``gesture("nods")``."""
    return Action("non-verbal communication", text)


def leave(text: str = "") -> Action:
    """Leave the conversation."""
    return Action("leave", text)


def read_action(given: Any) -> tuple[Action, str | None]:
    """Turn whatever was handed to ``step`` into an action.

    Args:
        given: an :class:`Action`, an element of the action space, a bare ``str`` (spoken verbatim, never parsed)
            or ``None``.

    Returns:
        The action and ``None``; or ``none`` and the reason why what was given is not an action.
    """
    if given is None:
        return NONE, "no action was given"
    if isinstance(given, str):
        given = Action("speak", given)
    elif isinstance(given, Mapping):
        kind, text = given.get("action_type"), given.get("argument", "")
        unknown = set(given) - {"action_type", "argument"}
        if unknown:
            return NONE, f"unknown fields {sorted(map(str, unknown))}; an action has action_type and argument"
        try:
            name = kind if isinstance(kind, str) else ACTION_TYPES[_index(kind)]
        except (TypeError, ValueError, IndexError):
            # The value itself may be too long to be shown.
            found = type(kind).__name__
            return NONE, f"action_type ({found}) is no number from 0 to {len(ACTION_TYPES) - 1} and no type's name"
        given = Action(name, text)
    elif not isinstance(given, Action):
        return NONE, f"a {type(given).__name__} is not an action; give a dict, a str, or speak(...), do(...), leave()"
    return _checked(given)


def _index(kind: Any) -> int:
    index = operator.index(kind)
    if index < 0:
        raise ValueError(f"{index} is negative")
    return index


def _checked(action: Action) -> tuple[Action, str | None]:
    if action.type not in ACTION_TYPES:
        return NONE, f"unknown action type {action.type!r:.60}; one of {', '.join(ACTION_TYPES)}"
    if not isinstance(action.text, str):
        return NONE, f"the text of an action is a str, not a {type(action.text).__name__}"
    if len(action.text) > MAX_UTTERANCE:
        return NONE, f"the text has {len(action.text)} characters; at most {MAX_UTTERANCE} are allowed"
    try:
        action.text.encode("utf-8")
    except UnicodeEncodeError:
        return NONE, "the text holds a lone surrogate and cannot be encoded"
    if action.type == "none" and action.text:
        return NONE, None
    if action.type == "speak" and not action.text.strip():
        return NONE, "nothing was said"
    return action, None
