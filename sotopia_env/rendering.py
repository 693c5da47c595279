"""Rendering: what an agent knows as text, and a model's raw output as an action.

The native style is an append-only chat. Earlier messages never change as a dialogue goes on, so that caches, one
training row per dialogue and one-pass reward models are possible. What others do always stands behind their name in a
user message, so that no utterance can pass for another speaker or for the environment. The ``sotopia`` style is the
published text, written anew for every turn: it serves published checkpoints, training pairs and comparisons, and an
utterance in it can imitate another speaker.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sotopia_env.actions import ACTION_TYPES, NONE, Action, read_action
from sotopia_env.episodes import agent_name, seat_of
from sotopia_env.families.formal import OffersShown, tells_rule
from sotopia_env.policies import Observation
from sotopia_env.sotopia_style import UNKNOWN, Opening, biography, opening_text, turn_act, turn_text
from sotopia_env.thoughts import without_thoughts
from sotopia_env.views import Entry, View, entry_of, indented, parse_transcript

STYLES = ("native", "sotopia")

INSTRUCTION = "Reply with your words, or with [action] or [leave]."
"""What a model is told about the format of its turns."""

OPENING = "Begin."
"""The first user message, for whoever speaks first."""

CONTINUATION = "Go on."
"""The user message before an own turn where nobody else acted since the last one."""

_MARK = re.compile(r"\[(none|speak|action|non-verbal communication|leave)\]", re.IGNORECASE | re.ASCII)
_SAID = re.compile(r"said:", re.IGNORECASE)
_ADDRESS = re.compile(r"\s*\[to ([^\]\n]*)\]", re.IGNORECASE)
_FENCE = "```"

_BLANK = re.compile(r"\{(agent|history|turn|action_types)\}")

PROMPT = """\
You are {agent}. Say and do what {agent} would, and try to reach {agent}'s goal. Nobody else knows {agent}'s goal or \
secret. Talk naturally, and say nothing twice.
{history}
Turn #{turn} is yours. Types of action: {action_types}.
Answer with one JSON object: "action_type" is one of these types, "argument" is what you say, show or do."""
"""Asks for one act in the ``sotopia`` style; the blanks are filled by :func:`prompt`."""

Message = dict[str, str]


def render(view: View, style: str = "native") -> str:
    """What an agent knows, as one text.

    Args:
        view: of one agent at one moment.
        style: ``"native"``, or ``"sotopia"`` for the published text.
    """
    if style == "native":
        return chat_text(chat(view.window()))
    if style == "sotopia":
        return "\n".join([_opening(view), *(_turn_text(view, cycle) for cycle in range(len(view.cycles)))])
    raise ValueError(f"render: style {style!r} is none of {', '.join(STYLES)}")


def news(view: View) -> str:
    """What an agent is shown at this moment, in the ``sotopia`` style: the opening, or the turn before alone."""
    return _turn_text(view, len(view.cycles) - 1) if view.cycles else _opening(view)


def prompt(view: View, template: str = PROMPT) -> str:
    """The question for an agent's next act, in the ``sotopia`` style.

    Args:
        view: of the agent that is to act.
        template: a text with the blanks ``{agent}``, ``{history}``, ``{turn}`` and ``{action_types}``; other braces
            are left alone. A published checkpoint wants the template it was trained with.
    """
    blanks = {
        "agent": view.texts["name"],
        "history": render(view, "sotopia"),
        "turn": str(len(view.cycles)),
        "action_types": ", ".join(ACTION_TYPES),
    }
    return _BLANK.sub(lambda found: blanks[found[1]], template)


def json_output(action: Action) -> str:
    """An action as published models write it: a JSON object of ``action_type`` and ``argument``."""
    return json.dumps({"action_type": action.type, "argument": action.text}, ensure_ascii=False)


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


def chat(view: View, *, to_act: bool = False) -> list[Message]:
    """The chat of one seat, from its own point of view.

    The chat of an earlier moment begins that of a later one, in every order of turns: what others said at the same time
    as an own turn stands behind it.

    Args:
        view: of the seat, at one moment.
        to_act: whether it is the seat's turn now.

    Returns:
        A system message, then user messages (what the others did since) and assistant messages (own turns, in the
        format :func:`parse_output` reads). A user message always comes first and last, unless the agent has just acted.
    """
    return _chat(view.texts, map(entry_of, view.turns), to_act)


def messages(observation: Observation) -> list[Message]:
    """:func:`chat` of what an observation shows.

    Args:
        observation: an observation of the dict interface; without ``action_types`` it is nobody's turn.
    """
    to_act = any(observation.get("action_types", ())[1:])
    return _chat(observation, parse_transcript(observation["transcript"]), to_act)


def _chat(texts: Mapping[str, Any], entries: Iterable[Entry], to_act: bool) -> list[Message]:
    names = labels(texts["participants"])
    offers = OffersShown(texts["agent"], names) if tells_rule(texts["situation"]) else None
    talk, others = talked(entries, texts["agent"], names, offers=offers)
    if others or not talk or to_act:
        talk.append(user_message(others, first=not talk, offers=offers))
    return [{"role": "system", "content": system_prompt(texts)}, *talk]


def talked(
    entries: Iterable[Entry],
    agent: str,
    names: Mapping[str, str],
    others: Sequence[str] = (),
    *,
    first: bool = True,
    offers: OffersShown | None = None,
) -> tuple[list[Message], list[str]]:
    """Turns as they stand in a seat's chat.

    Args:
        entries: turns that the seat has seen, in the order in which it came to know them.
        agent: the seat.
        names: what each agent is called; see :func:`labels`.
        others: what others did since its last own turn before these.
        first: whether there was none.
        offers: what was on the table before, which goes on with the turns; ``None`` where it is not shown.

    Returns:
        The messages up to its last own turn, and what others did since, one text each.
    """
    talk: list[Message] = []
    others = list(others)
    for entry in entries:
        if entry.agent == agent:
            talk.append(user_message(others, first=first, offers=offers))
            talk.append({"role": "assistant", "content": own_output(entry, names)})
            others, first = [], False
        else:
            others.append(heard(entry, names))
        if offers is not None:
            offers.hear(entry.agent, entry.type, entry.text)
    return talk, others


def user_message(others: Sequence[str], *, first: bool, offers: OffersShown | None = None) -> Message:
    """What a seat is told before its turn: what others did since its last one, in their words alone.

    Args:
        others: one text each.
        first: whether it has had no turn yet.
        offers: what is on the table, told where agreements are made by acts alone.
    """
    told = [*others] or [OPENING if first else CONTINUATION]
    line = "" if offers is None else offers.line
    return {"role": "user", "content": "\n".join([*told, line] if line else told)}


def as_text(observation: Observation) -> str:
    """An observation as one text; see :func:`chat_text`."""
    return chat_text(messages(observation))


def chat_text(chat: Sequence[Message]) -> str:
    """A chat as one text: its contents with their roles, ending where the agent is to answer."""
    return "\n".join([chat[0]["content"], "", *map(message_text, chat[1:]), "You:"])


def message_text(message: Message) -> str:
    """One message of a chat, behind the system message, as it stands in a text."""
    return message["content"] if message["role"] == "user" else f"You: {indented(message['content'])}"


def output_text(action: Action) -> str:
    """An action as a model writes it, and :func:`parse_output` reads it, white space around the text aside.

    Plain words speak, other types carry their mark.
    """
    if action.type == "speak":
        addressed = action.text.lstrip().lower().startswith("[to ")
        understood = not addressed and parse_output(action.text) == (Action("speak", action.text.strip()), None)
        return action.text if understood else f"said: {action.text}"
    colon = ":" if action.text.lstrip().startswith(":") else ""
    return f"[{action.type}]{colon} {action.text}".strip()


def parse_output(raw: str) -> tuple[Action, str | None]:
    """:func:`read_output` where messages are for everyone, and the prompt ended in no thought."""
    return read_output(raw)


def read_output(raw: str, observation: Observation | None = None, *, opened: bool = False) -> tuple[Action, str | None]:
    """Read a model's raw output tolerantly. All interfaces and policies read with this.

    Args:
        raw: plain words, a mark such as ``[action] accept``, or a JSON object with ``action_type`` and ``argument``;
            thoughts around them (:mod:`sotopia_env.thoughts`) are left out. Where messages may be private,
            ``[to Mara, Leo]`` before it tells for whom; without, it is for everyone.
        observation: of the agent that wrote it; one with ``recipients`` tells that messages may be private. A name is
            a first name, a whole name, ``agent_0`` or ``nobody``.
        opened: whether the prompt ended inside a thought.

    Returns:
        The action and ``None``; or ``none`` and the reason why the output is no action.
    """
    text = without_thoughts(raw, opened=opened).strip()
    if not text and raw.strip():
        return NONE, "the output holds thoughts alone, and no words"
    address = _ADDRESS.match(text) if observation is not None and "recipients" in observation else None
    if observation is None or address is None:
        return _read_words(text)
    seats = {"nobody": seat_of(observation["agent"])}
    for agent, label in labels(observation["participants"]).items():
        seats |= {agent: seat_of(agent), label.lower(): seat_of(agent)}
    for line in observation["participants"].split("\n"):
        agent, _, name = line.partition(": ")
        seats.setdefault(name.lower(), seat_of(agent))
    named = [name.strip().lower() for name in address.group(1).split(",")]
    unknown = next((name for name in named if name not in seats), None)
    if unknown is not None:
        return NONE, f"[to ...]: {unknown!r:.60} is the name of nobody here"
    action, reason = _read_words(text[address.end() :].strip())
    if reason is not None:
        return NONE, reason
    return Action(action.type, action.text, tuple(sorted({seats[name] for name in named}))), None


def _read_words(text: str) -> tuple[Action, str | None]:
    """What words without thoughts and address say."""
    if not text:
        return NONE, "the output is empty"
    mark = _MARK.match(text)
    if mark:
        return read_action(Action(mark.group(1).lower(), text[mark.end() :].strip().removeprefix(":").strip()))
    said = _SAID.match(text)
    if said:
        return read_action(Action("speak", text[said.end() :].strip()))
    _, fence, inside = text.partition(_FENCE)
    inside, closed, _ = inside.partition(_FENCE)
    candidate = inside.removeprefix("json").strip() if fence and closed else text
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


def _opening(view: View) -> str:
    names = tuple(character.name for character in view.characters)
    own = seat_of(view.agent)
    backgrounds = tuple(
        "" if seat != own and view.relationship == "stranger" else biography(character, own=seat == own)
        for seat, character in enumerate(view.characters)
    )
    goals = tuple(view.texts["goal"] if seat == own else UNKNOWN for seat in range(len(names)))
    return opening_text(Opening(view.texts["situation"], names, backgrounds, goals))


def _turn_text(view: View, cycle: int) -> str:
    names = [character.name for character in view.characters]
    return turn_text(cycle, [(names[turn.seat], turn_act(turn, names)) for turn in view.cycles[cycle]])


def heard(entry: Entry, names: Mapping[str, str]) -> str:
    """Somebody else's turn as it stands in a user message."""
    kind = "" if entry.type == "speak" else f" [{entry.type}]"
    to = "" if entry.to is None else f" {addressed(entry.to, names)}"
    return f"{names.get(entry.agent, entry.agent)}{kind}{to}: {indented(entry.text)}".rstrip(" ")


def own_output(entry: Entry, names: Mapping[str, str]) -> str:
    """An own turn as it stands in an assistant message."""
    output = output_text(Action(entry.type, entry.text))
    return output if entry.to is None else f"{addressed(entry.to, names)} {output}"


def action_output(action: Action, observation: Observation) -> str:
    """An action as it will stand in an assistant message of the agent that took it.

    Args:
        action: what it did.
        observation: of the agent.
    """
    others = tuple(name for name in map(agent_name, action.to) if name != observation["agent"])
    entry = Entry(0, observation["agent"], action.type, action.text, others if action.to else None)
    return own_output(entry, labels(observation["participants"]))


def addressed(agents: tuple[str, ...], names: Mapping[str, str]) -> str:
    """The mark of words that are for some alone: ``[to Mara, Leo]``."""
    return f"[to {', '.join(names.get(agent, agent) for agent in agents) or 'nobody'}]"


def labels(participants: str) -> dict[str, str]:
    """What each agent is called in the chat: the shortest of first name, name, name and seat that is its alone."""
    pairs = [line.split(": ", 1) for line in participants.split("\n")]
    names = [name for _, name in pairs]
    first = [name.split(" ")[0] for name in names]
    found = {}
    for (agent, name), short in zip(pairs, first, strict=True):
        if first.count(short) == 1 and short:
            found[agent] = short
        else:
            found[agent] = name if name and names.count(name) == 1 else f"{name} ({agent})".strip()
    return found
