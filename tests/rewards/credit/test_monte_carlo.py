import json
import math

import numpy as np
import pytest

from sotopia_env.rewards import MonteCarlo, Outcome, RewardWrapper, get_reward, relabel

TEXTS = ["a", "b"]


def all_episodes(make_episode):
    return [make_episode(*(TEXTS[(n >> i) & 1] for i in range(4))) for n in range(16)]


def test_credit_is_within_three_standard_errors_of_the_true_advantage(make_episode, voter, value_of, family):
    episodes = all_episodes(make_episode)
    estimates = MonteCarlo(voter, k=150, family=family).estimate(episodes)
    deviations = {}
    for episode, estimate in zip(episodes, estimates, strict=True):
        for turn in episode.turns:
            i = turn.global_index
            truth = value_of(episode.turns[: i + 1]) - value_of(episode.turns[:i])
            credit, stderr = estimate.credit("agent_0", i)
            opposite, _ = estimate.credit("agent_1", i)
            assert opposite == pytest.approx(-credit)
            assert abs(credit - truth) <= 3 * stderr + 1e-12
            if stderr > 0:
                deviations[tuple(t.text for t in episode.turns[: i + 1])] = (credit - truth) / stderr
    # The errors are as large as they say, neither more nor less.
    assert 0.6 < np.mean(np.square(list(deviations.values()))) < 1.6


def test_differences_over_both_speakers_sum_to_the_outcome_minus_the_first_value(make_episode, voter, family):
    reward = MonteCarlo(voter, k=5, seed=3).for_family(family)
    for episode, estimate in zip(all_episodes(make_episode), reward.estimate(all_episodes(make_episode)), strict=True):
        for seat, agent in enumerate(episode.agents):
            goal = family.score(episode).scores["goal"][seat] / 10
            total = sum(estimate.credit(agent, i)[0] for i in range(4))
            assert total == pytest.approx(goal - estimate.values[agent][0], abs=1e-12)
            assert (estimate.values[agent][-1], estimate.stderr[agent][-1]) == (goal, 0.0)


def test_own_turns_get_the_credit_of_their_own_agent(make_episode, voter, family):
    reward = MonteCarlo(voter, k=5).for_family(family)
    episode = make_episode("a", "b", "a", "a")
    (estimate,) = reward.estimate([episode])
    assert reward([episode]) == [
        {
            "agent_0": [estimate.credit("agent_0", 0)[0], estimate.credit("agent_0", 2)[0]],
            "agent_1": [estimate.credit("agent_1", 1)[0], estimate.credit("agent_1", 3)[0]],
        }
    ]
    assert estimate.policies == {"agent_0": "vote", "agent_1": "vote"}
    assert estimate.k == 5


def test_equal_states_share_one_estimate_and_others_are_independent(make_episode, voter, family):
    reward = MonteCarlo(voter, k=40).for_family(family)
    first, second = reward.estimate([make_episode("a", "b", "a", "a"), make_episode("a", "a", "b", "a")])
    assert first.values["agent_0"][:2] == second.values["agent_0"][:2]
    assert first.values["agent_0"][2:4] != second.values["agent_0"][2:4]
    (other_seed,) = MonteCarlo(voter, k=40, seed=1).for_family(family).estimate([make_episode("a", "b", "a", "a")])
    assert other_seed.values["agent_0"][:3] != first.values["agent_0"][:3]


def test_the_batch_does_not_matter(make_episode, voter, family):
    episodes = all_episodes(make_episode)[:5]
    together = MonteCarlo(voter, k=3).for_family(family)(episodes)
    small = MonteCarlo(voter, k=3, batch_size=2).for_family(family)
    assert together == [small([episode])[0] for episode in episodes]


def test_the_standard_error_of_a_difference(make_episode, voter, family):
    (estimate,) = MonteCarlo(voter, k=10).for_family(family).estimate([make_episode("a", "b", "a", "a")])
    errors = estimate.stderr["agent_0"]
    assert estimate.credit("agent_0", 1)[1] == pytest.approx(math.sqrt(errors[1] ** 2 + errors[2] ** 2))
    # A mean of zeros and ones: the standard error follows from the mean.
    mean = estimate.values["agent_0"][1]
    assert errors[1] == pytest.approx(math.sqrt(mean * (1 - mean) / 9))


def test_one_continuation_has_no_standard_error(make_episode, voter, family):
    (estimate,) = MonteCarlo(voter, k=1).for_family(family).estimate([make_episode("a", "b")])
    credit, stderr = estimate.credit("agent_0", 0)
    assert credit in (-1.0, 0.0, 1.0)
    assert stderr is None


def test_credit_is_paid_at_the_turn_and_equals_later_labels(make_env, voter, family):
    reward = MonteCarlo(voter, k=4)
    env = RewardWrapper(make_env(), reward)
    env.reset(seed=0)
    paid = []
    for text in "abaa":
        _, rewards, _, _, infos = env.step({env.unwrapped.acting[0]: text})
        paid.append(rewards)
    (labelled,) = relabel([env.unwrapped.episode], reward.for_family(family))
    credit = labelled.rewards["monte-carlo"]
    assert {agent: info["utterance_rewards"] for agent, info in infos.items()} == credit
    assert [p["agent_0"] for p in paid] == [credit["agent_0"][0], 0.0, credit["agent_0"][1], 0.0]
    assert [p["agent_1"] for p in paid] == [0.0, credit["agent_1"][0], 0.0, credit["agent_1"][1]]


def test_play_asks_only_for_the_states_around_the_latest_turn(make_env, family):
    asked = []

    def counting(observation, rng):
        asked.append(observation["transcript"])
        return "b"

    env = RewardWrapper(make_env(), MonteCarlo(counting, k=2))
    env.reset(seed=0)
    for turn, text in enumerate("abab"):
        asked.clear()
        env.step({env.unwrapped.acting[0]: text})
        # Two continuations from before the turn, two from after it unless that was the end.
        before, after = 4 - turn, 3 - turn
        assert len(asked) == 2 * before + 2 * after


def test_an_unknown_outcome_makes_unknown_credit(make_env, make_episode, voter):
    family = type(make_env().family)(unknown=True)
    reward = MonteCarlo(voter, k=2, family=family)
    assert reward([make_episode("a", "b")]) == [{"agent_0": [None], "agent_1": [None]}]


def test_it_is_causal_credit_that_needs_continuations(voter):
    reward = MonteCarlo(voter)
    assert (reward.kind, reward.timing, reward.needs) == ("credit", "causal", ("continuations",))
    assert (Outcome() + reward).needs == ("continuations",)


def test_several_dimensions_and_policies_by_seat(make_episode, voter, family):
    reward = MonteCarlo([voter, lambda o, rng: "b"], k=3, dimensions={"relationship": 1}, scale="native")
    (estimate,) = reward.for_family(family).estimate([make_episode("b", "b", "b", "b")])
    # agent_1 always says "b" when playing on: -1 for each of its two turns, whatever happened.
    assert estimate.values["agent_1"] == (-2.0,) * 5
    assert estimate.credit("agent_1", 1) == (0.0, 0.0)


def test_wrong_arguments_are_refused(make_env, voter):
    with pytest.raises(ValueError, match="k and batch_size must be positive"):
        MonteCarlo(voter, k=0)
    with pytest.raises(ValueError, match="give one for every seat"):
        MonteCarlo([])
    env = make_env()
    env.tasks = (env.family.generate(np.random.default_rng(0)),)
    with pytest.raises(ValueError, match="3 policies for 2 seats"):
        RewardWrapper(env, MonteCarlo([voter] * 3))


def test_named_policies_can_be_written_down():
    reward = MonteCarlo(["random"], k=4, seed=2)
    assert get_reward(json.loads(json.dumps(reward.spec()))).spec() == reward.spec()
