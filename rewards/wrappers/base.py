"""The thin shell that pays a reward through ``step``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from sotopia_env.environment import SotopiaParallelEnv, StepResult
from sotopia_env.episodes import Episode, seat_of
from sotopia_env.rewards.judges.base import scores_of
from sotopia_env.rewards.resolve import get_reward
from sotopia_env.rewards.reward import Reward
from sotopia_env.rewards.turn_rewards import TurnRewards, by_agent
from sotopia_env.rewards.wrappers.delivery import PartPayments, Payments, settle
from sotopia_env.wrappers.base import ParallelWrapper
from sotopia_env.wrappers.partners import WithPartners

OnFailure = Literal["nan", "raise"]


class RewardFailedError(RuntimeError):
    """A judge or reward could not say a number, and ``on_failure="raise"`` was asked for."""


class RewardWrapper(ParallelWrapper):
    """Pays a reward through ``step``.

    Causal numbers are paid as soon as they are known. With the last step every agent is paid what is due, the one out
    of turn too: hindsight returns, and the outcome in place of hindsight credit. What was paid is never revised, and
    what ``step`` paid of a return sums to the sum of its ``utterance_rewards``.

    Infos of every agent, fresh at every step: ``utterance_rewards`` (one number per own turn, all parts together;
    ``None`` = failed or not known yet), ``reward_parts`` (``{name: what this step paid}``) and ``scores``
    (``{dimension: native score}`` once the episode is over).

    Args:
        env: the environment. A reward wrapper directly below is replaced, not paid as well.
        reward: a ``Reward``, its name, ``module:attribute``, a spec, or a function of a list of episodes.
        on_failure: what ``step`` does where a number failed: pay ``"nan"``, or ``"raise"``.

    Raises:
        ValueError: the reward can never be computed for the tasks of the environment.

    Example:
        >>> import sotopia_env
        >>> env = RewardWrapper(sotopia_env.parallel_env("bargain", reward=None), "uniform")
    """

    def __init__(self, env: Any, reward: Any, *, on_failure: OnFailure = "nan") -> None:
        """Wrap ``env``."""
        while isinstance(env, RewardWrapper):
            env = env.env
        if not isinstance(getattr(env, "unwrapped", None), SotopiaParallelEnv):
            raise TypeError(f"RewardWrapper wraps a parallel environment of this package, not a {type(env).__name__}")
        if has_partners(env):
            raise TypeError(
                "RewardWrapper pays every cycle, and a step of WithPartners is several: wrap the environment first, "
                "WithPartners(RewardWrapper(env, reward), partners)"
            )
        if on_failure not in ("nan", "raise"):
            raise ValueError(f"on_failure: {on_failure!r} is neither 'nan' nor 'raise'")
        super().__init__(env)
        self.reward: Reward = get_reward(reward)
        self.on_failure = on_failure
        bare = self.unwrapped
        self.reward.check(bare.family, bare.tasks)
        self._bound = self.reward.for_family(bare.family)
        self._payments = self._unpaid()
        self._pays_later = False

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Begin an episode: nothing is paid yet."""
        observations, infos = self.env.reset(seed=seed, options=options)
        self._payments = self._unpaid()
        self._inform(infos)
        return observations, infos

    def step(self, actions: Mapping[str, Any]) -> StepResult:
        """Play one cycle and pay what is due."""
        return self.step_many([self], [actions])[0]

    @staticmethod
    def step_many(envs: Sequence[Any], actions: Sequence[Mapping[str, Any]]) -> list[StepResult]:
        """Step many environments, then ask each reward once for all of them.

        Args:
            envs: N environments; those without a reward wrapper outermost are simply stepped.
            actions: N mappings from agent to action.

        Returns:
            N results of ``step``, equal to stepping them one by one.
        """
        results = []
        stepped: list[tuple[RewardWrapper, StepResult]] = []
        for env, action in zip(envs, actions, strict=True):
            result = env.env.step(action) if isinstance(env, RewardWrapper) else env.step(action)
            results.append(result)
            if isinstance(env, RewardWrapper):
                played = env.unwrapped
                env._payments.play(played.last_turns, over=played.ending is not None)
                if not env._pays_later:
                    stepped.append((env, result))
        _settle([env for env, _ in stepped])
        for env, result in stepped:
            env._pay(result)
        return results

    @property
    def episode(self) -> Episode:
        """The episode so far; once over, with its judgements and with the rewards of the whole and of each part."""
        episode = super().episode
        payments = self._payments
        if not payments.over:
            return episode
        for judgement in payments.judgements:
            episode = episode.with_judgement(judgement)
        for (_, part), paid in zip(self._bound.parts(), payments.parts, strict=True):
            episode = episode.with_rewards(part.name, by_agent(episode, paid.values))
        return episode.with_rewards(self.reward.name, {agent: list(v) for agent, v in payments.totals.items()})

    def paid_when_over(self) -> PaidWhenOver:
        """What has forks of this environment paid when their episodes are over."""
        return PaidWhenOver(self._bound)

    @property
    def utterance_rewards(self) -> TurnRewards:
        """One number per own turn so far, all parts together; ``None`` where it failed or is not known yet."""
        return {agent: list(values) for agent, values in self._payments.totals.items()}

    def wrapper_spec(self) -> dict[str, Any]:
        """Its arguments as plain JSON-able data: ``RewardWrapper(env, **spec)`` makes an equal one."""
        return {"reward": self.reward.spec(), "on_failure": self.on_failure}

    def wrapper_state(self) -> dict[str, Any]:
        """What was paid so far."""
        # Turns that are played and not paid yet (paid_at_the_end) have no payments.
        return {"reward": self.reward.name, "account": {**self._payments.to_dict(), "turns": len(self._payments.turns)}}

    def restore_wrapper_state(self, state: Mapping[str, Any]) -> None:
        """Put back what :meth:`wrapper_state` returned."""
        if state["reward"] != self.reward.name:
            raise ValueError(
                f"restore: the snapshot is of reward {state['reward']!r}, this one is {self.reward.name!r}"
            )
        taken_down, turns = state["account"]["turns"], super().episode.turns if state["account"]["turns"] else ()
        self._payments = Payments.from_dict(state["account"], turns[len(turns) - taken_down :])

    def _unpaid(self) -> Payments:
        return Payments(
            [PartPayments() for _ in self._bound.parts()], {agent: [] for agent in self.unwrapped.possible_agents}
        )

    def _pays_like(self, other: RewardWrapper) -> bool:
        return self._bound is other._bound or self._bound == other._bound

    def _pay(self, result: StepResult) -> None:
        _, rewards, _, _, infos = result
        self._inform(infos)
        for agent in rewards:
            rewards[agent] = float(sum(infos[agent]["reward_parts"].values()))
        self._raise_on_failure()

    def _raise_on_failure(self) -> None:
        if self.on_failure != "raise":
            return
        for agent in self.unwrapped.possible_agents:
            amounts = {name: by_agent.get(agent, 0.0) for name, by_agent in self._payments.paid.items()}
            failed = [name for name, amount in amounts.items() if math.isnan(amount)]
            if failed:
                raise RewardFailedError(
                    f"task {self.unwrapped.episode.task.id!r}, {agent}, after turn {len(self._payments.turns) - 1}: "
                    f"no number from {', '.join(failed)}; with on_failure='nan' step pays nan instead"
                )

    def _inform(self, infos: dict[str, dict[str, Any]]) -> None:
        payments = self._payments
        for agent, info in infos.items():
            scores: dict[str, float | None] = {}
            for judgement in payments.judgements:
                scores = {**scores_of(judgement, seat_of(agent)), **scores}
            paid = {part.name: payments.paid.get(part.name, {}).get(agent, 0.0) for _, part in self._bound.parts()}
            told = {"utterance_rewards": list(payments.totals[agent]), "reward_parts": paid, "scores": scores}
            info.update(told)
            if "final" in info:
                info["final"].update(told)


def has_partners(env: Any) -> bool:
    """Whether policies play some of the seats of a parallel environment, at any depth of its wrappers."""
    while isinstance(env, ParallelWrapper):
        if isinstance(env, WithPartners):
            return True
        env = env.env
    return False


class PaidWhenOver:
    """Has ``step`` pay nothing, and each reward asked for many episodes at once when they are over.

    For who reads ``utterance_rewards`` of finished episodes: they are the same either way, but a reward model reads
    each dialogue once instead of once for every turn, and judges that are asked over a network are asked while other
    dialogues are still played. Environments without a reward wrapper outermost pay as ever.

    Args:
        reward: what the environments pay.
    """

    def __init__(self, reward: Reward) -> None:
        self.waits = reward.works_beside

    def begin(self, envs: Sequence[Any]) -> None:
        """Has their steps pay nothing."""
        _pay_later(envs, True)

    def pay(self, envs: Sequence[Any]) -> None:
        """Pays all they owe.

        Raises:
            RewardFailedError: as ``step`` would.
        """
        late = _pay_later(envs, False)
        _settle(late)
        for env in late:
            env._raise_on_failure()


def _pay_later(envs: Sequence[Any], later: bool) -> list[RewardWrapper]:
    """Have the reward wrappers among them pay later, or no more."""
    wrapped = [env for env in envs if isinstance(env, RewardWrapper)]
    for env in wrapped:
        env._pays_later = later
    return wrapped


@contextmanager
def paid_at_the_end(envs: Sequence[Any]) -> Iterator[None]:
    """Within, ``step`` pays nothing; at the end every reward is asked once for all that was played.

    For learners that read ``utterance_rewards`` of finished episodes: they are the same either way, but a reward model
    reads each dialogue once instead of once for every turn, and a judge is asked about all dialogues at the same time.
    Forks that are taken within are paid at the end of such a context of their own.

    Args:
        envs: environments; those without a reward wrapper outermost pay as ever.

    Raises:
        RewardFailedError: at the end, as ``step`` would.
    """
    _pay_later(envs, True)
    try:
        yield
    finally:
        late = _pay_later(envs, False)
    _settle(late)
    for env in late:
        env._raise_on_failure()


def _settle(envs: Sequence[RewardWrapper]) -> None:
    """Pay what is due: each reward is asked once for all environments that pay it."""
    groups: list[list[RewardWrapper]] = []
    for env in envs:
        group = next((group for group in groups if env._pays_like(group[0])), None)
        if group is None:
            groups.append([env])
        else:
            group.append(env)
    for group in groups:
        settle(group[0]._bound, [env._payments for env in group], [env.unwrapped for env in group])


def reward_of(env: Any) -> Reward | None:
    """The reward an environment pays, however many wrappers lie over it."""
    paying = paying_layer(env)
    return None if paying is None else paying.reward


def paying_layer(env: Any) -> RewardWrapper | None:
    """The environment from the wrapper inwards that pays its reward, however many others lie over it."""
    while not isinstance(env, RewardWrapper):
        env = getattr(env, "env", None)
        if env is None:
            return None
    return env
