"""What each agent may know: profiles by relationship, and the transcript as text.

All functions are pure. An observation of the dict interface is built from them, and policies, rendering and training
read nothing but observations. A private message stands in the transcripts of its speaker and its recipients alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from sotopia_env.episodes import Episode, Turn, agent_name, seat_of
from sotopia_env.spaces import MAX_TRANSCRIPT
from sotopia_env.tasks import Character, Task
from sotopia_env.turns import cycles_of

_INDENT = " " * 4
_BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
"""Whatever some reader takes for the end of a line; ``str.splitlines`` splits at these."""
_HEADER = re.compile(
    r"#(\d+) (agent_\d+)(?: \[(none|non-verbal communication|action|leave)\])?(?: to (nobody|[agent_\d, ]+))?: ?"
)


@dataclass(frozen=True)
class Entry:
    """One turn as it stands in a transcript.

    Args:
        index: among all turns of the episode.
        agent: whose turn it was.
        type: one of :data:`sotopia_env.actions.ACTION_TYPES`.
        text: what was said or done.
        to: who may see it besides the speaker; ``None`` for everyone.
    """

    index: int
    agent: str
    type: str
    text: str
    to: tuple[str, ...] | None = None


@dataclass(frozen=True)
class View:
    """All that one agent may know at one moment, its turns not cut to a window.

    Args:
        agent: whose view it is.
        texts: what does not change during an episode, as in an observation.
        cycles: the turns it has seen, one tuple for each turn of the table, by seats. What models wrote behind the
            actions of others is left out.
        characters: one per seat: its own whole, of the others what it may know; a name is no secret.
        relationship: between the characters, or the one by which they are shown to each other.
    """

    agent: str
    texts: Mapping[str, str]
    cycles: tuple[tuple[Turn, ...], ...]
    characters: tuple[Character, ...]
    relationship: str

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns it has seen, in the order in which it came to know them; see :func:`seen_by`."""
        seat = seat_of(self.agent)
        return tuple(turn for cycle in self.cycles for turn in seen_by(seat, cycle))

    def observation(self) -> dict[str, Any]:
        """The view as far as it is text: an observation of the dict interface that tells no legal types."""
        return {**self.texts, "transcript": transcript(self.turns)}

    def window(self) -> View:
        """The view as far as an observation shows it: itself, or without the oldest turns where they do not fit."""
        turns = self.turns
        # Lines inside an utterance are indented, so that each of these begins a turn.
        kept = transcript(turns).count("\n#") + 1
        if kept >= len(turns):
            return self
        shown = set(turns[-kept:])
        return replace(self, cycles=tuple(tuple(turn for turn in cycle if turn in shown) for cycle in self.cycles))


def view(episode: Episode, agent: str, turn: int | None = None) -> View:
    """What an agent may know of an episode.

    Args:
        episode: running or finished.
        agent: ``agent_0``, ...
        turn: before the turn of this global index, where those that act with it act unseen; ``None`` for all of it.
    """
    seat = seat_of(agent)
    seen: list[tuple[Turn, ...]] = []
    for cycle in cycles_of(episode.turns, episode.action_order):
        if turn is not None and cycle[-1].global_index >= turn:
            break
        seen.append(tuple(t if t.seat == seat else replace(t, raw=None, invalid=None) for t in cycle if sees(seat, t)))
    relationship = episode.task.shown_as
    people = enumerate(episode.task.characters)
    known = tuple(person if i == seat else visible_character(person, relationship) for i, person in people)
    return View(agent, static_observation(episode.task, seat), tuple(seen), known, relationship)


def sees(seat: int, turn: Turn) -> bool:
    """Whether a seat sees a turn: its own, those to everyone, and those to it."""
    return turn.recipients is None or seat == turn.seat or seat in turn.recipients


def seen_by(seat: int, cycle: Sequence[Turn]) -> Sequence[Turn]:
    """The turns of one cycle that a seat sees, its own first: what was said at the same time it heard afterwards."""
    if len(cycle) == 1:
        return cycle if sees(seat, cycle[0]) else ()
    return sorted((turn for turn in cycle if sees(seat, turn)), key=lambda turn: turn.seat != seat)


def indented(text: str) -> str:
    """A text with every line but the first indented, so that none can pass for somebody else's."""
    # Most utterances are one printable line.
    if text.isprintable():
        return text
    for character in _BREAKS:
        text = text.replace(character, character + _INDENT)
    return text


def _outdented(text: str) -> str:
    """The inverse of :func:`indented`."""
    if not text.isprintable():
        for character in _BREAKS:
            text = text.replace(character + _INDENT, character)
    return text


def entry_of(turn: Turn) -> Entry:
    """One turn as an entry of a transcript."""
    to = None if turn.recipients is None else tuple(map(agent_name, turn.recipients))
    return Entry(turn.global_index, turn.agent, turn.type, turn.text, to)


def entry_text(turn: Turn) -> str:
    """One turn as text. Lines inside an utterance are indented, so that none can pass for another entry."""
    kind = "" if turn.type == "speak" else f" [{turn.type}]"
    to = "" if turn.recipients is None else f" to {', '.join(map(agent_name, turn.recipients)) or 'nobody'}"
    return f"#{turn.global_index} agent_{turn.seat}{kind}{to}: {indented(turn.text)}"


def extend_transcript(transcript: str, turn: Turn) -> str:
    """A transcript with one more turn; where it grows too long, the oldest turns drop out whole, down to half of it.

    Half, so that what stands before an agent's turn begins alike for many turns: a model's cache stays valid.
    """
    return with_entry(transcript, entry_text(turn))


def with_entry(transcript: str, entry: str) -> str:
    """:func:`extend_transcript`, given the turn as text."""
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
        index, agent, kind, named = header.groups()
        body = _outdented(block[header.end() :])
        to = None if named is None else tuple(named.split(", ")) if named != "nobody" else ()
        entries.append(Entry(int(index), agent, kind or "speak", body, to))
    return entries


@lru_cache(maxsize=4096)
def own_profile(character: Character) -> str:
    """What a character knows of itself, its name first and its secret included."""
    parts = [_facts(character), character.public_info, _mind(character)]
    if character.secret:
        parts.append(f"Secret: {_sentence(character.secret)}")
    return " ".join(part for part in parts if part)


def visible_character(character: Character, relationship: str) -> Character:
    """A character with nothing but what others may know of it: Sotopia's table of relationships, never secrets."""
    if relationship in ("stranger", "know_by_name"):
        return Character(character.id, character.first_name, character.last_name)
    if relationship == "acquaintance":
        return replace(character, personality="", values="", decision_making_style="", secret="")
    return replace(character, secret="")


@lru_cache(maxsize=4096)
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
    scenario = task.scenario
    return static_texts(seat, scenario.situation, task.shown_as, scenario.goals, task.characters)


def static_texts(
    seat: int, situation: str, relationship: str, goals: Sequence[str], characters: Sequence[Character]
) -> dict[str, str]:
    """:func:`static_observation`, given the parts of the task that it is made of."""
    own = characters[seat]
    partners = [visible_profile(c, relationship) for i, c in enumerate(characters) if i != seat]
    # One line a seat, whatever stands in a name.
    names = [f"{agent_name(i)}: {' '.join(c.name.split())}" for i, c in enumerate(characters)]
    return {
        "agent": agent_name(seat),
        "name": own.name,
        "situation": situation,
        "participants": "\n".join(names),
        "background": own_profile(own),
        "partners": "\n".join(p for p in partners if p),
        "goal": goals[seat],
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
