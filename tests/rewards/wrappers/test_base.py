import copy
import json
import math
import pickle
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pettingzoo.test import parallel_api_test

import sotopia_env
from sotopia_env import rollout
from sotopia_env.episodes import Judgement
from sotopia_env.families.base import OpenEnded
from sotopia_env.rewards import (
    ClipReward,
    EpisodeReward,
    FormatPenalty,
    FunctionReward,
    LengthPenalty,
    MonteCarlo,
    Outcome,
    RewardFailedError,
    RewardWrapper,
    relabel,
    reward_of,
)
from sotopia_env.rewards.judges.base import Judge
from sotopia_env.rewards.wrappers.base import paid_at_the_end

NAMES = ["utterance_rewards", "reward_parts", "scores"]


def play(env, texts, seed=0):
    """Play texts one after the other; what each step paid, and the last infos."""
    env.reset(seed=seed)
    paid = []
    for text in texts:
        _, rewards, _, _, infos = env.step(dict.fromkeys(env.unwrapped.acting, text))
        paid.append(rewards)
    return paid, infos


def by_halves(episodes):
    """A causal return known once the partner has replied: 0.5 for every reply."""
    values = []
    for episode in episodes:
        still_open = len(episode.turns) - (episode.ending is None)
        values.append(
            {
                agent: [0.5 if t.global_index < still_open else None for t in episode.own_turns(agent)]
                for agent in episode.agents
            }
        )
    return values


def test_the_terminal_outcome_is_paid_with_the_last_step_to_both(make_env):
    paid, infos = play(RewardWrapper(make_env(), "episode"), ["a", "b", "a", "a"])
    assert paid[:3] == [{"agent_0": 0.0, "agent_1": 0.0}] * 3
    assert paid[3] == {"agent_0": 1.0, "agent_1": 0.0}
    assert infos["agent_0"]["utterance_rewards"] == [0.0, 1.0]
    assert infos["agent_0"]["scores"] == {"goal": 10.0, "relationship": 0.0}
    assert infos["agent_1"]["scores"] == {"goal": 0.0, "relationship": -1.0}


def test_a_hindsight_return_pays_its_sum_at_the_end(make_env):
    paid, infos = play(RewardWrapper(make_env(), "uniform"), ["a", "b", "a", "a"])
    assert [p["agent_0"] for p in paid] == [0.0, 0.0, 0.0, 1.0]
    assert infos["agent_0"]["utterance_rewards"] == [0.5, 0.5]


@pytest.mark.parametrize("design", ["broadcast", "discounted"])
def test_hindsight_credit_stands_in_infos_while_step_pays_the_outcome(make_env, design):
    paid, infos = play(RewardWrapper(make_env(), Outcome(design, gamma=0.5)), ["a", "b", "a", "a"])
    assert [p["agent_0"] for p in paid] == [0.0, 0.0, 0.0, 1.0]
    assert infos["agent_0"]["utterance_rewards"] == {"broadcast": [1.0, 1.0], "discounted": [0.5, 1.0]}[design]


def test_penalties_are_paid_at_the_turn(make_env):
    reward = FormatPenalty(weight=0.3) + LengthPenalty(target_words=1, weight=1.0)
    paid, infos = play(RewardWrapper(make_env(), reward), [None, "b b", "a", "a"])
    assert [p["agent_0"] for p in paid] == [-0.3, 0.0, 0.0, 0.0]
    assert [p["agent_1"] for p in paid] == [0.0, -1.0, 0.0, 0.0]
    assert infos["agent_1"]["utterance_rewards"] == [-1.0, 0.0]


def test_what_the_reply_decides_is_paid_with_the_reply_out_of_turn(make_env):
    paid, _ = play(RewardWrapper(make_env(), FunctionReward(by_halves, timing="causal")), ["a", "b", "a", "a"])
    assert [p["agent_0"] for p in paid] == [0.0, 0.5, 0.0, 0.5]
    # agent_1's last turn has no reply: the end settles it.
    assert [p["agent_1"] for p in paid] == [0.0, 0.0, 0.5, 0.5]


def test_parts_of_a_stack_are_told_apart(make_env):
    env = RewardWrapper(make_env(), 2 * Outcome("uniform") + FormatPenalty(weight=0.5))
    env.reset(seed=0)
    _, rewards, _, _, infos = env.step({"agent_0": None})
    assert rewards == {"agent_0": -0.5, "agent_1": 0.0}
    assert infos["agent_0"]["reward_parts"] == {"uniform": 0.0, "format": -0.5}
    assert infos["agent_0"]["utterance_rewards"] == [None]
    for text in ("b", "b", "b"):
        _, rewards, _, _, infos = env.step(dict.fromkeys(env.unwrapped.acting, text))
    assert rewards == {"agent_0": 0.0, "agent_1": 2.0}
    assert infos["agent_1"]["reward_parts"] == {"uniform": 2.0, "format": 0.0}
    assert infos["agent_0"]["utterance_rewards"] == [-0.5, 0.0]
    assert infos["agent_1"]["utterance_rewards"] == [1.0, 1.0]


RETURNS = [
    Outcome("episode"),
    Outcome("uniform", dimensions={"goal": 1, "relationship": 2}),
    LengthPenalty(target_words=1, weight=0.7),
    FormatPenalty(weight=0.3),
    FunctionReward(by_halves, timing="causal"),
    Outcome("episode") + 0.1 * LengthPenalty(target_words=2) + FormatPenalty() + 2 * Outcome("uniform"),
    ClipReward(Outcome() + LengthPenalty(target_words=1), -0.5, 0.5),
    ClipReward(Outcome("uniform") + 0.3 * Outcome("uniform", name="other", dimensions={"relationship": 1}), -0.2, 0.6),
]
ACTS = st.sampled_from(["a", "b", "a a a", None, "", 7, "leave", "none", {"action_type": 9}])


def act(given):
    return {"leave": sotopia_env.leave(), "none": {"action_type": 0, "argument": ""}}.get(str(given), given)


@given(
    acts=st.lists(ACTS, min_size=12, max_size=12),
    reward=st.sampled_from(RETURNS),
    order=st.sampled_from(["round-robin", "random", "simultaneous"]),
    limit=st.integers(1, 12),
    seed=st.integers(0, 5),
)
@settings(
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_step_paid_of_a_return_sums_to_the_utterance_rewards(make_env, acts, reward, order, limit, seed):
    env = RewardWrapper(make_env(action_order=order, max_cycles=limit), reward)
    _, infos = env.reset(seed=seed)
    paid = dict.fromkeys(env.possible_agents, 0.0)
    given_acts = iter(acts * 2)
    while env.agents:
        _, rewards, _, _, infos = env.step({agent: act(next(given_acts)) for agent in env.unwrapped.acting})
        for agent, amount in rewards.items():
            assert isinstance(amount, float)
            assert sum(infos[agent]["reward_parts"].values()) == amount
            paid[agent] += amount
    episode = env.episode
    for agent in env.possible_agents:
        assert len(infos[agent]["utterance_rewards"]) == len(episode.own_turns(agent)) == infos[agent]["turn"]
        assert paid[agent] == pytest.approx(sum(infos[agent]["utterance_rewards"]), abs=1e-12)
    # Online equals offline, exactly.
    stored = type(episode).from_dict(json.loads(json.dumps(env.unwrapped.episode.to_dict())))
    (labelled,) = relabel([stored], reward.for_family(env.unwrapped.family))
    assert labelled.rewards[reward.name] == {agent: infos[agent]["utterance_rewards"] for agent in infos}
    assert labelled.rewards == episode.rewards
    assert labelled.judgements == episode.judgements


@pytest.mark.parametrize("reward", [*RETURNS, Outcome("discounted"), "monte-carlo"])
def test_infos_in_play_equal_labels_of_the_running_episode(make_env, voter, reward):
    reward = MonteCarlo(voter, k=2) if reward == "monte-carlo" else reward
    env = RewardWrapper(make_env(max_cycles=5), reward)
    _, infos = env.reset(seed=3)
    for text in ("a", None, "b b b b b", "a", "a"):
        assert env.agents
        _, _, _, _, infos = env.step({env.unwrapped.acting[0]: text})
        (expected,) = env.reward.for_family(env.unwrapped.family)([env.unwrapped.episode])
        assert {agent: info["utterance_rewards"] for agent, info in infos.items()} == expected


def test_unknown_scores_are_nan_from_step_and_none_in_infos(make_env):
    for reward in ("episode", "uniform", "discounted"):
        paid, infos = play(RewardWrapper(make_env(unknown=True), reward), ["a", "b", "a", "a"])
        assert paid[2] == {"agent_0": 0.0, "agent_1": 0.0}
        assert math.isnan(paid[3]["agent_0"])
        assert infos["agent_0"]["scores"]["goal"] is None
        assert None in infos["agent_0"]["utterance_rewards"]


def test_a_causal_number_that_failed_is_nan_at_its_turn_and_not_again(make_env):
    def fails_at_turn_one(episodes):
        return [
            {agent: [None if t.global_index == 1 else 1.0 for t in e.own_turns(agent)] for agent in e.agents}
            for e in episodes
        ]

    paid, infos = play(RewardWrapper(make_env(), FunctionReward(fails_at_turn_one, timing="causal")), "abaa")
    assert [p["agent_0"] for p in paid] == [1.0, 0.0, 1.0, 0.0]
    # Until the reply it might still become known.
    assert [str(p["agent_1"]) for p in paid] == ["0.0", "0.0", "nan", "1.0"]
    assert infos["agent_1"]["utterance_rewards"] == [None, 1.0]


def test_failures_can_raise_instead(make_env):
    env = RewardWrapper(make_env(unknown=True), "uniform", on_failure="raise")
    with pytest.raises(RewardFailedError, match=r"task 'votes-\d+', agent_0, after turn 3: no number from uniform"):
        play(env, ["a", "b", "a", "a"])


def test_a_judge_that_fails_for_one_agent_still_pays_the_other(make_env):
    def judge(episode, agent):
        return {"goal": 5.0 if agent == "agent_0" else None}

    paid, _ = play(RewardWrapper(make_env(), Outcome(judge=judge)), ["a", "b", "a", "a"])
    assert paid[3]["agent_0"] == 0.5
    assert math.isnan(paid[3]["agent_1"])


def test_a_rule_judge_on_open_ended_tasks_is_an_error_at_construction(make_env, family):
    tasks = [family.generate(np.random.default_rng(0))]
    env = sotopia_env.environment.SotopiaParallelEnv(OpenEnded(), tasks=tasks)
    for reward in ("episode", Outcome("uniform") + LengthPenalty(), MonteCarlo(lambda o, rng: "a")):
        with pytest.raises(ValueError, match="cannot score open-ended tasks"):
            RewardWrapper(env, reward)
    RewardWrapper(env, Outcome(judge=lambda episode, agent: {"goal": 1.0}))


def test_a_source_replaces_the_reward_below(make_env):
    inner = RewardWrapper(make_env(), "uniform")
    env = EpisodeReward(inner, dimensions={"relationship": 1}, scale="native")
    assert env.reward == Outcome("episode", {"relationship": 1}, scale="native")
    assert not isinstance(env.env, RewardWrapper)
    paid, infos = play(env, ["b", "a", "a", "a"])
    assert paid[3] == {"agent_0": -1.0, "agent_1": 0.0}
    assert list(infos["agent_0"]["reward_parts"]) == ["episode:relationship"]


def test_the_reward_is_found_through_wrappers_above_it(make_env):
    inner = RewardWrapper(make_env(), "uniform")
    outer = sotopia_env.wrappers.base.ParallelWrapper(inner)
    assert reward_of(outer) == Outcome("uniform")
    assert reward_of(make_env()) is None
    assert LengthPenalty(outer).reward.name == "uniform + length"


def test_infos_are_fresh_and_have_the_same_keys_at_every_step(make_env):
    env = RewardWrapper(make_env(), "episode")
    _, infos = env.reset(seed=0)
    seen = [infos]
    for text in "abaa":
        seen.append(env.step({env.unwrapped.acting[0]: text})[4])
    assert ["final" in info["agent_0"] for info in seen] == [False, False, False, False, True]
    assert len({tuple(name for name in info["agent_0"] if name != "final") for info in seen}) == 1
    assert {name: seen[-1]["agent_0"]["final"][name] for name in NAMES} == {
        name: seen[-1]["agent_0"][name] for name in NAMES
    }
    assert list(seen[0]["agent_0"])[-3:] == NAMES
    for name in NAMES:
        assert len({id(info[agent][name]) for info in seen for agent in info}) == 10
    seen[2]["agent_0"]["utterance_rewards"].append(99.0)
    assert seen[3]["agent_0"]["utterance_rewards"] == [0.0, None]


def test_a_second_episode_starts_from_nothing(make_env):
    env = RewardWrapper(make_env(), "uniform")
    first = play(env, "aaaa", seed=1)
    second = play(env, "aaaa", seed=1)
    assert first == second


@pytest.mark.parametrize("copy_of", ["fork", "snapshot", "json", "pickle", "deepcopy"])
@pytest.mark.parametrize("reward", [RETURNS[5], Outcome("discounted"), FunctionReward(by_halves, timing="causal")])
def test_copies_in_mid_episode_pay_on_alike(make_env, reward, copy_of):
    env = RewardWrapper(make_env(max_cycles=6), reward)
    env.reset(seed=0)
    for text in ("a a a a", None, "b"):
        env.step({env.unwrapped.acting[0]: text})
    if copy_of == "fork":
        twin, third = env.fork(2)
        third.step({"agent_1": "b b b b b b"})
    elif copy_of == "pickle":
        twin = pickle.loads(pickle.dumps(env))  # noqa: S301
    elif copy_of == "deepcopy":
        twin = copy.deepcopy(env)
    else:
        snapshot = env.snapshot()
        twin = RewardWrapper(make_env(max_cycles=6), reward)
        twin.restore(json.loads(json.dumps(snapshot)) if copy_of == "json" else snapshot)
    for text in ("b b b", "a", "a"):
        expected = env.step({env.unwrapped.acting[0]: text})
        result = twin.step({twin.unwrapped.acting[0]: text})
        assert result[1] == expected[1]
        assert {a: [i[n] for n in NAMES] for a, i in result[4].items()} == {
            a: [i[n] for n in NAMES] for a, i in expected[4].items()
        }
    assert twin.episode.rewards == env.episode.rewards


def test_a_snapshot_where_nothing_is_paid_yet_keeps_the_turns(make_env):
    env, twin = (RewardWrapper(make_env(), "uniform") for _ in range(2))
    env.reset(seed=0)
    with paid_at_the_end([env, twin]):
        for text in ("a", "b"):
            env.step({env.unwrapped.acting[0]: text})
        twin.restore(json.loads(json.dumps(env.snapshot())))
        for one in (env, twin):
            for text in ("a", "a"):
                one.step({one.unwrapped.acting[0]: text})
    assert twin.episode.rewards == env.episode.rewards
    assert twin.episode.rewards["uniform"]["agent_0"] == [0.5, 0.5]


def test_forks_before_reset_and_after_the_end(make_env):
    env = RewardWrapper(make_env(), "uniform")
    (fresh,) = env.fork(1)
    play(fresh, "aaaa")
    (ended,) = fresh.fork(1)
    assert ended.episode == fresh.episode
    assert ended.episode.rewards["uniform"]["agent_0"] == [0.5, 0.5]


def test_a_snapshot_of_another_reward_is_refused(make_env):
    env = RewardWrapper(make_env(), "uniform")
    env.reset(seed=0)
    with pytest.raises(ValueError, match="the snapshot is of reward 'uniform', this one is 'episode'"):
        RewardWrapper(make_env(), "episode").restore(env.snapshot())


def test_the_arguments_are_recorded(make_env):
    env = RewardWrapper(make_env(), Outcome("uniform") + 0.1 * LengthPenalty(), on_failure="raise")
    spec = json.loads(json.dumps(env.wrapper_spec()))
    twin = RewardWrapper(make_env(), **spec)
    assert twin.wrapper_spec() == env.wrapper_spec()
    assert (twin.reward, twin.on_failure) == (env.reward, "raise")


def test_many_environments_make_one_call_for_each_part_and_pay_as_one_by_one(make_env):
    calls = []

    def counted(episodes):
        calls.append(len(episodes))
        return [{a: [float(len(t.text)) for t in e.own_turns(a)] for a in e.agents} for e in episodes]

    reward = FunctionReward(counted) + FunctionReward(counted, "again", timing="causal") + Outcome()
    texts = np.random.default_rng(0).choice(["a", "b", "bb"], size=(4, 8)).tolist()
    alone = [RewardWrapper(make_env(), reward) for _ in range(8)]
    together = RewardWrapper(make_env(), reward).fork(8)
    for env in [*alone, *together]:
        env.reset(seed=0)
    for row in texts:
        actions = [{env.unwrapped.acting[0]: text} for env, text in zip(together, row, strict=True)]
        calls.clear()
        results = RewardWrapper.step_many(together, actions)
        assert calls == ([8, 8] if not together[0].agents else [8])
        for env, action, result in zip(alone, actions, results, strict=True):
            _, rewards, _, _, infos = env.step(action)
            assert result[1] == rewards
            assert result[4] == infos


def test_many_environments_of_several_rewards_and_bare_ones(make_env):
    envs = [RewardWrapper(make_env(), "uniform"), make_env(), RewardWrapper(make_env(), "episode")]
    for env in envs:
        env.reset(seed=0)
    for text in "aaaa":
        results = RewardWrapper.step_many(envs, [{env.unwrapped.acting[0]: text} for env in envs])
    assert [result[1]["agent_0"] for result in results] == [1.0, 0.0, 1.0]
    assert "utterance_rewards" not in results[1][4]["agent_0"]
    assert results[0][4]["agent_0"]["utterance_rewards"] == [0.5, 0.5]


def test_cheap_rewards_never_build_the_running_episode(make_env, monkeypatch):
    env = RewardWrapper(make_env(max_cycles=50), Outcome("uniform") + Outcome() + LengthPenalty() + FormatPenalty())
    env.reset(seed=0)
    bare = type(env.unwrapped)
    built = []
    original = bare.episode.fget
    monkeypatch.setattr(bare, "episode", property(lambda self: built.append(1) or original(self)))
    while env.agents:
        assert built == []
        env.step({env.unwrapped.acting[0]: "b"})
    assert built == [1]


def test_finished_episodes_carry_scores_and_rewards_of_the_whole_and_its_parts(make_env):
    env = RewardWrapper(make_env(), Outcome("uniform") + 0.5 * FormatPenalty(weight=1.0))
    play(env, [None, "b", "b", "b"])
    episode = env.episode
    assert [j.judge for j in episode.judgements] == ["rule"]
    assert episode.rewards == {
        "uniform": {"agent_0": [0.0, 0.0], "agent_1": [0.5, 0.5]},
        "format": {"agent_0": [-1.0, 0.0], "agent_1": [0.0, 0.0]},
        "uniform + 0.5 * format": {"agent_0": [-0.5, 0.0], "agent_1": [0.5, 0.5]},
    }


def test_an_agent_that_never_had_a_turn_is_paid_nothing(make_env):
    for reward in ("episode", "uniform", "broadcast"):
        env = RewardWrapper(make_env(), reward)
        env.reset(seed=0)
        _, rewards, _, _, infos = env.step({"agent_0": sotopia_env.leave()})
        assert rewards["agent_1"] == 0.0
        assert infos["agent_1"]["utterance_rewards"] == []
        assert infos["agent_1"]["scores"]["goal"] == 10.0


def test_what_is_no_environment_of_ours_is_refused():
    with pytest.raises(TypeError, match="wraps a parallel environment of this package"):
        RewardWrapper(object(), "episode")


def test_the_wrapped_environment_passes_the_api_test(make_env):
    parallel_api_test(RewardWrapper(make_env(), "episode"), num_cycles=50)


class SlowJudge(Judge):
    """Knows the words of each seat, and says in which thread, and of how many episodes, it was asked."""

    name, waits = "slow", True

    def __init__(self):
        self.threads, self.sizes = set(), []

    def describe(self):
        return {"name": self.name}

    def judge(self, episodes):
        self.threads.add(threading.current_thread().name)
        self.sizes.append(len(episodes))
        words = [[sum(len(t.text.split()) for t in e.own_turns(a)) for a in e.agents] for e in episodes]
        return [Judgement(self.name, "1", {"goal": [float(n) for n in numbers]}) for numbers in words]


def test_a_judge_that_waits_for_a_server_is_asked_beside_a_rollout_and_pays_the_same(tmp_path):
    judge = SlowJudge()
    arguments = {"num_episodes": 12, "seed": 3, "batch_size": 3}
    seats = ["scripted:warm", "scripted:firm"]
    beside = rollout("bargain", seats, reward=Outcome(judge=judge), out=tmp_path / "e.jsonl", **arguments)
    assert judge.threads == {"beside"} and sum(judge.sizes) == 12
    judge.waits = False
    assert rollout("bargain", seats, reward=Outcome(judge=judge), **arguments) == beside
    assert judge.threads == {"beside", "MainThread"}


def test_a_reward_with_a_model_on_this_machine_is_not_asked_beside_the_policies():
    class Computing(SlowJudge):
        computes = True

    assert Outcome(judge=SlowJudge()).works_beside and not Outcome(judge=Computing()).works_beside
    assert not Outcome().works_beside and not MonteCarlo("scripted:warm").works_beside
