"""What reward designs do to the gradient in two worlds small enough to enumerate.

Both worlds are up to five turns of one decision, going on with a fixed probability or stopping, and differ in what the
outcome G is:

* leave: going on pays 1 and G is the number of times one went on, so that leaving loses what would have come;
* chat: going on is one more turn of talk and stopping closes the deal; G is drawn apart from it, so that the true
  gradient is 0 and all that is found is a bias.

Expectations are exact: every dialogue is listed with its probability. A baseline that does not depend on the member
takes nothing from them, so that the values themselves are compared; the estimators are then checked on sampled groups.
"""

from typing import NamedTuple

import numpy as np
import pytest

from sotopia_env.rewards.designs import at_the_end, broadcast, discounted, uniform
from sotopia_env.training.estimators import credit, return_to_go, returns_to_go, rewards_by_flag

NUM_TURNS = 5
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
