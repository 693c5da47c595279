"""What each agent may know: profiles by relationship, and the transcript as text.

All functions are pure. An observation of the dict interface is built from them, and policies, rendering and training
read nothing but observations.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sotopia_env.episodes import Turn, agent_name
from sotopia_env.spaces import MAX_TRANSCRIPT
from sotopia_env.tasks import Character, Task

_INDENT = "\n    "
_HEADER = re.compile(r"#(\d+) (agent_\d+)(?: \[(none|non-verbal communication|action|leave)\])?: ?")


@dataclass(frozen=True)
class Entry:
    """One turn as it stands in a transcript."""

    index: int
    agent: str
    type: str
    text: str


def entry_text(turn: Turn) -> str:
    """One turn as text. Lines inside an utterance are indented, so that none can pass for another entry."""
    kind = "" if turn.type == "speak" else f" [{turn.type}]"
    text = turn.text.replace("\n", _INDENT) if "\n" in turn.text else turn.text
    return f"#{turn.global_index} {agent_name(turn.seat)}{kind}: {text}"


def extend_transcript(transcript: str, turn: Turn) -> str:
    """A transcript with one more turn; the oldest turns drop out whole where it grows too long."""
    entry = entry_text(turn)
    if not transcript:
        return entry
    if len(transcript) + 1 + len(entry) > MAX_TRANSCRIPT:
        room = MAX_TRANSCRIPT - 1 - len(entry)
        start = transcript.find("\n#", len(transcript) - room - 1)
        if start < 0:
            return entry
        transcript = transcript[start + 1 :]
    return f"{transcript}\n{entry}"


def transcript(turns: Iterable[Turn]) -> str:
    """The transcript of many turns."""
    text = ""
    for turn in turns:
        text = extend_transcript(text, turn)
    return text


def parse_transcript(text: str) -> list[Entry]:
    """The entries of a transcript: the exact inverse of :func:`transcript`, window aside."""
    entries = []
    for block in re.split(r"\n(?! {4})", text) if text else []:
        header = _HEADER.match(block)
        if header is None:
            raise ValueError(f"not an entry of a transcript: {block[:80]!r}")
        index, agent, kind = header.groups()
        body = block[header.end() :].replace(_INDENT, "\n")
        entries.append(Entry(int(index), agent, kind or "speak", body))
    return entries


def own_profile(character: Character) -> str:
    """What a character knows of itself, its name first and its secret included."""
    parts = [_facts(character), character.public_info, _mind(character)]
    if character.secret:
        parts.append(f"Secret: {_sentence(character.secret)}")
    return " ".join(part for part in parts if part)


def visible_profile(character: Character, relationship: str) -> str:
    """What one sees of another: nothing of a stranger, ever more the closer the relationship, never secrets."""
    if relationship == "stranger":
        return ""
    if relationship == "know_by_name":
        return f"{character.name}."
    parts = [_facts(character), character.public_info]
    if relationship != "acquaintance":
        parts.append(_mind(character))
    return " ".join(part for part in parts if part)


def static_observation(task: Task, seat: int) -> dict[str, str]:
    """The part of a seat's observation that does not change during an episode."""
    own = task.characters[seat]
    relationship = task.scenario.relationship
    partners = [visible_profile(c, relationship) for i, c in enumerate(task.characters) if i != seat]
    names = [f"{agent_name(i)}: {c.name}" for i, c in enumerate(task.characters)]
    return {
        "agent": agent_name(seat),
        "name": own.name,
        "situation": task.scenario.situation,
        "participants": "\n".join(names),
        "background": own_profile(own),
        "partners": "\n".join(p for p in partners if p),
        "goal": task.scenario.goals[seat],
    }


def _facts(character: Character) -> str:
    words = [character.name]
    if character.age is not None:
        words.append(f"{character.age} years old")
    words += [word for word in (character.gender, character.occupation, character.pronouns) if word]
    return _sentence(", ".join(words))


def _mind(character: Character) -> str:
    return " ".join(
        _sentence(text) for text in (character.personality, character.values, character.decision_making_style) if text
    )


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
