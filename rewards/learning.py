"""What a learner makes of the numbers of a reward, by their two flags: said here once, for trainers, logs and audits.

| flags | what a turn answers for, before any baseline | what a dialogue counts as, in one number |
|---|---|---|
| causal return | the sum from the turn on | the sum |
| hindsight return | the sum of the whole dialogue, however it is spread over turns | the sum |
| causal credit | the turn's own number | the sum, as ``step`` pays it |
| hindsight credit | the turn's own number | its outcome, as ``step`` pays it: labels are never summed over turns |

Arrays are ``(..., T)``: the own turns of a dialogue, padded to the longest; ``nan`` is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sotopia_env.episodes import Episode
from sotopia_env.rewards.designs import Kind, Timing
from sotopia_env.rewards.reward import Flags, Reward

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


class RewardPart(NamedTuple):
    """One part of a reward with its two flags.

    Args:
        kind: ``"return"`` may be summed; ``"credit"`` already holds the long-term effect.
        rewards: one number per own turn, ``(..., T)``.
        timing: ``"causal"`` is known once the partner has replied; ``"hindsight"`` needs the end.
        outcome: what ``step`` pays at the end in place of hindsight credit; ``nan`` where unknown.
    """

    kind: Kind
    rewards: ArrayLike
    timing: Timing = "causal"
    outcome: float = np.nan


def checked_turns(rewards: ArrayLike, alive: ArrayLike) -> tuple[FloatArray, BoolArray]:
    """Both as arrays, rewards 0 beyond the end; raises ``ValueError`` for what no dialogue can have."""
    values, exists = np.asarray(rewards, dtype=np.float64), np.asarray(alive)
    if values.ndim < 1 or values.shape != exists.shape:
        raise ValueError(f"rewards have shape {values.shape} and alive {exists.shape}; both must be (..., turns)")
    if exists.dtype != np.bool_:
        raise ValueError(f"alive has dtype {exists.dtype}; pass booleans, True where a turn exists")
    if np.any(exists[..., 1:] & ~exists[..., :-1]):
        raise ValueError("alive has a turn after a gap; a dialogue's own turns come first, padding after them")
    values = np.where(exists, values, 0.0)
    if np.any(np.isinf(values)):
        raise ValueError("rewards hold an infinite number; use nan for one that is unknown")
    return values, exists


def sums_to_end(values: FloatArray) -> FloatArray:
    """Sum of each entry and those after it, along the turns; nan once a later one is nan."""
    return np.cumsum(values[..., ::-1], axis=-1)[..., ::-1]


def returns_to_go(rewards: ArrayLike, alive: ArrayLike) -> FloatArray:
    """Sum of the rewards from each turn on, undiscounted; nan where one of them is unknown, 0 beyond the end."""
    values, exists = checked_turns(rewards, alive)
    return np.where(exists, sums_to_end(values), 0.0)


def as_summed(part: RewardPart, alive: ArrayLike) -> FloatArray:
    """The numbers of a part as an estimator takes them: those of a hindsight return stand at the last own turn.

    As a return, a hindsight design is the dialogue's sum, however it spreads it; left spread, the sums from each turn
    on would miss what that turn changed in the rewards of earlier ones.

    Args:
        part: one part.
        alive: which turns exist.

    Raises:
        ValueError: a flag other than those of :class:`RewardPart`.
    """
    if part.kind not in ("return", "credit") or part.timing not in ("causal", "hindsight"):
        raise ValueError(
            f"a reward part is flagged {part.kind!r}, {part.timing!r}; use 'return' or 'credit', and 'causal' or "
            "'hindsight'"
        )
    values, exists = checked_turns(part.rewards, alive)
    if (part.kind, part.timing) == ("return", "hindsight"):
        is_last = exists & ~np.append(exists[..., 1:], np.zeros_like(exists[..., :1]), axis=-1)
        values = np.where(is_last, values.sum(axis=-1, keepdims=True), 0.0)
    return values


def turn_values(part: RewardPart, alive: ArrayLike | None = None) -> FloatArray:
    """What each own turn answers for, before any baseline: see the table above.

    Args:
        part: one part.
        alive: which turns exist; by default all.
    """
    exists = np.ones(np.shape(part.rewards), dtype=np.bool_) if alive is None else alive
    values = as_summed(part, exists)
    return np.where(exists, sums_to_end(values), 0.0) if part.kind == "return" else values


def dialogue_value(part: RewardPart) -> float:
    """What one dialogue counts as, in one number, which is what ``step`` paid for it: see the table above.

    Args:
        part: of one dialogue, (T,).
    """
    if (part.kind, part.timing) == ("credit", "hindsight"):
        return float(part.outcome)
    return float(np.sum(np.asarray(part.rewards, dtype=np.float64)))


def payoff(parts: Sequence[RewardPart]) -> float | None:
    """What a learner strives for in one dialogue: its return, or what its turns answer for on average.

    A reward of returns alone is summed. With credit in it a learner weighs turns, one by one, so that what counts is
    the mean over own turns of what each answers for, the part of returns too: it grows with no number of turns.

    Args:
        parts: of one dialogue, (T,) each.

    Returns:
        One number; ``None`` where a turn has none, or there was no turn.
    """
    values = np.sum([turn_values(part) for part in parts], axis=0)
    if not len(values) or np.isnan(values).any():
        return None
    return float(values[0] if all(part.kind == "return" for part in parts) else values.mean())


def rewards_by_flag(parts: Sequence[RewardPart | tuple[Kind, ArrayLike]], alive: ArrayLike) -> dict[Flags, FloatArray]:
    """Parts that share both flags, added as an estimator takes them (:func:`as_summed`)."""
    sums: dict[Flags, FloatArray] = {}
    for given in parts:
        part = RewardPart(*given)
        values = as_summed(part, alive)
        sums[part.kind, part.timing] = sums.get((part.kind, part.timing), np.zeros_like(values)) + values
    return sums


def parts_of(reward: Reward, episode: Episode, agent: str) -> dict[str, RewardPart]:
    """The parts of a reward for one agent of a finished episode that it was paid or relabelled with, weights included.

    Args:
        reward: whose parts.
        episode: holds the numbers of each part, and the judgements that hindsight credit has its outcome from.
        agent: whose turns.
    """
    found = {}
    for weight, part in reward.parts():
        numbers = [np.nan if value is None else weight * value for value in episode.rewards[part.name][agent]]
        paid = part.outcome([episode])[0][agent] if (part.kind, part.timing) == ("credit", "hindsight") else None
        found[part.name] = RewardPart(part.kind, numbers, part.timing, np.nan if paid is None else weight * paid)
    return found


def part_of(reward: Reward, numbers: Sequence[float | None]) -> RewardPart:
    """The numbers of a reward whose parts share their flags, for one agent of a dialogue, as a part.

    Args:
        reward: one of :meth:`Reward.by_flags`.
        numbers: one for each own turn.
    """
    return RewardPart(reward.kind, np.array([np.nan if n is None else n for n in numbers]), reward.timing)
