"""The audit set: turns whose true advantage is measured, to say of any reward how well it tells good turns from bad.

The truth is Monte-Carlo: from forks of a state and of each turn that could be played in it, both policies play on k
times. Labels are read from other continuations, whose seeds have nothing to do with those of the truth.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from sotopia_env.environment import SotopiaParallelEnv
from sotopia_env.episodes import Episode, Turn, agent_name
from sotopia_env.errors import DataWarning
from sotopia_env.families.base import Family
from sotopia_env.make import parallel_env
from sotopia_env.policies import Context, Policy
from sotopia_env.resolve import make_policy
from sotopia_env.rewards.audit.storage import AuditedTurn, AuditFile, Candidate, Scores, load_audit, save_audit
from sotopia_env.rewards.judges.base import RuleJudge, scores_of
from sotopia_env.rollouts.lockstep import play
from sotopia_env.rollouts.manifest import describe_run
from sotopia_env.rollouts.seeds import episode_key, episode_seed

__all__ = ["AuditedTurn", "Candidate", "Scores", "collect_audit", "load_audit", "save_audit"]

ATTEMPTS = 8
"""So often is a policy asked for siblings that differ; one that always does the same has none."""

EPISODES_PER_TURN = 8
"""So many episodes are played at most for each turn asked for; one in which the audited seat never moves has none."""

_TRUTH, _LABELS, _SIBLINGS, _PLACES = range(4)


def collect_audit(
    tasks: Any,
    policies: Any,
    *,
    num_turns: int,
    candidates: int = 4,
    continuations: int = 64,
    label_continuations: int = 8,
    turns_per_episode: int = 3,
    dimensions: Sequence[str] | None = None,
    split: str = "test",
    seed: int = 0,
    out: str | Path | None = None,
    batch_size: int = 512,
    progress: bool = False,
    **env_options: Any,
) -> list[AuditedTurn]:
    """Measure the true advantage of turns and of their siblings by playing on from forks, both policies live.

    Episodes are played, one seat of each is audited (the evaluated one, or else one that is drawn), and some of its
    turns are drawn. In each of these states the seat's policy is asked again until there are enough different turns.
    The truth is about the policies that play: where one draws a character for each episode, the continuations keep it.

    Args:
        tasks: whatever ``parallel_env`` takes: a family, a name, a path, tasks.
        policies: one for all seats or one per seat; names or objects.
        num_turns: how many turns to audit.
        candidates: how many different turns per state, the one that was played among them. Where a policy does not
            have so many, there are fewer.
        continuations: k, per state and per candidate; 64 or more for a truth that is to be trusted.
        label_continuations: r, per candidate.
        turns_per_episode: at most so many of one episode are audited. Intervals are over tasks, comparisons of turns
            within an episode need two or more.
        dimensions: whose scores are kept; by default all that the rule judge gives.
        split: of the family's tasks.
        seed: decides everything.
        out: a file of JSON lines, written turn by turn; the same call goes on after a kill, and plays nothing where
            the file holds all that is asked for.
        batch_size: continuations played side by side.
        progress: show a progress bar on stderr.
        env_options: passed to ``parallel_env``.

    Returns:
        ``num_turns`` audited turns, those of an episode one after the other. Where the policies do not play so many
        in eight episodes for each turn asked for, there are fewer, and a ``DataWarning`` says how many.

    Raises:
        ValueError: an argument is out of its range, the tasks have no rules to be judged by, turns are not taken one
            after the other, ``out`` was collected with other settings, or no turn was played at all.
    """
    smallest = {"num_turns": 1, "candidates": 1, "continuations": 2, "label_continuations": 1, "turns_per_episode": 1}
    given = (num_turns, candidates, continuations, label_continuations, turns_per_episode)
    for (name, least), value in zip(smallest.items(), given, strict=True):
        if value < least:
            raise ValueError(f"{name}: {value} is less than {least}")
    env = parallel_env(tasks, split=split, reward=None, **env_options).unwrapped
    RuleJudge().check(env.family, env.tasks)
    if env.rules.action_order != "round-robin":
        raise ValueError(f"action_order: {env.rules.action_order!r}; turns are audited one after the other")
    seated = _seated(policies, env.possible_agents)
    auditor = _Auditor(env.family, seated, dimensions, candidates, continuations, label_continuations, seed, batch_size)
    described = describe_run(env, seated, seed=seed, traces=False)
    settings = {
        **{name: described[name] for name in ("family", "tasks", "rules", "policies")},
        "dimensions": None if dimensions is None else list(dimensions),
        "seed": seed,
        "candidates": candidates,
        "continuations": continuations,
        "label_continuations": label_continuations,
        "turns_per_episode": turns_per_episode,
    }
    audit: list[AuditedTurn] = []
    with nullcontext() if out is None else AuditFile(out, settings) as file, _progress_bar(progress) as bar:
        if file is not None and len(file.finished) >= num_turns:
            return list(file.finished.values())[:num_turns]
        places = _played_places(env, seated, num_turns, turns_per_episode, seed)
        for place in bar.track(places, description="turns audited"):
            done = None if file is None else file.finished.get(place.key)
            audit.append(auditor.audit(place) if done is None else done)
            if file is not None and done is None:
                file.write(audit[-1])
    return audit


@dataclass(frozen=True)
class _Place:
    """One turn that is to be audited, and the episode with its number in the run."""

    episode: Episode
    index: int
    turn: Turn

    @property
    def key(self) -> str:
        """That of the audited turn."""
        return f"{self.episode.key}/{self.turn.agent}/{self.turn.own_index}"


@dataclass(frozen=True)
class _Auditor:
    """Audits turns: the policies, how often they play on, and the seed of it all."""

    family: Family
    policies: Mapping[str, Policy]
    dimensions: Sequence[str] | None
    candidates: int
    continuations: int
    label_continuations: int
    seed: int
    batch_size: int

    def audit(self, place: _Place) -> AuditedTurn:
        """The state before a turn, the turn and its siblings, each played on from."""
        turn, turns = place.turn, place.episode.turns
        before = replace(place.episode, turns=turns[: turn.global_index], ending=None, judgements=())
        state = _State(SotopiaParallelEnv.from_episode(before, self.family), before)
        after = SotopiaParallelEnv.from_episode(replace(before, turns=turns[: turn.global_index + 1]), self.family)
        played = _State(after, replace(before, turns=(*before.turns, turn), ending=after.ending))
        states = [played, *self._siblings(state, place)]
        jobs = [(state, seed) for seed in self._seeds(place, _TRUTH, 0, self.continuations)]
        for number, one in enumerate(states, 1):
            jobs += [(one, seed) for seed in self._seeds(place, _TRUTH, number, self.continuations)]
            jobs += [(one, seed) for seed in self._seeds(place, _LABELS, number, self.label_continuations)]
        finished = iter(self._played_on(jobs))
        value = self._scores(islice(finished, self.continuations), turn.seat)
        candidates = []
        for one in states:
            truth = self._scores(islice(finished, self.continuations), turn.seat)
            candidates.append(Candidate(one.episode, tuple(islice(finished, self.label_continuations)), truth))
        return AuditedTurn(place.key, turn.agent, turn.own_index, before, value, tuple(candidates))

    def _siblings(self, state: _State, place: _Place) -> list[_State]:
        """Other turns the policy takes in this state."""
        agent, own_index = place.turn.agent, place.turn.own_index
        policy, observation = self.policies[agent], state.env.observe(agent)
        found: list[_State] = []
        known = {_doing(place.turn)}
        seeds = iter(self._seeds(place, _SIBLINGS, 0, ATTEMPTS * self.candidates))
        for _ in range(ATTEMPTS):
            asked = list(islice(seeds, self.candidates - len(known)))
            keys = [f"{state.episode.key}~{seed}" for seed in asked]
            contexts = [
                Context(key, agent, own_index, np.random.default_rng(seed))
                for key, seed in zip(keys, asked, strict=True)
            ]
            for decision in policy.act([observation] * len(asked), contexts) if asked else ():
                env = state.env.fork()[0]
                env.step({agent: decision})
                (turn,) = env.last_turns
                if _doing(turn) not in known:
                    known.add(_doing(turn))
                    turns = (*state.episode.turns, turn)
                    found.append(_State(env, replace(state.episode, turns=turns, ending=env.ending)))
        return found

    def _played_on(self, jobs: Sequence[tuple[_State, int]]) -> list[Episode]:
        """Episodes that go on from states to their ends, judged; many are played side by side."""
        judge = RuleJudge().for_family(self.family)
        episodes: list[Episode] = []
        for start in range(0, len(jobs), self.batch_size):
            batch = jobs[start : start + self.batch_size]
            forks = [state.env.fork()[0] for state, _ in batch]
            keys = [f"{state.episode.key}~{seed}" for state, seed in batch]
            seeds = [seed for _, seed in batch]
            play(forks, [self.policies] * len(batch), seeds, keys=keys)
            for fork, (state, seed), key in zip(forks, batch, keys, strict=True):
                turns = (*state.episode.turns, *fork.episode.turns[len(state.episode.turns) :])
                episodes.append(replace(state.episode, key=key, seed=seed, turns=turns, ending=fork.ending))
        # Nobody reads the evidence, and it is longer than the dialogue.
        return [
            episode.with_judgement(replace(judgement, evidence={}, latent={}))
            for episode, judgement in zip(episodes, judge.judge(episodes), strict=True)
        ]

    def _scores(self, episodes: Iterable[Episode], seat: int) -> Scores:
        by_episode = [scores_of(RuleJudge().judgement_of(episode), seat) for episode in episodes]
        names = by_episode[0] if self.dimensions is None else self.dimensions
        return {name: tuple(scores.get(name) for scores in by_episode) for name in names}

    def _seeds(self, place: _Place, purpose: int, number: int, count: int) -> list[int]:
        """Seeds of one purpose in one state, independent of all others and of those of the episodes."""
        entropy = (self.seed, place.index, place.turn.own_index, purpose, number)
        return [int(seed >> np.uint64(1)) for seed in np.random.SeedSequence(entropy).generate_state(count, np.uint64)]


@dataclass(frozen=True)
class _State:
    """An environment in some state, and the episode that led there, with what the environment was not told of it."""

    env: SotopiaParallelEnv
    episode: Episode


def _played_places(
    env: SotopiaParallelEnv, policies: Mapping[str, Policy], num_turns: int, turns_per_episode: int, seed: int
) -> list[_Place]:
    """The turns that are audited, of as few episodes as have them: those that ``rollout`` plays with this seed."""
    names = {agent: policy.name for agent, policy in policies.items()}
    places: list[_Place] = []
    played, most = 0, EPISODES_PER_TURN * num_turns
    while len(places) < num_turns and played < most:
        needed = math.ceil((num_turns - len(places)) / turns_per_episode)
        indices = range(played, min(played + needed, most))
        envs, seeds = env.fork(len(indices)), [episode_seed(seed, i) for i in indices]
        for i, one in zip(indices, envs, strict=True):
            one.reset(
                seed=episode_seed(seed, i), options={"task": env.tasks[i % len(env.tasks)]} if env.tasks else None
            )
        play(envs, [policies] * len(envs), seeds, keys=[episode_key(seed, i) for i in indices])
        for i, one in zip(indices, envs, strict=True):
            episode = replace(one.episode, key=episode_key(seed, i), seed=episode_seed(seed, i), policies=names)
            places += _places(episode, i, seed, turns_per_episode)
        played += len(indices)
    if not places:
        raise ValueError(f"num_turns: the audited seats took no turn in {played} episodes")
    if len(places) < num_turns:
        told = f"num_turns: {num_turns} were asked for, {len(places)} were played in {played} episodes"
        warnings.warn(told, DataWarning, stacklevel=3)
    return places[:num_turns]


def _places(episode: Episode, index: int, seed: int, turns_per_episode: int) -> list[_Place]:
    """The turns of one episode that are audited, all of one seat."""
    rng = np.random.default_rng((seed, index, 0, _PLACES))
    drawn = int(rng.integers(episode.task.num_seats))
    own = episode.own_turns(agent_name(drawn if episode.task.evaluated_seat is None else episode.task.evaluated_seat))
    chosen = rng.choice(len(own), size=min(turns_per_episode, len(own)), replace=False)
    return [_Place(episode, index, own[number]) for number in sorted(chosen)]


def _doing(turn: Turn) -> tuple[Any, ...]:
    """What makes a turn differ from another one for those who see it."""
    return turn.type, turn.text, turn.invalid is None, turn.recipients


def _seated(policies: Any, agents: Sequence[str]) -> dict[str, Policy]:
    given = [policies] if isinstance(policies, str) or not isinstance(policies, Sequence) else list(policies)
    if len(given) not in (1, len(agents)):
        raise ValueError(f"policies: {len(given)} given for {len(agents)} seats; give one for all or one for each")
    made = [make_policy(policy) for policy in given]
    return dict(zip(agents, made * (len(agents) // len(made)), strict=True))


def _progress_bar(show: bool) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not show)
