"""What a reward says of the turns of an audit set, as a learner would use it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sotopia_env.episodes import Episode
from sotopia_env.rewards.audit.storage import AuditedTurn, Scores
from sotopia_env.rewards.dimensions import DIMENSIONS, to_unit
from sotopia_env.rewards.judges.base import Judge, judged
from sotopia_env.rewards.learning import part_of, turn_values
from sotopia_env.rewards.resolve import get_reward, name_with_use
from sotopia_env.rewards.reward import Reward
from sotopia_env.rewards.turn_rewards import TurnRewards
from sotopia_env.statistics import FloatArray, IntArray, cluster_weights


@dataclass(frozen=True)
class Numbers:
    """What a reward says of an audit set.

    Args:
        candidates: for each audited turn and candidate its r numbers (one, where it does not depend on what follows).
        played: for each audited turn the numbers of the turn played, all turns of an episode read from the same r
            finished episodes; ``None`` takes those of candidate 0.
        name: of the reward.
    """

    candidates: Sequence[Sequence[Sequence[float | None]]]
    played: Sequence[Sequence[float | None]] | None = None
    name: str = "numbers"


def numbers_of(reward: Any, audit: Sequence[AuditedTurn]) -> Numbers:
    """The numbers of a reward for an audit set, as a learner would use them.

    * Causal credit (a reward model, Monte-Carlo) is asked about the turn before anybody replied: one number each.
    * Anything else is read from each of the r finished episodes, as what the turn answers for there
      (:func:`~sotopia_env.rewards.learning.turn_values`): of a causal return (the outcome at the end, a penalty) the
      sum from the turn on, of a hindsight return the sum of the whole dialogue, of hindsight credit the turn's label.

    Parts of a sum are asked by their own flags and added; a judge that several of them share is asked once.

    Args:
        reward: a ``Reward``, or anything :func:`get_reward` makes one of.
        audit: the audit set.
    """
    made = get_reward(reward)
    parts = list(made.by_flags().values())
    episodes = [episode for turn in audit for candidate in turn.candidates for episode in candidate.finished]
    judges: list[Judge] = []
    for part in parts:
        mine = () if _before_the_reply(part) else part.judges()
        judges += [judge for judge in mine if judge not in judges and not _has_judged(judge, episodes)]
    finished = judged(episodes, judges) if judges else episodes
    groups = [_numbers_of_part(part, audit, finished) for part in parts]
    candidates_TMR = [group[0] for group in groups]
    played_TR = [group[1] for group in groups]
    return Numbers(
        [[_added(parts) for parts in zip(*turns, strict=True)] for turns in zip(*candidates_TMR, strict=True)],
        [_added(parts) for parts in zip(*played_TR, strict=True)],
        name_with_use(made),
    )


def _has_judged(judge: Judge, episodes: Sequence[Episode]) -> bool:
    return all(judge.name_in(episode) in [said.judge for said in episode.judgements] for episode in episodes)


def true_advantages(audit: Sequence[AuditedTurn], dimension: str = "goal") -> Numbers:
    """The measured advantage itself as numbers: what no reward can beat, on an audit set other than this very one.

    Args:
        audit: whose truth is taken; to meet it with the numbers of the same states, split it first
            (:func:`split_audit`).
        dimension: of the truth.
    """
    rows = []
    for turn in audit:
        before = _mean(turn.scores[dimension])
        after = [_mean(candidate.scores[dimension]) for candidate in turn.candidates]
        rows.append([[None if value is None or before is None else value - before] for value in after])
    return Numbers(rows, name="true advantage")


def split_audit(audit: Sequence[AuditedTurn]) -> tuple[list[AuditedTurn], list[AuditedTurn]]:
    """Two audit sets of the same turns, each with every other continuation of the truth: one may label the other."""
    return [_every_other(turn, 0) for turn in audit], [_every_other(turn, 1) for turn in audit]


def _every_other(turn: AuditedTurn, start: int) -> AuditedTurn:
    def half(scores: Scores) -> Scores:
        return {dimension: values[start::2] for dimension, values in scores.items()}

    candidates = tuple(replace(candidate, scores=half(candidate.scores)) for candidate in turn.candidates)
    return replace(turn, scores=half(turn.scores), candidates=candidates)


def _mean(scores: Sequence[float | None]) -> float | None:
    known = [score for score in scores if score is not None]
    return sum(known) / len(known) if known and len(known) == len(scores) else None


def _before_the_reply(part: Reward) -> bool:
    """Whether it is asked about the turn before anybody replied, and not about finished episodes."""
    return (part.kind, part.timing) == ("credit", "causal")


def _numbers_of_part(
    part: Reward, audit: Sequence[AuditedTurn], finished: Sequence[Episode]
) -> tuple[list[list[list[float | None]]], list[list[float | None]]]:
    """One part's numbers: of every candidate, and of the turns that were played."""
    if _before_the_reply(part):
        states = [candidate.after for turn in audit for candidate in turn.candidates]
        asked = iter(part(states))
        once = [[[next(asked)[turn.agent][turn.own_index]] for _ in turn.candidates] for turn in audit]
        return once, [turns[0] for turns in once]
    told = iter(part.rewards(finished))
    paid = [[[next(told) for _ in candidate.finished] for candidate in turn.candidates] for turn in audit]
    candidates = [
        [[_of_turn(part, said, turn.agent, turn.own_index) for said in labels] for labels in by_candidate]
        for turn, by_candidate in zip(audit, paid, strict=True)
    ]
    # The turns of one episode share their labels: those of the episodes that go on from the last one audited.
    last = {(turn.before.key, turn.agent): place for place, turn in enumerate(audit)}
    played = [
        [_of_turn(part, said, turn.agent, turn.own_index) for said in paid[last[turn.before.key, turn.agent]][0]]
        for turn in audit
    ]
    return candidates, played


def _of_turn(part: Reward, paid: TurnRewards, agent: str, own_index: int) -> float | None:
    value = float(turn_values(part_of(part, paid[agent]))[own_index])
    return None if math.isnan(value) else value


def _added(parts: Sequence[Sequence[float | None]]) -> list[float | None]:
    """Sums over parts of r numbers each; a part that has one number only has it for all of them."""
    replicates = max(len(part) for part in parts)
    columns = [[*part] * (replicates if len(part) == 1 else 1) for part in parts]
    return [None if None in column else sum(column) for column in zip(*columns, strict=True)]


@dataclass(frozen=True)
class AuditTable:
    """An audit set as arrays: a row for each candidate (N), in the order of turns (T) and candidates."""

    labels_NR: FloatArray
    played_TR: FloatArray
    value_NK: FloatArray  # the scores behind Q, nan where unknown, on the unit scale where the range is known
    advantage_NK: FloatArray  # with those behind V taken off
    state_N: IntArray
    episode_N: IntArray
    cluster_N: IntArray
    first_N: IntArray  # the rows of the turns that were played
    weights_BC: FloatArray
    seed: int

    @classmethod
    def of(cls, audit: Sequence[AuditedTurn], numbers: Numbers, dimension: str, seed: int) -> AuditTable:
        """The arrays behind an audit set and the numbers of one reward."""
        if not audit:
            raise ValueError("the audit set is empty")
        counts = [len(turn.candidates) for turn in audit]
        given = [len(labels) for labels in numbers.candidates]
        if given != counts:
            raise ValueError(f"{numbers.name}: numbers for {given} candidates, but the audit set has {counts}"[:400])
        tasks = {task: place for place, task in enumerate(dict.fromkeys(turn.before.task.id for turn in audit))}
        played = {key: place for place, key in enumerate(dict.fromkeys((t.before.key, t.agent) for t in audit))}
        labels = _array([row for by_candidate in numbers.candidates for row in by_candidate])
        first = np.cumsum([0, *counts[:-1]])
        after = [_truth(c.scores, dimension, turn) for turn in audit for c in turn.candidates]
        before = np.repeat([_truth(turn.scores, dimension, turn) for turn in audit], counts, axis=0)
        value = np.array(after)
        return cls(
            labels,
            labels[first] if numbers.played is None else _array(numbers.played),
            value,
            value - before,
            np.repeat(np.arange(len(audit)), counts),
            np.repeat([played[turn.before.key, turn.agent] for turn in audit], counts),
            np.repeat([tasks[turn.before.task.id] for turn in audit], counts),
            first,
            cluster_weights(len(tasks), seed),
            seed,
        )


def _array(rows: Sequence[Sequence[float | None]]) -> FloatArray:
    longest = max((len(row) for row in rows), default=0)
    return np.array([[*row, *[None] * (longest - len(row))] for row in rows], dtype=np.float64).reshape(len(rows), -1)


def _truth(scores: Mapping[str, Sequence[float | None]], dimension: str, turn: AuditedTurn) -> list[float]:
    if dimension not in scores:
        raise ValueError(f"audited turn {turn.key!r}: no scores of {dimension!r}; it knows {', '.join(scores)}")
    unit = dimension in DIMENSIONS
    return [np.nan if s is None else to_unit(dimension, s) if unit else s for s in scores[dimension]]
