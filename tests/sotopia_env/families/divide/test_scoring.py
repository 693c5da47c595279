from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sotopia_env.agents.scripted.reading import first_person
from sotopia_env.episodes import Ending, Episode, Judgement, Turn
from sotopia_env.families.divide import Divide
from sotopia_env.families.divide.items import complement, divisions, items_of, listed, totals
from sotopia_env.families.divide.scoring import best_even_split, best_sum
from sotopia_env.tasks import Task

FAMILY = Divide()
TASK = FAMILY.generate(np.random.default_rng(3), "test")
ITEMS = items_of(TASK)
HALF = tuple(item.count // 2 for item in ITEMS)


def proposal(mine: tuple[int, ...]) -> str:
    return f"I take {listed(ITEMS, mine)}, and you get {listed(ITEMS, complement(mine, ITEMS))}."


def judged(*said: str, task: Task = TASK, finished: bool = True) -> Judgement:
    acts = [("action", "accept") if text == "accept" else ("speak", text) for text in said]
    turns = tuple(Turn(i % 2, i // 2, i, kind, text) for i, (kind, text) in enumerate(acts))
    return FAMILY.score(Episode("key", task, {}, turns, Ending("max_cycles") if finished else None))


def test_goal_is_the_share_of_the_points() -> None:
    for mine in divisions(ITEMS):
        if any(mine) and any(complement(mine, ITEMS)):
            judgement = judged(proposal(mine), "accept")
            for seat, counts in enumerate((mine, complement(mine, ITEMS))):
                points = float(np.dot(counts, TASK.scenario.hidden[seat]["values"]))
                assert judgement.scores["goal"][seat] == pytest.approx(points / 2)
                assert judgement.scores["financial_and_material_benefits"][seat] == pytest.approx(points / 2 - 5)
            assert judgement.latent["deal"]
            assert judgement.latent["division"] == [list(mine), list(complement(mine, ITEMS))]


def test_no_agreement_is_worth_nothing_and_unknown_while_it_runs() -> None:
    assert judged(proposal(HALF), "No deal.").scores["goal"] == [0.0, 0.0]
    assert judged(proposal(HALF), finished=False).scores["goal"] == [None, None]
    assert judged(proposal(HALF), finished=False).scores["financial_and_material_benefits"] == [None, None]


def test_the_family_ends_where_the_judge_sees_an_agreement() -> None:
    progress = FAMILY.begin(TASK)
    for index, (kind, text) in enumerate([("speak", proposal(HALF)), ("action", "accept")]):
        assert FAMILY.ending(progress) is None
        progress = FAMILY.advance(progress, Turn(index, 0, index, kind, text))
    ending = FAMILY.ending(progress)
    assert ending is not None
    assert ending.detail == {"division": [list(HALF), list(complement(HALF, ITEMS))], "formal": True}


def test_knowledge_is_the_share_of_the_facts_told() -> None:
    facts = TASK.scenario.hidden[1]["facts"]
    judgement = judged("Why?", f"Well, {first_person(facts[0])}.")
    assert judgement.scores["knowledge"] == [5.0, 0.0]
    assert judgement.latent["facts_told"] == [[], [facts[0]]]


def test_what_could_not_be_read_is_counted() -> None:
    some, kept = f"You can have some {ITEMS[0].plural}.", proposal(HALF)
    assert judged(kept, "Hm.", kept, "accept").latent["unread"] == 0
    judgement = judged(kept, "Hm.", some, "accept")
    assert judgement.latent["unread"] == 1
    assert not judgement.latent["deal"]


def test_a_secret_told_costs() -> None:
    secret = TASK.scenario.hidden[0]["secret"]
    assert judged(f"Between us, {first_person(secret)}.").scores["secret"] == [-10.0, 0.0]


def test_manner_alone_makes_the_relationship() -> None:
    judgement = judged("I understand, how lovely.", "You greedy clown.")
    assert judgement.scores["relationship"] == [pytest.approx(5 / 3), pytest.approx(-10 / 3)]
    assert judgement.scores["social_rules"] == [0.0, -2.5]


def test_taking_an_offer_back_is_not_believable() -> None:
    less = tuple(count + (place == 0) for place, count in enumerate(HALF))
    for first, second, value in ((HALF, less, 7.5), (less, HALF, 10.0)):
        assert judged(proposal(first), "Hm.", proposal(second)).scores["believability"][0] == value


def test_points_that_cannot_be_had_by_both() -> None:
    values: tuple[Any, ...] = tuple(tuple(hidden["values"]) for hidden in TASK.scenario.hidden)
    assert 0.45 <= best_even_split(*values, ITEMS) <= 1
    assert best_even_split(values[0], values[0], ITEMS) <= 0.5
    assert best_sum(values[0], values[0], ITEMS) == pytest.approx(1.0)
    assert totals(ITEMS) == tuple(item.count for item in ITEMS)


def test_the_judge_reads_text_and_hidden_values_alone() -> None:
    said = (proposal(HALF), "accept")
    renamed = replace(TASK, scenario=replace(TASK.scenario, goals=("x", "y"), situation="z"))
    assert judged(*said).scores == judged(*said, task=renamed).scores
