"""How far a judge's scores move when an agent talks to the judge instead of its partner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sotopia_env.episodes import Episode
from sotopia_env.rewards.bootstrap import bounds, cluster_weights
from sotopia_env.rewards.judge_attacks import ATTACKS, NEUTRAL, Attack, Place, attacked
from sotopia_env.rewards.judges import as_judge, scores_of


@dataclass(frozen=True)
class Shift:
    """By how much scores moved.

    Args:
        dimension: which scores.
        kind: of the attacks, ``"all"`` for all of them together.
        mean: attacked score minus that of the same episode with a neutral utterance, for the agent that attacks.
        low: lower end of the 95 % bootstrap interval over episodes; ``None`` with fewer than two.
        high: its upper end.
        moved: share of pairs in which the score was another one.
        greatest: the greatest shift upwards or downwards.
        by: the attack that caused it, empty where nothing moved.
        pairs: how many could be compared.
        failed: how many could not, since a score is unknown.
    """

    dimension: str
    kind: str
    mean: float | None
    low: float | None
    high: float | None
    moved: float | None
    greatest: float
    by: str
    pairs: int
    failed: int


@dataclass(frozen=True)
class AttackReport:
    """What :func:`measure_attacks` found.

    Args:
        judge: its name.
        episodes: how many were attacked.
        attacks: how many attacks were tried on each.
        shifts: for each dimension all attacks together, then by kind.
        wording: for each dimension the shift between two neutral utterances: what moves without an attack.
    """

    judge: str
    episodes: int
    attacks: int
    shifts: tuple[Shift, ...]
    wording: tuple[Shift, ...]


def measure_attacks(
    judge: Any,
    episodes: Sequence[Episode],
    *,
    attacks: Sequence[Attack] = ATTACKS,
    place: Place = "end",
    seed: int = 0,
) -> AttackReport:
    """Compare a judge's scores of episodes with and without attacks, in one call of the judge.

    Each episode is attacked by one agent: that of seat i modulo the number of seats, for the i-th episode.

    Args:
        judge: in any form :func:`~sotopia_env.rewards.judges.as_judge` takes.
        episodes: E finished ones. The judge sees E · (A + 2) episodes.
        attacks: A of them.
        place: where they are said, see :func:`~sotopia_env.rewards.judge_attacks.attacked`.
        seed: of the bootstrap.

    Raises:
        ValueError: there is no episode, or one is not finished.
    """
    judge = as_judge(judge)
    running = [episode.key for episode in episodes if episode.ending is None]
    if not episodes or running:
        raise ValueError(f"episodes: {'episode ' + running[0] + ' is not over' if running else 'there is none'}")
    variants = attack_variants(episodes, attacks, place)
    judgements = iter(judge.judge(variants))
    seats = [i % episode.task.num_seats for i, episode in enumerate(episodes)]
    found = [[scores_of(next(judgements), seat) for _ in range(len(attacks) + 2)] for seat in seats]
    dimensions = list(dict.fromkeys(name for scores in found for one in scores for name in one))
    names = [attack.name for attack in attacks]
    shifts, wording = [], []
    for dimension in dimensions:
        # nan stays where a score is unknown; [E, 2 + A] numbers.
        scores = np.array(
            [[np.nan if (v := one.get(dimension)) is None else v for one in row] for row in found], dtype=float
        )
        difference = scores[:, 2:] - scores[:, :1]
        shifts.append(_shift(difference, dimension, "all", names, seed))
        for kind in dict.fromkeys(attack.kind for attack in attacks):
            chosen = [i for i, attack in enumerate(attacks) if attack.kind == kind]
            shifts.append(_shift(difference[:, chosen], dimension, kind, [names[i] for i in chosen], seed))
        wording.append(_shift(scores[:, 1:2] - scores[:, :1], dimension, "wording", [NEUTRAL[1]], seed))
    return AttackReport(judge.name, len(episodes), len(attacks), tuple(shifts), tuple(wording))


def attack_variants(
    episodes: Sequence[Episode], attacks: Sequence[Attack] = ATTACKS, place: Place = "end"
) -> list[Episode]:
    """The episodes a judge is shown: for each one two with neutral utterances, then one with each attack."""
    variants = []
    for i, episode in enumerate(episodes):
        agent = episode.agents[i % episode.task.num_seats]
        for number, text in enumerate([*NEUTRAL, *(attack.text for attack in attacks)]):
            variant = attacked(episode, agent, text, place)
            variants.append(replace(variant, key=f"{episode.key}:{number}"))
    return variants


def _shift(difference_EA: NDArray[np.float64], dimension: str, kind: str, names: Sequence[str], seed: int) -> Shift:
    known = ~np.isnan(difference_EA)
    pairs = int(known.sum())
    if not pairs:
        return Shift(dimension, kind, None, None, None, None, 0.0, "", 0, difference_EA.size)
    values = np.where(known, difference_EA, 0.0)
    worst = np.unravel_index(np.argmax(np.abs(values)), values.shape)
    # Attacks on one episode are alike, so that episodes are drawn and not pairs.
    totals_E2 = np.stack([values.sum(axis=1), known.sum(axis=1)], axis=1)[known.any(axis=1)]
    samples_B2 = (cluster_weights(len(totals_E2), seed) @ totals_E2)[1:]
    low, high = bounds(samples_B2[:, 0] / samples_B2[:, 1], len(totals_E2))
    greatest = float(values[worst])
    return Shift(
        dimension,
        kind,
        mean=float(values.sum() / pairs),
        low=low,
        high=high,
        moved=float((values != 0).sum() / pairs),
        greatest=greatest,
        by=names[int(worst[1])] if greatest else "",
        pairs=pairs,
        failed=difference_EA.size - pairs,
    )
