"""Dialogues as a reward model reads them: one row of tokens, and where in it each own turn begins and ends."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sotopia_env import rendering
from sotopia_env.chat_encoding import ChatEncoder, Encoded
from sotopia_env.episodes import Episode
from sotopia_env.views import view

_PROBE = {
    "agent": "agent_0",
    "participants": "agent_0: Ada Lund\nagent_1: Bo Ek\nagent_2: Cy Holm",
    "background": "Ada Lund. Secret: She is late.",
    "situation": "Three people share a table.",
    "partners": "Bo Ek.",
    "goal": "Get the window seat.",
    "transcript": "\n".join(
        [
            "#0 agent_1: Hello.",
            "#1 agent_0: Hi [there].",
            "#2 agent_2 [non-verbal communication]: nods",
            "#3 agent_1 to agent_0: A word?",
            "#4 agent_0 [action]: moves",
            "#5 agent_0: [no]",
            "#6 agent_1 [none]: ",
            "#7 agent_0 [leave]: ",
        ]
    ),
}
"""A made-up view with every kind of turn: two encoders that give it the same tokens render alike."""


@dataclass(frozen=True)
class ValueRow:
    """One agent's dialogue as tokens, up to the end of its last own turn.

    Args:
        ids: L token ids.
        before: for each of T own turns the index of the last token the agent had read when it began.
        after: for each of T own turns the index of its own last token. Fewer than the agent had where the model reads
            no further.
    """

    ids: list[int]
    before: list[int]
    after: list[int]


def value_row(episode: Episode, agent: str, encoder: ChatEncoder, limit: int | None = None) -> ValueRow:
    """What a reward model reads of one agent's dialogue.

    Up to the end of an own turn the row is the same whatever comes later, also where agents act at the same time: what
    others said unseen stands behind the own turn.

    Args:
        episode: running or finished.
        agent: whose view; it had a turn.
        encoder: of the model's tokenizer.
        limit: the most tokens the model reads; own turns that end beyond it are left out.
    """
    return row_of(encoder.encode_turns(rendering.chat(view(episode, agent))), limit)


def latest_row(
    episode: Episode, agent: str, encoder: ChatEncoder, limit: int | None = None
) -> tuple[list[int], list[int]]:
    """What an outcome model reads to tell what an episode is worth to an agent as it stands.

    Once something was heard since the latest own turn, that is the token right before the next own turn, whoever is to
    speak first: the same as ``before`` of :class:`ValueRow` when the turn comes. Until then it is the end of the latest
    own turn.

    Args:
        episode: running or finished.
        agent: whose view; it need not have had a turn.
        encoder: of the model's tokenizer.
        limit: the most tokens the model reads.

    Returns:
        Token ids and the place of the last of them; nothing at all beyond the limit.
    """
    return end_of(rendering.chat(view(episode, agent)), encoder, limit)


def end_of(
    chat: Sequence[Mapping[str, str]], encoder: ChatEncoder, limit: int | None = None
) -> tuple[list[int], list[int]]:
    """A whole chat; see :func:`latest_row`."""
    ids = (encoder.encode_turns(chat) if chat[-1]["role"] == "assistant" else encoder.encode(chat)).ids
    return (ids, [len(ids) - 1]) if limit is None or len(ids) <= limit else ([], [])


def row_of(encoded: Encoded, limit: int | None = None) -> ValueRow:
    """A row from an encoded chat; see :func:`value_row`."""
    before: list[int] = []
    after: list[int] = []
    for place, turn in enumerate(encoded.own_index):
        if turn == len(after):
            before.append(place - 1)
            after.append(place)
        elif turn >= 0:
            after[turn] = place
    if limit is not None:
        after = [place for place in after if place < limit]
    return ValueRow(encoded.ids[: after[-1] + 1] if after else [], before[: len(after)], after)


def rendering_fingerprint(encoder: ChatEncoder) -> str:
    """A short hash of how views become tokens: of the rendering, the chat template and the tokenizer together."""
    encoded = encoder.encode(rendering.messages(_PROBE), add_generation_prompt=False)
    return hashlib.sha256(json.dumps([encoded.ids, encoded.own_index]).encode()).hexdigest()[:16]
