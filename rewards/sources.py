"""Reward wrappers that name their reward: each replaces the reward of the wrapper below it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sotopia_env.rewards.dimensions import Scale
from sotopia_env.rewards.outcome import Outcome
from sotopia_env.rewards.wrapper import OnFailure, RewardWrapper


class EpisodeReward(RewardWrapper):
    """Pays each agent its score of the episode at the end: ``RewardWrapper(env, Outcome("episode", ...))``.

    Args:
        env: the environment; a reward wrapper around it is replaced.
        dimensions: ``{dimension: weight}``.
        judge: see :class:`~sotopia_env.rewards.outcome.Outcome`.
        scale: ``"unit"`` (each dimension from its native range to [0, 1]) or ``"native"``.
        on_failure: see :class:`RewardWrapper`.

    Example:
        >>> env = EpisodeReward(sotopia_env.parallel_env("bargain", reward=None))  # doctest: +SKIP
    """

    def __init__(
        self,
        env: Any,
        *,
        dimensions: Mapping[str, float] | None = None,
        judge: Any = "rule",
        scale: Scale = "unit",
        on_failure: OnFailure = "nan",
    ) -> None:
        """Wrap ``env``."""
        weights = {"goal": 1.0} if dimensions is None else dimensions
        super().__init__(env, Outcome("episode", weights, judge, scale), on_failure=on_failure)
