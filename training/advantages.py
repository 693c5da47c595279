"""From the rewards of a batch of dialogues to one advantage per own turn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sotopia_env.training.estimators import (
    TRL_EPSILON,
    Estimator,
    FloatArray,
    RewardPart,
    RunningBaseline,
    advantages_by_flag,
    update_running_baseline,
)
from sotopia_env.training.rollout_func import GroupMember


def group_advantages(
    dialogues: Sequence[GroupMember],
    group_size: int,
    estimator: str | Estimator = "return_to_go",
    credit_estimator: str | Estimator = "credit",
    scale_rewards: str = "none",
    running: RunningBaseline | None = None,
) -> tuple[FloatArray, float]:
    """Advantages of B dialogues, each judged by its own group alone.

    Args:
        dialogues: group after group, G members each.
        group_size: G.
        estimator: for returns.
        credit_estimator: for credit.
        scale_rewards: ``"none"``, or divide by the standard deviation of the dialogues' returns in the ``"group"`` or
            the ``"batch"``.
        running: baselines of earlier batches; takes in this one.

    Returns:
        (B, T) advantages, 0 beyond the end of a dialogue; and the share of groups in which all of them are 0.

    Raises:
        ValueError: a group is not whole.
    """
    groups = [dialogues[start : start + group_size] for start in range(0, len(dialogues), group_size)]
    num_turns = max(1, *(dialogue.row.num_turns for dialogue in dialogues))
    advantages, tables = [], []
    for members in groups:
        if len(members) != group_size or len({member.group for member in members}) > 1:
            raise ValueError(
                f"a group of {group_size} dialogues is not whole: {[member.group for member in members][:3]}; "
                "groups may not span processes, and each has to follow the other"
            )
        alive_GT = np.arange(num_turns) < np.array([[member.row.num_turns] for member in members])
        parts = [_stacked(name, members, num_turns) for name in members[0].parts]
        key = (members[0].episode.task.family, members[0].group.seat)
        advantages.append(advantages_by_flag(parts, alive_GT, estimator, credit_estimator, running=running, key=key))
        tables.append((key, parts, alive_GT))
    if running is not None:
        for key, parts, alive_GT in tables:
            update_running_baseline(running, key, parts, alive_GT)
    flat = float(np.mean([not np.any(values) for values in advantages]))
    return np.concatenate(advantages) / _spread(groups, scale_rewards), flat


def _stacked(name: str, members: Sequence[GroupMember], num_turns: int) -> RewardPart:
    first = members[0].parts[name]
    rows = [np.asarray(member.parts[name].rewards, dtype=np.float64) for member in members]
    return RewardPart(first.kind, np.stack([np.pad(row, (0, num_turns - len(row))) for row in rows]), first.timing)


def _spread(groups: Sequence[Sequence[GroupMember]], scale_rewards: str) -> FloatArray:
    """What advantages are divided by, (B, 1)."""
    totals = np.array([[np.nan if m.total is None else m.total for m in members] for members in groups])
    if scale_rewards == "none":
        spread = np.ones(len(groups))
    elif scale_rewards == "group":
        spread = np.array([_deviation(row) for row in totals]) + TRL_EPSILON
    elif scale_rewards == "batch":
        spread = np.full(len(groups), _deviation(totals.ravel()) + TRL_EPSILON)
    else:
        raise ValueError(f"scale_rewards: {scale_rewards!r} is none of 'none', 'group', 'batch'")
    return np.repeat(spread, totals.shape[1])[:, None]


def _deviation(values: FloatArray) -> float:
    known = values[~np.isnan(values)]
    return float(np.std(known, ddof=1)) if len(known) > 1 else 0.0
