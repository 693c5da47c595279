import pytest

from sotopia_env.rewards import LengthPenalty, MonteCarlo, Outcome, get_reward, reward_names


def test_names_of_designs():
    for name in ("episode", "uniform", "broadcast", "discounted"):
        assert get_reward(name) == Outcome(name)
        assert name in reward_names()


def test_monte_carlo_names_its_policy():
    reward = get_reward("monte-carlo:random")
    assert isinstance(reward, MonteCarlo)
    assert reward.policies == ("random",)
    with pytest.raises(ValueError, match="monte-carlo needs a policy"):
        get_reward("monte-carlo")


def test_module_and_attribute():
    assert get_reward("sotopia_env.rewards:LengthPenalty") == LengthPenalty()


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="unknown reward 'golden'; one of episode, uniform, broadcast, discounted"):
        get_reward("golden")


def test_a_spec_without_a_type_or_of_another_type_is_refused():
    with pytest.raises(ValueError, match="names its type; got the fields design"):
        get_reward({"design": "episode"})
    with pytest.raises(TypeError, match="is no reward"):
        get_reward({"type": "json:dumps"})
