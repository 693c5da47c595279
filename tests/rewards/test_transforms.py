import math

import pytest

from sotopia_env.rewards import (
    AddReward,
    ClipReward,
    FormatPenalty,
    LengthPenalty,
    MonteCarlo,
    Outcome,
    RewardWrapper,
    ScaleReward,
    Sum,
    get_reward,
    relabel,
)


def test_every_number_is_clipped(make_episode, judge):
    reward = ClipReward(Outcome("broadcast", judge=judge, scale="native"), -1, 2)
    (numbers,) = reward([make_episode("a", "a", "a")])
    assert numbers == {"agent_0": [2, 2], "agent_1": [0.0]}
    assert (reward.name, reward.kind, reward.timing) == ("clip(broadcast)", "credit", "hindsight")


def test_parts_of_one_pair_of_flags_are_clipped_together(make_episode, judge):
    reward = ClipReward(Outcome(judge=judge) + LengthPenalty(target_words=1, weight=0.5), -0.25, 0.25)
    (numbers,) = reward([make_episode("a a", "b", "a")])
    assert numbers == {"agent_0": [-0.25, 0.0], "agent_1": [0.25]}


def test_parts_of_other_flags_are_clipped_apart(judge):
    reward = ClipReward(Outcome("discounted", judge=judge) + LengthPenalty(), -1, 1)
    assert isinstance(reward, Sum)
    assert [(part.name, part.kind) for _, part in reward.parts()] == [
        ("clip(discounted)", "credit"),
        ("clip(length)", "return"),
    ]


def test_an_unknown_number_stays_unknown(make_episode):
    reward = ClipReward(Outcome(judge=lambda episode, agent: {"goal": None}), -1, 1)
    assert reward([make_episode("a")]) == [{"agent_0": [None], "agent_1": []}]


def test_with_a_failed_judge_play_and_relabelling_clip_the_same_numbers(make_env):
    reward = ClipReward(Outcome() + LengthPenalty(target_words=1, weight=0.3), -0.5, 0.5)
    env = RewardWrapper(make_env(unknown=True), reward)
    env.reset(seed=0)
    paid = [env.step({env.unwrapped.acting[0]: text}) for text in ("a a", "b", "a a a a", "b")]
    played = {agent: info["utterance_rewards"] for agent, info in paid[-1][4].items()}
    # The unknown score counts at the last own turn alone; before it, nothing but the length does.
    assert played == {"agent_0": [-0.3, None], "agent_1": [0.0, None]}
    (labelled,) = relabel([env.unwrapped.episode], reward.for_family(env.unwrapped.family))
    assert labelled.rewards[reward.name] == env.episode.rewards[reward.name] == played
    assert math.isnan(paid[-1][1]["agent_0"])
    # The whole as a return is unknown, the known part of it is not.
    assert paid[1][1] == {"agent_0": -0.3, "agent_1": 0.0}


def test_around_an_environment(make_env):
    env = ClipReward(LengthPenalty(RewardWrapper(make_env(), "episode"), target_words=2, weight=9.0), -1, 0.5)
    assert isinstance(env, RewardWrapper)
    env.reset(seed=0)
    # Whether the turn was the last one, and so its sum, is known with the reply.
    assert env.step({"agent_0": "a b c d e"})[1] == {"agent_0": 0.0, "agent_1": 0.0}
    assert env.step({"agent_1": "b"})[1] == {"agent_0": -1.0, "agent_1": 0.0}
    env.step({"agent_0": "b"})
    _, rewards, *_, infos = env.step({"agent_1": "b"})
    assert rewards == {"agent_0": 0.0, "agent_1": 0.5}
    assert infos["agent_0"]["utterance_rewards"] == [-1, 0.0]


def test_causal_rewards_that_need_the_episode_are_clipped_in_play_too(make_env, voter):
    credit = MonteCarlo(voter, k=4)
    env = RewardWrapper(make_env(), ClipReward(credit, -0.1, 0.1))
    env.reset(seed=0)
    while env.agents:
        _, _, _, _, infos = env.step({env.unwrapped.acting[0]: "a"})
    plain = credit.for_family(env.unwrapped.family)([env.episode])[0]
    assert infos["agent_0"]["utterance_rewards"] == [min(max(v, -0.1), 0.1) for v in plain["agent_0"]]
    assert max(map(abs, plain["agent_0"])) > 0.1


def test_wrong_arguments_are_refused(make_env):
    with pytest.raises(ValueError, match="low: 1 is not below"):
        ClipReward(LengthPenalty(), 1, -1)
    with pytest.raises(TypeError, match="an environment that a reward wrapper pays"):
        ClipReward(make_env(), -1, 1)


def test_sums_and_multiples_of_rewards():
    assert AddReward(LengthPenalty(), "uniform", weight=0.5) == LengthPenalty() + 0.5 * Outcome("uniform")
    assert ScaleReward(LengthPenalty() + FormatPenalty(), 2) == 2 * LengthPenalty() + 2 * FormatPenalty()


def test_sums_and_multiples_around_an_environment(make_env):
    env = AddReward(make_env(), Outcome("uniform"))
    env = ScaleReward(AddReward(env, "format", weight=0.5), 10)
    assert isinstance(env, RewardWrapper)
    assert env.reward == 10 * Outcome("uniform") + 5 * FormatPenalty()
    assert RewardWrapper(make_env(), **env.wrapper_spec()).reward == env.reward
    env.reset(seed=0)
    assert env.step({"agent_0": None})[1]["agent_0"] == pytest.approx(-0.5)
    for text in "bbb":
        rewards = env.step({env.unwrapped.acting[0]: text})[1]
    assert rewards == {"agent_0": 0.0, "agent_1": 10.0}


def test_multiples_need_a_number_and_something_to_multiply(make_env):
    for factor in (float("nan"), True, "2"):
        with pytest.raises(ValueError, match="is no finite number"):
            ScaleReward(LengthPenalty(), factor)
    with pytest.raises(TypeError, match="ScaleReward takes a Reward, or an environment that a reward wrapper pays"):
        ScaleReward(make_env(), 2.0)
    with pytest.raises(TypeError, match="no environment of this package"):
        AddReward(object(), "length")


def test_transforms_are_made_again_from_their_spec():
    for reward in (ClipReward(LengthPenalty() + FormatPenalty(), -0.2, 0.3), ScaleReward(LengthPenalty(), 3.0)):
        assert get_reward(reward.spec()) == reward
