from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import sotopia_env
from sotopia_env import do, gesture, leave
from sotopia_env.agents.scripted.reading import first_person
from sotopia_env.episodes import Episode, Judgement
from sotopia_env.families.bargain import Bargain, scoring
from sotopia_env.tasks import Task


@pytest.fixture
def judged(bargain_task: Callable[..., Task]) -> Callable[..., tuple[Episode, Judgement]]:
    """An episode of given actions. agent_0 begins and sells; limits are 60 and 100, listed at 100."""

    def judge(*actions: Any, bank: str = "evaluation", **limits: Any) -> tuple[Episode, Judgement]:
        env = sotopia_env.parallel_env([bargain_task(**limits)], max_stale=9)
        env.reset(seed=0)
        for action in actions:
            env.step({env.acting[0]: action})
        return env.episode, Bargain(judge_bank=bank).score(env.episode)

    return judge


Judge = Callable[..., tuple[Episode, Judgement]]


def deal(price: float) -> Sequence[Any]:
    return f"I am asking ${price} for it.", do("accept")


@pytest.mark.parametrize(
    ("price", "goals", "benefits"),
    [
        (80, [5.5, 5.5], [0.0, 0.0]),
        (90, [7.75, 3.25], [2.5, -2.5]),
        (60, [1.0, 10.0], [-5.0, 5.0]),
        (100, [10.0, 1.0], [5.0, -5.0]),
        (110, [10.0, 0.0], [5.0, -5.0]),
        (50, [0.0, 10.0], [-5.0, 5.0]),
    ],
)
def test_a_deal_is_scored_by_its_share_of_the_zone(
    judged: Judge, price: float, goals: list[float], benefits: list[float]
) -> None:
    episode, judgement = judged(*deal(price))
    assert episode.ending is not None
    assert episode.ending.detail["price"] == price
    assert judgement.scores["goal"] == pytest.approx(goals)
    assert judgement.scores["financial_and_material_benefits"] == pytest.approx(benefits)
    assert judgement.latent["outside_limit"] == [price < 60, price > 100]
    assert "turn 1" in judgement.evidence["goal"][0][0]
    assert f"${price}" in judgement.evidence["goal"][1][0]


def test_the_seat_that_sells_makes_no_difference(judged: Judge) -> None:
    _, judgement = judged("I would pay $90 for it.", do("accept"), seller_seat=1)
    assert judgement.scores["goal"] == pytest.approx([3.25, 7.75])


def test_a_narrow_zone_counts_as_a_tenth_of_the_list_price(judged: Judge) -> None:
    _, judgement = judged(*deal(82), seller=80, buyer=82)
    assert judgement.scores["goal"] == pytest.approx([1 + 9 * 0.2, 1.0])


def test_a_zone_of_a_single_price_is_no_empty_zone(judged: Judge) -> None:
    _, judgement = judged(*deal(80), seller=80, buyer=80)
    assert judgement.scores["goal"] == [1.0, 1.0]


def test_no_deal_where_one_was_possible_is_zero(judged: Judge) -> None:
    _, judgement = judged("I am asking $90 for it.", leave())
    assert judgement.scores["goal"] == [0.0, 0.0]
    assert judgement.scores["financial_and_material_benefits"] == [0.0, 0.0]
    assert judgement.latent == {"zone": 40.0, "deal": False, "unread": 0}


def test_in_an_empty_zone_no_deal_is_right_whoever_leaves(judged: Judge) -> None:
    for texts in (["I am asking $90 for it.", leave()], [leave()]):
        _, judgement = judged(*texts, seller=90, buyer=80)
        assert judgement.scores["goal"] == [10.0, 10.0]
        assert "zone is empty" in judgement.evidence["goal"][0][0]
        assert judgement.latent == {"zone": -10.0, "deal": False, "unread": 0, "walked_away": True}


@pytest.mark.parametrize(
    ("price", "goals"),
    [(90, [1.0, 0.0]), (94, [1 + 9 * 0.4, 0.0]), (120, [10.0, 0.0]), (80, [0.0, 1.0]), (85, [0.0, 0.0])],
)
def test_in_an_empty_zone_no_deal_is_worth_more_than_none(judged: Judge, price: int, goals: list[float]) -> None:
    _, judgement = judged(*deal(price), seller=90, buyer=80)
    assert judgement.scores["goal"] == pytest.approx(goals)
    assert max(goals) <= 10.0
    assert "walked_away" not in judgement.latent


def test_in_an_empty_zone_the_goal_is_unknown_before_the_end(judged: Judge) -> None:
    _, judgement = judged("I am asking $90 for it.", seller=90, buyer=80)
    assert judgement.scores["goal"] == [None, None]


def test_before_the_end_the_outcome_is_unknown_and_the_rest_is_scored(judged: Judge) -> None:
    episode, judgement = judged("I am asking $90 for it, you crook.")
    assert episode.ending is None
    assert judgement.scores["goal"] == [None, None]
    assert judgement.scores["financial_and_material_benefits"] == [None, None]
    assert judgement.scores["relationship"] == pytest.approx([-10 / 3, 0.0])


@pytest.mark.parametrize(
    ("texts", "score"),
    [
        ([], 0.0),
        (["Hello."], 0.0),
        (["I respect that."], 5 / 3),
        (["I respect and understand you, lovely, wonderful!"], 5 / 3),
        (["I respect that.", "I understand.", "Lovely.", "Wonderful!"], 5.0),
        (["You fool."], -10 / 3),
        (["I respect that, you fool."], -10 / 3),
        (["Lovely.", "You will regret this."], -5 / 3),
        (["You fool.", "You crook.", "You clown."], -5.0),
        (["I appreciate it, how kind."], 0.0),
    ],
)
def test_relationship_is_manner_alone_one_act_a_turn(judged: Judge, texts: list[str], score: float) -> None:
    _, judgement = judged(*(action for text in texts for action in (text, gesture("nods"))))
    assert judgement.scores["relationship"] == pytest.approx([score, 0.0])


def test_the_training_bank_counts_other_words(judged: Judge) -> None:
    actions = ("I appreciate it, how kind.", "I respect that.")
    assert judged(*actions)[1].scores["relationship"] == pytest.approx([0.0, 5 / 3])
    training = judged(*actions, bank="training")[1]
    assert training.scores["relationship"] == pytest.approx([5 / 3, 0.0])
    assert training.judge == "rule-training"


def test_knowledge_is_the_share_of_the_partners_facts_that_were_told(judged: Judge, bargain_task: Any) -> None:
    own, other = (hidden["facts"] for hidden in bargain_task().scenario.hidden)
    told = [f"Well, {first_person(fact)}." for fact in own]
    _, judgement = judged(told[0], "Why?", told[1], f"To be honest, {first_person(other[0])}.")
    assert judgement.scores["knowledge"] == [5.0, 10.0]
    assert judgement.evidence["knowledge"][1] == [f"turn 0: {own[0]}", f"turn 2: {own[1]}"]


def test_asking_for_a_fact_does_not_tell_ones_own(judged: Judge) -> None:
    _, judgement = judged("Why do you want it?", "I like it.")
    assert judgement.scores["knowledge"] == [0.0, 0.0]


def test_without_facts_knowledge_is_unknown(judged: Judge, bargain_task: Any) -> None:
    assert bargain_task(facts=0).scenario.hidden[0]["facts"] == []
    _, judgement = judged(*deal(80), facts=0)
    assert judgement.scores["knowledge"] == [None, None]


def test_a_secret_told_costs_ten_and_half_of_it_five(judged: Judge, bargain_task: Any) -> None:
    from sotopia_env.families.language import content_words

    own = bargain_task().scenario.hidden[0]["secret"]
    words = sorted(content_words(own))
    half = " ".join(words[: -(-len(words) // 2)])
    assert judged(f"Between us, {first_person(own)}.")[1].scores["secret"] == [-10.0, 0.0]
    assert judged(half)[1].scores["secret"] == [-5.0, 0.0]
    assert judged("Hello.", f"I heard that {own}.")[1].scores["secret"] == [0.0, 0.0], "only one's own secret counts"
    assert "turn 0" in judged(half)[1].evidence["secret"][0][0]


@pytest.mark.parametrize(
    ("texts", "score"),
    [(["Hello."], 0.0), (["You fool."], -2.5), (["You liar, idiot, fool!"], -2.5), (["Or else!"], -2.5),
     ([f"You fool {i}." for i in range(6)], -10.0)],
)  # fmt: skip
def test_social_rules_count_turns_with_insults_of_either_bank(judged: Judge, texts: list[str], score: float) -> None:
    _, judgement = judged(*(action for text in texts for action in (text, gesture("nods"))))
    assert judgement.scores["social_rules"] == [score, 0.0]


def test_believability_counts_invalid_turns_repetitions_and_offers_taken_back(judged: Judge) -> None:
    _, judgement = judged(
        "I am asking $90 for it.", "I would pay $70 for it.",
        None, "I would pay  $70 for IT.",
        "I am asking $95 for it.", "I can move to $65.",
        "Hello.", {"action_type": 9},
    )  # fmt: skip
    assert judgement.scores["believability"] == [5.0, 2.5]
    assert [line.split(":")[0] for line in judgement.evidence["believability"][0]] == ["turn 2", "turn 4"]
    assert [line.split(":")[0] for line in judgement.evidence["believability"][1]] == ["turn 3", "turn 5", "turn 7"]


def test_conceding_and_repeating_a_gesture_cost_no_believability(judged: Judge) -> None:
    _, judgement = judged("I am asking $90 for it.", gesture("nods"), "I could do $85.", gesture("nods"))
    assert judgement.scores["believability"] == [10.0, 10.0]


def test_seven_dimensions_within_their_ranges_with_evidence_for_each() -> None:
    low = {"goal": 0, "relationship": -5, "knowledge": 0, "secret": -10, "social_rules": -10,
           "financial_and_material_benefits": -5, "believability": 0}  # fmt: skip
    high = {"goal": 10, "relationship": 5, "knowledge": 10, "secret": 0, "social_rules": 0,
            "financial_and_material_benefits": 5, "believability": 10}  # fmt: skip
    for policy in ("scripted:mixed", "scripted:hostile", "random"):
        for episode in sotopia_env.rollout("bargain", policy, num_episodes=30, seed=1):
            (judgement,) = episode.judgements
            assert set(judgement.scores) == set(judgement.evidence) == set(low)
            for dimension, values in judgement.scores.items():
                for value in values:
                    assert value is None or low[dimension] <= value <= high[dimension]
                    assert value is None or isinstance(value, float | int)
            if episode.task.tags["zone"] != "empty":
                assert None not in judgement.scores["goal"]


def test_the_judge_reads_text_alone() -> None:
    """What a policy meant, its raw output and its name change nothing."""
    for episode in sotopia_env.rollout("bargain", ["scripted:warm", "scripted:hostile"], num_episodes=5):
        turns = tuple(replace(turn, raw="something else") for turn in episode.turns)
        other = replace(episode, turns=turns, policies={}, key="x", seed=None, judgements=())
        assert Bargain().score(other) == Bargain().score(episode)


def test_the_judge_and_the_ending_agree_on_every_deal() -> None:
    for episode in sotopia_env.rollout("bargain", ["scripted:mixed", "random"], num_episodes=60, seed=2):
        assert episode.ending is not None
        latent = episode.judgements[0].latent
        assert latent["deal"] == (episode.ending.reason == "agreement")
        if latent["deal"]:
            assert latent["price"] == episode.ending.detail["price"]


def test_shares_of_both_sides_add_up_to_the_zone() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        seller, width, price = (float(x) for x in rng.uniform(20, 60, 3))
        own = {"role": "seller", "limit": seller, "list_price": 100}
        other = {"role": "buyer", "limit": seller + width, "list_price": 100}
        assert scoring.share(price, own, other) + scoring.share(price, other, own) == pytest.approx(1.0)
