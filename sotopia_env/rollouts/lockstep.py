"""Episodes side by side: one batched call per policy and turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sotopia_env.environment import SotopiaParallelEnv, StepResult
from sotopia_env.episodes import seat_of
from sotopia_env.policies import Context, Decision, Policy
from sotopia_env.seeds import turn_generator
from sotopia_env.storage.traces import Traces


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
        results = play_cycle(envs, live, policies, seeds, keys, traces=traces)
        still = []
        for i, (*_, infos) in zip(live, results, strict=True):
            if envs[i].unwrapped.acting:
                still.append(i)
            elif on_finish is not None:
                on_finish(i, envs[i], infos)
        live = still


def play_cycle(
    envs: Sequence[Any],
    live: Sequence[int],
    policies: Sequence[Mapping[str, Policy]],
    seeds: Sequence[int],
    keys: Sequence[str],
    *,
    traces: Traces | None = None,
) -> list[StepResult]:
    """Play one cycle of some environments, in lockstep.

    Args:
        envs: N environments.
        live: numbers of those that are played; none of them is over.
        policies: for each environment the policy of every agent.
        seeds: for each environment the seed of its policies' generators.
        keys: for each environment the key that contexts and traces carry.
        traces: filled with the token traces of policies that give them.

    Returns:
        For each that was played what ``step`` returned.
    """
    if not live:
        return []
    decisions = _decide([envs[i].unwrapped for i in live], live, policies, seeds, keys)
    if traces is not None:
        for (i, agent), decision in decisions.items():
            if decision.trace is not None:
                traces.setdefault((keys[i], agent), []).append(decision.trace)
    actions = [{agent: decisions[i, agent] for agent in envs[i].unwrapped.acting} for i in live]
    results: list[StepResult] = type(envs[live[0]]).step_many([envs[i] for i in live], actions)
    return results


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
            rng = turn_generator(seeds[i], seat_of(agent), turn)
            contexts.append(Context(keys[i], agent, turn, rng, env.information_of(agent)))
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
