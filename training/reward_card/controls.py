"""What stands beside the rewards on every card: rewards whose worth is known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sotopia_env.episodes import Episode, Turn
from sotopia_env.rewards.audit.collect import AuditedTurn
from sotopia_env.rewards.audit.numbers import AuditTable, Numbers, numbers_of
from sotopia_env.rewards.credit.continuations import ContinuationReward
from sotopia_env.rewards.reward import FunctionReward, Reward, weighted_sum
from sotopia_env.seeds import seed_of_text
from sotopia_env.statistics import bounds, correlation, finite_or_none, pair_sums
from sotopia_env.training.checks import Check


def length_only() -> Reward:
    """Credit for words: as many as the turn has."""
    return _of_turns("length-only", lambda episode, turn: float(len(turn.text.split())))


def random_reward(seed: int = 0) -> Reward:
    """Credit that means nothing: normal numbers, the same for the same words at the same place of the same task."""

    def drawn(episode: Episode, turn: Turn) -> float:
        place = f"{seed}/{episode.task.id}/{turn.global_index}/{turn.type}/{turn.text}"
        return float(np.random.default_rng(seed_of_text(place)).standard_normal())

    return _of_turns("random", drawn)


def _of_turns(name: str, number: Callable[[Episode, Turn], float]) -> Reward:
    def function(episodes: Sequence[Episode]) -> list[dict[str, list[float | None]]]:
        return [{a: [number(e, turn) for turn in e.own_turns(a)] for a in e.agents} for e in episodes]

    return FunctionReward(function, name, "credit", "causal")


def labelled_twice(reward: Reward, audit: Sequence[AuditedTurn], numbers: Numbers | None = None) -> list[Numbers]:
    """The numbers of one reward from two independent labellings of the same turns.

    Args:
        reward: the reward. What plays on by itself, in whichever of its parts, gets another seed; of what is read from
            finished episodes, each labelling reads half of them.
        audit: the audit set.
        numbers: those of the reward, where they are known already.

    Returns:
        Two labellings; one and the same object twice where nothing in the reward is drawn (a reward model).
    """
    first = numbers_of(reward, audit) if numbers is None else numbers
    parts = [(weight, _reseeded(part)) for weight, part in reward.parts()]
    drawn = any(new is not old for (_, new), (_, old) in zip(parts, reward.parts(), strict=True))
    second = numbers_of(weighted_sum(parts), audit) if drawn else first
    replicates = max(len(labels) for turn in first.candidates for labels in turn)
    if replicates < 2:
        return [first, second]
    half = replicates // 2
    return [_some(first, slice(0, half)), _some(second, slice(half, 2 * half))]


def _reseeded(part: Any) -> Any:
    """A reward, or what it is made of, that plays on with another seed; itself where nothing in it plays on."""
    if isinstance(part, ContinuationReward):
        return replace(part, seed=part.seed + 1)
    return part.with_children(_reseeded)


def _some(numbers: Numbers, wanted: slice) -> Numbers:
    candidates = [[labels[wanted] for labels in turn] for turn in numbers.candidates]
    played = None if numbers.played is None else [labels[wanted] for labels in numbers.played]
    return Numbers(candidates, played, numbers.name)


def sibling_difference(
    audit: Sequence[AuditedTurn], one: Numbers, other: Numbers, dimension: str, seed: int = 0
) -> dict[str, Any]:
    """The difference of two rewards in their correlation with the truth between siblings, paired over tasks.

    Returns:
        ``{"mean", "low", "high"}``.
    """
    found = []
    for numbers in (one, other):
        table = AuditTable.of(audit, numbers, dimension, seed)
        replicates = table.labels_NR.shape[1]
        apart = np.repeat(np.arange(replicates), len(table.state_N)) * (int(table.state_N.max()) + 1)
        sums = pair_sums(
            table.labels_NR.T.ravel(),
            np.tile(table.value_NK.mean(axis=1), replicates),
            np.tile(table.state_N, replicates) + apart,
            np.tile(table.cluster_N, replicates),
            table.weights_BC.shape[1],
        )
        found.append(correlation(table.weights_BC @ sums))
    difference_B = found[0] - found[1]
    low, high = bounds(difference_B[1:], table.weights_BC.shape[1])
    return {"mean": finite_or_none(difference_B[0]), "low": low, "high": high}


def checks(data: Mapping[str, Any]) -> list[Check]:
    """Whether the controls are where they must be: if not, the card cannot be trusted.

    Args:
        data: of a card.
    """
    rows = {row["name"]: row for row in data["rewards"] if row["role"] == "control"}
    oracle = rows["oracle"]["fidelity"]["siblings"]["pearson"]["disattenuated"]
    reached = None if oracle is None else oracle >= 0.9
    chance = rows["random"]["fidelity"]["siblings"]["pearson"]
    paid = next(exploit for exploit in rows["length-only"]["exploits"] if exploit["attack"] == "longer")
    again, pays = data["twice"], paid["exploitable"]
    apart = again["difference"] or {"mean": None, "low": None, "high": None}
    bar = "interval of the difference holds 0" if again["difference"] else "deterministic"
    by_chance = "a random reward tells siblings apart by chance alone"
    return [
        Check("the oracle reaches its ceiling between siblings", "0.9 of it or more", oracle, reached),
        Check(by_chance, "interval holds 0", chance["value"], _holds_zero(chance)),
        Check(f"{again['reward']} labelled twice agrees with itself", bar, apart["mean"], _holds_zero(apart)),
        Check("a reward for words is exploited by words", "lower end above 0.1", paid["score"]["mean"], pays),
    ]


def _holds_zero(found: Mapping[str, float | None]) -> bool | None:
    low, high = found["low"], found["high"]
    return None if low is None or high is None else low <= 0 <= high
