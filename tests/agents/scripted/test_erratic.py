from __future__ import annotations

import numpy as np

import sotopia_env
from sotopia_env.agents.scripted.erratic import erratic
from sotopia_env.agents.scripted.reading import prices_in
from sotopia_env.families import Bargain, Divide
from sotopia_env.testing import check_policy


def test_prices_follow_from_nothing_but_mostly_ask_for_more_than_was_given() -> None:
    episodes = sotopia_env.rollout(Bargain(), ["scripted:mixed", "erratic"], num_episodes=60, seed=0)
    asked, more = [], 0
    for episode in episodes:
        role = episode.task.scenario.hidden[1]["role"]
        given: list[float] = []
        for turn in episode.turns:
            prices = prices_in(turn.text)
            if turn.seat == 0:
                given = prices
            elif given and prices:
                asked.append(prices[-1] / episode.task.scenario.hidden[1]["list_price"])
                more += (prices[-1] > given[-1]) == (role == "seller")
    assert len(asked) > 100
    assert 0.25 < min(asked) < 0.45 and 1.0 < max(asked) < 1.2
    assert more / len(asked) > 0.85
    assert {episode.policies["agent_1"] for episode in episodes} == {"erratic"}


def test_it_keeps_the_rules_of_a_policy_and_copes_with_other_tasks() -> None:
    check_policy("erratic")
    env = sotopia_env.parallel_env(Divide(), reward=None)
    observations, _ = env.reset(seed=0)
    assert erratic(observations["agent_0"], np.random.default_rng(0)).text
