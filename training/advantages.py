"""From the rewards of a batch of dialogues to one advantage per own turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sotopia_env.rewards.learning import BoolArray, FloatArray, RewardPart
from sotopia_env.training.estimators import (
    Estimator,
    Key,
    RunningBaseline,
    advantages_by_flag,
    deviation,
    scaled_by,
    update_running_baseline,
)
from sotopia_env.training.rollout_func import GroupMember

Gather = Callable[[list[Any]], list[Any]]
"""From what each process has to what all have, in one order everywhere."""


def alone(mine: list[Any]) -> list[Any]:
    """What all processes have, where there is one."""
    return mine


def group_advantages(
    dialogues: Sequence[GroupMember],
    group_size: int,
    estimator: str | Estimator = "return_to_go",
    credit_estimator: str | Estimator = "credit",
    scale_rewards: str = "none",
    running: RunningBaseline | None = None,
    gather: Gather = alone,
) -> tuple[FloatArray, float]:
    """Advantages of B dialogues, each judged by its own group alone.

    Args:
        dialogues: group after group, G members each.
        group_size: G.
        estimator: for returns.
        credit_estimator: for credit.
        scale_rewards: ``"none"``, or divide by the standard deviation of the dialogues' returns in the ``"group"`` or
            the ``"batch"``. Where there is none (fewer than two known returns, or equal ones) the advantages are 0.
        running: baselines of earlier batches; takes in this one.
        gather: of several processes that share a batch: makes one list of theirs. The batch is that of all of them.

    Returns:
        (B, T) advantages, times the members' weights, 0 beyond the end of a dialogue; and the share of groups, of those
        in which somebody had a turn, in which all of them are 0.

    Raises:
        ValueError: a group is not whole.
    """
    groups = [dialogues[start : start + group_size] for start in range(0, len(dialogues), group_size)]
    num_turns = max(1, *(dialogue.row.num_turns for dialogue in dialogues))
    advantages: list[FloatArray] = []
    tables: list[tuple[Key, list[RewardPart], BoolArray]] = []
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
        # Each process learns from its own groups alone; the baselines of all of them are the same.
        for key, parts, alive_GT in gather(tables):
            update_running_baseline(running, key, parts, alive_GT)
    spoke = [values for values, (_, _, alive_GT) in zip(advantages, tables, strict=True) if alive_GT.any()]
    flat = float(np.mean([not np.any(values) for values in spoke])) if spoke else 1.0
    scaled = _scaled(np.stack(advantages), groups, scale_rewards, gather).reshape(len(dialogues), num_turns)
    return scaled * np.array([[dialogue.weight] for dialogue in dialogues]), flat


def _stacked(name: str, members: Sequence[GroupMember], num_turns: int) -> RewardPart:
    first = members[0].parts[name]
    rows = [np.asarray(member.parts[name].rewards, dtype=np.float64) for member in members]
    return RewardPart(first.kind, np.stack([np.pad(row, (0, num_turns - len(row))) for row in rows]), first.timing)


def _scaled(
    advantages_NGT: FloatArray, groups: Sequence[Sequence[GroupMember]], scale_rewards: str, gather: Gather
) -> FloatArray:
    """The advantages of N groups in standard deviations of the dialogues' returns, where that is asked for."""
    if scale_rewards == "none":
        return advantages_NGT
    totals_NG = np.array([[np.nan if m.total is None else m.total for m in members] for members in groups])
    if scale_rewards == "group":
        returns = totals_NG
    elif scale_rewards == "batch":
        returns = np.array([gather(totals_NG.ravel().tolist())])
    else:
        raise ValueError(f"scale_rewards: {scale_rewards!r} is none of 'none', 'group', 'batch'")
    return scaled_by(advantages_NGT, deviation(returns, axis=1)[..., None])
