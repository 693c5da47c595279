"""The same rewards on stored episodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sotopia_env.episodes import Episode
from sotopia_env.families.resolve import as_family
from sotopia_env.rewards.judges.base import judged
from sotopia_env.rewards.resolve import get_reward
from sotopia_env.rewards.turn_rewards import TurnRewards, combine


def relabel(episodes: Sequence[Episode], reward: Any, family: Any = None) -> list[Episode]:
    """Episodes with the numbers of a reward, one batched call for each of its parts.

    What a wrapped environment pays in play equals what is written here: exactly for designs of judged scores and
    penalties; ``reward.needs`` names what else a reward depends on.

    Args:
        episodes: finished or running; they stay as they are.
        reward: whatever :func:`get_reward` takes.
        family: of their tasks, where it is one of your own.

    Returns:
        New episodes, with judgements where the reward needs them, and ``rewards[name]`` for the whole reward and for
        each of its parts (without the part's weight).

    Raises:
        ValueError: the reward can never be computed for tasks of that family.
    """
    reward = get_reward(reward)
    if family is not None:
        made = as_family(family)
        reward.check(made)
        reward = reward.for_family(made)
    labelled = judged(episodes, reward.judges())
    weights = [weight for weight, _ in reward.parts()]
    by_part = [part.rewards(labelled) for _, part in reward.parts()]
    for index, episode in enumerate(labelled):
        numbers = [part[index] for part in by_part]
        for (_, part), utterances in zip(reward.parts(), numbers, strict=True):
            episode = episode.with_rewards(part.name, utterances)
        labelled[index] = episode.with_rewards(reward.name, _total(episode, weights, numbers))
    return labelled


def _total(episode: Episode, weights: Sequence[float], numbers: Sequence[TurnRewards]) -> TurnRewards:
    return {
        agent: [combine(weights, values) for values in zip(*(part[agent] for part in numbers), strict=True)]
        for agent in episode.agents
    }
