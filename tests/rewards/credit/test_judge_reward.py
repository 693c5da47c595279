import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sotopia_env import rewards as R
from sotopia_env.testing import check_reward


class Reader(R.Judge):
    """Scores 1 for every "a" said so far, also of a running episode; counts what it reads."""

    name = "reader"

    def __init__(self, unknown_at=None):
        self.unknown_at = unknown_at
        self.read = []

    def judge(self, episodes):
        self.read += [len(episode.turns) for episode in episodes]
        judge = R.FunctionJudge(self.score, "reader")
        return judge.judge(episodes)

    def score(self, episode, agent):
        unknown = len(episode.turns) == self.unknown_at
        return {"goal": None if unknown else float(sum(turn.text == "a" for turn in episode.turns))}


def test_changes_of_the_score_sum_to_the_last_one(make_episode):
    episode = make_episode("a", "a", "b", "a")
    (numbers,) = R.JudgeScores(Reader(), scale="native")([episode])
    # agent_0 is read after turns 2 and 4, agent_1 after 3 and 4.
    assert numbers == {"agent_0": [2.0, 1.0], "agent_1": [2.0, 1.0]}


@given(st.lists(st.sampled_from("ab"), max_size=9), st.integers(1, 5) | st.none())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_sum_is_the_score_of_the_episode_however_often_it_is_read(make_episode, texts, every):
    episode = make_episode(*texts)
    (numbers,) = R.JudgeScores(Reader(), every)([episode])
    (ends,) = R.Outcome(judge=Reader())([episode])
    for agent, values in numbers.items():
        assert len(values) == len(episode.own_turns(agent))
        assert math.fsum(values) == pytest.approx(sum(ends[agent]), abs=1e-12)
    if every is None:
        assert numbers == ends


def test_every_second_turn_costs_half_the_readings(make_episode):
    episode = make_episode(*"aaaaaaaaaa")
    every, second, end = Reader(), Reader(), Reader()
    R.JudgeScores(every)([episode])
    (numbers,) = R.JudgeScores(second, 2, scale="native")([episode])
    R.JudgeScores(end, None)([episode])
    assert numbers["agent_0"] == [0.0, 4.0, 0.0, 4.0, 2.0]
    # The whole episode first, then the states in between, each once.
    assert every.read == [10, 2, 3, 4, 5, 6, 7, 8, 9]
    assert second.read == [10, 4, 5, 8, 9]
    assert end.read == [10]


def test_an_unknown_score_leaves_the_changes_to_and_from_it_unknown(make_env, make_episode):
    (numbers,) = R.JudgeScores(Reader(unknown_at=2), scale="native")([make_episode("a", "a", "a", "a", "b", "b")])
    assert numbers == {"agent_0": [None, None, 0.0], "agent_1": [3.0, 1.0, 0.0]}
    env = R.JudgeReward(make_env(), Reader(unknown_at=2), scale="native")
    env.reset(seed=0)
    paid = [env.step({env.unwrapped.acting[0]: "a"})[1] for _ in range(4)]
    assert [str(p["agent_0"]) for p in paid] == ["0.0", "nan", "0.0", "nan"]
    assert [p["agent_1"] for p in paid] == [0.0, 0.0, 3.0, 1.0]


def test_a_judge_that_cannot_tell_before_the_end_pays_nothing_but_nan(make_env):
    def rules(episode, agent):
        return {"goal": None if episode.ending is None else 7.0}

    env = R.JudgeReward(make_env(), rules)
    env.reset(seed=0)
    paid = [env.step({env.unwrapped.acting[0]: "a"})[1] for _ in range(4)]
    assert math.isnan(paid[1]["agent_0"])
    assert math.isnan(paid[3]["agent_0"])
    end = R.JudgeReward(make_env(), rules, every=None)
    end.reset(seed=0)
    paid = [end.step({end.unwrapped.acting[0]: "a"})[1] for _ in range(4)]
    assert [p["agent_0"] for p in paid] == [0.0, 0.0, 0.0, 0.7]


def test_play_equals_later_labels_and_running_episodes_know_what_was_replied_to(make_env, make_episode):
    for every in (1, 2, None):
        reward = R.JudgeScores(Reader(), every)
        env = R.RewardWrapper(make_env(max_cycles=7), reward)
        env.reset(seed=0)
        for text in "abaabba":
            _, _, _, _, infos = env.step({env.unwrapped.acting[0]: text})
        played = {agent: info["utterance_rewards"] for agent, info in infos.items()}
        assert R.relabel([env.unwrapped.episode], reward)[0].rewards[reward.name] == played
    assert R.JudgeScores(Reader(), scale="native")([make_episode("a", "b", "a", over=False)]) == [
        {"agent_0": [1.0, None], "agent_1": [2.0]}
    ]


def courtesy(episode, agent):
    return {"relationship": min(5.0, float(sum("thank" in t.text.lower() for t in episode.own_turns(agent))))}


def test_conformance_names_and_spec():
    reward = R.JudgeScores(courtesy, 2, {"relationship": 1})
    assert (reward.name, reward.kind, reward.timing) == ("judge@courtesy/2:relationship", "return", "causal")
    assert check_reward(reward, episodes=2, max_cycles=8).passed
    assert R.JudgeScores("rule", None).name == "judge@rule/end"
    reward = R.JudgeScores("rule", 2, {"relationship": 1})
    assert R.get_reward(json.loads(json.dumps(reward.spec()))) == reward
    with pytest.raises(ValueError, match="every: 0 is not a positive number"):
        R.JudgeScores("rule", 0)


def test_a_model_is_read_in_one_batch(chat_server, make_episode):
    reply = {f"agent_{seat}": {"goal": {"reason": "", "score": 4}} for seat in (0, 1)}
    chat_server.answer(lambda sent: json.dumps(reply))
    judge = R.LLMJudge(f"m@{chat_server.url}", dimensions=["goal"])
    assert R.JudgeScores(judge)([make_episode("a", "b", "a", "b")]) == [{"agent_0": [0.4, 0.0], "agent_1": [0.4, 0.0]}]
    # After 2, 3 and 4 turns.
    assert len(chat_server.requests) == 3
