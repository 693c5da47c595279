import math

import pytest

from sotopia_env.families.base import OpenEnded
from sotopia_env.rewards import FunctionJudge, Judge, RuleJudge
from sotopia_env.rewards.judges import as_judge, judged, scores_of


def test_the_rule_judge_says_what_the_family_says(make_episode, judge):
    (judgement,) = judge.judge([make_episode("a", "a", "a", "b")])
    assert judgement.judge == "rule"
    assert scores_of(judgement, 0) == {"goal": 10.0, "relationship": 0.0}
    assert scores_of(judgement, 1) == {"goal": 0.0, "relationship": -1.0}


def test_a_family_of_ones_own_has_to_be_handed_over(make_episode):
    with pytest.raises(KeyError, match="pass the family object itself"):
        RuleJudge().judge([make_episode("a")])


def test_only_families_that_are_not_shipped_are_bound(family):
    from sotopia_env.families import Bargain

    assert RuleJudge().for_family(family) == RuleJudge(family)
    assert RuleJudge().for_family(Bargain()) == RuleJudge()


def test_open_ended_tasks_cannot_be_judged_by_rule():
    with pytest.raises(ValueError, match="cannot score open-ended tasks"):
        RuleJudge().check(OpenEnded())


def test_a_function_is_a_judge(make_episode):
    def politeness(episode, agent):
        return {"politeness": float(len(episode.own_turns(agent))), "tone": None if agent == "agent_0" else math.nan}

    judge = as_judge(politeness)
    (judgement,) = judge.judge([make_episode("a", "b", "a")])
    assert (judge.name, judgement.judge) == ("politeness", "politeness")
    assert judgement.scores == {"politeness": [2.0, 1.0], "tone": [None, None]}


def test_an_object_with_score_is_a_judge(make_episode):
    class Strict:
        version = "3"

        def score(self, episode, agent):
            return {"goal": 1.0} if agent == "agent_0" else {}

    for given in (Strict, Strict()):
        judge = as_judge(given)
        (judgement,) = judge.judge([make_episode("a", "b")])
        assert (judgement.judge, judgement.version) == ("Strict", "3")
        assert judgement.scores == {"goal": [1.0, None]}


def test_what_is_no_judge_is_refused():
    with pytest.raises(ValueError, match="unknown judge 'strict'"):
        as_judge("strict")
    with pytest.raises(TypeError, match="is no judge"):
        as_judge(3)


def test_judging_asks_once_and_leaves_running_episodes_alone(make_episode):
    calls = []

    class Counting(Judge):
        name = "counting"

        def judge(self, episodes):
            calls.append(len(episodes))
            return FunctionJudge(lambda episode, agent: {"goal": 1.0}, "counting").judge(episodes)

    episodes = judged([make_episode("a"), make_episode("a", over=False), make_episode("b")], [Counting()])
    assert calls == [2]
    assert [len(episode.judgements) for episode in episodes] == [1, 0, 1]


def test_judging_anew_replaces_the_older_judgement(make_episode, judge):
    once = judged([make_episode("a", "a", "a", "b")], [judge])
    twice = judged(once, [judge])
    assert len(twice[0].judgements) == 1


def test_an_episode_that_was_not_judged_says_so(make_episode, judge):
    with pytest.raises(LookupError, match="has not been judged by 'rule'"):
        judge.judgement_of(make_episode("a"))
