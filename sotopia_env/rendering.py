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
from sotopia_env.views import Entry, indented, parse_transcript

INSTRUCTION = "Reply with your words, or with [action] or [leave]."
"""What a model is told about the format of its turns."""

OPENING = "Begin."
"""The first user message, for whoever speaks first."""

CONTINUATION = "Go on."
"""The user message before an own turn where nobody else acted since the last one."""

_MARK = re.compile(r"\[(none|speak|action|non-verbal communication|leave)\]", re.IGNORECASE | re.ASCII)
_SAID = re.compile(r"said:", re.IGNORECASE)
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
        observation: an observation of the dict interface; without ``action_types`` it is nobody's turn.

    Returns:
        A system message, then user messages (what the others did since) and assistant messages (own turns, in the
        format :func:`parse_output` reads). A user message always comes first and last, unless the agent has just acted.
    """
    names = _labels(observation["participants"])
    chat: list[Message] = [{"role": "system", "content": system_prompt(observation)}]
    others: list[str] = []
    for entry in parse_transcript(observation["transcript"]):
        if entry.agent == observation["agent"]:
            chat.append(_user(others, first=len(chat) == 1))
            chat.append({"role": "assistant", "content": output_text(Action(entry.type, entry.text))})
            others = []
        else:
            others.append(_heard(entry, names))
    to_act = any(observation.get("action_types", ())[1:])
    if others or len(chat) == 1 or to_act:
        chat.append(_user(others, first=len(chat) == 1))
    return chat


def as_text(observation: Observation) -> str:
    """An observation as one text: the chat's contents with their roles, ending where the agent is to answer."""
    lines = [system_prompt(observation), ""]
    lines += [
        message["content"] if message["role"] == "user" else f"You: {indented(message['content'])}"
        for message in messages(observation)[1:]
    ]
    return "\n".join([*lines, "You:"])


def output_text(action: Action) -> str:
    """An action as a model writes it, and :func:`parse_output` reads it, white space around the text aside.

    Plain words speak, other types carry their mark.
    """
    if action.type == "speak":
        understood = parse_output(action.text) == (Action("speak", action.text.strip()), None)
        return action.text if understood else f"said: {action.text}"
    colon = ":" if action.text.lstrip().startswith(":") else ""
    return f"[{action.type}]{colon} {action.text}".strip()


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
        return read_action(Action(mark.group(1).lower(), text[mark.end() :].strip().removeprefix(":").strip()))
    said = _SAID.match(text)
    if said:
        return read_action(Action("speak", text[said.end() :].strip()))
    fence = _FENCE.search(text)
    candidate = fence.group(1) if fence else text
    if candidate.startswith("{") and "action_type" in candidate:
        return _parse_json(candidate)
    return read_action(Action("speak", text))


def _parse_json(text: str) -> tuple[Action, str | None]:
    try:
        record: Any = json.JSONDecoder().raw_decode(text)[0]
    except (ValueError, RecursionError):
        return NONE, "the output looks like a JSON action but is not valid JSON"
    if not isinstance(record, dict):
        return NONE, "the JSON of the output is not an object"
    argument = record.get("argument")
    return read_action({"action_type": record.get("action_type"), "argument": "" if argument is None else argument})


def _heard(entry: Entry, names: dict[str, str]) -> str:
    kind = "" if entry.type == "speak" else f" [{entry.type}]"
    return f"{names.get(entry.agent, entry.agent)}{kind}: {indented(entry.text)}".rstrip(" ")


def _user(others: list[str], *, first: bool) -> Message:
    return {"role": "user", "content": "\n".join(others) or (OPENING if first else CONTINUATION)}


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
            labels[agent] = name if name and names.count(name) == 1 else f"{name} ({agent})".strip()
    return labels
