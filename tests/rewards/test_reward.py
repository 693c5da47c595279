import copy
import json
import math
import pickle

import pytest

from sotopia_env.rewards import (
    ClipReward,
    FormatPenalty,
    FunctionReward,
    LengthPenalty,
    Outcome,
    Reward,
    Sum,
    get_reward,
)


def turns_so_far(episodes):
    return [{agent: [float(t.own_index) for t in e.own_turns(agent)] for agent in e.agents} for e in episodes]


def test_rewards_add_and_scale(make_episode, judge):
    reward = Outcome(judge=judge) + 0.5 * LengthPenalty(target_words=1, weight=1.0)
    (numbers,) = reward([make_episode("a", "a", "a a a")])
    # "a a a" is two words over a target of one; three times "a" was not said, so agent_1 wins.
    assert numbers == {"agent_0": [0.0, -1.0], "agent_1": [1.0]}
    assert reward.name == "episode + 0.5 * length"
    assert [(w, part.name) for w, part in (2 * reward).parts()] == [(2.0, "episode"), (1.0, "length")]


def test_the_parts_of_a_sum_keep_their_flags(judge):
    reward = Outcome("discounted", judge=judge) + LengthPenalty() + FormatPenalty() + Outcome("uniform", judge=judge)
    flags = {key: part.name for key, part in reward.by_flags().items()}
    assert flags == {
        ("credit", "hindsight"): "discounted",
        ("return", "causal"): "length + format",
        ("return", "hindsight"): "uniform",
    }
    with pytest.raises(ValueError, match="differ in kind"):
        _ = reward.kind


def test_sum_of_a_list_of_rewards():
    assert sum([LengthPenalty(), FormatPenalty()]).name == "length + format"


def test_an_unknown_part_makes_the_sum_unknown(make_episode, judge):
    def unknown(episodes):
        return [{agent: [None] * len(e.own_turns(agent)) for agent in e.agents} for e in episodes]

    (numbers,) = (Outcome(judge=judge) + unknown)([make_episode("a", "b")])
    assert numbers == {"agent_0": [None], "agent_1": [None]}


def test_two_parts_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two rewards of a sum are called 'length'"):
        LengthPenalty() + LengthPenalty(target_words=5)
    assert (LengthPenalty() + LengthPenalty(target_words=5, name="short")).name == "length + short"


def test_scaling_by_what_is_no_number_is_refused():
    for factor in ("2", True, math.nan):
        with pytest.raises(TypeError):
            LengthPenalty() * factor


def test_a_plain_function_is_a_reward_everywhere(make_episode):
    episode = make_episode("a", "b", "a")
    for reward in (get_reward(turns_so_far), turns_so_far + FormatPenalty(), FormatPenalty() + turns_so_far):
        assert isinstance(reward, Reward)
        assert reward([episode]) == [{"agent_0": [0.0, 1.0], "agent_1": [0.0]}]


def test_numbers_of_a_function_are_checked(make_episode):
    episode = make_episode("a", "b", "a")
    with pytest.raises(ValueError, match=r"'broken', episode 'by-hand': return one number for each of the 2 own turns"):
        FunctionReward(lambda episodes: [{"agent_0": [1.0]}], "broken")([episode])
    with pytest.raises(ValueError, match="returned 0 results for 1 episodes"):
        FunctionReward(lambda episodes: [], "broken")([episode])
    numbers = FunctionReward(lambda episodes: [{"agent_0": [1, math.nan], "agent_1": [None]}], "mixed")([episode])
    assert numbers == [{"agent_0": [1.0, None], "agent_1": [None]}]


def test_a_function_cannot_be_hindsight_credit():
    with pytest.raises(ValueError, match="define outcome"):
        FunctionReward(turns_so_far, kind="credit")


def test_what_is_no_reward_is_refused():
    with pytest.raises(TypeError, match="is no reward"):
        get_reward(3)


@pytest.mark.parametrize(
    "reward",
    [
        Outcome("discounted", dimensions={"goal": 2, "knowledge": 1}, gamma=0.8, scale="native"),
        Outcome("uniform", kind="credit", name="even"),
        0.5 * Outcome() + LengthPenalty(target_words=30) + FormatPenalty(weight=1.0),
        ClipReward(Outcome() + LengthPenalty(), -0.5, 0.5),
        ClipReward(Outcome() + Outcome("discounted")),
    ],
)
def test_spec_pickle_and_copies_give_an_equal_reward(reward):
    spec = json.loads(json.dumps(reward.spec()))
    assert get_reward(spec) == reward
    assert get_reward(spec).spec() == reward.spec()
    assert pickle.loads(pickle.dumps(reward)) == reward  # noqa: S301
    assert copy.copy(reward) == reward
    # Rewards never change, and some hold a model.
    assert copy.deepcopy(reward) is reward


def test_what_cannot_be_written_as_text_says_so():
    with pytest.raises(ValueError, match="give it by name or module:attribute"):
        FunctionReward(lambda episodes: [], "local").spec()


def test_a_sum_of_one_reward_is_that_reward():
    reward = LengthPenalty()
    assert 1 * reward is reward
    assert isinstance(2 * reward, Sum)
