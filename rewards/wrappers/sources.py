"""Reward wrappers that name their reward: each goes around any API, and replaces the reward that is paid below it.

Each is derived from the reward it pays: its arguments, their defaults and what is said of them are the reward's own.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from sotopia_env.environment import SotopiaParallelEnv
from sotopia_env.rewards.attribution.reward import Attribution
from sotopia_env.rewards.credit.judge_reward import JudgeScores
from sotopia_env.rewards.credit.progress import Progress
from sotopia_env.rewards.outcome import Outcome
from sotopia_env.rewards.reward_model.reward import RewardModel
from sotopia_env.rewards.wrappers.api import over_parallel, unpaid
from sotopia_env.rewards.wrappers.base import OnFailure, RewardWrapper, has_partners


class SourceWrapper(RewardWrapper):
    """A reward wrapper that goes around an environment of any API, and replaces whatever pays below.

    Around another API than the parallel one, that API is returned, over the wrapped parallel environment.

    Raises:
        ValueError: a wrapper in between changes what is paid, and would be passed over.
    """

    def __new__(cls, env: Any = None, *arguments: Any, **options: Any) -> Any:
        """The wrapper, or the API of ``env`` over it."""
        # Copies and pickles are made without an environment, which they are given afterwards.
        if env is None or (isinstance(getattr(env, "unwrapped", None), SotopiaParallelEnv) and not has_partners(env)):
            return super().__new__(cls)
        return over_parallel(env, lambda parallel: cls(parallel, *arguments, **options))

    def __init__(self, env: Any, *arguments: Any, on_failure: OnFailure = "nan", **options: Any) -> None:
        raise NotImplementedError(f"{type(self).__name__} must say which reward it pays: decorate it with pays(...)")


Wrapper = TypeVar("Wrapper", bound=SourceWrapper)


def pays(reward: Any, *, without: tuple[str, ...] = (), **fixed: Any) -> Callable[[type[Wrapper]], type[Wrapper]]:
    """Makes a class the wrapper of one reward, whose arguments it takes after the environment.

    Args:
        reward: the class of the reward, a dataclass that documents its arguments.
        without: arguments of the reward that the wrapper does not take.
        fixed: arguments that the wrapper always gives, and does not take either.
    """
    made = {f.name: f.default_factory() for f in fields(reward) if f.default_factory is not MISSING}
    own = [
        parameter.replace(default=made.get(name, parameter.default))
        for name, parameter in inspect.signature(reward).parameters.items()
        if name not in {*without, *fixed}
    ]
    around = inspect.Parameter("env", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation="Any")
    failing = inspect.Parameter("on_failure", inspect.Parameter.KEYWORD_ONLY, default="nan", annotation="OnFailure")
    signature = inspect.Signature([around, *own, failing], return_annotation="None")

    def decorate(wrapper: type[Wrapper]) -> type[Wrapper]:
        def make(self: Wrapper, *arguments: Any, **options: Any) -> None:
            """Wrap ``env``."""
            try:
                given = signature.bind(*arguments, **options).arguments
            except TypeError as error:
                raise TypeError(f"{wrapper.__name__}: {error}") from None
            env, on_failure = given.pop("env"), given.pop("on_failure", "nan")
            # Where the default is a mapping, None stands for it.
            given = {name: value for name, value in given.items() if value is not None or name not in made}
            RewardWrapper.__init__(self, unpaid(env), reward(**fixed, **given), on_failure=on_failure)

        me = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        make.__name__, make.__qualname__ = "__init__", f"{wrapper.__qualname__}.__init__"
        make.__signature__ = signature.replace(parameters=[me, around, *own, failing])  # type: ignore[attr-defined]
        wrapper.__init__ = make  # type: ignore[method-assign]
        wrapper.__doc__ = _documented(wrapper, reward, [parameter.name for parameter in own])
        return wrapper

    return decorate


def _documented(wrapper: type, reward: type, names: Iterable[str]) -> str:
    """The docstring of a wrapper, with what the reward's own says of some of its arguments."""
    text, of_reward = inspect.getdoc(wrapper) or "", inspect.getdoc(reward) or ""
    section = of_reward.partition("\nArgs:\n")[2].partition("\n\n")[0]
    entries = {entry.partition(":")[0]: entry for entry in re.split(r"^    (?=\S)", section, flags=re.MULTILINE)}
    said = [
        "env: an environment of any API; a reward wrapper around it is replaced.",
        # Without any docstrings (python -OO) there is nothing to say.
        *(entries[name].rstrip() for name in names if name in entries),
        "on_failure: see :class:`~sotopia_env.rewards.RewardWrapper`.",
    ]
    before, example, after = text.partition("Example:")
    return f"{before}Args:\n" + "".join(f"    {entry}\n" for entry in said) + f"\n{example}{after}"


@pays(Outcome, design="episode", without=("kind", "gamma"))
class EpisodeReward(SourceWrapper):
    """Pays each agent its score of the episode at the end: ``RewardWrapper(env, Outcome("episode", ...))``.

    Example:
        >>> env = EpisodeReward(sotopia_env.parallel_env("bargain", reward=None))  # doctest: +SKIP
    """


@pays(Attribution)
class AttributionReward(SourceWrapper):
    """Spreads each agent's score over its turns by their importance: ``RewardWrapper(env, Attribution(...))``.

    The numbers stand in ``infos[agent]["utterance_rewards"]`` at the end; ``step`` pays what their flags say.

    Example:
        >>> env = AttributionReward(sotopia_env.parallel_env("bargain", reward=None), "scaled")  # doctest: +SKIP
    """


@pays(Progress)
class ProgressReward(SourceWrapper):
    """Pays each turn by how much better the agent stands once it was replied to: ``RewardWrapper(env, Progress(...))``.

    Example:
        >>> env = ProgressReward(sotopia_env.parallel_env("bargain", reward=None))  # doctest: +SKIP
    """


@pays(JudgeScores)
class JudgeReward(SourceWrapper):
    """Pays the changes of a judge's score in the course of the episode: ``RewardWrapper(env, JudgeScores(...))``.

    Example:
        >>> env = sotopia_env.parallel_env("bargain", reward=None)  # doctest: +SKIP
        >>> env = JudgeReward(env, "llm:MODEL@http://127.0.0.1:8000/v1", every=2)  # doctest: +SKIP
    """


@pays(RewardModel)
class RewardModelReward(SourceWrapper):
    """Pays each turn what a trained reward model says of it: ``RewardWrapper(env, RewardModel(...))``.

    Example:
        >>> env = RewardModelReward(sotopia_env.parallel_env("bargain", reward=None), "runs/rm")  # doctest: +SKIP
    """
