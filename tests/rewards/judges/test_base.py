import json
import math
from dataclasses import replace

import numpy as np
import pytest

import sotopia_env
from sotopia_env import rewards as R
from sotopia_env.describe import describe
from sotopia_env.episodes import Ending, Episode, Turn
from sotopia_env.families import Bargain
from sotopia_env.families.base import OpenEnded
from sotopia_env.families.placebo import PlaceboFamily
from sotopia_env.rewards import FunctionJudge, Judge, RuleJudge, StrictJudge
from sotopia_env.rewards.judges.base import as_judge, judged, scores_of


def test_the_rule_judge_says_what_the_family_says(make_episode, judge):
    (judgement,) = judge.judge([make_episode("a", "a", "a", "b")])
    assert judgement.judge == "rule"
    assert scores_of(judgement, 0) == {"goal": 10.0, "relationship": 0.0}
    assert scores_of(judgement, 1) == {"goal": 0.0, "relationship": -1.0}


def test_a_family_of_ones_own_has_to_be_handed_over(make_episode):
    with pytest.raises(KeyError, match="pass the family object itself"):
        RuleJudge().judge([make_episode("a")])


def test_only_families_that_are_not_shipped_are_bound(family):
    assert RuleJudge().for_family(family) == RuleJudge(family)
    assert RuleJudge().for_family(Bargain()) == RuleJudge()


@pytest.mark.parametrize(
    ("family", "bound"),
    [
        (Bargain(judge_bank="training"), True),
        (Bargain(0.5), True),
        (Bargain(zones="empty"), True),
        (PlaceboFamily(Bargain(), ()), True),
        (Bargain(zones={"wide": 2 / 3, "narrow": 1 / 3}), False),
    ],
)
def test_a_judge_belongs_to_a_family_with_all_its_settings(family, bound):
    judge = RuleJudge().for_family(family)
    assert (judge.family is family) == bound
    assert StrictJudge().for_family(family).family is judge.family


def test_the_bank_of_a_judge_stands_in_its_judgements_and_in_its_spec():
    judge = StrictJudge(Bargain(judge_bank="training"))
    episode = judged(sotopia_env.rollout("bargain", "scripted:firm", num_episodes=1, seed=2), [judge])[0]
    assert [said.judge for said in episode.judgements] == ["rule", "strict-training"]
    assert judge.judgement_of(episode) is episode.judgements[1]
    again = as_judge(json.loads(json.dumps(judge.spec())))
    assert (type(again), describe(again)) == (StrictJudge, describe(judge))
    with pytest.raises(LookupError, match="has not been judged by 'strict'"):
        StrictJudge().judgement_of(episode)


def test_words_of_the_training_bank_are_paid_stored_and_paid_again(tmp_path):
    family = Bargain(judge_bank="training")
    reward = R.Outcome("episode", dimensions={"relationship": 1}, scale="native")
    env = sotopia_env.parallel_env(family, reward=reward)
    env.reset(seed=0)
    for text in ("I appreciate that.", "I am grateful.", "How kind of you."):
        env.step({"agent_0": text})
        _, paid, *_, infos = env.step({"agent_1": sotopia_env.leave() if "kind" in text else "Hm."})
    assert paid["agent_0"] == infos["agent_0"]["scores"]["relationship"] == 5.0
    sotopia_env.save_episodes([env.episode], tmp_path / "e.jsonl")
    stored = [
        replace(episode, judgements=(), rewards={}) for episode in sotopia_env.load_episodes(tmp_path / "e.jsonl")
    ]

    def relabelled(given):
        (episode,) = R.relabel(stored, reward, given)
        return episode.judgements[0].judge, episode.rewards[reward.name]["agent_0"][-1]

    # The task says how it is judged; a family that is handed over says it for all.
    assert relabelled(None) == relabelled(Bargain()) == relabelled(family) == ("rule-training", 5.0)
    assert relabelled(Bargain(judge_bank="evaluation")) == ("rule", 0.0)


def test_what_a_placebo_adds_is_never_left_out_in_silence():
    (episode,) = sotopia_env.rollout(PlaceboFamily(Bargain(), ()), "scripted:firm", num_episodes=1)
    assert episode.judgements[0].version == f"{Bargain.version}+placebo"
    with pytest.raises(KeyError, match=r"drawn by bargain 4\+placebo.*pass the family object itself"):
        R.relabel([episode], "episode")


def test_open_ended_tasks_cannot_be_judged_by_rule():
    with pytest.raises(ValueError, match="cannot score open-ended tasks"):
        RuleJudge().check(OpenEnded())


def test_to_the_strict_judge_a_deal_beyond_the_others_limit_is_none():
    task = Bargain(zones={"wide": 1.0}).generate(np.random.default_rng(0))
    hidden = task.scenario.hidden
    seller = next(seat for seat in range(2) if hidden[seat]["role"] == "seller")

    def judged_at(price, judge):
        lines = (f"I would give it to you for ${price}.", f"Deal, ${price} it is.")
        seats = (seller, 1 - seller)
        turns = [
            Turn(seat, 0, index, "speak", text) for index, (seat, text) in enumerate(zip(seats, lines, strict=True))
        ]
        episode = Episode("e", task, {}, tuple(turns), Ending("agreement"))
        return as_judge(judge).judge([episode])[0]

    buyers_limit = int(hidden[1 - seller]["limit"])
    rule, strict = (judged_at(buyers_limit + 5, judge) for judge in ("rule", "strict"))
    assert (rule.scores["goal"][seller], strict.scores["goal"][seller]) == (10.0, 0.0)
    assert rule.scores["goal"][1 - seller] == strict.scores["goal"][1 - seller] == 0.0
    assert "outside its own limit" in strict.evidence["goal"][seller][-1]
    assert strict.evidence["goal"][1 - seller] == rule.evidence["goal"][1 - seller]
    assert (strict.judge, strict.latent) == ("strict", rule.latent)
    rule, strict = (judged_at(buyers_limit - 1, judge) for judge in ("rule", "strict"))
    assert strict.scores == rule.scores


def test_the_strict_judge_says_what_the_rule_judge_says_where_there_are_no_limits(make_episode, family):
    episode = make_episode("a", "a", "a", "b")
    assert StrictJudge(family).judge([episode])[0].scores == RuleJudge(family).judge([episode])[0].scores


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
    with pytest.raises(ValueError, match="unknown judge 'stern'"):
        as_judge("stern")
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
