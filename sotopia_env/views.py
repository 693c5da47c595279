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

_INDENT = " " * 4
_BREAK = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
"""Whatever some reader takes for the end of a line; ``str.splitlines`` splits at these."""
_INDENTED_BREAK = re.compile(f"({_BREAK.pattern}){_INDENT}")
_HEADER = re.compile(r"#(\d+) (agent_\d+)(?: \[(none|non-verbal communication|action|leave)\])?: ?")


@dataclass(frozen=True)
class Entry:
    """One turn as it stands in a transcript."""

    index: int
    agent: str
    type: str
    text: str


def indented(text: str) -> str:
    """A text with every line but the first indented, so that none can pass for somebody else's."""
    # Most utterances are one printable line.
    return text if text.isprintable() else _BREAK.sub(rf"\g<0>{_INDENT}", text)


def entry_text(turn: Turn) -> str:
    """One turn as text. Lines inside an utterance are indented, so that none can pass for another entry."""
    kind = "" if turn.type == "speak" else f" [{turn.type}]"
    return f"#{turn.global_index} {agent_name(turn.seat)}{kind}: {indented(turn.text)}"


def extend_transcript(transcript: str, turn: Turn) -> str:
    """A transcript with one more turn; where it grows too long, the oldest turns drop out whole, down to half of it.

    Half, so that what stands before an agent's turn begins alike for many turns: a model's cache stays valid.
    """
    entry = entry_text(turn)
    if not transcript:
        return entry
    if len(transcript) + 1 + len(entry) > MAX_TRANSCRIPT:
        room = max(0, MAX_TRANSCRIPT // 2 - len(entry))
        start = transcript.find("\n#", max(0, len(transcript) - room))
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
        body = _INDENTED_BREAK.sub(r"\1", block[header.end() :])
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
    # One line a seat, whatever stands in a name.
    names = [f"{agent_name(i)}: {' '.join(c.name.split())}" for i, c in enumerate(task.characters)]
    return {
        "agent": agent_name(seat),
        "name": own.name,
        "situation": task.scenario.situation,
        "participants": "\n".join(names),
        "background": own_profile(own),
        "partners": "\n".join(p for p in partners if p),
        "goal": task.scenario.goals[seat],
    }


def static_state(task: Task) -> dict[str, str]:
    """The part of the state that does not change: the situation, and every seat's goal and profile."""
    return {
        "situation": task.scenario.situation,
        "goals": "\n".join(task.scenario.goals),
        "backgrounds": "\n".join(own_profile(character) for character in task.characters),
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
