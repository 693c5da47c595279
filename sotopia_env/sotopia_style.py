"""The published text of Sotopia: its labels, how an act and a biography are written, and how they are read back.

Source: the released episodes of Sotopia (https://huggingface.co/datasets/cmu-lti/sotopia, CC-BY-SA-4.0), whose
``raw_messages`` hold every text that an agent was shown. Labels and layout are theirs, since files, checkpoints and
training pairs depend on them; no other file of the package spells them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sotopia_env.actions import Action
from sotopia_env.episodes import Turn
from sotopia_env.tasks import Character

ENVIRONMENT = "Environment"
"""Sender and receiver of messages that are nobody's."""

UNKNOWN = "Unknown"
"""Stands for a goal, and in later releases for a background, that one may not see."""

_CONTEXT = "Here is the context of this interaction:"
_STARTS = "Conversation Starts:"
_SHOWN = ("background", "goal")
_MIND = "Personality and values description:"
_ADJECTIVES = {"Man": "male", "Woman": "female", "Nonbinary": "nonbinary"}
_GENDERS = {adjective: gender for gender, adjective in _ADJECTIVES.items()}

_PRIVATE = re.compile(r"\[private to \[?([^\]]+)\]{1,2} ", re.IGNORECASE)
_NOBODY = "nobody"
_SAID = re.compile(r'said: "(.*)"', re.DOTALL)
_MARKED = re.compile(r"\[(non-verbal communication|action)\] ?(.*)", re.DOTALL)
_DID_NOTHING = "did nothing"
_LEFT = "left the conversation"
_HEAD = re.compile(
    r"(?P<name>.+?) is an? (?:(?P<age>\d{1,3})-year-old )?(?:(?P<gender>male|female|nonbinary) )?"
    r"(?P<occupation>[^.]*)\. (?:(?P<pronouns>\S+) pronouns\. ?)?(?P<public_info>.*)",
    re.DOTALL,
)


@dataclass(frozen=True)
class Opening:
    """What a text before the first turn says.

    Args:
        scenario: the situation.
        names: everyone who takes part, by seat.
        backgrounds: what was shown of each, ``""`` for nothing, :data:`UNKNOWN` where the text says that.
        goals: of each, or :data:`UNKNOWN`.
    """

    scenario: str
    names: tuple[str, ...]
    backgrounds: tuple[str, ...]
    goals: tuple[str, ...]


def act_text(action: Action) -> str:
    """An act without its actor: ``said: "Hello"``."""
    if action.type == "none":
        return _DID_NOTHING
    if action.type == "leave":
        return _LEFT
    return f'said: "{action.text}"' if action.type == "speak" else f"[{action.type}] {action.text}"


def turn_act(turn: Turn, names: Sequence[str]) -> str:
    """A turn without its actor; a private one begins with the mark of Sotopia: ``[private to Mara Lind] said: ...``.

    Args:
        turn: of any type.
        names: of everyone who takes part, by seat.
    """
    text = act_text(Action(turn.type, turn.text))
    if turn.recipients is None or turn.type == "none":
        return text
    to = ", ".join(names[seat] for seat in turn.recipients if seat != turn.seat)
    return f"[private to {to or _NOBODY}] {text}"


def read_recipients(text: str, names: Sequence[str]) -> tuple[tuple[int, ...] | None, str]:
    """The seats that the mark of a private act names, and the act without it; ``None`` where there is no mark.

    Raises:
        ValueError: a name is of nobody who takes part.
    """
    text = text.strip()
    mark = _PRIVATE.match(text)
    if mark is None:
        return None, text
    rest, found = text[mark.end() :], set()
    told = mark[1].strip(" '\"")
    if told == _NOBODY and _NOBODY not in names:
        return (), rest
    while told:
        # A name may hold a comma, or begin with another name.
        named = max((name for name in names if told.startswith(name)), key=len, default=None)
        if named is None:
            raise ValueError(f"private to {told!r:.60}, who is none of {', '.join(names)}")
        found.add(names.index(named))
        told = told[len(named) :].lstrip(" ,'\"")
    return tuple(sorted(found)), rest


def shows_act(shown: str, name: str, act: str) -> bool:
    """Whether what somebody was shown holds an act of this kind by this actor; its words may have been changed."""
    head = _PRIVATE.sub("", act, count=1)
    kind = head[: head.find(" ", 1)] if head.startswith(("said:", "left")) else head[: head.find("]") + 1]
    return re.search(rf"{re.escape(name)} (?:{_PRIVATE.pattern})?{re.escape(kind)}", shown) is not None


def read_act(text: str) -> Action | None:
    """The act that :func:`act_text` wrote, or ``None`` where the text is no act."""
    text = text.strip()
    if text in (_DID_NOTHING, _LEFT):
        return Action("none" if text == _DID_NOTHING else "leave")
    if said := _SAID.fullmatch(text):
        return Action("speak", said[1])
    if marked := _MARKED.fullmatch(text):
        return Action(marked[1], marked[2])
    return None


def acts_text(acts: Sequence[tuple[str, str]]) -> str:
    """What several did in one turn of the table, as names and texts of acts; who did nothing is passed over."""
    return ";".join(f"{name} {act}" for name, act in acts if act != _DID_NOTHING)


def turn_text(cycle: int, acts: Sequence[tuple[str, str]]) -> str:
    """What everyone is shown after a turn of the table: ``Turn #0: Mara Lind said: "Hello"``."""
    return f"Turn #{cycle}: {acts_text(acts)}\n"


def biography(character: Character, *, own: bool) -> str:
    """A character as its own text, or as what others are shown of it.

    Args:
        character: with empty fields for what may not be seen; of a name alone, the name is shown.
        own: whether to add the secret.
    """
    words = [
        "" if character.age is None else f"{character.age}-year-old",
        _ADJECTIVES.get(character.gender, character.gender.lower()),
        character.occupation.lower(),
    ]
    facts = " ".join(word for word in words if word)
    if not facts and not own and not character.public_info:
        return f"{character.name} "
    named = character.public_info.startswith(character.name)
    parts = [
        f"{character.name} is a {facts}." if facts else "" if named else f"{character.name}.",
        f"{character.pronouns} pronouns." if character.pronouns else "",
        character.public_info,
        f"{_MIND} {character.personality}" if character.personality else "",
        f"{character.first_name}'s secrets: {character.secret}" if own and character.secret else "",
    ]
    text = " ".join(part for part in parts if part)
    return text if own else f"{text} "


def read_biography(text: str, name: str) -> dict[str, str | int]:
    """The fields of a character from its biography; what does not follow the published form is its public info.

    Args:
        text: as :func:`biography` writes it.
        name: of the character.

    Returns:
        Keyword arguments of :class:`~sotopia_env.tasks.Character`, without ``id``; ``None`` where nothing is said.
    """
    first, _, last = name.partition(" ")
    fields: dict[str, str | int] = {"first_name": first, "last_name": last}
    text, _, fields["secret"] = text.partition(f" {first}'s secrets: ")
    text, _, fields["personality"] = text.partition(f" {_MIND} ")
    head = _HEAD.fullmatch(text) if text.startswith(name) else None
    if head is None or head["name"] != name:
        fields["public_info"] = "" if text.strip() == name else text
        return fields
    # Sotopia writes "a 0-year-old" where it knows no age.
    if int(head["age"] or 0):
        fields["age"] = int(head["age"])
    fields["gender"] = _GENDERS.get(head["gender"] or "", "")
    fields["occupation"] = head["occupation"]
    fields["pronouns"] = head["pronouns"] or ""
    fields["public_info"] = head["public_info"]
    return fields


def opening_text(opening: Opening) -> str:
    """What an agent is shown before the first turn."""
    names = opening.names
    everyone = " and ".join(names) if len(names) < 3 else f"{', '.join(names[:-1])}, and {names[-1]}"
    lines = [
        _CONTEXT,
        f"Scenario: {opening.scenario}",
        f"Participants: {everyone}",
        *(f"{name}'s background: {background}" for name, background in zip(names, opening.backgrounds, strict=True)),
        *(f"{name}'s goal: {goal}" for name, goal in zip(names, opening.goals, strict=True)),
    ]
    # The published text has no space at the beginning of a line.
    text = re.sub("\n +", "\n", "\n".join(lines)).strip()
    return f"\n{text}\n{_STARTS}\n"


def read_opening(text: str, names: Sequence[str]) -> Opening | None:
    """What :func:`opening_text` wrote, or ``None`` where the text is none.

    Args:
        text: of a first message.
        names: everyone who takes part; a name alone tells where a goal of several lines ends.
    """
    labels = ["Scenario:", "\nParticipants:", *(f"\n{name}'s {what}:" for what in _SHOWN for name in names)]
    begins, position = [], 0
    for label in labels:
        position = text.find(label, position)
        if position < 0:
            return None
        begins.append(position)
        position += len(label)
    end = text.rfind(f"\n{_STARTS}")
    ends = [*begins[1:], len(text) if end < position else end]
    values = [text[b + len(label) : e].strip() for b, label, e in zip(begins, labels, ends, strict=True)]
    backgrounds, goals = values[2 : 2 + len(names)], values[2 + len(names) :]
    return Opening(values[0], tuple(names), tuple(backgrounds), tuple(goals))
