"""Making environments: all seats at once, one after the other, or one seat alone."""

from __future__ import annotations

import inspect
from typing import Any

import gymnasium
import pettingzoo
from pettingzoo import ParallelEnv

from sotopia_env.environment import SotopiaParallelEnv
from sotopia_env.families import FAMILIES, PUBLISHED
from sotopia_env.resolve import family_and_tasks, wrap_reward
from sotopia_env.wrappers.aec import OrderEnforcing, SotopiaAECEnv
from sotopia_env.wrappers.single_agent import SingleAgentEnv
from sotopia_env.wrappers.text import TextWrapper

INTERFACES = ("dict", "text", "menu")

_RULES = frozenset(inspect.signature(SotopiaParallelEnv).parameters) - {"family", "tasks", "split"}
"""The options of the environment itself."""


def parallel_env(
    tasks: Any = None,
    *,
    family: Any = None,
    reward: Any = None,
    interface: str = "dict",
    split: str = "train",
    **options: Any,
) -> Any:
    """Sotopia scenarios as a PettingZoo parallel environment.

    Args:
        tasks: a family's name, with its split and options if need be (``"bargain:test?zones=empty"``); a file or list
            of tasks; a ``Family``, or any object with ``generate`` and ``score``. By default ``"bargain"``.
        family: watches and scores fixed tasks, where it is not the family they name: a ``Family``, its name, or any
            object with ``generate`` and ``score``. Without ``tasks`` it draws them.
        reward: what ``step`` pays: a reward's name (``"episode"``), a function of a list of episodes, a ``Reward``,
            or ``None`` for a bare environment that pays 0.0.
        interface: what observations and actions are: ``"dict"`` (texts by name), ``"text"`` (a prompt in, a model's
            raw output out) or ``"menu"`` (features in, the number of a dialogue act out).
        split: the split to draw from, where the family's name holds none.
        options: ``max_cycles``, ``action_order``, ``max_stale``, ``action_types``, ``private_messages``,
            ``render_mode`` of :class:`~sotopia_env.environment.SotopiaParallelEnv`; all others are those of a family
            that is given by name or as a class, such as ``zones`` and ``coupling`` of ``bargain``.

    Example:
        >>> env = parallel_env("bargain", reward="episode", max_cycles=20)
        >>> observations, infos = env.reset(seed=0)
    """
    if tasks is None:
        tasks, family = "bargain" if family is None else family, None
    rules = {name: options.pop(name) for name in list(options) if name in _RULES}
    found, fixed, split = family_and_tasks(tasks, split, family, options)
    # A name, such as that of a Gymnasium id, says no more than that it is this family.
    if fixed is None and family is not None and family != found.name:
        raise ValueError(f"family: {found.name!r} draws its own tasks; give either tasks or a family")
    env: Any = SotopiaParallelEnv(found, tasks=fixed, split=split, **rules)
    if reward is not None:
        env = wrap_reward(env, reward)
    return with_interface(env, interface)


def raw_env(tasks: Any = None, *, ask_all: bool = False, **options: Any) -> SotopiaAECEnv:
    """The same as a PettingZoo AEC environment, bare of PettingZoo's checks.

    Args:
        tasks: what :func:`parallel_env` takes, or a parallel environment that is made already, with its wrappers.
        ask_all: select every agent in every cycle, also those that may only pass.
        options: of :func:`parallel_env`.
    """
    if not isinstance(tasks, ParallelEnv):
        return SotopiaAECEnv(parallel_env(tasks, **options), ask_all=ask_all)
    if options:
        raise TypeError(f"{', '.join(options)}: an environment that is made already takes no options")
    return SotopiaAECEnv(tasks, ask_all=ask_all)


def env(tasks: Any = None, *, ask_all: bool = False, **options: Any) -> OrderEnforcing:
    """The AEC environment, in PettingZoo's check that its methods are called in order.

    No action is asserted to be in its space: one that is not becomes ``none`` and is reported, as everywhere.

    Args:
        tasks: see :func:`raw_env`.
        ask_all: see :func:`raw_env`.
        options: of :func:`parallel_env`.

    Example:
        >>> aec = env("bargain", reward="episode")
        >>> aec.reset(seed=0)
        >>> for agent in aec.agent_iter():
        ...     observation, reward, terminated, truncated, info = aec.last()
        ...     aec.step(None if terminated or truncated else aec.action_space(agent).sample())
    """
    return OrderEnforcing(raw_env(tasks, ask_all=ask_all, **options))


class SotopiaEnv(SingleAgentEnv):
    """One seat as a Gymnasium environment; one step is the agent's own turn and the partners' replies.

    Args:
        family: a family in any form, as in :func:`parallel_env`; a file or list of tasks will do as well.
        tasks: fixed tasks for that family to watch and score, or that family as it is set up
            (``tasks=Bargain(zones="empty")``, ``tasks="bargain:test"``).
        agent: the seat that acts.
        partner: who plays the other seats, as names or objects: one for all, a list with one for each in their order,
            or a mapping from agents.
        reward: what ``step`` pays, as in :func:`parallel_env`; the sum over the cycles that one step plays.
        interface: ``"text"`` (a rendered prompt in, raw model output out, parsed tolerantly), ``"dict"`` or
            ``"menu"`` (features in, the number of a dialogue act out).
        options: further arguments of :func:`parallel_env`: ``render_mode``, ``split``, ``zones`` and so on.

    Example:
        >>> env = gymnasium.make("sotopia_env:sotopia/Bargain-v0", agent="agent_0", partner="scripted:firm",
        ...                      reward="episode")
    """

    def __init__(
        self,
        family: Any = "bargain",
        *,
        tasks: Any = None,
        agent: str = "agent_0",
        partner: Any = "scripted:firm",
        reward: Any = "episode",
        interface: str = "text",
        **options: Any,
    ) -> None:
        """Make the parallel environment, and seat the partners."""
        given, watching = (family, None) if tasks is None else (tasks, family)
        made = parallel_env(given, family=watching, reward=reward, interface=interface, **options)
        super().__init__(made, agent, partner)


def with_interface(env: Any, interface: str) -> Any:
    """A parallel environment of the dict interface with another one."""
    if interface == "dict":
        return env
    if interface == "text":
        return TextWrapper(env)
    if interface == "menu":
        from sotopia_env.menu import MenuWrapper

        return MenuWrapper(env)
    raise ValueError(f"interface: {interface!r} is none of {', '.join(INTERFACES)}")


IDS = {
    f"sotopia/{''.join(part.capitalize() for part in name.split('-'))}-v0": name
    for name in FAMILIES
    if name not in PUBLISHED
}
"""One id for each family that draws its own tasks, with the family's name."""


def register_environments() -> None:
    """Register the ids that are not registered yet."""
    for name, family in IDS.items():
        if name not in gymnasium.registry:
            gymnasium.register(name, entry_point="sotopia_env.make:SotopiaEnv", kwargs={"family": family})
    if not hasattr(pettingzoo, "register"):
        return
    registries = {"parallel": pettingzoo.parallel_registry, "aec": pettingzoo.aec_registry}
    for kind, entry_point in (("parallel", "sotopia_env.make:parallel_env"), ("aec", "sotopia_env.make:env")):
        for name, family in IDS.items():
            if name not in registries[kind]:
                pettingzoo.register(kind, name, entry_point=entry_point, kwargs={"tasks": family})
