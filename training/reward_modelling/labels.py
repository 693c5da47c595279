"""What a reward model is to predict: numbers for the turns of episodes, and which episodes are held out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sotopia_env.chat_encoding import ChatEncoder
from sotopia_env.episodes import Episode
from sotopia_env.rewards import ATTRIBUTION_DESIGNS, DESIGNS, Attribution, JudgeScores, Outcome, Reward
from sotopia_env.rewards.attribution.attributors import Attributor, FunctionAttributor, as_attributor
from sotopia_env.rewards.dimensions import DIMENSIONS
from sotopia_env.rewards.judges.base import Judge, as_judge, judged
from sotopia_env.rewards.outcome import ScoredReward
from sotopia_env.rewards.reward_model.rows import latest_row, value_row
from sotopia_env.rewards.reward_model.saved import Target

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class LabelledRow:
    """One agent's dialogue, and what is to be predicted at some of its tokens.

    Args:
        ids: L token ids.
        places: P indices of tokens, in ascending order.
        targets_PD: for each place and dimension the number to predict, ``nan`` where it is unknown.
        scenario: what the dialogue is about: rows of one scenario are never on both sides of a split.
        siblings: task and seat: rows that share them differ in what was said alone.
    """

    ids: list[int]
    places: list[int]
    targets_PD: FloatArray
    scenario: str
    siblings: str = ""


def labelled_rows(
    episodes: Sequence[Episode],
    labels: Mapping[str, Reward],
    target: Target,
    encoder: ChatEncoder,
    limit: int | None = None,
    agents: Callable[[Episode], Sequence[str]] | None = None,
) -> list[LabelledRow]:
    """One row for each agent of each episode that has a turn with a label.

    Args:
        episodes: finished ones.
        labels: by dimension the reward that gives the labels. For the targets ``"outcome"`` and ``"episode"`` its
            ``outcome`` counts: one number for an agent's whole episode.
        target: ``"labels"`` of single turns, the ``"outcome"`` after every turn and before it, or that of the whole
            ``"episode"`` at its end.
        encoder: of the model.
        limit: the most tokens it reads.
        agents: whose turns of an episode; all agents by default.

    Raises:
        ValueError: no finished episode, a dialogue longer than the model reads, or a dimension without any label.
    """
    finished = [episode for episode in episodes if episode.ending is not None]
    if not finished:
        raise ValueError("there is nothing to learn from: none of the episodes is finished")
    numbers = _numbers(finished, labels, target)
    rows = []
    for index, episode in enumerate(finished):
        for agent in episode.agents if agents is None else agents(episode):
            if not episode.own_turns(agent):
                continue
            targets_TD = np.array([numbers[d][index][agent] for d in labels], dtype=np.float64).T
            if target == "episode":
                ids, places = latest_row(episode, agent, encoder)
                targets_TD = targets_TD[-1:]
            else:
                row = value_row(episode, agent, encoder)
                ids, places = row.ids, row.after
            if limit is not None and len(ids) > limit:
                raise ValueError(
                    f"episode {episode.key!r}, {agent}: {len(ids)} tokens, but the model reads at most {limit}; "
                    "leave the episode out, play with a smaller max_cycles, or take a model with a longer context"
                )
            if target == "outcome":
                places = [place for pair in zip(row.before, row.after, strict=True) for place in pair]
                targets_TD = np.repeat(targets_TD, 2, axis=0)
            if not np.isnan(targets_TD).all():
                task = episode.task
                siblings = f"{task.family}:{task.id}:{agent}"
                rows.append(LabelledRow(ids, places, targets_TD, f"{task.family}:{task.scenario.id}", siblings))
    known = sum((~np.isnan(row.targets_PD)).sum(axis=0) for row in rows) if rows else np.zeros(len(labels))
    for dimension, count in zip(labels, np.atleast_1d(known), strict=True):
        if not count:
            raise ValueError(
                f"dimension {dimension!r}: all labels are None ({len(finished)} episodes, reward "
                f"{labels[dimension].name!r}); its judge does not know it: leave it out, or take another judge"
            )
    return rows


def labels_of(
    design: str, dimensions: Sequence[str], attributor: Any = "rule", judge: Any = "rule"
) -> dict[str, Reward]:
    """By dimension the reward of one design, as :func:`labelled_rows` takes it.

    Args:
        design: any design of :class:`~sotopia_env.rewards.Outcome` or :class:`~sotopia_env.rewards.Attribution`.
        dimensions: one reward each.
        attributor: for designs that weigh turns by their importance.
        judge: who scores the episodes.

    Raises:
        ValueError: an unknown design or dimension.
    """
    # One of each for all dimensions: whoever asks a model is asked once.
    judge = as_judge(judge)
    if design in ATTRIBUTION_DESIGNS:
        attributor = as_attributor(attributor)
        return {d: Attribution(design, attributor, dimensions={d: 1.0}, judge=judge) for d in dimensions}
    if design not in DESIGNS:
        raise ValueError(f"design: {design!r} is none of {', '.join([*DESIGNS, *ATTRIBUTION_DESIGNS])}")
    return {d: Outcome(design, {d: 1.0}, judge) for d in dimensions}


def split_by_scenario(
    rows: Sequence[LabelledRow], held_out: float, seed: int
) -> tuple[list[LabelledRow], list[LabelledRow]]:
    """Rows to train on, and rows of other scenarios.

    Args:
        rows: all of them.
        held_out: share of the scenarios; at least one where it is not 0 and there are two.
        seed: decides which.
    """
    scenarios = sorted({row.scenario for row in rows})
    count = min(math.ceil(held_out * len(scenarios)), len(scenarios) - 1)
    chosen = np.random.default_rng(seed).permutation(len(scenarios))[:count]
    apart = {scenarios[i] for i in chosen}
    return [row for row in rows if row.scenario not in apart], [row for row in rows if row.scenario in apart]


def limits_of(reward: Reward, dimension: str) -> tuple[float, float]:
    """The lowest and highest number of a dimension's labels, as far as its reward's scale says."""
    native = isinstance(reward, ScoredReward | JudgeScores) and reward.scale == "native"
    return DIMENSIONS[dimension] if native and dimension in DIMENSIONS else (0.0, 1.0)


def _numbers(
    episodes: Sequence[Episode], labels: Mapping[str, Reward], target: Target
) -> dict[str, list[Mapping[str, Sequence[float]]]]:
    """By dimension, for each episode and agent one number per own turn, ``nan`` where unknown."""
    judges: list[Judge] = []
    for reward in labels.values():
        judges += [judge for judge in reward.judges() if judge not in judges]
    scored = judged(episodes, judges)
    found: dict[str, list[Mapping[str, Sequence[float]]]] = {}
    for dimension, reward in (_asked_once(labels, scored) if target == "labels" else labels).items():
        if target != "labels":
            outcomes = _outcomes(dimension, reward, scored)
            by_agent: Sequence[Mapping[str, Sequence[float | None]]] = [
                {agent: [outcome[agent]] * len(episode.own_turns(agent)) for agent in episode.agents}
                for episode, outcome in zip(scored, outcomes, strict=True)
            ]
        else:
            by_agent = reward.rewards(scored)
        found[dimension] = [{agent: _floats(values) for agent, values in one.items()} for one in by_agent]
    return found


def _asked_once(labels: Mapping[str, Reward], episodes: Sequence[Episode]) -> dict[str, Reward]:
    """The same, an attributor that several of them share being asked about all their dimensions in one go."""
    sharing: dict[int, dict[str, Attribution]] = {}
    for name, reward in labels.items():
        if isinstance(reward, Attribution):
            sharing.setdefault(id(reward.attributor), {})[name] = reward
    asked: dict[str, Reward] = dict(labels)
    for group in sharing.values():
        if len(group) > 1:
            dimensions = list(dict.fromkeys(d for reward in group.values() for d in reward.dimensions))
            known = _graded(next(iter(group.values())).attributor, episodes, dimensions)
            asked |= {name: replace(reward, attributor=known) for name, reward in group.items()}
    return asked


def _graded(attributor: Attributor, episodes: Sequence[Episode], dimensions: Sequence[str]) -> Attributor:
    """What an attributor says of these very episodes; keys of episodes of several runs may be the same."""
    found = dict(zip(map(id, episodes), attributor.importances(episodes, dimensions), strict=True))
    return FunctionAttributor(lambda episode, agent: found[id(episode)][agent], attributor.levels, attributor.name)


def _outcomes(dimension: str, reward: Reward, episodes: Sequence[Episode]) -> Sequence[Mapping[str, float | None]]:
    try:
        return reward.outcome(episodes)
    except NotImplementedError as error:
        raise ValueError(
            f"dimension {dimension!r}: {reward.name!r} gives no outcome of a whole episode; take Outcome('broadcast')"
        ) from error


def _floats(values: Sequence[Any]) -> list[float]:
    return [math.nan if value is None else float(value) for value in values]
