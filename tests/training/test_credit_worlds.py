"""What reward designs do to the gradient in two worlds small enough to enumerate.

Both worlds are up to five turns of one decision, going on with a fixed probability or stopping, and differ in what the
outcome G is:

* leave: going on pays 1 and G is the number of times one went on, so that leaving loses what would have come;
* chat: going on is one more turn of talk and stopping closes the deal; G is drawn apart from it, so that the true
  gradient is 0 and all that is found is a bias.

Expectations are exact: every dialogue is listed with its probability. A baseline that does not depend on the member
takes nothing from them, so that the values themselves are compared; the estimators are then checked on sampled groups.
"""

from itertools import product
from typing import NamedTuple

import numpy as np
import pytest

from sotopia_env.rewards.designs import (
    at_the_end,
    broadcast,
    direct,
    direct_centred,
    discounted,
    importances_of_credit,
    scaled,
    singular,
    uniform,
)
from sotopia_env.training.estimators import credit, return_to_go, returns_to_go, rewards_by_flag

NUM_TURNS = 5
LEVELS = 3.0
TURNS = np.arange(NUM_TURNS)


class World(NamedTuple):
    """Every dialogue ``D`` and its turns ``T``."""

    probabilities: np.ndarray  # (D,)
    outcomes: np.ndarray  # (D,), expected G
    alive: np.ndarray  # (D, T)
    scores: np.ndarray  # (D, T), derivative of each decision's log-probability in the logit of going on

    def gradients(self, values):
        """Expected gradient that values used as advantages find at each turn, ``(T,)``."""
        return self.probabilities @ (self.scores * values)

    def summed(self, rewards):
        return self.gradients(returns_to_go(rewards, self.alive))

    @property
    def lengths(self):
        return self.alive.sum(axis=-1)

    @property
    def mean(self):
        return float(self.probabilities @ self.outcomes)

    def advantages(self):
        """What each decision changes the expected G by, ``(D, T)``."""

        def expected(dialogues):
            return self.probabilities[dialogues] @ self.outcomes[dialogues] / self.probabilities[dialogues].sum()

        found, times = np.zeros(self.alive.shape), np.arange(NUM_TURNS + 1)
        for time, turn in zip(*np.nonzero(self.alive), strict=True):
            chosen = times > turn if time > turn else times == turn
            found[time, turn] = expected(chosen) - expected(times >= turn)
        return found


def world(probability, outcome):
    """All dialogues of ``times`` 0..5 decisions to go on; the fifth ends it as stopping does."""
    times = np.arange(NUM_TURNS + 1)
    alive = np.minimum(times + 1, NUM_TURNS)[:, None] > TURNS
    scores = np.where(alive, (times[:, None] > TURNS) - probability, 0.0)
    probabilities = probability**times * np.where(times < NUM_TURNS, 1 - probability, 1.0)
    return World(probabilities, np.array([outcome(n) for n in times], dtype=float), alive, scores)


LEAVE = world(0.6, outcome=lambda times: times)
CHAT = world(0.5, outcome=lambda times: 0.5)


def spread(world, design):
    """The design's numbers for each dialogue, padded, ``(D, T)``."""
    rewards = np.zeros(world.alive.shape)
    for row, outcome, length in zip(rewards, world.outcomes, world.lengths, strict=True):
        row[:length] = design(outcome, int(length))
    return rewards


def paid_at(world, turns):
    return np.where(turns[:, None] == TURNS, world.outcomes[:, None], 0.0)


TRUE_LEAVE = np.array([0.553344, 0.313344, 0.169344, 0.082944, 0.031104])


def leave_shares(gradients):
    return gradients / TRUE_LEAVE


def total_share(gradients):
    return gradients.sum() / TRUE_LEAVE.sum()


# --- The leave model ---


def test_the_return_to_go_of_causal_rewards_finds_the_true_gradient_at_every_turn():
    went_on = np.where(LEAVE.scores > 0, 1.0, 0.0)
    np.testing.assert_allclose(went_on.sum(axis=-1), LEAVE.outcomes)
    np.testing.assert_allclose(LEAVE.summed(went_on), TRUE_LEAVE, atol=1e-12)
    assert TRUE_LEAVE.sum() == pytest.approx(1.15008, abs=1e-9)
    assert total_share(LEAVE.gradients(went_on)) == pytest.approx(0.48114, abs=1e-5)


def test_the_outcome_paid_at_the_end_and_summed_keeps_all_of_it():
    np.testing.assert_allclose(LEAVE.summed(spread(LEAVE, at_the_end)), TRUE_LEAVE, atol=1e-12)
    # Not summed, it says the opposite at turns 1 to 3: only those who leave are paid there.
    np.testing.assert_allclose(
        leave_shares(LEAVE.gradients(spread(LEAVE, at_the_end))), [0, -0.45956, -1.02041, -1.875, 1], atol=1e-5
    )


def test_the_outcome_over_turns_summed_loses_more_the_later_the_turn():
    gradients = LEAVE.summed(spread(LEAVE, uniform))
    assert total_share(gradients) == pytest.approx(0.89274, abs=1e-5)
    np.testing.assert_allclose(leave_shares(gradients), [1, 0.87230, 0.81088, 0.68125, 0.2], atol=1e-5)


def test_singular_summed_overshoots():
    # The key turn is the last at which one went on. To leave is then due nothing, although what is earned stays earned,
    # and so going on looks better than it is: by more the later it is, by half over all turns.
    last_time_on = np.maximum(LEAVE.outcomes.astype(int) - 1, 0)
    gradients = LEAVE.summed(paid_at(LEAVE, last_time_on))
    np.testing.assert_allclose(leave_shares(gradients), [1, 1.45956, 2.02041, 2.875, 5], atol=1e-5)
    assert total_share(gradients) == pytest.approx(1.51886, abs=1e-5)


def test_any_hindsight_design_flagged_as_a_return_keeps_all_of_it():
    middle = paid_at(LEAVE, LEAVE.lengths // 2)
    for rewards in (spread(LEAVE, uniform), middle):
        moved = rewards_by_flag([("return", rewards, "hindsight")], LEAVE.alive)["return", "hindsight"]
        np.testing.assert_allclose(LEAVE.summed(moved), TRUE_LEAVE, atol=1e-12)


@pytest.mark.parametrize(
    ("design", "shares", "total"),
    [
        # G at every turn regresses the value of going on: without bias.
        (broadcast, [1, 1, 1, 1, 1], 1),
        (uniform, [0.28917, 0.12770, 0.09456, 0.10625, 0.2], 0.20092),
        (discounted, [0.74411, 0.69413, 0.67122, 0.7125, 1], 0.72440),
    ],
)
def test_designs_used_as_credit_are_labels_with_a_bias_of_their_own(design, shares, total):
    gradients = LEAVE.gradients(spread(LEAVE, design))
    np.testing.assert_allclose(leave_shares(gradients), shares, atol=1e-5)
    assert total_share(gradients) == pytest.approx(total, abs=1e-5)


# --- The world in which chatting never changes G ---


def test_chatting_has_no_true_gradient():
    np.testing.assert_allclose(CHAT.summed(spread(CHAT, at_the_end)), 0, atol=1e-12)
    moved = rewards_by_flag([("return", spread(CHAT, uniform), "hindsight")], CHAT.alive)["return", "hindsight"]
    np.testing.assert_allclose(CHAT.summed(moved), 0, atol=1e-12)


def test_broadcast_and_discounted_outcomes_reward_talk_when_summed():
    # Half the derivative of the expected number of turns, 1 + p + p^2 + p^3 + p^4, in the logit of p = 0.5.
    assert CHAT.summed(spread(CHAT, broadcast)).sum() == pytest.approx(13 / 32, abs=1e-12)
    assert CHAT.summed(spread(CHAT, discounted)).sum() == pytest.approx(220131 / 640000, abs=1e-12)  # 0.344


def test_as_credit_broadcast_is_neutral_and_what_falls_with_length_punishes_talk():
    np.testing.assert_allclose(CHAT.gradients(spread(CHAT, broadcast)), 0, atol=1e-12)
    assert CHAT.gradients(spread(CHAT, uniform)).sum() == pytest.approx(-181 / 1920, abs=1e-12)  # -0.094
    assert CHAT.gradients(spread(CHAT, discounted)).sum() == pytest.approx(-24459 / 640000, abs=1e-12)  # -0.038
    for design in (uniform, discounted):
        # The fifth turn ends the dialogue either way.
        assert np.all(CHAT.gradients(spread(CHAT, design))[:-1] < 0)


# --- Designs that weigh turns by their importance, in both worlds ---


def weighed(world, design, importances):
    """The mean of the design's numbers over the importances ``A`` of each dialogue, each (T,), padded, ``(D, T)``."""
    rewards = np.zeros(world.alive.shape)
    for time, (outcome, length) in enumerate(zip(world.outcomes, world.lengths, strict=True)):
        given = importances(time, int(length))
        rewards[time, :length] = np.mean([design(float(outcome), list(one)) for one in given], axis=0)
    return rewards


def oracle(world):
    """The importances that the true advantages of the turns give."""
    advantages = world.advantages()
    return lambda time, length: [importances_of_credit(advantages[time, :length].tolist(), LEVELS)]


def constant(level):
    return lambda time, length: [[level] * length]


def at_random(time, length):
    """All of them: each turn's importance is drawn from 0, 1, 2, 3 for itself."""
    return list(product(np.arange(LEVELS + 1), repeat=length))


def centred_on(world):
    return lambda score, importances: direct_centred(score, importances, LEVELS, world.mean)


def test_the_true_advantages_are_the_gradient_s_own_credit():
    np.testing.assert_allclose(LEAVE.gradients(LEAVE.advantages()), TRUE_LEAVE, atol=1e-12)
    np.testing.assert_allclose(CHAT.advantages(), 0, atol=1e-12)


@pytest.mark.parametrize("design", [direct, centred_on(LEAVE)], ids=["direct", "direct-centred"])
def test_direct_with_random_importances_points_along_the_true_gradient_at_half_size(design):
    # An importance that depends on nothing pays half of G at every turn on average, and G at every turn has no bias.
    np.testing.assert_allclose(leave_shares(LEAVE.gradients(weighed(LEAVE, design, at_random))), 0.5, atol=1e-12)
    np.testing.assert_allclose(leave_shares(LEAVE.gradients(weighed(LEAVE, design, constant(3.0)))), 1, atol=1e-12)
    np.testing.assert_allclose(leave_shares(LEAVE.gradients(weighed(LEAVE, design, constant(1.0)))), 1 / 3, atol=1e-12)


@pytest.mark.parametrize("world", [LEAVE, CHAT], ids=["leave", "chat"])
@pytest.mark.parametrize("design", [scaled, singular])
@pytest.mark.parametrize("importances", [constant(2.0), constant(0.0), at_random], ids=["constant", "zero", "random"])
def test_shares_of_the_outcome_by_importances_that_say_nothing_are_equal_ones(world, design, importances):
    np.testing.assert_allclose(weighed(world, design, importances), spread(world, uniform), atol=1e-12)


@pytest.mark.parametrize(
    ("design", "shares", "total"),
    [
        (scaled, [0.45899, 0.50418, 0.51623, 0.49432, 0.41667], 0.48114),
        # Turns that tie in rounded importances share G, and no later one is ever the key turn.
        (singular, [0.51492, 0.60294, 0.46939, 0, 0], 0.48114),
        # To leave has the importance 0 and is paid nothing: what it would have been due is missing as a baseline.
        (direct, [0.87277, 1.33701, 1.81633, 1.91667, 1.66667], 1.23495),
        (centred_on(LEAVE), [0.40077, 0.78604, 1.20464, 1.34027, 1.20555], 0.71363),
    ],
    ids=["scaled", "singular", "direct", "direct-centred"],
)
def test_the_oracle_s_importances_find_each_turn_but_not_at_its_size(design, shares, total):
    gradients = LEAVE.gradients(weighed(LEAVE, design, oracle(LEAVE)))
    np.testing.assert_allclose(leave_shares(gradients), shares, atol=1e-5)
    assert total_share(gradients) == pytest.approx(total, abs=1e-5)


def test_shares_by_importance_summed_are_biased_and_flagged_as_returns_are_not():
    rewards = weighed(LEAVE, scaled, oracle(LEAVE))
    np.testing.assert_allclose(leave_shares(LEAVE.summed(rewards)), [1, 0.95538, 0.83488, 0.65057, 0.41667], atol=1e-5)
    for design in (scaled, singular):
        rewards = weighed(LEAVE, design, oracle(LEAVE))
        np.testing.assert_allclose(rewards.sum(axis=-1), LEAVE.outcomes, atol=1e-12)
        moved = rewards_by_flag([("return", rewards, "hindsight")], LEAVE.alive)["return", "hindsight"]
        np.testing.assert_allclose(LEAVE.summed(moved), TRUE_LEAVE, atol=1e-12)


def test_where_talk_changes_nothing_only_what_is_shared_among_turns_punishes_it():
    for design in (direct, centred_on(CHAT)):
        for importances in (oracle(CHAT), constant(3.0), at_random):
            np.testing.assert_allclose(CHAT.gradients(weighed(CHAT, design, importances)), 0, atol=1e-12)
    for design in (scaled, singular):
        # The oracle knows no important turn, and G has to go somewhere.
        gradients = CHAT.gradients(weighed(CHAT, design, oracle(CHAT)))
        assert gradients.sum() == pytest.approx(-181 / 1920, abs=1e-12)
    nothing = weighed(CHAT, lambda score, importances: scaled(score, importances, on_zero="zero"), oracle(CHAT))
    assert not nothing.any()


@pytest.mark.parametrize(("design", "share"), [(direct, 0.5), (scaled, 0.20092)])
def test_the_estimator_of_credit_finds_the_same_with_drawn_importances(design, share):
    rng = np.random.default_rng(1)
    dialogues = rng.choice(len(LEAVE.probabilities), p=LEAVE.probabilities, size=(1_500, 8))
    rewards = np.zeros((*dialogues.shape, NUM_TURNS))
    for place, time in np.ndenumerate(dialogues):
        length = LEAVE.lengths[time]
        drawn = rng.integers(0, 4, size=length).astype(float).tolist()
        rewards[place][:length] = design(float(LEAVE.outcomes[time]), drawn)
    alive, scores = LEAVE.alive[dialogues], LEAVE.scores[dialogues]
    gradients = (scores * credit(rewards, alive)).sum(axis=-1).mean(axis=-1)
    standard_error = gradients.std() / np.sqrt(len(gradients))
    assert gradients.mean() == pytest.approx(share * TRUE_LEAVE.sum(), abs=4 * standard_error)
    assert standard_error < 0.02


# --- The estimators find in sampled groups what the enumeration says ---


@pytest.mark.parametrize("world", [LEAVE, CHAT], ids=["leave", "chat"])
@pytest.mark.parametrize("design", [broadcast, uniform, discounted, at_the_end])
def test_estimators_find_the_enumerated_gradient_in_groups_of_eight(world, design):
    rng = np.random.default_rng(0)
    dialogues = rng.choice(len(world.probabilities), p=world.probabilities, size=(40_000, 8))
    rewards, alive, scores = spread(world, design)[dialogues], world.alive[dialogues], world.scores[dialogues]
    if world is CHAT:
        rewards = rewards * 2 * rng.integers(0, 2, size=(*dialogues.shape, 1))  # G is 0 or 1, evenly
    for estimator, exact in ((return_to_go, world.summed), (credit, world.gradients)):
        gradients = (scores * estimator(rewards, alive)).sum(axis=-1).mean(axis=-1)
        standard_error = gradients.std() / np.sqrt(len(gradients))
        assert gradients.mean() == pytest.approx(exact(spread(world, design)).sum(), abs=4 * standard_error)
        assert standard_error < 0.012
