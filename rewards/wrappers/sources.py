"""Reward wrappers that name their reward: each goes around any face, and replaces the reward that is paid below it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sotopia_env.rewards.attribution.reward import Attribution, Baseline
from sotopia_env.rewards.credit.judge_reward import JudgeScores
from sotopia_env.rewards.credit.progress import Progress
from sotopia_env.rewards.designs import Kind
from sotopia_env.rewards.dimensions import Scale
from sotopia_env.rewards.outcome import Outcome
from sotopia_env.rewards.reward_model.reward import RewardModel
from sotopia_env.rewards.wrappers.api import SourceWrapper
from sotopia_env.rewards.wrappers.base import OnFailure


class EpisodeReward(SourceWrapper):
    """Pays each agent its score of the episode at the end: ``RewardWrapper(env, Outcome("episode", ...))``.

    Args:
        env: an environment of any face; a reward wrapper around it is replaced.
        dimensions: ``{dimension: weight}``.
        judge: see :class:`~sotopia_env.rewards.Outcome`.
        scale: ``"unit"`` (each dimension from its native range to [0, 1]) or ``"native"``.
        on_failure: see :class:`~sotopia_env.rewards.RewardWrapper`.

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


class AttributionReward(SourceWrapper):
    """Spreads each agent's score over its turns by their importance: ``RewardWrapper(env, Attribution(...))``.

    The numbers stand in ``infos[agent]["utterance_rewards"]`` at the end; ``step`` pays what their flags say.

    Args:
        env: an environment of any face; a reward wrapper around it is replaced.
        design: ``"direct"``, ``"direct-centred"``, ``"scaled"`` or ``"singular"``.
        attributor: see :class:`~sotopia_env.rewards.Attribution`, as for all that follow.
        levels: s, of a function's or of recorded importances.
        dimensions: ``{dimension: weight}``.
        judge: see :class:`~sotopia_env.rewards.Outcome`.
        scale: ``"unit"`` (each dimension from its native range to [0, 1]) or ``"native"``.
        kind: ``"return"`` or ``"credit"``.
        baseline: b of the centred design.
        paper: take what Sotopia-RL does where it differs.
        on_failure: see :class:`~sotopia_env.rewards.RewardWrapper`.

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


class ProgressReward(SourceWrapper):
    """Pays each turn by how much better the agent stands once it was replied to: ``RewardWrapper(env, Progress(...))``.

    Args:
        env: an environment of any face; a reward wrapper around it is replaced.
        potential: what a running episode is worth: see :class:`~sotopia_env.rewards.Progress`, as for all
            that follow.
        dimensions: ``{dimension: weight}``.
        judge: of the outcome.
        scale: ``"unit"`` (each dimension from its native range to [0, 1]) or ``"native"``.
        gamma: γ, counted in own turns; the learner's own.
        paper: pay the published form, a hindsight credit.
        on_failure: see :class:`~sotopia_env.rewards.RewardWrapper`.

    Example:
        >>> env = ProgressReward(sotopia_env.parallel_env("bargain", reward=None))  # doctest: +SKIP
    """

    def __init__(
        self,
        env: Any,
        *,
        potential: Any = "standing-offer",
        dimensions: Mapping[str, float] | None = None,
        judge: Any = "rule",
        scale: Scale = "unit",
        gamma: float = 1.0,
        paper: bool = False,
        on_failure: OnFailure = "nan",
    ) -> None:
        """Wrap ``env``."""
        weights = {"goal": 1.0} if dimensions is None else dimensions
        super().__init__(env, Progress(potential, weights, judge, scale, gamma, paper), on_failure=on_failure)


class JudgeReward(SourceWrapper):
    """Pays the changes of a judge's score in the course of the episode: ``RewardWrapper(env, JudgeScores(...))``.

    Args:
        env: an environment of any face; a reward wrapper around it is replaced.
        judge: one that can judge running episodes: see :class:`~sotopia_env.rewards.JudgeScores`, as for
            all that follow.
        every: how many own turns lie between two readings; ``None`` reads the end alone.
        dimensions: ``{dimension: weight}``.
        scale: ``"unit"`` (each dimension from its native range to [0, 1]) or ``"native"``.
        on_failure: see :class:`~sotopia_env.rewards.RewardWrapper`.

    Example:
        >>> env = sotopia_env.parallel_env("bargain", reward=None)  # doctest: +SKIP
        >>> env = JudgeReward(env, "llm:MODEL@http://127.0.0.1:8000/v1", every=2)  # doctest: +SKIP
    """

    def __init__(
        self,
        env: Any,
        judge: Any,
        *,
        every: int | None = 1,
        dimensions: Mapping[str, float] | None = None,
        scale: Scale = "unit",
        on_failure: OnFailure = "nan",
    ) -> None:
        """Wrap ``env``."""
        weights = {"goal": 1.0} if dimensions is None else dimensions
        super().__init__(env, JudgeScores(judge, every, weights, scale), on_failure=on_failure)


class RewardModelReward(SourceWrapper):
    """Pays each turn what a trained reward model says of it: ``RewardWrapper(env, RewardModel(...))``.

    Args:
        env: an environment of any face; a reward wrapper around it is replaced.
        path: folder of the model.
        dimensions: ``{dimension: weight}``; by default the weights it was saved with.
        batch_size: so many dialogues go through the model at a time.
        on_failure: see :class:`~sotopia_env.rewards.RewardWrapper`.

    Example:
        >>> env = RewardModelReward(sotopia_env.parallel_env("bargain", reward=None), "runs/rm")  # doctest: +SKIP
    """

    def __init__(
        self,
        env: Any,
        path: Any,
        *,
        dimensions: Mapping[str, float] | None = None,
        batch_size: int = 16,
        on_failure: OnFailure = "nan",
    ) -> None:
        """Wrap ``env``."""
        model = RewardModel(str(path), dimensions, batch_size=batch_size)
        super().__init__(env, model, on_failure=on_failure)
