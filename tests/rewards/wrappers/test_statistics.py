import copy
import json
import math
import pickle

import gymnasium
import numpy as np
import pytest
from pettingzoo.test import parallel_api_test

import sotopia_env
from sotopia_env.rewards import (
    FormatPenalty,
    FunctionReward,
    LengthPenalty,
    NormalizeReward,
    Outcome,
    RecordEpisodeStatistics,
    RewardWrapper,
    relabel,
)

SPLITS = FormatPenalty(weight=0.5) + LengthPenalty(target_words=1, weight=1.0)


def play(env, texts, seed=0):
    """Play texts one after the other; what each step paid, and the infos of each step."""
    env.reset(seed=seed)
    paid, infos = [], []
    for text in texts:
        _, rewards, _, _, info = env.step(dict.fromkeys(env.unwrapped.acting, text))
        paid.append(rewards)
        infos.append(info)
    return paid, infos


def without_time(info):
    return {name: value for name, value in info["episode"].items() if name != "t"}


def test_the_last_infos_hold_the_totals_of_each_agent(make_env):
    env = RecordEpisodeStatistics(RewardWrapper(make_env(), Outcome("uniform") + SPLITS))
    _, infos = play(env, ["a", None, "a a a", "a a"])
    assert all("episode" not in info for step in infos[:-1] for info in step.values())
    # agent_0: goal 0, two words too many; agent_1: goal 1, one invalid turn, one word too many.
    assert without_time(infos[-1]["agent_0"]) == {"r": -2.0, "l": 2, "words": 2.0, "invalid": 0}
    assert without_time(infos[-1]["agent_1"]) == {"r": -0.5, "l": 2, "words": 1.0, "invalid": 1}
    assert 0 < infos[-1]["agent_0"]["episode"]["t"] < 60
    _, again = play(env, ["a", None, "a a a", "a a"])
    assert without_time(again[-1]["agent_1"]) == without_time(infos[-1]["agent_1"])


def test_a_failed_number_makes_the_return_unknown_and_no_turn_leaves_no_words(make_env):
    env = RecordEpisodeStatistics(RewardWrapper(make_env(unknown=True), "episode"), stats_key="totals")
    _, infos = play(env, [sotopia_env.leave()])
    assert math.isnan(infos[0]["agent_0"]["totals"]["r"])
    assert infos[0]["agent_1"]["totals"]["words"] is None
    assert infos[0]["agent_1"]["totals"]["r"] == 0.0


def by_gymnasium(streams, gamma):
    """The same formula by hand: rewards divided by the deviation of all discounted returns so far."""
    count, mean, m2, total = 1e-4, 0.0, 1e-4, dict.fromkeys(streams[0], 0.0)
    paid = []
    for step in streams:
        for agent, reward in step.items():
            total[agent] = gamma * total[agent] + reward
            count += 1
            delta = total[agent] - mean
            mean += delta / count
            m2 += delta * (total[agent] - mean)
        paid.append({agent: reward / math.sqrt(m2 / count + 1e-8) for agent, reward in step.items()})
    return paid


def test_rewards_are_divided_by_the_deviation_of_discounted_returns(make_env):
    texts = ["a a", None, "a a a", "a"]
    raw, _ = play(RewardWrapper(make_env(), Outcome() + SPLITS), texts)
    env = NormalizeReward(RewardWrapper(make_env(), Outcome() + SPLITS), gamma=0.5)
    paid, infos = play(env, texts)
    expected = by_gymnasium(raw, 0.5)
    assert len(expected) == 4
    for step, wanted in zip(paid, expected, strict=True):
        assert step == pytest.approx(wanted)
    # By hand, first step: returns -1 and 0 beside a variance of 1 of weight 1e-4 are of variance 0.25.
    assert paid[0]["agent_0"] == pytest.approx(-2.0, abs=1e-3)
    assert infos[-1]["agent_0"]["utterance_rewards"] == [-1.0, -2.0]
    assert [step["agent_0"] * info["agent_0"]["reward_scale"] for step, info in zip(paid, infos, strict=True)] == (
        pytest.approx([step["agent_0"] for step in raw])
    )


def test_it_is_gymnasiums_for_one_agent_that_is_paid():
    class Paid(gymnasium.Env):
        observation_space = action_space = gymnasium.spaces.Discrete(1)

        def reset(self, *, seed=None, options=None):
            return 0, {}

        def step(self, action):
            return 0, action, False, False, {}

    def always(episodes):
        return [{a: [float(len(t.text)) for t in e.own_turns(a)] for a in e.agents} for e in episodes]

    env = NormalizeReward(
        RewardWrapper(
            sotopia_env.parallel_env("bargain", action_order="simultaneous", max_cycles=5),
            FunctionReward(always, timing="causal"),
        ),
        gamma=0.9,
    )
    theirs = gymnasium.wrappers.NormalizeReward(Paid(), gamma=0.9)
    theirs.reset()
    # Both agents are paid alike, which changes nothing but how little the initial variance weighs.
    paid, _ = play(env, ["a" * n for n in (3, 1, 4, 1, 5)])
    wanted = [theirs.step(float(n))[1] for n in (3, 1, 4, 1, 5)]
    assert [step["agent_0"] for step in paid][1:] == pytest.approx([float(value) for value in wanted][1:], rel=2e-3)


def test_a_failed_number_stays_unknown_and_is_not_counted(make_env):
    env = NormalizeReward(RewardWrapper(make_env(unknown=True), "episode"))
    paid, _ = play(env, ["a", "b", "a", "a"])
    assert math.isnan(paid[-1]["agent_0"])
    assert json.loads(json.dumps(env.snapshot(), allow_nan=False))["wrapper"]["count"] == pytest.approx(6, abs=1e-3)
    assert math.isfinite(env.scale)


def test_frozen_statistics_do_not_change_and_make_a_pure_reward(make_env):
    env = NormalizeReward(RewardWrapper(make_env(), SPLITS))
    play(env, ["a a", None, "a a a", "a"])
    env.update, scale = False, env.scale
    paid, _ = play(env, ["a a a a", "a", None, "a"], seed=1)
    assert env.scale == scale
    reward = env.frozen()
    (labelled,) = relabel([env.unwrapped.episode], reward)
    assert [labelled.rewards[reward.name]["agent_0"][turn] for turn in (0, 1)] == pytest.approx(
        [paid[0]["agent_0"], paid[2]["agent_0"]]
    )
    with pytest.raises(ValueError, match="the environment below pays no reward"):
        NormalizeReward(make_env()).frozen()


@pytest.mark.parametrize("copy_of", ["fork", "snapshot", "pickle", "deepcopy"])
def test_copies_in_mid_episode_go_on_alike(make_env, copy_of):
    def make():
        reward = RewardWrapper(make_env(max_cycles=6), Outcome("uniform") + SPLITS)
        return RecordEpisodeStatistics(NormalizeReward(reward, gamma=0.8))

    env = make()
    play(env, ["a a", None, "b", "a", "a", "a"], seed=5)
    play(env, ["a a a a", None, "b"])
    if copy_of == "fork":
        twin, third = env.fork(2)
        third.step({"agent_1": "b b b b b b"})
    elif copy_of == "snapshot":
        twin = make()
        twin.restore(json.loads(json.dumps(env.snapshot())))
    else:
        twin = pickle.loads(pickle.dumps(env)) if copy_of == "pickle" else copy.deepcopy(env)  # noqa: S301
    for text in ("b b b", "a", "a"):
        expected, result = env.step({env.unwrapped.acting[0]: text}), twin.step({twin.unwrapped.acting[0]: text})
        assert result[1] == expected[1]
    for agent in env.possible_agents:
        assert without_time(result[4][agent]) == without_time(expected[4][agent])
        assert result[4][agent]["episode"]["t"] < 60


def test_stepping_many_pays_as_one_by_one_and_asks_once(make_env):
    calls = []

    def counted(episodes):
        calls.append(len(episodes))
        return [{a: [float(len(t.text)) for t in e.own_turns(a)] for a in e.agents} for e in episodes]

    reward = FunctionReward(counted, timing="causal")
    alone, together = (
        [RecordEpisodeStatistics(NormalizeReward(RewardWrapper(make_env(), reward))) for _ in range(3)]
        for _ in range(2)
    )
    together[2] = make_env()
    for env in [*alone, *together]:
        env.reset(seed=0)
    for row in np.random.default_rng(0).choice(["a", "b", "bb"], size=(4, 3)).tolist():
        actions = [{env.unwrapped.acting[0]: text} for env, text in zip(together, row, strict=True)]
        calls.clear()
        results = type(together[0]).step_many(together, actions)
        assert calls == [2]
        for env, action, result in zip(alone[:2], actions, results, strict=False):
            assert env.step(action)[1] == result[1]
    assert "episode" in results[0][4]["agent_0"]
    assert "episode" not in results[2][4]["agent_0"]


@pytest.mark.parametrize("face", ["text", "menu", "aec", "single"])
def test_every_face_and_interface_can_be_wrapped(face):
    if face == "single":
        env = gymnasium.make("sotopia_env:sotopia/Bargain-v0", partner="scripted:firm", reward="episode", max_cycles=4)
    elif face == "aec":
        env = sotopia_env.env("bargain", reward="episode", max_cycles=4)
    else:
        env = sotopia_env.parallel_env("bargain", reward="episode", interface=face, max_cycles=4)
    env = RecordEpisodeStatistics(NormalizeReward(LengthPenalty(env, target_words=1, weight=1.0)))
    infos = played(env, face)
    assert set(infos["episode"]) == {"r", "l", "t", "words", "invalid"}
    assert infos["episode"]["l"] == 2
    assert list(infos["reward_parts"]) == ["episode", "length"]
    assert infos["reward_scale"] > 0


def played(env, face):
    """The last infos of agent_0."""
    if face == "single":
        assert env.unwrapped.spec is None
        assert env.spec is None
        assert isinstance(env, gymnasium.Wrapper)
        env.reset(seed=0)
        done = False
        while not done:
            _, _, terminated, truncated, infos = env.step("Well, hello there.")
            done = terminated or truncated
        return infos
    if face == "aec":
        env.reset(seed=0)
        for agent in env.agent_iter():
            _, _, terminated, truncated, info = env.last()
            infos = info if agent == "agent_0" else infos
            env.step(None if terminated or truncated else "Well, hello there.")
        return infos
    env.reset(seed=0)
    while env.agents:
        actions = dict.fromkeys(env.unwrapped.acting, 0 if face == "menu" else "Well, hello there.")
        infos = env.step(actions)[4]
    return infos["agent_0"]


def test_wrapped_environments_pass_the_api_test(make_env):
    env = RecordEpisodeStatistics(NormalizeReward(RewardWrapper(make_env(), "uniform")))
    parallel_api_test(env, num_cycles=20)


def test_what_is_paid_may_not_be_changed_over_a_normalised_reward(make_env):
    env = RecordEpisodeStatistics(NormalizeReward(RewardWrapper(make_env(), "uniform")))
    with pytest.raises(ValueError, match="NormalizeReward has to lie over all rewards, penalties and transforms"):
        LengthPenalty(env)


def test_the_arguments_are_recorded(make_env):
    for cls, arguments in [
        (NormalizeReward, {"gamma": 0.5, "epsilon": 1e-3, "update": False}),
        (RecordEpisodeStatistics, {"stats_key": "totals"}),
    ]:
        env = cls(make_env(), **arguments)
        assert json.loads(json.dumps(env.wrapper_spec())) == arguments
        assert cls(make_env(), **env.wrapper_spec()).wrapper_spec() == arguments


def test_impossible_arguments_are_refused(make_env):
    with pytest.raises(ValueError, match="gamma: 1.1 is not between 0 and 1"):
        NormalizeReward(make_env(), gamma=1.1)
    for epsilon in (0, -1, math.nan):
        with pytest.raises(ValueError, match="epsilon: .* is not a positive number"):
            NormalizeReward(make_env(), epsilon=epsilon)
    with pytest.raises(TypeError, match="no environment of this package"):
        RecordEpisodeStatistics(object())


def test_returns_that_are_all_equal_have_no_spread_to_divide_by():
    def first_alone(episodes):
        return [{a: [0.4 if t.own_index == 0 else 0.5 for t in e.own_turns(a)] for a in e.agents} for e in episodes]

    def made():
        bare = sotopia_env.parallel_env("bargain", action_order="simultaneous", max_cycles=5)
        return NormalizeReward(RewardWrapper(bare, FunctionReward(first_alone, timing="causal")), gamma=0.0)

    both = {"agent_0": "Hello.", "agent_1": "Hello."}
    env, restored = made(), made()
    env.reset(seed=0)
    _, rewards, _, _, infos = env.step(both)
    assert rewards == {"agent_0": 0.4, "agent_1": 0.4}, "not 50, which is 0.4 over the spread of nothing"
    assert infos["agent_0"]["reward_scale"] == 1.0
    restored.reset(seed=1)
    restored.restore(json.loads(json.dumps(env.snapshot())))
    found, again = env.step(both), restored.step(both)
    assert found[1] == again[1]
    assert found[4]["agent_0"]["reward_scale"] == pytest.approx(0.05, rel=0.02)
