"""Play many episodes of tasks, or go on with episodes that were cut short."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sotopia_env.episodes import Episode
from sotopia_env.families.base import Family
from sotopia_env.policies import Policy
from sotopia_env.rollouts.executors import Workers
from sotopia_env.rollouts.lockstep import OnCycle
from sotopia_env.rollouts.plan import EpisodePlan, EpisodePlans, RolloutPlan, RunContext
from sotopia_env.rollouts.run import play_plan
from sotopia_env.storage.traces import Traces


def rollout(
    tasks: Any,
    policies: Sequence[Any] | Any,
    *,
    num_episodes: int,
    seed: int = 0,
    split: str = "train",
    reward: Any = None,
    out: str | Path | None = None,
    batch_size: int = 64,
    processes: Workers = 1,
    progress: bool = False,
    traces: Traces | bool | None = None,
    command: Sequence[str] = (),
    on_cycle: OnCycle | None = None,
    **env_options: Any,
) -> list[Episode]:
    """Play episodes and judge them by rule.

    With ``out`` the run is durable: each episode is written as it finishes, and the same call goes on after a kill.
    Several processes, on one machine or on many that share the folder, may make the same call at the same time: no
    episode is played twice, and what a process that died was playing is played by the others. The finished file is
    the same, byte for byte, however the run was cut up. Beside it stand the manifest (``e.manifest.json``) and, where
    asked for, the token traces (``e.traces.jsonl``).

    Args:
        tasks: whatever ``parallel_env`` takes: a family, a name, a path, tasks. Fixed tasks are played in turn.
        policies: one policy (self-play) or one per seat; names or objects.
        num_episodes: how many to play.
        seed: decides tasks, turn orders and every draw of the policies.
        split: of the family's tasks.
        reward: a reward to be paid while playing; its numbers are stored in the episodes.
        out: a file of JSON lines, or of parquet where the name ends in ``.parquet``.
        batch_size: how many are played side by side.
        processes: how many processes share the work, or a :class:`~sotopia_env.RayCluster` whose machines do; policies,
            tasks and reward must then be names, or picklable.
        progress: show a progress bar on stderr.
        traces: a dict that is filled with token traces, where policies give them, or ``True``; both store them beside
            ``out``.
        command: what the user typed, for the manifest.
        on_cycle: is shown each episode before each of its cycles, as far as it has come; in this process alone.
        env_options: passed to ``parallel_env``.

    Returns:
        ``num_episodes`` episodes, in order, whatever order they finished in.

    Raises:
        RuntimeError: a policy failed; the error names the policy, the task and the turn.
        ValueError: ``out`` holds another run (tasks, policies, seed, rules or rewards); the error says what differs.
    """
    if num_episodes < 1:
        raise ValueError(f"num_episodes: {num_episodes} is not a positive number")
    if on_cycle is not None and processes != 1:
        raise ValueError("on_cycle is shown what this process plays; leave processes out")
    options = {"split": split, "reward": reward, **env_options}
    return play_plan(
        RolloutPlan(tasks, policies, num_episodes, seed, options, tuple(command), on_cycle),
        out=out,
        batch_size=batch_size,
        processes=processes,
        traces=traces,
        progress=progress,
    )


def continue_episodes(
    episodes: Sequence[Episode],
    policies: Sequence[Mapping[str, Policy]] | Mapping[str, Policy],
    seeds: Sequence[int],
    *,
    family: Family | None = None,
    out: str | Path | None = None,
    batch_size: int = 512,
    processes: Workers = 1,
) -> list[Episode]:
    """Play episodes that were cut short to their ends: the continuations of Monte-Carlo credit.

    Args:
        episodes: N episodes; each goes on after its last turn, finished ones are returned as they are.
        policies: the policy of every agent, for all episodes or one mapping for each.
        seeds: N seeds of the policies' generators.
        family: of the tasks, where it is not one the package ships.
        out: as in :func:`rollout`; there a continuation is called ``KEY~SEED``.
        batch_size: how many are played side by side.
        processes: as in :func:`rollout`.
    """
    seated = [policies] * len(episodes) if isinstance(policies, Mapping) else list(policies)
    plans = [
        EpisodePlan(f"{episode.key}~{seed}", seed, policies, begun=episode)
        for episode, policies, seed in zip(episodes, seated, seeds, strict=True)
    ]
    played = play_plan(
        EpisodePlans(plans, RunContext(family=family)), out=out, batch_size=batch_size, processes=processes
    )
    return [
        replace(after, key=before.key, seed=before.seed, policies={})
        for before, after in zip(episodes, played, strict=True)
    ]
