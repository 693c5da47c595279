"""What the card takes for the pay of turns and dialogues, beside what the trainer makes of the same dialogues."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import sotopia_env
from sotopia_env.rewards import LengthPenalty, Outcome, Progress
from sotopia_env.rewards.audit.collect import AuditedTurn, Candidate
from sotopia_env.rewards.audit.exploitability import payoffs
from sotopia_env.rewards.audit.numbers import numbers_of
from sotopia_env.rewards.credit.monte_carlo import MonteCarlo
from sotopia_env.rewards.learning import FloatArray, returns_to_go
from sotopia_env.rewards.resolve import name_with_use
from sotopia_env.rewards.reward import Reward
from sotopia_env.training.advantages import group_advantages
from sotopia_env.training.estimators import credit
from sotopia_env.training.reward_card import CardSettings, read_rewards
from sotopia_env.training.reward_card.card import DESIGNS, PENALTIES
from sotopia_env.training.reward_card.controls import length_only, random_reward
from sotopia_env.training.rollout_func import GroupMember

SIZE = 6
CHANGING = sotopia_env.make_policy("scripted:changing")
NAMES = [name for name in (*DESIGNS, *PENALTIES) if name != "monte-carlo"]

REWARDS: list[Reward] = [
    *read_rewards(NAMES, CHANGING, CardSettings()),
    MonteCarlo([CHANGING], k=1),
    random_reward(),
    length_only(),
    Outcome("broadcast") + 0.5 * LengthPenalty(target_words=3),
    2 * Progress(paper=True) + 0.5 * Outcome("uniform") + LengthPenalty(target_words=3),
]


@pytest.mark.parametrize("reward", REWARDS, ids=name_with_use)
def test_the_card_pays_turns_and_dialogues_as_the_trainer_does(
    reward: Reward, played: Callable[..., list[GroupMember]]
) -> None:
    everything = played(reward, 4, SIZE, seed=2)
    groups = [everything[start : start + SIZE] for start in range(0, len(everything), SIZE)]
    # Where one part alone is unknown, the trainer goes by the others.
    dialogues = [d for group in groups if not any(any(d.unknown_turns) for d in group) for d in group]
    assert len(dialogues) >= 2 * SIZE
    lengths = [dialogue.row.num_turns for dialogue in dialogues]
    alive = np.arange(max(lengths)) < np.array(lengths)[:, None]

    # Of single turns: what the trainer weighs them by, and the card's numbers centred as it does.
    advantages, _ = group_advantages(dialogues, SIZE)
    numbers = turns_of(reward, dialogues, alive)
    shape = (-1, SIZE, alive.shape[1])
    centred = credit(numbers.reshape(shape), alive.reshape(shape)).reshape(alive.shape)
    assert centred == pytest.approx(advantages, abs=1e-9)

    # Of whole dialogues: the same without any baseline, a return being what its first turn answers for.
    values, _ = group_advantages(dialogues, SIZE, estimator=returns_to_go, credit_estimator=lambda rewards, _: rewards)
    of_returns = all(part.kind == "return" for _, part in reward.parts())
    gets = [row[0] if of_returns else row[:n].mean() for row, n in zip(values, lengths, strict=True)]
    pays = [paid[d.agent] for d, paid in zip(dialogues, payoffs(reward, [d.episode for d in dialogues]), strict=True)]
    assert pays == pytest.approx(gets, abs=1e-9)
    if np.ptp(gets) > 1e-9:
        assert np.corrcoef(gets, np.array(pays, dtype=np.float64))[0, 1] > 0.99


def turns_of(reward: Reward, dialogues: Sequence[GroupMember], alive: Any) -> FloatArray:
    """The card's numbers of every own turn of dialogues, each audited as the only turn that could be played."""
    audit, places = [], []
    for row, dialogue in enumerate(dialogues):
        episode = replace(dialogue.episode, rewards={})
        for turn in episode.own_turns(dialogue.agent):
            last = turn.global_index == len(episode.turns) - 1
            after = replace(
                episode,
                turns=episode.turns[: turn.global_index + 1],
                ending=episode.ending if last else None,
                judgements=episode.judgements if last else (),
            )
            before = replace(after, turns=episode.turns[: turn.global_index], ending=None, judgements=())
            key = f"{row}-{turn.own_index}"
            candidate = Candidate(after, (episode,), {})
            audit.append(AuditedTurn(key, dialogue.agent, turn.own_index, before, {}, (candidate,)))
            places.append((row, turn.own_index))
    found = np.zeros(alive.shape)
    for place, ((number,),) in zip(places, numbers_of(reward, audit).candidates, strict=True):
        found[place] = np.nan if number is None else number
    return found


def test_a_return_is_paid_alike_however_it_is_spread(played: Callable[..., list[GroupMember]]) -> None:
    episodes = [dialogue.episode for dialogue in played("episode", 6, 4, seed=2)]
    outcome = payoffs(Outcome("episode"), episodes)
    for name in ("uniform", "scaled", "singular"):
        as_return, as_credit = read_rewards([name], CHANGING, CardSettings())
        assert [name_with_use(r) for r in (as_return, as_credit)] == [f"{name} as return", f"{name} as credit"]
        for paid, expected in zip(payoffs(as_return, episodes), outcome, strict=True):
            assert paid == {agent: pytest.approx(value) for agent, value in expected.items()}
        assert payoffs(as_credit, episodes) != outcome
