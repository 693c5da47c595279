"""Making environments: the parallel face."""

from __future__ import annotations

from typing import Any

from sotopia_env.environment import SotopiaParallelEnv
from sotopia_env.resolve import family_and_tasks


def parallel_env(family: Any = "bargain", *, reward: Any = None, split: str = "train", **options: Any) -> Any:
    """Sotopia scenarios as a PettingZoo parallel environment.

    Args:
        family: a family's name, with its split if need be (``"bargain:test"``); a file or list of tasks; a
            ``Family``, or any object with ``generate`` and ``score``.
        reward: what ``step`` pays: a reward's name (``"episode"``), a function of a list of episodes, a ``Reward``,
            or ``None`` for a bare environment that pays 0.0.
        split: the split to draw from, where the family's name holds none.
        options: ``max_cycles``, ``action_order``, ``max_stale``, ``action_types``, ``render_mode`` of
            :class:`~sotopia_env.environment.SotopiaParallelEnv`.

    Example:
        >>> env = parallel_env("bargain", reward="episode", max_cycles=20)
        >>> observations, infos = env.reset(seed=0)
    """
    found, tasks, split = family_and_tasks(family, split)
    env = SotopiaParallelEnv(found, tasks=tasks, split=split, **options)
    if reward is None:
        return env
    from sotopia_env.resolve import wrap_reward

    return wrap_reward(env, reward)
