import pytest

from sotopia_env.rewards import FunctionJudge, Outcome


def test_the_default_is_the_goal_on_the_unit_scale(make_episode, judge):
    reward = Outcome(judge=judge)
    assert reward([make_episode("a", "a", "a", "b")]) == [{"agent_0": [0.0, 1.0], "agent_1": [0.0, 0.0]}]
    assert reward([make_episode("a", "b", "b", "b")]) == [{"agent_0": [0.0, 0.0], "agent_1": [0.0, 1.0]}]


def test_every_design_spreads_the_same_score(make_episode, judge):
    episode = make_episode("a", "a", "a")
    numbers = {
        design: Outcome(design, judge=judge, scale="native", gamma=0.5)([episode])[0]["agent_0"]
        for design in ("episode", "uniform", "broadcast", "discounted")
    }
    assert numbers == {
        "episode": [0.0, 10.0],
        "uniform": [5.0, 5.0],
        "broadcast": [10.0, 10.0],
        "discounted": [5.0, 10.0],
    }


def test_several_dimensions_are_a_weighted_mean(make_episode, judge):
    reward = Outcome(dimensions={"goal": 3, "relationship": 1}, judge=judge)
    # goal 10 -> 1, relationship -1 -> 0.4
    assert reward([make_episode("a", "a", "b", "a")])[0]["agent_0"] == [0.0, 0.0 * 3 / 4 + 0.85]
    assert reward.name == "episode:goal,relationship"


def test_a_hindsight_design_as_a_return_sums_to_the_episode_reward(make_episode, judge):
    episodes = [make_episode("a", "b", "a", "a"), make_episode("a"), make_episode(), make_episode("b", "b", "b")]
    ends = Outcome(judge=judge)(episodes)
    spread = Outcome("uniform", judge=judge)(episodes)
    for end, even in zip(ends, spread, strict=True):
        for agent in end:
            assert sum(end[agent]) == pytest.approx(sum(even[agent]))


def test_an_unknown_score_is_none_never_zero(make_episode):
    judge = FunctionJudge(lambda episode, agent: {"goal": None}, "silent")
    for design in ("episode", "uniform", "broadcast", "discounted"):
        reward = Outcome(design, judge=judge)
        first = 0.0 if design == "episode" else None
        assert reward([make_episode("a", "b", "a")]) == [{"agent_0": [first, None], "agent_1": [None]}]
        assert reward.outcome([make_episode("a").with_judgement(judge.judge([make_episode("a")])[0])]) == [
            {"agent_0": None, "agent_1": 0.0}
        ]


def test_of_a_running_episode_only_what_is_certain_is_told(make_episode, judge):
    running = make_episode("a", "b", "a", over=False)
    assert Outcome(judge=judge)([running]) == [{"agent_0": [0.0, None], "agent_1": [0.0]}]
    assert Outcome("uniform", judge=judge)([running]) == [{"agent_0": [None, None], "agent_1": [None]}]


def test_in_simultaneous_order_the_last_cycle_is_open(make_episode, judge):
    running = make_episode("a", "b", "a", "b", over=False, action_order="simultaneous")
    assert Outcome(judge=judge)([running]) == [{"agent_0": [0.0, None], "agent_1": [0.0, None]}]


def test_flags_follow_the_design_and_wrong_ones_are_refused():
    assert (Outcome().kind, Outcome().timing) == ("return", "causal")
    assert (Outcome("uniform").kind, Outcome("uniform").timing) == ("return", "hindsight")
    assert Outcome("uniform", kind="credit").kind == "credit"
    assert (Outcome("discounted").kind, Outcome("discounted").timing) == ("credit", "hindsight")
    with pytest.raises(ValueError, match="the discounted design is a credit"):
        Outcome("discounted", kind="return")
    with pytest.raises(ValueError, match="design: 'golden' is none of"):
        Outcome("golden")
    with pytest.raises(ValueError, match="gamma"):
        Outcome("discounted", gamma=1.5)
