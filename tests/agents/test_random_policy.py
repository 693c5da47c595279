"""Random play is legal, readable, and decided by the turn's own generator."""

from __future__ import annotations

import numpy as np

import sotopia_env
from sotopia_env.actions import ACTION_TYPES, read_action
from sotopia_env.agents.random_policy import RandomPolicy, random_action

OBSERVATION = {
    "agent": "agent_0",
    "situation": "",
    "goal": "",
    "transcript": "",
    "action_types": np.ones(5, dtype=np.int8),
}


def test_only_legal_types_are_drawn() -> None:
    rng = np.random.default_rng(0)
    for kind in range(5):
        observation = {**OBSERVATION, "action_types": np.eye(5, dtype=np.int8)[kind]}
        assert {random_action(observation, rng).type for _ in range(20)} == {ACTION_TYPES[kind]}


def test_every_action_is_valid_and_readable() -> None:
    rng = np.random.default_rng(0)
    actions = [random_action(OBSERVATION, rng) for _ in range(300)]
    assert all(read_action(action) == (action, None) for action in actions)
    assert {action.type for action in actions} == set(ACTION_TYPES)
    assert all(action.text.isprintable() for action in actions)


def test_the_generator_decides() -> None:
    draws = [[random_action(OBSERVATION, np.random.default_rng(seed)) for _ in range(5)] for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_a_rollout_repeats_from_its_seed() -> None:
    episodes = [sotopia_env.rollout("bargain", [RandomPolicy()], num_episodes=8, seed=seed) for seed in (0, 0, 1)]
    turns = [[episode.turns for episode in run] for run in episodes]
    assert turns[0] == turns[1] != turns[2]
    assert all(turn.invalid is None for run in turns[0] for turn in run)


def test_one_action_without_a_context_follows_from_the_observation() -> None:
    policy = RandomPolicy()
    assert policy.act_one(OBSERVATION) == policy.act_one(OBSERVATION)
