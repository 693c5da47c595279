"""Wrappers that keep statistics of what ``step`` pays: totals of an episode, and the running scale of returns."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium.wrappers.utils import RunningMeanStd

from sotopia_env.environment import SotopiaParallelEnv, StepResult
from sotopia_env.rewards.reward import Reward
from sotopia_env.rewards.wrappers.api import over_parallel
from sotopia_env.rewards.wrappers.base import RewardWrapper, reward_of
from sotopia_env.wrappers.base import ParallelWrapper


class StatisticsWrapper(ParallelWrapper):
    """A wrapper that looks at the results of ``step``. A subclass defines :meth:`begin` and :meth:`see`.

    Called with an AEC or single-agent environment, it returns that API over the wrapped parallel environment.
    """

    changes_rewards: ClassVar[bool] = False

    def __new__(cls, env: Any = None, **arguments: Any) -> Any:
        """The wrapper, or the API of ``env`` over it."""
        # Copies and pickles are made without an environment, which they are given afterwards.
        if env is None or isinstance(getattr(env, "unwrapped", None), SotopiaParallelEnv):
            return super().__new__(cls)
        return over_parallel(env, lambda parallel: cls(parallel, **arguments))

    def __init__(self, env: Any, **arguments: Any) -> None:
        """Wrap ``env``."""
        super().__init__(env)

    def begin(self, infos: dict[str, dict[str, Any]]) -> None:
        """An episode begins."""
        raise NotImplementedError(f"{type(self).__name__} must say what it does at the beginning of an episode")

    def see(self, result: StepResult) -> None:
        """A cycle was played; its rewards and infos may be changed in place."""
        raise NotImplementedError(f"{type(self).__name__} must say what it does after a cycle")

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Begin an episode."""
        observations, infos = self.env.reset(seed=seed, options=options)
        self.begin(infos)
        return observations, infos

    def step(self, actions: Mapping[str, Any]) -> StepResult:
        """Play one cycle."""
        result: StepResult = self.env.step(actions)
        self.see(result)
        return result

    @staticmethod
    def step_many(envs: Sequence[Any], actions: Sequence[Mapping[str, Any]]) -> list[StepResult]:
        """Step many environments; a reward below is asked once for all of them.

        Args:
            envs: N environments.
            actions: N mappings from agent to action.

        Returns:
            N results of ``step``, equal to stepping them one by one.
        """
        if not any(isinstance(env, StatisticsWrapper) for env in envs):
            return RewardWrapper.step_many(envs, actions)
        below = [env.env if isinstance(env, StatisticsWrapper) else env for env in envs]
        results = StatisticsWrapper.step_many(below, actions)
        for env, result in zip(envs, results, strict=True):
            if isinstance(env, StatisticsWrapper):
                env.see(result)
        return results

    def wrapper_spec(self) -> dict[str, Any]:
        """Its arguments as plain JSON-able data: ``type(self)(env, **spec)`` makes an equal one."""
        raise NotImplementedError(f"{type(self).__name__} must record its arguments")


class RecordEpisodeStatistics(StatisticsWrapper):
    """Adds up what each agent was paid, and says it in the infos of the last step, as Gymnasium's does.

    ``infos[agent][stats_key]`` holds, of the agent and the whole episode: ``r`` (the return: the sum of what ``step``
    paid, ``nan`` where a number failed), ``l`` (own turns), ``t`` (seconds since ``reset``), ``words`` (words per own
    turn, ``None`` without a turn) and ``invalid`` (own turns whose action was replaced by ``none``). Recorded is what
    the wrappers below pay: it goes over the rewards.

    Args:
        env: an environment of any API.
        stats_key: where infos hold the statistics.
    """

    def __init__(self, env: Any, *, stats_key: str = "episode") -> None:
        """Wrap ``env``."""
        super().__init__(env)
        self.stats_key = stats_key
        self._returns: dict[str, float] = {}
        self._started = time.perf_counter()

    def begin(self, infos: dict[str, dict[str, Any]]) -> None:
        """Nothing is paid yet."""
        self._returns = dict.fromkeys(self.unwrapped.possible_agents, 0.0)
        self._started = time.perf_counter()

    def see(self, result: StepResult) -> None:
        """Add up; at the end, say the sums."""
        _, rewards, _, _, infos = result
        for agent, amount in rewards.items():
            self._returns[agent] += amount
        if self.unwrapped.ending is None:
            return
        seconds = round(time.perf_counter() - self._started, 6)
        episode = self.unwrapped.episode
        for agent, info in infos.items():
            turns = episode.own_turns(agent)
            words = sum(len(turn.text.split()) for turn in turns)
            info[self.stats_key] = {
                "r": float(self._returns[agent]),
                "l": len(turns),
                "t": seconds,
                "words": words / len(turns) if turns else None,
                "invalid": sum(turn.invalid is not None for turn in turns),
            }

    def wrapper_spec(self) -> dict[str, Any]:
        """Its arguments."""
        return {"stats_key": self.stats_key}

    def wrapper_state(self) -> dict[str, Any]:
        """Returns so far (``None`` where a number failed) and seconds."""
        returns = {agent: None if math.isnan(value) else value for agent, value in self._returns.items()}
        return {"returns": returns, "seconds": time.perf_counter() - self._started}

    def restore_wrapper_state(self, state: Mapping[str, Any]) -> None:
        """Go on from there; the time in between is not counted."""
        self._returns = {agent: math.nan if value is None else value for agent, value in state["returns"].items()}
        self._started = time.perf_counter() - state["seconds"]

    def __getstate__(self) -> dict[str, Any]:
        """Seconds instead of a time of day that another process does not share."""
        return {**vars(self), "_started": time.perf_counter() - self._started}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.__dict__.update(state, _started=time.perf_counter() - state["_started"])


class NormalizeReward(StatisticsWrapper):
    """Divides what ``step`` pays by the running standard deviation of discounted returns, as Gymnasium's does.

    After every cycle R ← γR + r for each agent, R = 0 at ``reset``. The variance is that of all R so far, of every
    agent and episode together (it begins at 1, with the weight of 1e-4 observations), and what is paid is
    r / √(Var R + ε); as long as all R so far are equal they have no spread, and r is paid as it is. No mean is taken
    off: that would pay for the length of an episode. A number that failed stays ``nan`` and is not counted.

    It lies over all rewards, penalties and transforms. Infos stay as they are below, so that ``utterance_rewards`` and
    ``reward_parts`` are not normalised; ``infos[agent]["reward_scale"]`` is what ``step`` divided by.

    Use it for plain learners that read the reward of ``step`` (a PPO of another library), over one environment that
    plays many episodes. Use it neither in an evaluation (what it pays depends on what was played before, hence
    ``update=False`` or :meth:`frozen`) nor for learners of this package, which read ``utterance_rewards`` and
    normalise by groups. Copies made by ``fork`` begin with the statistics of the original and go on by themselves.
    Statistics are in ``snapshot`` and come back with ``restore``; nothing in it is random.

    Args:
        env: an environment of any API.
        gamma: γ, from 0 to 1.
        epsilon: ε, above 0.
        update: whether the statistics go on changing; ``env.update = False`` freezes them later.

    Raises:
        ValueError: an argument is out of its range.
    """

    changes_rewards: ClassVar[bool] = True

    def __init__(self, env: Any, *, gamma: float = 0.99, epsilon: float = 1e-8, update: bool = True) -> None:
        """Wrap ``env``."""
        if not 0 <= gamma <= 1:
            raise ValueError(f"gamma: {gamma} is not between 0 and 1")
        if not 0 < epsilon < math.inf:
            raise ValueError(f"epsilon: {epsilon} is not a positive number")
        super().__init__(env)
        self.gamma, self.epsilon, self.update = gamma, epsilon, update
        self._moments = RunningMeanStd(shape=())
        self._extremes = (math.inf, -math.inf)
        self._discounted: dict[str, float] = {}

    @property
    def scale(self) -> float:
        """What the next reward would be divided by, if nothing changed."""
        lowest, highest = self._extremes
        if lowest >= highest:
            return 1.0
        return math.sqrt(float(self._moments.var) + self.epsilon)

    def frozen(self) -> Reward:
        """The reward below divided by the present scale: pure, for evaluations and :func:`relabel`.

        Raises:
            ValueError: no reward wrapper lies below.
        """
        below = reward_of(self)
        if below is None:
            raise ValueError("frozen: the environment below pays no reward; wrap it in one first")
        return (1 / self.scale) * below

    def begin(self, infos: dict[str, dict[str, Any]]) -> None:
        """Returns begin anew, the statistics go on."""
        self._discounted = dict.fromkeys(self.unwrapped.possible_agents, 0.0)
        for info in infos.values():
            info["reward_scale"] = self.scale

    def see(self, result: StepResult) -> None:
        """Take what was paid into the statistics, then divide by their standard deviation."""
        _, rewards, _, _, infos = result
        known = [agent for agent, amount in rewards.items() if not math.isnan(amount)]
        for agent in known:
            self._discounted[agent] = self.gamma * self._discounted[agent] + rewards[agent]
        if self.update and known:
            returns = [self._discounted[agent] for agent in known]
            self._moments.update(np.array(returns))
            self._extremes = (min(self._extremes[0], *returns), max(self._extremes[1], *returns))
        scale = self.scale
        for agent in rewards:
            rewards[agent] /= scale
            infos[agent]["reward_scale"] = scale

    def wrapper_spec(self) -> dict[str, Any]:
        """Its arguments."""
        return {"gamma": self.gamma, "epsilon": self.epsilon, "update": self.update}

    def wrapper_state(self) -> dict[str, Any]:
        """The statistics, and the discounted returns of the episode."""
        return {
            "mean": float(self._moments.mean),
            "variance": float(self._moments.var),
            "count": float(self._moments.count),
            "extremes": list(self._extremes) if all(map(math.isfinite, self._extremes)) else None,
            "discounted": dict(self._discounted),
        }

    def restore_wrapper_state(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self._moments = RunningMeanStd(shape=())
        self._moments.mean, self._moments.var = np.asarray(state["mean"]), np.asarray(state["variance"])
        self._moments.count = state["count"]
        # A snapshot of an earlier version does not say them, and scaled from the first reward on.
        lowest, highest = state.get("extremes", (-1.0, 1.0)) or (math.inf, -math.inf)
        self._extremes = (lowest, highest)
        self._discounted = dict(state["discounted"])
