"""Estimators in the leave model: up to 5 turns, each going on with probability 0.6 (reward 1) or leaving (reward 0)."""

import json
from functools import partial
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sotopia_env.training.estimators import (
    ESTIMATORS,
    RewardPart,
    RunningBaseline,
    advantages_by_flag,
    count_unknown,
    get_estimator,
    return_to_go,
    returns_to_go,
    rewards_by_flag,
    trajectory,
    update_running_baseline,
)

PROBABILITY, NUM_TURNS, GROUP_SIZE, NUM_GROUPS = 0.6, 5, 8, 100_000
TRUE_GRADIENT = (1 - PROBABILITY) * sum(k * PROBABILITY**k for k in range(1, NUM_TURNS + 1))
NAN = np.nan


class Play(NamedTuple):
    rewards: np.ndarray
    alive: np.ndarray
    scores: np.ndarray  # derivative of each decision's log-probability in the logit of going on

    def gradients(self, advantages):
        """One policy gradient per group: turns summed, members averaged."""
        return (self.scores * advantages).sum(axis=-1).mean(axis=-1)

    def share_and_spread(self, advantages):
        gradients = self.gradients(advantages)
        return gradients.mean() / TRUE_GRADIENT, gradients.std()


def play_leave_model(rng, num_groups):
    goes_on = rng.random((num_groups, GROUP_SIZE, NUM_TURNS)) < PROBABILITY
    alive = np.ones_like(goes_on)
    alive[..., 1:] = np.logical_and.accumulate(goes_on, axis=-1)[..., :-1]
    return Play(np.where(alive, goes_on, 0.0), alive, np.where(alive, goes_on - PROBABILITY, 0.0))


@pytest.fixture(scope="module")
def play():
    return play_leave_model(np.random.default_rng(0), NUM_GROUPS)


def test_the_true_gradient_is_the_derivative_of_the_expected_return():
    def expected_return(logit):
        return sum((1 / (1 + np.exp(-logit))) ** k for k in range(1, NUM_TURNS + 1))

    logit, step = np.log(PROBABILITY / (1 - PROBABILITY)), 1e-5
    slope = (expected_return(logit + step) - expected_return(logit - step)) / (2 * step)
    assert pytest.approx(1.15008, abs=1e-12) == TRUE_GRADIENT
    assert slope == pytest.approx(TRUE_GRADIENT, abs=1e-8)


# The standard error of a share is its spread / sqrt(100,000) / 1.15: at most 0.2 %.
@pytest.mark.parametrize(
    ("name", "share", "spread"),
    [
        ("immediate", 0.4811, 0.123),
        ("centred_sum", 0.3642, 0.088),
        ("centred_sum_leave_one_out", 0.554, 0.201),
        ("return_to_go_group_mean", 0.7805, 0.307),
        ("return_to_go", 1.0, 0.401),
        ("trajectory", 1.0, 0.692),
        ("credit", 0.4811, 0.123),
    ],
)
def test_share_of_the_gradient_found_and_its_spread(play, name, share, spread):
    found, spread_found = play.share_and_spread(ESTIMATORS[name](play.rewards, play.alive))
    assert found == pytest.approx(share, abs=0.007)
    assert spread_found == pytest.approx(spread, abs=0.004)


def test_a_sole_survivor_keeps_its_turn_without_bias_or_is_dropped_with_it(play):
    earlier = play_leave_model(np.random.default_rng(1), 50)
    running = RunningBaseline()
    running.update(("leave", 0), returns_to_go(earlier.rewards, earlier.alive), earlier.alive)
    means = running.means(("leave", 0), NUM_TURNS)

    def found(survivor_baseline):
        return play.share_and_spread(return_to_go(play.rewards, play.alive, survivor_baseline=survivor_baseline))

    zero, running_mean, dropped = found(0.0), found(means), found(NAN)
    assert zero[0] == pytest.approx(1.0, abs=0.005)
    assert running_mean[0] == pytest.approx(1.0, abs=0.005)
    assert dropped[0] == pytest.approx(0.97, abs=0.005)
    assert running_mean[1] < zero[1] - 0.015


def test_dividing_each_dialogue_by_its_own_length_finds_too_much(play):
    lengths = play.alive.sum(axis=-1, keepdims=True)
    advantages = return_to_go(play.rewards, play.alive)
    # The mean length brings it to the scale of a constant denominator, which finds 100 %.
    own_length, _ = play.share_and_spread(advantages / lengths * lengths.mean())
    assert own_length == pytest.approx(1.13, abs=0.006)


# --- Small cases, worked by hand ---

REWARDS = np.array([[1.0, 2.0, 4.0], [3.0, 5.0, NAN], [6.0, NAN, NAN]])
ALIVE = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0]], dtype=bool)


@pytest.mark.parametrize(
    ("name", "advantages"),
    [
        # Others' rewards at index 0: 3 and 6, 1 and 6, 1 and 3.
        ("immediate", [[-3.5, -3, 4], [-0.5, 3, 0], [4, 0, 0]]),
        ("credit", [[-3.5, -3, 4], [-0.5, 3, 0], [4, 0, 0]]),
        ("centred_sum", [[-7 / 3 - 1.5, -1.5, 0], [-1 / 3 + 1.5, 1.5, 0], [8 / 3, 0, 0]]),
        ("centred_sum_leave_one_out", [[-2.5, 1, 4], [2.5, 3, 0], [4, 0, 0]]),
        # Returns-to-go: 7 6 4; 8 5; 6.
        ("return_to_go_group_mean", [[0, 0.5, 0], [1, -0.5, 0], [-1, 0, 0]]),
        ("return_to_go", [[0, 1, 4], [1.5, -1, 0], [-1.5, 0, 0]]),
        ("trajectory", [[0, 0, 0], [1.5, 1.5, 0], [-1.5, 0, 0]]),
    ],
)
def test_a_group_worked_by_hand(name, advantages):
    np.testing.assert_allclose(ESTIMATORS[name](REWARDS, ALIVE), advantages, atol=1e-12)


def test_survivor_baseline_is_used_only_where_no_other_member_is_left():
    np.testing.assert_allclose(
        return_to_go(REWARDS, ALIVE, survivor_baseline=[100.0, 100.0, 3.0]), [[0, 1, 1], [1.5, -1, 0], [-1.5, 0, 0]]
    )


def test_an_unknown_reward_is_left_out_of_baselines_and_is_not_zero():
    rewards = np.array([[1.0, 2.0], [3.0, NAN], [5.0, 4.0]])
    alive = np.ones((3, 2), dtype=bool)
    # Member 1 has no return-to-go at either index: the two others are compared with each other alone.
    np.testing.assert_allclose(return_to_go(rewards, alive), [[-6, -2], [0, 0], [6, 2]])
    np.testing.assert_allclose(trajectory(rewards, alive), [[-6, -6], [0, 0], [6, 6]])
    # Credit is known at index 0.
    np.testing.assert_allclose(ESTIMATORS["credit"](rewards, alive), [[-3, -2], [0, 0], [3, 2]])
    assert count_unknown(rewards, alive) == 1
    assert count_unknown(returns_to_go(rewards, alive), alive) == 2
    assert count_unknown(np.full((3, 2), NAN), np.zeros((3, 2), dtype=bool)) == 0


def test_a_group_of_unknown_rewards_moves_nothing():
    for estimator in ESTIMATORS.values():
        assert not np.any(estimator(np.full((4, 3), NAN), np.ones((4, 3), dtype=bool)))


@st.composite
def groups(draw):
    size, length = draw(st.integers(2, 6)), draw(st.integers(1, 5))
    lengths = draw(arrays(np.int64, (size, 1), elements=st.integers(0, length)))
    rewards = draw(arrays(np.float64, (size, length), elements=st.integers(-10, 10).map(float)))
    return rewards, np.arange(length) < lengths


@given(groups(), st.sampled_from(sorted(ESTIMATORS)))
def test_a_member_whose_judge_failed_at_its_end_weighs_as_if_it_had_not_been_there(group, name):
    rewards, alive = group
    failed = rewards.copy()
    failed[0] = NAN
    advantages = ESTIMATORS[name](failed, alive)
    assert not np.any(advantages[0])
    np.testing.assert_allclose(advantages[1:], ESTIMATORS[name](rewards[1:], alive[1:]), atol=1e-9)


@given(groups(), st.sampled_from(sorted(ESTIMATORS)), st.randoms(use_true_random=False))
def test_order_of_members_padding_and_other_groups_do_not_matter(group, name, random):
    rewards, alive = group
    advantages = ESTIMATORS[name](rewards, alive)
    order = random.sample(range(len(rewards)), len(rewards))
    np.testing.assert_allclose(ESTIMATORS[name](rewards[order], alive[order]), advantages[order], atol=1e-9)
    padded = ESTIMATORS[name](np.where(alive, rewards, NAN), alive)
    np.testing.assert_allclose(padded, advantages, atol=1e-9)
    assert not np.any(padded[~alive])
    stacked = ESTIMATORS[name](np.stack([rewards[order], rewards]), np.stack([alive[order], alive]))
    np.testing.assert_allclose(stacked[1], advantages, atol=1e-9)


@given(groups(), st.integers(-5, 5))
def test_a_constant_added_to_every_return_changes_leave_one_out_only_for_sole_survivors(group, constant):
    rewards, alive = group
    shifted = rewards.copy()
    shifted[:, 0] += constant
    changed = ~np.isclose(trajectory(shifted, alive), trajectory(rewards, alive), atol=1e-9)
    assert not np.any(changed) or alive[:, 0].sum() == 1


# --- Identity with stock GRPO and RLOO ---


def test_trajectory_with_group_baseline_and_scale_is_stock_grpo():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    rewards = rng.normal(size=(6, 8, 5))
    rewards[0, 3, 0] = NAN  # one row that no judge scored
    rewards[1] = 0.25  # no spread at all
    lengths = rng.integers(1, 6, size=(6, 8, 1))
    lengths[1] = 2
    alive = np.arange(5) < lengths

    # As GRPOTrainer computes it: unscorable rows are nan, left out of mean and deviation, and get 0.
    returns = torch.from_numpy(np.where(alive, rewards, 0.0).sum(axis=-1))
    mean = torch.nanmean(returns, dim=1, keepdim=True)
    std = torch.stack([row[~torch.isnan(row)].std(unbiased=True) for row in returns])[:, None]
    expected = torch.nan_to_num((returns - mean) / (std + 1e-4), nan=0.0).numpy()

    advantages = get_estimator("trajectory", baseline="group", scale="group")(rewards, alive)
    np.testing.assert_allclose(advantages, np.where(alive, expected[..., None], 0.0), rtol=1e-10, atol=1e-10)
    assert not np.any(advantages[1]) and not np.any(advantages[0, 3])


@given(groups())
def test_trajectory_leave_one_out_is_the_group_mean_scaled_by_size(group):
    rewards, alive = group
    members = alive[:, 0].sum()
    if members > 1:
        np.testing.assert_allclose(
            trajectory(rewards, alive),
            trajectory(rewards, alive, baseline="group") * members / (members - 1),
            atol=1e-9,
        )


@given(groups())
def test_a_reward_paid_at_the_end_alone_makes_return_to_go_and_trajectory_agree_at_the_first_turn(group):
    rewards, alive = group
    rewards = rewards_by_flag([RewardPart("return", rewards, "hindsight")], alive)["return", "hindsight"]
    np.testing.assert_allclose(return_to_go(rewards, alive)[:, 0], trajectory(rewards, alive)[:, 0], atol=1e-9)


# --- Names, options, functions of one's own ---


def test_estimators_are_found_by_name_and_functions_are_taken_as_they_are():
    def mine(rewards_GT, alive_GT):
        return rewards_GT * alive_GT

    assert get_estimator("return_to_go") is return_to_go
    assert get_estimator(mine) is mine
    with pytest.raises(ValueError, match=r"'rloo' is unknown; use one of immediate, .*return_to_go"):
        get_estimator("rloo")
    with pytest.raises(ValueError, match=r"does not take the options \['scale'\]"):
        get_estimator("return_to_go", scale="group")
    with pytest.raises(ValueError, match="baseline is 'mean'"):
        get_estimator("trajectory", baseline="mean")(REWARDS, ALIVE)
    with pytest.raises(ValueError, match="scale is 'batch'"):
        get_estimator("trajectory", scale="batch")(REWARDS, ALIVE)


@pytest.mark.parametrize(
    ("rewards", "alive", "message"),
    [
        (np.zeros((2, 3)), np.ones((2, 2), dtype=bool), "shape"),
        (np.zeros(3), np.ones(3, dtype=bool), "members, turns"),
        (np.zeros((2, 3)), np.ones((2, 3)), "pass booleans"),
        (np.zeros((1, 3)), np.array([[True, False, True]]), "gap"),
        (np.array([[np.inf, 0.0]]), np.ones((1, 2), dtype=bool), "infinite"),
    ],
)
def test_what_cannot_be_a_group_is_refused(rewards, alive, message):
    for estimator in ESTIMATORS.values():
        with pytest.raises(ValueError, match=message):
            estimator(rewards, alive)


# --- Running baseline ---


def test_unknown_rewards_silence_long_dialogues_more_often(play):
    unknown = np.random.default_rng(1).random(play.rewards.shape) < 0.2
    rewards = np.where(unknown & play.alive, NAN, play.rewards)
    kept = play.alive & ~np.isnan(returns_to_go(rewards, play.alive))
    assert kept.sum() / play.alive.sum() == pytest.approx(0.65, abs=0.01)
    share, _ = play.share_and_spread(return_to_go(rewards, play.alive))
    assert share == pytest.approx(0.59, abs=0.01)


def test_running_baseline_keeps_one_mean_per_key_and_index_and_survives_a_checkpoint():
    running = RunningBaseline()
    np.testing.assert_array_equal(running.means(("bargain", 0), 3), [0, 0, 0])
    running.update(("bargain", 0), REWARDS, ALIVE)
    np.testing.assert_allclose(running.means(("bargain", 0), 4), [10 / 3, 3.5, 4, 0])
    np.testing.assert_array_equal(running.means(("bargain", 1), 2), [0, 0])
    running.update(("bargain", 0), [[[2.0], [NAN]]], [[[True], [True]]])
    np.testing.assert_allclose(running.means(("bargain", 0), 2), [3, 3.5])
    copy = RunningBaseline.from_state(json.loads(json.dumps(running.state())))
    np.testing.assert_array_equal(copy.means(("bargain", 0), 4), running.means(("bargain", 0), 4))
    copy.update(("bargain", 0), [[9.0]], [[True]])
    assert running.means(("bargain", 0), 1) == pytest.approx(3.0)


def test_running_baseline_of_a_batch_is_used_only_from_the_next_one_on():
    running, key = RunningBaseline(), ("bargain", 0)
    parts = [("return", REWARDS), ("credit", REWARDS)]
    first = advantages_by_flag(parts, ALIVE, running=running, key=key)
    np.testing.assert_array_equal(first, advantages_by_flag(parts, ALIVE))
    update_running_baseline(running, key, parts, ALIVE)
    second = advantages_by_flag(parts, ALIVE, running=running, key=key)
    # At index 2 there is one member: return-to-go 4 less its mean 4, and credit 4 less its mean 4.
    np.testing.assert_allclose(second - first, [[0, 0, -8], [0, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(advantages_by_flag(parts, ALIVE, running=running, key=("bargain", 1)), first)
    bound = partial(return_to_go, survivor_baseline=1.0)
    np.testing.assert_array_equal(
        advantages_by_flag(parts[:1], ALIVE, bound, running=running, key=key), bound(REWARDS, ALIVE)
    )


# --- One advantage per flag pair ---


def test_each_flag_pair_gets_its_own_advantage_and_nothing_is_summed_across(play):
    rng = np.random.default_rng(3)
    rewards, alive = play.rewards[0], play.alive[0]
    credits, penalties = rng.normal(size=alive.shape), -rng.random(alive.shape)
    parts = [("return", rewards), ("credit", credits, "hindsight"), ("return", penalties)]
    np.testing.assert_allclose(
        advantages_by_flag(parts, alive),
        return_to_go(rewards + penalties, alive) + ESTIMATORS["credit"](credits, alive),
        atol=1e-12,
    )
    assert set(rewards_by_flag(parts, alive)) == {("return", "causal"), ("credit", "hindsight")}


def test_an_unknown_credit_leaves_the_returns_of_that_turn_in_use():
    parts = [("return", np.nan_to_num(REWARDS)), ("credit", np.where(ALIVE, NAN, 0.0))]
    np.testing.assert_array_equal(advantages_by_flag(parts, ALIVE), return_to_go(REWARDS, ALIVE))


def test_a_hindsight_design_used_as_a_return_is_the_outcome_however_it_was_spread():
    outcomes, lengths = np.array([[7.0], [2.0], [5.0]]), ALIVE.sum(axis=-1, keepdims=True)
    is_last = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]])
    terminal = advantages_by_flag([("return", outcomes * is_last)], ALIVE)
    uniform = advantages_by_flag([("return", outcomes / lengths * ALIVE, "hindsight")], ALIVE)
    np.testing.assert_allclose(uniform, terminal, atol=1e-12)
    summed = advantages_by_flag([("return", outcomes / lengths * ALIVE)], ALIVE)
    assert np.abs(summed - terminal).max() > 1


def test_functions_of_one_s_own_are_called_with_two_arguments_and_checked():
    def own_reward(rewards_GT, alive_GT):
        return rewards_GT

    running = RunningBaseline()
    np.testing.assert_array_equal(
        advantages_by_flag([("return", REWARDS)], ALIVE, own_reward, running=running, key=("bargain", 0)),
        np.nan_to_num(REWARDS),
    )
    with pytest.raises(ValueError, match="values not finite"):
        advantages_by_flag([("return", np.where(ALIVE, NAN, 0.0))], ALIVE, own_reward)
    with pytest.raises(ValueError, match="returned shape"):
        advantages_by_flag([("return", REWARDS)], ALIVE, lambda rewards_GT, alive_GT: rewards_GT.sum(axis=-1))
    with pytest.raises(ValueError, match="flagged 'reward', 'causal'"):
        advantages_by_flag([("reward", REWARDS)], ALIVE)
