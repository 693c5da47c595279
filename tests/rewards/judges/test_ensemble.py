import json

import pytest

from sotopia_env import rewards as R
from sotopia_env.families.base import OpenEnded
from sotopia_env.rewards.judges.base import as_judge


def judge_of(name, goals, **others):
    def score(episode, agent):
        seat = episode.agents.index(agent)
        return {"goal": goals[seat], **{dimension: values[seat] for dimension, values in others.items()}}

    return R.FunctionJudge(score, name, "1")


A = judge_of("a", [8.0, None])
B = judge_of("b", [5.0, 1.0])
C = judge_of("c", [2.0, 3.0], secret=[-1.0, 0.0])


def test_the_middle_of_all_and_how_far_they_are_apart(make_episode):
    (judgement,) = R.EnsembleJudge([A, B, C]).judge([make_episode("a", "b")])
    assert judgement.judge == "mean(a,b,c)"
    assert judgement.scores == {"goal": [5.0, None], "secret": [None, None]}
    assert judgement.evidence["goal"] == [
        ["mean of 8, 5, 2; apart by 6"],
        ["failed (quorum): 2 of 3 scores, and 3 are needed: none, 1, 3"],
    ]


def test_a_quorum_lets_some_fail_but_never_all(make_episode):
    (judgement,) = R.EnsembleJudge([A, B, C], "median", quorum=1).judge([make_episode("a", "b")])
    assert judgement.scores == {"goal": [5.0, 2.0], "secret": [-1.0, 0.0]}
    (judgement,) = R.EnsembleJudge([judge_of("a", [None, 1.0])], quorum=1).judge([make_episode("a")])
    assert judgement.scores == {"goal": [None, 1.0]}


def test_what_each_found_stands_in_the_evidence(make_episode, judge):
    episode = make_episode("a", "a", "a", "b")
    (judgement,) = R.EnsembleJudge([judge, A], quorum=1, name="both").judge([episode])
    assert (judgement.judge, judgement.scores["goal"]) == ("both", [9.0, 0.0])
    assert judgement.evidence["goal"][0][0] == "mean of 10, 8; apart by 2"


def test_the_version_follows_from_the_members(make_episode):
    episode = make_episode("a", "b")
    ensembles = [R.EnsembleJudge(m, q) for m, q in (([A, B], "mean"), ([A, C], "mean"), ([A, B], "median"))]
    assert len({ensemble.judge([episode])[0].version for ensemble in ensembles}) == 3


def test_members_are_bound_to_a_family_and_checked(family, make_episode):
    ensemble = R.EnsembleJudge(["rule", A], quorum=1)
    bound = ensemble.for_family(family)
    assert bound.judge([make_episode("a", "a", "a")])[0].scores["goal"] == [9.0, 0.0]
    only_functions = R.EnsembleJudge([A])
    assert only_functions.for_family(family) is only_functions
    with pytest.raises(ValueError, match="cannot score open-ended tasks"):
        ensemble.check(OpenEnded())


def test_a_reward_over_an_ensemble_has_a_spec(chat_server):
    llm = R.LLMJudge(f"m@{chat_server.url}")
    reward = R.Outcome("uniform", judge=R.EnsembleJudge(["rule", llm], "median", quorum=1))
    spec = json.loads(json.dumps(reward.spec()))
    again = R.get_reward(spec)
    assert again.spec() == reward.spec()
    assert [member.name for member in again.judge.members] == ["rule", "llm:m"]
    assert as_judge(spec["judge"]).name == "median(rule,llm:m)"


def test_what_makes_no_sense_is_refused():
    for arguments, message in (
        (([],), "quorum: 0 of 0"),
        (([A], "mode"), "'mode' is none of mean, median"),
        (([A], "mean", 2), "quorum: 2 of 1"),
        (("rule",), "give a list"),
    ):
        with pytest.raises(ValueError, match=message):
            R.EnsembleJudge(*arguments)
