"""Play many episodes in lockstep: one batched call per policy and turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sotopia_env.environment import SotopiaParallelEnv
from sotopia_env.episodes import Episode, seat_of
from sotopia_env.families.base import Family
from sotopia_env.policies import Context, Decision, Policy, TokenTrace
from sotopia_env.storage import EpisodeWriter

Traces = dict[tuple[str, str], list[TokenTrace]]
"""Token traces beside the episodes: ``{(episode key, agent): [one per own turn]}``."""


def turn_generator(seed: int, seat: int, turn: int) -> np.random.Generator:
    """The generator of one turn: it depends on nothing but the episode's seed, the seat and the own turn."""
    return np.random.default_rng((seed, seat, turn))


def play(
    envs: Sequence[Any],
    policies: Sequence[Mapping[str, Policy]],
    seeds: Sequence[int],
    *,
    keys: Sequence[str] | None = None,
    traces: Traces | None = None,
    on_finish: Callable[[int, Any, dict[str, dict[str, Any]]], None] | None = None,
) -> None:
    """Play environments to their ends, in lockstep.

    Args:
        envs: N environments, reset or in mid-episode, wrapped or bare.
        policies: for each environment the policy of every agent.
        seeds: for each environment the seed of its policies' generators.
        keys: for each environment the key that contexts and traces carry; the episode's own by default.
        traces: filled with the token traces of policies that give them.
        on_finish: called with index, environment and last infos as soon as an episode is over.
    """
    keys = [env.unwrapped.episode.key for env in envs] if keys is None else keys
    live = [i for i, env in enumerate(envs) if env.unwrapped.acting]
    while live:
        decisions = _decide([envs[i].unwrapped for i in live], live, policies, seeds, keys)
        if traces is not None:
            for (i, agent), decision in decisions.items():
                if decision.trace is not None:
                    traces.setdefault((keys[i], agent), []).append(decision.trace)
        actions = [{agent: decisions[i, agent] for agent in envs[i].unwrapped.acting} for i in live]
        infos = _step_all([envs[i] for i in live], actions)
        still = []
        for i, info in zip(live, infos, strict=True):
            if envs[i].unwrapped.acting:
                still.append(i)
            elif on_finish is not None:
                on_finish(i, envs[i], info)
        live = still


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
    progress: bool = False,
    traces: Traces | None = None,
    **env_options: Any,
) -> list[Episode]:
    """Play episodes and judge them by rule.

    Args:
        tasks: whatever ``parallel_env`` takes: a family, a name, a path, tasks. Fixed tasks are played in turn.
        policies: one policy (self-play) or one per seat; names or objects.
        num_episodes: how many to play.
        seed: decides tasks, turn orders and every draw of the policies.
        split: of the family's tasks.
        reward: a reward to be paid while playing; its numbers are stored in the episodes.
        out: a JSON-lines file that takes each episode as it finishes; episodes already in it are not played again.
        batch_size: how many are played side by side.
        progress: show a progress bar on stderr.
        traces: filled with token traces, where policies give them.
        env_options: passed to ``parallel_env``.

    Returns:
        ``num_episodes`` episodes, in order, whatever order they finished in.

    Raises:
        RuntimeError: a policy failed; the error names the policy, the task and the turn.
        ValueError: ``out`` holds episodes of this seed with other tasks, policies, rules or rewards.
    """
    from sotopia_env.make import parallel_env

    if num_episodes < 1:
        raise ValueError(f"num_episodes: {num_episodes} is not a positive number")
    if batch_size < 1:
        raise ValueError(f"batch_size: {batch_size} is not a positive number")
    template = parallel_env(tasks, split=split, reward=reward, **env_options)
    seated = _seated(policies, template.possible_agents)
    episodes: dict[int, Episode] = {}
    with nullcontext() if out is None else EpisodeWriter(out) as writer, _ProgressBar(progress, num_episodes) as tick:
        if writer is not None:
            episodes = _played_before(writer, template, seated, seed, num_episodes)
            tick(len(episodes))
        todo = [i for i in range(num_episodes) if i not in episodes]
        for start in range(0, len(todo), batch_size):
            indices = todo[start : start + batch_size]
            envs = template.fork(len(indices))

            def finished(position: int, env: Any, infos: Mapping[str, Any], indices: Sequence[int] = indices) -> None:
                i = indices[position]
                episodes[i] = _finished_episode(env, _key(seed, i), episode_seed(seed, i), seated)
                if writer is not None:
                    writer.write(episodes[i])
                tick(1)

            for i, env in zip(indices, envs, strict=True):
                _begin(env, seed, i)
            play(
                envs,
                [seated] * len(envs),
                [episode_seed(seed, i) for i in indices],
                keys=[_key(seed, i) for i in indices],
                traces=traces,
                on_finish=finished,
            )
    return [episodes[i] for i in range(num_episodes)]


def continue_episodes(
    episodes: Sequence[Episode],
    policies: Sequence[Mapping[str, Policy]] | Mapping[str, Policy],
    seeds: Sequence[int],
    *,
    family: Family | None = None,
) -> list[Episode]:
    """Play episodes that were cut short to their ends: the continuations of Monte-Carlo credit.

    Args:
        episodes: N episodes; each goes on after its last turn, finished ones are returned as they are.
        policies: the policy of every agent, for all episodes or one mapping for each.
        seeds: N seeds of the policies' generators.
        family: of the tasks, where it is not one the package ships.
    """
    from sotopia_env.families import family_of

    seated = [policies] * len(episodes) if isinstance(policies, Mapping) else list(policies)
    envs = [
        SotopiaParallelEnv.from_episode(episode, family or family_of(episode.task), seed=seed)
        for episode, seed in zip(episodes, seeds, strict=True)
    ]
    play(envs, seated, seeds, keys=[f"{episode.key}~{seed}" for episode, seed in zip(episodes, seeds, strict=True)])
    return [env.episode for env in envs]


def episode_seed(seed: int, index: int) -> int:
    """The seed of one episode of a run: independent of how many are played and in which batch."""
    return int(np.random.SeedSequence((seed, index)).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _key(seed: int, index: int) -> str:
    return f"{seed}-{index}"


def _begin(env: Any, seed: int, index: int) -> None:
    """Reset to the task of one episode of a run."""
    fixed = env.unwrapped.tasks
    env.reset(seed=episode_seed(seed, index), options={"task": fixed[index % len(fixed)]} if fixed else None)


def _seated(policies: Any, agents: Sequence[str]) -> dict[str, Policy]:
    """The policy of every agent: one given is for all, else one for each."""
    from sotopia_env.resolve import make_policy

    given = [policies] if isinstance(policies, str) or not isinstance(policies, Sequence) else list(policies)
    if len(given) not in (1, len(agents)):
        raise ValueError(f"policies: {len(given)} given for {len(agents)} seats; give one for all or one for each")
    made = [make_policy(policy) for policy in given]
    return dict(zip(agents, made * len(agents) if len(made) == 1 else made, strict=True))


def _played_before(
    writer: EpisodeWriter, template: Any, seated: Mapping[str, Policy], seed: int, num_episodes: int
) -> dict[int, Episode]:
    """The episodes a file already holds of this very run."""
    names = {agent: policy.name for agent, policy in seated.items()}
    reward = getattr(template, "reward", None)
    env = template.fork()[0]
    found = {}
    for i in range(num_episodes):
        episode = writer.finished.get(_key(seed, i))
        if episode is None:
            continue
        _begin(env, seed, i)
        missing = [] if reward is None or reward.name in episode.rewards else [reward.name]
        for what, old, new in (
            ("tasks", episode.task.id, env.episode.task.id),
            ("policies", dict(episode.policies), names),
            ("rules", dict(episode.config), template.unwrapped.config),
            ("rewards", list(episode.rewards), [*episode.rewards, *missing]),
        ):
            if old != new:
                raise ValueError(
                    f"{writer.path}: episode {episode.key} was played with other {what} ({old}, not {new}); "
                    "give another file, or remove this one"
                )
        found[i] = episode
    return found


def _decide(
    envs: Sequence[SotopiaParallelEnv],
    indices: Sequence[int],
    policies: Sequence[Mapping[str, Policy]],
    seeds: Sequence[int],
    keys: Sequence[str],
) -> dict[tuple[int, str], Decision]:
    batches: dict[int, tuple[Policy, list[tuple[int, str]], list[Any], list[Context]]] = {}
    for env, i in zip(envs, indices, strict=True):
        for agent in env.acting:
            policy = policies[i][agent]
            _, places, observations, contexts = batches.setdefault(id(policy), (policy, [], [], []))
            turn = env.own_turns_played(agent)
            places.append((i, agent))
            observations.append(env.observe(agent))
            contexts.append(Context(keys[i], agent, turn, turn_generator(seeds[i], seat_of(agent), turn)))
    decisions: dict[tuple[int, str], Decision] = {}
    for policy, places, observations, contexts in batches.values():
        try:
            made = policy.act(observations, contexts)
        except Exception as error:
            tasks = {i: env.episode.task.id for env, i in zip(envs, indices, strict=True)}
            asked = [
                f"task {tasks[i]}, episode {context.episode}, {agent}, own turn {context.turn}"
                for (i, agent), context in zip(places, contexts, strict=True)
            ]
            where = "; ".join(asked[:3]) + (f" and {len(asked) - 3} more" if len(asked) > 3 else "")
            failure = f"{type(error).__name__}: {error}"
            raise RuntimeError(f"policy {policy.name!r} failed ({failure}) at {where}") from error
        if len(made) != len(places):
            raise ValueError(f"policy {policy.name!r} made {len(made)} decisions for {len(places)} observations")
        for decision in made:
            if not isinstance(decision, Decision):
                raise TypeError(f"policy {policy.name!r}: act returned a {type(decision).__name__}, not a Decision")
        decisions.update(zip(places, made, strict=True))
    return decisions


def _step_all(envs: Sequence[Any], actions: Sequence[Mapping[str, Any]]) -> list[dict[str, dict[str, Any]]]:
    step_many = getattr(type(envs[0]), "step_many", None)
    if step_many is not None:
        return [result[4] for result in step_many(envs, actions)]
    return [env.step(action)[4] for env, action in zip(envs, actions, strict=True)]


def _finished_episode(env: Any, key: str, seed: int, seated: Mapping[str, Policy]) -> Episode:
    """The episode with what a reward wrapper paid for it, and judged by its family."""
    names = {agent: policy.name for agent, policy in seated.items()}
    episode = replace(env.episode, key=key, seed=seed, policies=names)
    return episode.with_judgement(env.unwrapped.family.score(episode))


class _ProgressBar:
    """A progress bar on stderr, or nothing."""

    def __init__(self, show: bool, total: int) -> None:
        self._total = total
        self._show = show
        self._bar: Any = None

    def __enter__(self) -> Callable[[int], None]:
        if not self._show:
            return lambda played: None
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._bar.start()
        task = self._bar.add_task("episodes", total=self._total)
        return lambda played: self._bar.advance(task, played)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
