from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import sotopia_env
from sotopia_env.rewards import Attribution, LengthPenalty, Outcome, Progress, get_reward, relabel
from sotopia_env.rewards.learning import RewardPart, as_summed, dialogue_value, parts_of, rewards_by_flag, turn_values

NAN = math.nan


def test_a_turn_of_a_causal_return_answers_for_what_follows_it() -> None:
    assert turn_values(RewardPart("return", [1.0, 2.0, 4.0])).tolist() == [7.0, 6.0, 4.0]
    unknown = turn_values(RewardPart("return", [1.0, NAN, 4.0]))
    assert np.isnan(unknown).tolist() == [True, True, False]


def test_a_turn_of_a_hindsight_return_answers_for_the_whole_dialogue_however_it_is_spread() -> None:
    for spread in ([7.0, 0.0, 0.0], [1.0, 2.0, 4.0], [0.0, 0.0, 7.0]):
        part = RewardPart("return", spread, "hindsight")
        assert turn_values(part).tolist() == [7.0, 7.0, 7.0]
        assert as_summed(part, np.ones(3, dtype=bool)).tolist() == [0.0, 0.0, 7.0]
    assert np.isnan(turn_values(RewardPart("return", [1.0, NAN, 4.0], "hindsight"))).all()


@pytest.mark.parametrize("timing", ["causal", "hindsight"])
def test_a_turn_of_a_credit_answers_for_itself(timing: Any) -> None:
    assert turn_values(RewardPart("credit", [1.0, 2.0, 4.0], timing)).tolist() == [1.0, 2.0, 4.0]


def test_a_dialogue_counts_as_what_step_paid() -> None:
    numbers = [1.0, 2.0, 4.0]
    assert dialogue_value(RewardPart("return", numbers)) == 7
    assert dialogue_value(RewardPart("return", numbers, "hindsight")) == 7
    assert dialogue_value(RewardPart("credit", numbers)) == 7
    assert dialogue_value(RewardPart("credit", numbers, "hindsight", 0.5)) == 0.5
    assert math.isnan(dialogue_value(RewardPart("credit", numbers, "hindsight")))


def test_parts_of_other_flags_are_not_added() -> None:
    alive = np.array([[True, True], [True, False]])
    one = RewardPart("return", [[1.0, 2.0], [3.0, 0.0]])
    label = RewardPart("credit", [[5.0, 5.0], [6.0, 0.0]], "hindsight")
    found = rewards_by_flag([one, label, one], alive)
    assert found["return", "causal"].tolist() == [[2.0, 4.0], [6.0, 0.0]]
    assert found["credit", "hindsight"].tolist() == [[5.0, 5.0], [6.0, 0.0]]
    with pytest.raises(ValueError, match="flagged 'score', 'causal'"):
        rewards_by_flag([("score", [[1.0, 2.0], [3.0, 0.0]])], alive)


REWARDS = (
    "episode",
    "uniform",
    "broadcast",
    "discounted",
    "scaled",
    "singular",
    "direct",
    "progress",
    "progress-paper",
    "length",
    "repetition",
    "secret",
    "format",
    Outcome("uniform", kind="credit"),
    Attribution("scaled", kind="credit"),
    Attribution("singular", kind="credit"),
    Outcome("broadcast") + 0.5 * LengthPenalty(target_words=3),
    2 * Progress(paper=True) + 0.5 * Outcome("episode"),
)


@pytest.mark.parametrize("reward", REWARDS, ids=lambda reward: reward if isinstance(reward, str) else reward.name)
def test_the_value_of_a_dialogue_is_what_step_pays_for_it(reward: Any) -> None:
    reward = get_reward(reward)
    policies = [sotopia_env.make_policy(f"scripted:{name}") for name in ("firm", "warm")]
    episodes = sotopia_env.rollout("bargain", policies, num_episodes=6, seed=3)
    for episode, labelled in zip(episodes, relabel(episodes, reward), strict=True):
        env = sotopia_env.parallel_env("bargain", reward=reward)
        env.reset(options={"task": episode.task})
        paid = dict.fromkeys(env.possible_agents, 0.0)
        for turn in episode.turns:
            _, amounts, *_ = env.step({turn.agent: sotopia_env.actions.Action(turn.type, turn.text)})
            paid = {agent: paid[agent] + amounts[agent] for agent in paid}
        for agent in episode.agents:
            values = [dialogue_value(part) for part in parts_of(reward, labelled, agent).values()]
            assert sum(values) == pytest.approx(paid[agent], nan_ok=True)
