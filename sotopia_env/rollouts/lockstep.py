"""Episodes side by side: one batched call per policy and turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sotopia_env.environment import StepResult
from sotopia_env.episodes import seat_of
from sotopia_env.policies import Context, Decision, Policy
from sotopia_env.seeds import turn_generator
from sotopia_env.storage.traces import Traces


@dataclass(frozen=True)
class Game:
    """An episode that is played beside others.

    Args:
        env: an environment, reset or in mid-episode, wrapped or bare.
        policies: the policy of every agent.
        seed: of the policies' generators.
        key: what contexts and traces carry.
        index: of the episode in its run.
    """

    env: Any
    policies: Mapping[str, Policy]
    seed: int
    key: str
    index: int = 0


OnCycle = Callable[[Game], None]
"""Shown an episode before each of its cycles, as far as it has come; what it raises ends the run."""


def play(
    games: Sequence[Game],
    *,
    traces: Traces | None = None,
    on_finish: Callable[[Game, dict[str, dict[str, Any]]], None] | None = None,
    join: Callable[[int], Sequence[Game]] | None = None,
    on_cycle: OnCycle | None = None,
) -> None:
    """Play episodes to their ends, in lockstep.

    Args:
        games: N episodes.
        traces: filled with the token traces of policies that give them.
        on_finish: called with game and last infos as soon as an episode is over.
        join: called with how many episodes are over; returns up to as many others, which take their places. It is
            asked whenever every agent has had its turn, so that in turn-taking order all games wait for the same
            policy, and each policy is asked about all of them at once.
        on_cycle: see :data:`OnCycle`.
    """
    live = [game for game in games if game.env.unwrapped.acting]
    room, cycle = len(games), 0
    while live:
        if on_cycle is not None:
            for game in live:
                on_cycle(game)
        results = play_cycle(live, traces=traces)
        still = []
        for game, (*_, infos) in zip(live, results, strict=True):
            if game.env.unwrapped.acting:
                still.append(game)
            elif on_finish is not None:
                on_finish(game, infos)
        seats = len(live[0].env.possible_agents)
        live, cycle = still, cycle + 1
        if join is not None and len(live) < room and (cycle % seats == 0 or not live):
            live += [game for game in join(room - len(live)) if game.env.unwrapped.acting]


def play_cycle(games: Sequence[Game], *, traces: Traces | None = None) -> list[StepResult]:
    """Play one cycle of some episodes, none of which is over, in lockstep.

    Args:
        games: N episodes.
        traces: filled with the token traces of policies that give them.

    Returns:
        What ``step`` returned for each.
    """
    if not games:
        return []
    return step(games, _decide(games), traces=traces)


def step(
    games: Sequence[Game], actions: Sequence[Mapping[str, Decision]], *, traces: Traces | None = None
) -> list[StepResult]:
    """Step some games with what was decided, and keep the traces of the decisions that have one."""
    if traces is not None:
        for game, decisions in zip(games, actions, strict=True):
            for agent, decision in decisions.items():
                if decision.trace is not None:
                    traces.setdefault((game.key, agent), []).append(decision.trace)
    results: list[StepResult] = type(games[0].env).step_many([game.env for game in games], actions)
    return results


def _decide(games: Sequence[Game]) -> list[dict[str, Decision]]:
    """For each game a decision of every agent that is to act; each policy is asked once."""
    made: list[dict[str, Decision]] = [{} for _ in games]
    for question in questions(games):
        for i, context, decision in zip(question.places, question.contexts, question.ask(), strict=True):
            made[i][context.agent] = decision
    return made


@dataclass(frozen=True)
class Question:
    """What one policy is asked about some games.

    Args:
        policy: the policy.
        places: N positions among the games.
        games: the games there.
        observations: N observations.
        contexts: N contexts.
    """

    policy: Policy
    places: list[int] = field(default_factory=list)
    games: list[Game] = field(default_factory=list)
    observations: list[Any] = field(default_factory=list)
    contexts: list[Context] = field(default_factory=list)

    def ask(self) -> list[Decision]:
        """Returns the policy's N decisions.

        Raises:
            RuntimeError: it failed; the error names task, agent and turn.
            ValueError: it made another number of decisions.
            TypeError: one of them is none.
        """
        policy = self.policy
        try:
            decisions = policy.act(self.observations, self.contexts)
        except Exception as error:
            asked = [
                f"task {game.env.unwrapped.episode.task.id}, episode {context.episode}, {context.agent}, "
                f"own turn {context.turn}"
                for game, context in zip(self.games, self.contexts, strict=True)
            ]
            where = "; ".join(asked[:3]) + (f" and {len(asked) - 3} more" if len(asked) > 3 else "")
            failure = f"{type(error).__name__}: {error}"
            raise RuntimeError(f"policy {policy.name!r} failed ({failure}) at {where}") from error
        if len(decisions) != len(self.places):
            raise ValueError(
                f"policy {policy.name!r} made {len(decisions)} decisions for {len(self.places)} observations"
            )
        for decision in decisions:
            if not isinstance(decision, Decision):
                raise TypeError(f"policy {policy.name!r}: act returned a {type(decision).__name__}, not a Decision")
        return decisions


def questions(games: Sequence[Game]) -> list[Question]:
    """What has to be asked before the next cycle of some games, one question for each policy."""
    asked: dict[int, Question] = {}
    for i, game in enumerate(games):
        env = game.env.unwrapped
        for agent in env.acting:
            policy = game.policies[agent]
            turn = env.own_turns_played(agent)
            rng = turn_generator(game.seed, seat_of(agent), turn)
            question = asked.setdefault(id(policy), Question(policy))
            question.places.append(i)
            question.games.append(game)
            question.observations.append(env.observe(agent))
            question.contexts.append(Context(game.key, agent, turn, rng, env.information_of(agent)))
    return list(asked.values())
