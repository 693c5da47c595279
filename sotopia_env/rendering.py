"""Native rendering: an observation as an append-only chat, and a model's raw output as an action.

Earlier messages never change as a dialogue goes on, so that caches, one training row per dialogue and one-pass reward
models are possible. What others do always stands behind their name in a user message, so that no utterance can pass
for another speaker or for the environment.
"""

from __future__ import annotations

import json
import re
from typing import Any

from sotopia_env.actions import NONE, Action, read_action
from sotopia_env.policies import Observation
from sotopia_env.views import Entry, parse_transcript

INSTRUCTION = "Reply with your words, or with [action] or [leave]."
"""What a model is told about the format of its turns."""

OPENING = "Begin."
"""The first user message, for whoever speaks first."""

_MARK = re.compile(r"\[(none|speak|action|non-verbal communication|leave)\]\s*:?\s*", re.IGNORECASE)
_SAID = re.compile(r"said:\s*", re.IGNORECASE)
_FENCE = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL)

Message = dict[str, str]


def system_prompt(observation: Observation) -> str:
    """Everything an agent knows before the first word."""
    parts = [
        f"You are {observation['background']}",
        f"Situation: {observation['situation']}",
        f"Partner: {observation['partners']}" if observation["partners"] else "",
        f"Goal: {observation['goal']}",
        INSTRUCTION,
    ]
    return "\n".join(part for part in parts if part)


def messages(observation: Observation) -> list[Message]:
    """The chat of one seat, from its own point of view.

    Args:
        observation: an observation of the dict interface.

    Returns:
        A system message, then user messages (what the others did since) and assistant messages (own turns, in the
        format :func:`parse_output` reads). A user message always comes first and last, unless the agent has just acted.
    """
    names = _labels(observation["participants"])
    chat: list[Message] = [{"role": "system", "content": system_prompt(observation)}]
    others: list[str] = []
    for entry in parse_transcript(observation["transcript"]):
        if entry.agent == observation["agent"]:
            chat.append({"role": "user", "content": "\n".join(others) or OPENING})
            chat.append({"role": "assistant", "content": output_text(Action(entry.type, entry.text))})
            others = []
        else:
            others.append(_heard(entry, names))
    if others or len(chat) == 1:
        chat.append({"role": "user", "content": "\n".join(others) or OPENING})
    return chat


def as_text(observation: Observation) -> str:
    """An observation as one text: the chat's contents with their roles, ending where the agent is to answer."""
    lines = [system_prompt(observation), ""]
    lines += [
        message["content"] if message["role"] == "user" else f"You: {message['content']}"
        for message in messages(observation)[1:]
    ]
    return "\n".join([*lines, "You:"])


def output_text(action: Action) -> str:
    """An action as a model writes it: plain words speak, other types carry their mark."""
    if action.type == "speak":
        needs_mark = _MARK.match(action.text) or _SAID.match(action.text) or action.text.lstrip()[:1] in "{`"
        return f"said: {action.text}" if needs_mark else action.text
    return f"[{action.type}] {action.text}".strip()


def parse_output(raw: str) -> tuple[Action, str | None]:
    """Read a model's raw output tolerantly.

    Args:
        raw: plain words, a mark such as ``[action] accept``, or a JSON object with ``action_type`` and ``argument``.

    Returns:
        The action and ``None``; or ``none`` and the reason why the output is no action.
    """
    text = raw.strip()
    if not text:
        return NONE, "the output is empty"
    mark = _MARK.match(text)
    if mark:
        return read_action(Action(mark.group(1).lower(), text[mark.end() :]))
    said = _SAID.match(text)
    if said:
        return read_action(Action("speak", text[said.end() :]))
    fence = _FENCE.search(text)
    candidate = fence.group(1) if fence else text
    if candidate.startswith("{") and "action_type" in candidate:
        return _parse_json(candidate)
    return read_action(Action("speak", text))


def _parse_json(text: str) -> tuple[Action, str | None]:
    try:
        record: Any = json.JSONDecoder().raw_decode(text)[0]
    except (json.JSONDecodeError, RecursionError):
        return NONE, "the output looks like a JSON action but is not valid JSON"
    if not isinstance(record, dict):
        return NONE, "the JSON of the output is not an object"
    return read_action({"action_type": record.get("action_type"), "argument": record.get("argument", "")})


def _heard(entry: Entry, names: dict[str, str]) -> str:
    kind = "" if entry.type == "speak" else f" [{entry.type}]"
    text = entry.text.replace("\n", "\n    ")
    return f"{names.get(entry.agent, entry.agent)}{kind}: {text}".rstrip(" ")


def _labels(participants: str) -> dict[str, str]:
    """What each agent is called in the chat: the shortest of first name, name, name and seat that is its alone."""
    pairs = [line.split(": ", 1) for line in participants.split("\n")]
    names = [name for _, name in pairs]
    first = [name.split(" ")[0] for name in names]
    labels = {}
    for (agent, name), short in zip(pairs, first, strict=True):
        if first.count(short) == 1 and short:
            labels[agent] = short
        else:
            labels[agent] = name if names.count(name) == 1 else f"{name} ({agent})"
    return labels
