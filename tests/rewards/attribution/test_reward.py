import json

import numpy as np
import pytest

import sotopia_env
from sotopia_env.rewards import (
    ATTRIBUTION_DESIGNS,
    Attribution,
    AttributionReward,
    Dial,
    FunctionJudge,
    MonteCarlo,
    MonteCarloAttributor,
    Outcome,
    get_reward,
    mean_scores,
    relabel,
    reward_names,
)
from sotopia_env.testing import check_reward


def a_matters(episode, agent):
    return [3.0 if turn.text == "a" else 1.0 for turn in episode.own_turns(agent)]


def some_unknown(episode, agent):
    return [None if turn.global_index % 5 == 4 else float(turn.global_index % 4) for turn in episode.own_turns(agent)]


def numbers(episode, judge, design, **options):
    reward = Attribution(design, options.pop("attributor", a_matters), judge=judge, scale="native", **options)
    return reward([episode])[0]["agent_0"]


def test_every_design_spreads_the_judged_score(make_episode, judge):
    episode = make_episode("a", "a", "b", "a")  # goal of agent_0: 10; importances 3, 1
    assert numbers(episode, judge, "direct") == pytest.approx([10, 10 / 3])
    assert numbers(episode, judge, "direct", levels=10) == pytest.approx([3, 1])
    assert numbers(episode, judge, "direct-centred", baseline=4.0) == pytest.approx([6, 2])
    assert numbers(episode, judge, "scaled") == pytest.approx([7.5, 2.5])
    assert numbers(episode, judge, "singular") == [10, 0]


def test_the_published_forms_where_they_differ(make_episode, judge):
    episode = make_episode("a", "a", "a", "b")
    nothing = {"by-hand": {"agent_0": [0, 0], "agent_1": [0, 0]}}
    assert numbers(episode, judge, "scaled", attributor=nothing) == [5, 5]
    assert numbers(episode, judge, "scaled", attributor=nothing, paper=True) == [0, 0]
    assert numbers(episode, judge, "singular") == [5, 5]
    assert numbers(episode, judge, "singular", paper=True) == [10, 0]


def test_each_dimension_is_spread_by_its_own_importances(make_episode, judge):
    def attributor(episode, agent):
        return {"goal": [3, 0], "relationship": [0, 3]}

    # goal 10 -> 1, relationship -1 -> 0.4, weighted 3 to 1
    reward = Attribution("direct", attributor, dimensions={"goal": 3, "relationship": 1}, judge=judge)
    assert reward([make_episode("a", "a", "b", "a")])[0]["agent_0"] == pytest.approx([0.75, 0.1])
    assert reward.name == "direct:goal,relationship@attributor"


@pytest.mark.parametrize("design", ["scaled", "singular"])
def test_a_design_that_shares_sums_to_the_episode_reward(make_episode, judge, design):
    dimensions = {"goal": 2, "relationship": 1}
    episodes = [make_episode("a", "b", "a", "a"), make_episode("a"), make_episode(), make_episode("b", "b", "b")]
    ends = Outcome("episode", dimensions, judge)(episodes)
    spread = Attribution(design, a_matters, dimensions=dimensions, judge=judge)(episodes)
    for end, shared in zip(ends, spread, strict=True):
        for agent in end:
            assert sum(shared[agent]) == pytest.approx(sum(end[agent]))


def test_the_default_baseline_is_the_neutral_score(make_episode, judge):
    neutral = make_episode("a", "a", "a", "a")  # a relationship of 0
    assert Attribution("direct-centred", a_matters, dimensions={"relationship": 1}, judge=judge)([neutral]) == [
        {"agent_0": [0, 0], "agent_1": [0, 0]}
    ]
    direct, centred = (
        Attribution(design, a_matters, judge=judge)([neutral]) for design in ("direct", "direct-centred")
    )
    assert direct == centred


def test_a_measured_baseline(make_episode, judge, family):
    won, lost = make_episode("a", "a", "a", "b"), make_episode("b", "b", "b", "b")
    baseline = mean_scores([won, lost, won, won], judge=judge)
    assert baseline == {"votes": {"agent_0": {"goal": 0.75}, "agent_1": {"goal": 0.25}}}
    reward = Attribution("direct-centred", a_matters, judge=judge, baseline=baseline)
    assert reward([won]) == [{"agent_0": [0.25, 0.25], "agent_1": pytest.approx([-0.25, -0.25 / 3])}]
    reward.check(family)
    other = Attribution("direct-centred", a_matters, judge=judge, baseline={"bargain": baseline["votes"]})
    with pytest.raises(ValueError, match="nothing for the family 'votes'"):
        other.check(family)
    with pytest.raises(ValueError, match="nothing for 'goal' of agent_0 in the family 'votes'"):
        other([won])


@pytest.mark.parametrize("design", ATTRIBUTION_DESIGNS)
def test_failures_are_none_never_zero(make_episode, judge, family, design):
    episode = make_episode("a", "b", "a")
    unknown = [{"agent_0": [None, None], "agent_1": [None]}]
    silent = FunctionJudge(lambda episode, agent: {"goal": None}, "silent")
    assert Attribution(design, judge=silent).for_family(family)([episode]) == unknown
    assert Attribution(design, lambda episode, agent: None, judge=judge)([episode]) == unknown
    assert Attribution(design, {}, judge=judge)([episode]) == unknown
    assert Attribution(design, judge=judge)([make_episode("a", "b", "a", over=False)]) == unknown
    assert Attribution(design, judge=judge).for_family(family)([make_episode()]) == [{"agent_0": [], "agent_1": []}]


def test_what_step_pays_is_the_outcome(make_env, make_episode):
    env = AttributionReward(make_env(), "direct", attributor=a_matters, judge="rule")
    env.reset(seed=0)
    paid = {"agent_0": 0.0, "agent_1": 0.0}
    for text in "abaa":
        _, rewards, _, _, infos = env.step(dict.fromkeys(env.agents, text))
        paid = {agent: paid[agent] + rewards[agent] for agent in paid}
    assert paid == {"agent_0": 1.0, "agent_1": 0.0}
    assert infos["agent_0"]["utterance_rewards"] == [1.0, 1.0]


@pytest.mark.parametrize("design", ATTRIBUTION_DESIGNS)
@pytest.mark.parametrize(
    "attributor", ["rule", some_unknown, Dial("rule", 0.5)], ids=["rule", "some-unknown", "half-reliable"]
)
def test_play_pays_what_relabel_writes(design, attributor):
    dimensions = {"goal": 1, "relationship": 1, "knowledge": 1}
    reward = Attribution(design, attributor, dimensions=dimensions)
    for seed in range(4):
        env = sotopia_env.parallel_env("bargain", reward=reward, max_cycles=9)
        env.reset(seed=seed)
        rng = np.random.default_rng(seed)
        said = ["How about $40?", "Deal.", "You fool!", "That is lovely, I respect it.", {"action_type": 99}, "", "$55"]
        while env.agents:
            text = said[int(rng.integers(len(said)))]
            action = {"action_type": 4, "argument": ""} if rng.random() < 0.05 else text
            _, _, _, _, infos = env.step(dict.fromkeys(env.agents, action))
        (stored,) = relabel([env.unwrapped.episode], reward)
        for agent, values in stored.rewards[reward.name].items():
            played = infos[agent]["utterance_rewards"]
            assert [None if v is None or np.isnan(v) else v for v in played] == values


def test_conformance():
    check_reward(Attribution("scaled", dimensions={"goal": 1, "relationship": 2}))
    check_reward("sotopia_env.rewards:Attribution")


def test_names():
    for name in ("scaled", "singular", "direct", "direct-centred"):
        assert get_reward(name) == Attribution(name)
        assert name in reward_names()


def test_a_spec_makes_an_equal_reward():
    recorded = {"one": {"agent_0": [1.0, None], "agent_1": {"goal": [2.0]}}}
    for reward in (
        Attribution("scaled", kind="credit", dimensions={"goal": 1, "knowledge": 2}),
        Attribution("direct", recorded, levels=10),
        Attribution("singular", Dial("rule", 0.5, seed=3)),
        Attribution("scaled", Dial(MonteCarloAttributor(MonteCarlo(["random"], k=1)), 0.2)),
        Attribution("direct-centred", baseline={"votes": {"agent_0": {"goal": 0.5}}}),
    ):
        assert get_reward(json.loads(json.dumps(reward.spec()))).spec() == reward.spec()


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="'golden' is none of scaled, singular, direct"):
        Attribution("golden")
    with pytest.raises(ValueError, match="the direct design is a credit, not a 'return'"):
        Attribution("direct", kind="return")
    with pytest.raises(ValueError, match="the direct design has none; take 'direct-centred'"):
        Attribution("direct", baseline=0.5)
