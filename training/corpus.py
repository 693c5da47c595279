"""The texts that the tokenizer of the embedded model is made for."""

from __future__ import annotations

from collections.abc import Sequence

from sotopia_env.episodes import Episode
from sotopia_env.rendering import messages
from sotopia_env.views import static_observation, transcript


def corpus(episodes: Sequence[Episode]) -> list[str]:
    """What the models of all seats read and write in some episodes."""
    texts = []
    for episode in episodes:
        for seat in range(episode.task.num_seats):
            observation = {**static_observation(episode.task, seat), "transcript": transcript(episode.turns)}
            texts += [message["content"] for message in messages(observation)]
    return texts
