"""The texts that the tokenizer of the embedded model is made for."""

from __future__ import annotations

from collections.abc import Sequence

from sotopia_env.episodes import Episode
from sotopia_env.training.batches import chat_of


def corpus(episodes: Sequence[Episode]) -> list[str]:
    """What the models of all seats read and write in some episodes."""
    return [
        message["content"] for episode in episodes for agent in episode.agents for message in chat_of(episode, agent)
    ]
