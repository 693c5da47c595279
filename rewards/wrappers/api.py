"""Wrapping whichever API: a reward wrapper always lies over the parallel environment behind it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import gymnasium

from sotopia_env.environment import SotopiaParallelEnv
from sotopia_env.rewards.reward import Reward
from sotopia_env.rewards.wrappers.base import RewardWrapper, has_partners


def over_parallel(env: Any, wrap: Callable[[Any], Any]) -> Any:
    """Wrap the parallel environment behind an API, and put a copy of the API back over it.

    Args:
        env: a parallel environment of this package, its AEC or its single-agent API, with whatever wrappers.
        wrap: ``(parallel environment) -> wrapped parallel environment``.

    Raises:
        TypeError: it is no environment of this package.
    """
    if has_partners(env):
        # One step of it is several cycles, and each is paid: rewards lie below the partners.
        twin = copy.copy(env)
        twin.env = over_parallel(env.env, wrap)
        return twin
    if isinstance(getattr(env, "unwrapped", None), SotopiaParallelEnv):
        return wrap(env)
    name = next((name for name in ("parallel", "env") if name in getattr(env, "__dict__", {})), None)
    if name is None:
        raise TypeError(f"{env!r:.80} is no environment of this package: neither parallel, AEC nor single-agent")
    inner = getattr(env, name)
    twin = copy.copy(env)
    setattr(twin, name, wrap(inner) if name == "parallel" else over_parallel(inner, wrap))
    # Gymnasium's spec tells how to make the environment anew, and would leave the wrapper out.
    if isinstance(twin, gymnasium.Wrapper):
        twin._cached_spec = None
    elif isinstance(twin, gymnasium.Env):
        twin.spec = None
    return twin


def pay(env: Any, change: Callable[[Reward | None], Reward]) -> Any:
    """Wrap an environment anew so that it pays another reward, failing as the wrapper below it does.

    Args:
        env: whatever :func:`over_parallel` takes.
        change: from the reward that is paid below, ``None`` where nothing pays, to the one to be paid.

    Raises:
        ValueError: a wrapper in between changes what is paid, and would be passed over.
    """

    def wrap(parallel: Any) -> RewardWrapper:
        below = parallel
        while below is not None and not isinstance(below, RewardWrapper):
            _check_passable(below)
            # PettingZoo's wrappers forward unknown names to the bare environment: only their own env will do.
            below = vars(below).get("env")
        if below is None:
            return RewardWrapper(parallel, change(None))
        return RewardWrapper(unpaid(parallel), change(below.reward), on_failure=below.on_failure)

    return over_parallel(env, wrap)


def unpaid(env: Any) -> Any:
    """The environment without the reward wrappers in it: what they pay would be thrown away, and may cost calls."""
    if isinstance(env, RewardWrapper):
        return unpaid(env.env)
    _check_passable(env)
    # PettingZoo's wrappers forward unknown names to the bare environment: only their own env will do.
    below = vars(env).get("env")
    inner = None if below is None else unpaid(below)
    if inner is below:
        return env
    twin = copy.copy(env)
    twin.env = inner
    return twin


def _check_passable(wrapper: Any) -> None:
    if getattr(type(wrapper), "changes_rewards", False):
        raise ValueError(
            f"{type(wrapper).__name__} has to lie over all rewards, penalties and transforms, not below one: "
            "wrap the environment in it last"
        )
