"""From names to things: tasks with their family, policies, reward wrappers; and the lists of the names one may give."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sotopia_env import published
from sotopia_env.families import FAMILIES, PUBLISHED, Family, family_of_all, formal
from sotopia_env.families.resolve import as_family, check_hidden, with_options
from sotopia_env.names import NameTable
from sotopia_env.policies import Policy
from sotopia_env.tasks import Task

ABOVE = NameTable(
    {
        "policy": "sotopia_env.agents.resolve:make_policy",
        "policies": "sotopia_env.agents.resolve:policy_names",
        "rewards": "sotopia_env.rewards:reward_names",
        "judges": "sotopia_env.rewards.judges:judge_names",
        "wrapper": "sotopia_env.rewards:RewardWrapper",
    }
)
"""Imported when it is first asked for: the core knows nothing of the layers above it but these names."""


def family_and_tasks(
    given: Any, split: str, family: Any = None, options: Mapping[str, Any] | None = None
) -> tuple[Family, Sequence[Task] | None, str]:
    """What the first argument of ``parallel_env`` means.

    Args:
        given: a family in any form, a name with its split and options (``"bargain:test?zones=empty"``), the published
            tasks by name (``"sotopia:hard"``), a path of a task file, or tasks.
        split: the split, where ``given`` names none.
        family: of fixed tasks, in any form, where it is not the one they name.
        options: of a family that is given by name or as a class.

    Returns:
        The family, fixed tasks or ``None``, and the split.

    Raises:
        ValueError: no such name, split or option, or options for what takes none.
    """
    options = dict(options or {})
    if isinstance(given, Task):
        given = [given]
    if isinstance(given, Path) or (isinstance(given, str) and given.endswith((".json", ".jsonl"))):
        given = published.load_tasks(given)
    if isinstance(given, str):
        named, written = with_options(given)
        name, _, wanted = named.partition(":")
        if name in PUBLISHED:
            given, options = published.load_named(named), {**written, **options}
        elif name in FAMILIES:
            found, split = as_family(name, {**written, **options}), wanted or split
            if split not in found.splits:
                raise ValueError(f"{given!r}: {split!r} is no split; one of {', '.join(found.splits)}")
            return found, None, split
        elif ":" not in given and Path(given).exists():
            given = published.load_tasks(given)
    if isinstance(given, Sequence) and not isinstance(given, str):
        if not given:
            raise ValueError("the list of tasks is empty")
        strange = next((task for task in given if not isinstance(task, Task)), None)
        if strange is not None:
            raise TypeError(f"a list of tasks holds a {type(strange).__name__}; load a file's tasks with load_tasks")
        mode = options.pop(formal.TAG, None) if family is None else None
        if options and family is None:
            raise ValueError(
                f"{', '.join(options)}: tasks that are given take no options; a family that draws them does"
            )
        if family is None:
            own = family_of_all(given)
            return own, formal.all_with_agreement(given, mode, own), split
        own = as_family(family, options)
        for task in given:
            check_hidden(own, task, f"task {task.id!r}")
        return own, tuple(given), split
    return as_family(given, options), None, split


def make_policy(given: Any, **options: Any) -> Policy:
    """A policy from a name (``"scripted:warm"``, ``"random"``, ``"local:DIR"``), a directory, a function or an object.

    Args:
        given: see above; a function takes ``(observation, rng)`` and returns an action or a ``str``.
        options: passed to the policy's constructor.
    """
    return ABOVE["policy"](given, **options)


def list_names() -> dict[str, Callable[[], list[str]]]:
    """For each kind of slot, a function that lists the names it takes."""
    generated = [name for name in FAMILIES if name not in PUBLISHED]
    return {
        "tasks": lambda: [
            *(f"{name}:{split}" for name in generated for split in FAMILIES[name].splits),
            *published.published_names(),
        ],
        **{kind: ABOVE[kind] for kind in ("policies", "rewards", "judges")},
    }


def wrap_reward(env: Any, reward: Any) -> Any:
    """An environment whose ``step`` pays ``reward``."""
    return ABOVE["wrapper"](env, reward)
