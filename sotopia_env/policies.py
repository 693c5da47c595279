"""The protocol of a policy, and how a name becomes one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from sotopia_env.actions import Action

Observation = Mapping[str, Any]


@dataclass(frozen=True)
class Context:
    """What a policy is told besides the observation.

    Args:
        episode: key of the episode, for caches.
        agent: ``agent_0``, ...
        turn: own index of the turn to be played.
        rng: generator of this turn alone, seeded from episode, agent and turn: whatever a policy draws from it does
            not depend on the batch it is asked in.
        info: what the environment tells the agent beside the observation: ``offers`` (what each agent has on the
            table), and why its own last turn was ``none`` (``invalid_action``); empty where whoever asks does not say.
    """

    episode: str
    agent: str
    turn: int
    rng: np.random.Generator
    info: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TokenTrace:
    """What a language model read and wrote in one turn.

    Args:
        prompt_ids: the whole sequence it was conditioned on, earlier own turns as they were sampled.
        ids: sampled token ids, the end-of-turn token included where one was sampled. Never re-tokenised.
        logprobs: log-probability of each sampled token under the sampling distribution, or ``None``.
        truncated: whether the length limit cut the turn.
    """

    prompt_ids: tuple[int, ...]
    ids: tuple[int, ...]
    logprobs: tuple[float, ...] | None = None
    truncated: bool = False


@dataclass(frozen=True)
class Decision:
    """What a policy decided: the action, and where a model wrote it, its raw text and tokens.

    Args:
        action: the action to take.
        raw: the model's own words, where they had to be parsed.
        invalid: why the raw text is no action (``action`` is then ``none``); counted, never raised.
        trace: token ids and log-probabilities.
    """

    action: Action
    raw: str | None = None
    invalid: str | None = None
    trace: TokenTrace | None = field(default=None, repr=False)


class Policy(Protocol):
    """Acts for a seat. ``name`` identifies it in episodes and tables.

    A run is told from another one by the arguments its policies were made with, or by what a method ``describe()``
    returns: plain data of all that decides their turns (:mod:`sotopia_env.describe`).

    A policy that may be asked from several threads at once, such as one behind a server, says so by an attribute
    ``calls_at_once``: at most so many calls, ``math.inf`` where it computes next to nothing. Where all policies of a
    run do, no dialogue waits for another one's turn. It may have a method ``opened()``, a context manager within which
    these calls are made.
    """

    name: str

    def act(self, observations: Sequence[Observation], contexts: Sequence[Context]) -> list[Decision]:
        """Decide for a batch of agents, each in an episode of its own.

        Args:
            observations: B observations of the dict interface.
            contexts: B contexts.

        Returns:
            B decisions, in the same order.
        """
        ...

    def act_one(self, observation: Observation, context: Context | None = None) -> Action:
        """Decide for a single agent."""
        ...
