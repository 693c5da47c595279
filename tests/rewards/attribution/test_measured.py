import numpy as np
import pytest

from sotopia_env.rewards import Attribution, Dial, MonteCarlo, MonteCarloAttributor, RecordedAttributor, RuleAttributor


def test_monte_carlo_importances_are_those_of_its_credit(make_episode, family, voter):
    # The third "a" wins, and only a vote before it can matter.
    episode = make_episode("a", "a", "a", "b")
    credit = MonteCarlo([voter], k=64, family=family)
    attributor = MonteCarloAttributor(credit)
    importances = attributor.importances([episode], ["goal", "relationship"])[0]
    gained = credit([episode])[0]
    assert gained["agent_0"][0] > 0 and gained["agent_0"][1] > 0
    assert max(importances["agent_0"]["goal"]) == 3
    assert importances["agent_1"]["goal"] == [0, 0]  # agent_1 lost by its own "a"
    assert importances["agent_0"]["goal"] == importances["agent_0"]["relationship"]


def test_monte_carlo_importances_in_a_reward(make_episode, family, voter):
    reward = Attribution("direct", MonteCarloAttributor(MonteCarlo([voter], k=2))).for_family(family)
    assert reward.needs == ("continuations",)
    assert reward.name == "direct@monte-carlo"
    (numbers,) = reward([make_episode("a", "a", "a", "b")])
    assert all(0 <= value <= 1 for value in numbers["agent_0"])
    with pytest.raises(TypeError, match="is no MonteCarlo"):
        MonteCarloAttributor("rule")


@pytest.mark.parametrize("reliability", [0.0, 0.5, 0.8, 1.0])
def test_the_dial_keeps_the_stated_share(make_episode, reliability):
    episode = make_episode(*["a"] * 4000)
    truth = RecordedAttributor({"by-hand": {"agent_0": [3.0] * 2000, "agent_1": [None] * 2000}})
    turned = Dial(truth, reliability).importances([episode], ["goal"])[0]
    # A drawn importance is the true one in a quarter of the cases.
    kept = np.mean(np.array(turned["agent_0"]["goal"]) == 3)
    assert kept == pytest.approx(reliability + (1 - reliability) / 4, abs=0.04)
    assert turned["agent_1"]["goal"] == [None] * 2000


def test_the_dial_draws_alike_for_equal_dialogues_and_seeds_alone(make_episode, family):
    episode, other = make_episode(*"ab" * 16), make_episode(*"ab" * 15, *"aa")
    dial = Dial("rule", 0.0).for_family(family)

    def drawn(dial, episode):
        return dial.importances([episode], ["goal"])[0]["agent_0"]["goal"]

    assert drawn(dial, episode) == drawn(Dial(RuleAttributor(family), 0.0), episode)
    assert drawn(dial, episode) != drawn(dial, other)
    assert drawn(dial, episode) != drawn(Dial(RuleAttributor(family), 0.0, seed=1), episode)
    assert dial.name == "rule-0"
    with pytest.raises(ValueError, match="reliability: 1.5 is not between 0 and 1"):
        Dial("rule", 1.5)
