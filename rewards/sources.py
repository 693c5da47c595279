"""Reward wrappers that name their reward: each replaces the reward of the wrapper below it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sotopia_env.rewards.attribution import Attribution, Baseline
from sotopia_env.rewards.designs import Kind
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


class AttributionReward(RewardWrapper):
    """Spreads each agent's score over its turns by their importance: ``RewardWrapper(env, Attribution(...))``.

    The numbers stand in ``infos[agent]["utterance_rewards"]`` at the end; ``step`` pays what their flags say.

    Args:
        env: the environment; a reward wrapper around it is replaced.
        design: ``"direct"``, ``"direct-centred"``, ``"scaled"`` or ``"singular"``.
        attributor: see :class:`~sotopia_env.rewards.attribution.Attribution`, as for all that follow.
        levels: s, of a function's or of recorded importances.
        dimensions: ``{dimension: weight}``.
        judge: see :class:`~sotopia_env.rewards.outcome.Outcome`.
        scale: ``"unit"`` (each dimension from its native range to [0, 1]) or ``"native"``.
        kind: ``"return"`` or ``"credit"``.
        baseline: b of the centred design.
        paper: take what Sotopia-RL does where it differs.
        on_failure: see :class:`RewardWrapper`.

    Example:
        >>> env = AttributionReward(sotopia_env.parallel_env("bargain", reward=None), "scaled")  # doctest: +SKIP
    """

    def __init__(
        self,
        env: Any,
        design: str = "direct",
        *,
        attributor: Any = "rule",
        levels: float | None = None,
        dimensions: Mapping[str, float] | None = None,
        judge: Any = "rule",
        scale: Scale = "unit",
        kind: Kind | None = None,
        baseline: float | Baseline | None = None,
        paper: bool = False,
        on_failure: OnFailure = "nan",
    ) -> None:
        """Wrap ``env``."""
        weights = {"goal": 1.0} if dimensions is None else dimensions
        reward = Attribution(design, attributor, levels, weights, judge, scale, kind, baseline, paper)
        super().__init__(env, reward, on_failure=on_failure)
