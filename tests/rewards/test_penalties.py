import pytest

from sotopia_env.rewards import FormatPenalty, LengthPenalty, RewardWrapper


def test_words_beyond_the_target_cost_in_proportion(make_episode):
    penalty = LengthPenalty(target_words=4, weight=0.2)
    episode = make_episode("one two", "one two three four", "one two three four five six", " ".join("x" * 12), "")
    assert penalty([episode]) == [{"agent_0": [0.0, pytest.approx(-0.1), 0.0], "agent_1": [0.0, pytest.approx(-0.4)]}]


def test_invalid_turns_cost(make_episode):
    assert FormatPenalty(weight=0.3)([make_episode("a", None, None)]) == [{"agent_0": [0.0, -0.3], "agent_1": [-0.3]}]


def test_penalties_know_running_episodes(make_episode):
    running = make_episode(None, "b", over=False)
    assert FormatPenalty(weight=0.3)([running]) == [{"agent_0": [-0.3], "agent_1": [0.0]}]


def test_with_an_environment_a_penalty_adds_itself_to_what_is_paid_below(make_env):
    env = LengthPenalty(RewardWrapper(make_env(), "uniform"), target_words=3)
    assert isinstance(env, RewardWrapper)
    assert env.reward.name == "uniform + length"
    assert FormatPenalty(env, weight=1.0).reward.name == "uniform + length + format"
    assert LengthPenalty(make_env()).reward == LengthPenalty()


def test_impossible_targets_are_refused():
    with pytest.raises(ValueError, match="target_words: 0"):
        LengthPenalty(target_words=0)
