from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import sotopia_env
from sotopia_env.actions import Action
from sotopia_env.agents.scripted import division_phrases, phrases
from sotopia_env.agents.scripted.dividing import (
    LIMIT,
    accepts_division,
    best_for_both,
    division_softness,
    limit,
    next_division,
    partner_weights,
)
from sotopia_env.agents.scripted.division_talk import (
    DivisionBrief,
    DivisionTalk,
    read_division_brief,
    read_division_talk,
)
from sotopia_env.agents.scripted.reading import first_person
from sotopia_env.agents.scripted.traits import PRESETS, Traits
from sotopia_env.families import Divide, language
from sotopia_env.families.divide import catalogue
from sotopia_env.families.divide.agreement import opening, update
from sotopia_env.families.divide.items import ItemKind, complement, divisions, items_of, listed
from sotopia_env.families.divide.moves import read_division

ITEMS = (ItemKind("lamp", "lamps", 3), ItemKind("mug", "mugs", 2), ItemKind("rug", "rugs", 1))
BRIEF = DivisionBrief(("my fact",), 1, 1, 1, ITEMS, (4, 2, 4))
EMPTY = DivisionTalk()
PLAIN = Traits(rate=0.4, anchor=0.5)


def observed(*said: str, seat: int = 0, opener: int = 0, goal: str = "") -> dict[str, Any]:
    lines = [f"#{i} agent_{(i + opener) % 2}: {text}" for i, text in enumerate(said)]
    return {
        "agent": f"agent_{seat}",
        "participants": "agent_0: A\nagent_1: B",
        "situation": "They divide 3 lamps, 2 mugs and 1 rug.",
        "goal": goal or "Each lamp is worth 4 points, each mug is worth 2 points, each rug is worth 4 points. Sway: 1.",
        "background": "",
        "transcript": "\n".join(lines),
        "turn": len(said),
    }


# What it says


def utterances(fact: str, secret: str) -> list[str]:
    said = [*division_phrases.REFUSALS, *phrases.COURTESIES, *phrases.INSULTS, *phrases.EVASIONS, *phrases.FILLERS]
    said += [*division_phrases.FALSE_CLAIMS, f"Between us, {first_person(secret)}."]
    return ["", *said, *(answer.format(fact=first_person(fact)) for answer in phrases.ANSWERS)]


def test_every_offer_is_read_as_it_is_meant_whatever_stands_beside_it() -> None:
    rng = np.random.default_rng(0)
    for _ in range(12):
        task = Divide().generate(rng)
        items, hidden = items_of(task), task.scenario.hidden[0]
        mine = list(divisions(items))[1:-1]
        share = mine[int(rng.integers(len(mine)))]
        left = complement(share, items)
        for form in (*division_phrases.PROPOSALS, *division_phrases.HOLDS):
            offer = form.format(mine=listed(items, share), theirs=listed(items, left))
            for beside in utterances(hidden["facts"][int(rng.integers(2))], hidden["secret"]):
                text = f"{beside} {offer} {division_phrases.QUESTIONS[0]}"
                found = update(opening(items), 0, 0, "speak", text).offers[0]
                assert found is not None, text
                assert found.division == (share, left), text
                assert found.certain, text


def test_everything_is_offered_in_words_too() -> None:
    everything, nothing = (3, 2, 1), (0, 0, 0)
    for forms, share in ((division_phrases.ALL_MINE, everything), (division_phrases.ALL_YOURS, nothing)):
        for form in forms:
            text = form.format(mine=listed(ITEMS, everything), theirs=listed(ITEMS, everything))
            found = update(opening(ITEMS), 1, 0, "speak", text).offers[1]
            assert found is not None
            assert found.division == (complement(share, ITEMS), share)


@pytest.mark.parametrize("fact", [*catalogue.CHERISHED, *catalogue.SPARED])
def test_facts_propose_nothing(fact: str) -> None:
    for item in ITEMS:
        for answer in phrases.ANSWERS:
            assert (
                read_division("speak", answer.format(fact=first_person(fact.format(items=item.plural))), ITEMS).kind
                == "none"
            )


def test_questions_and_refusals_neither_propose_nor_agree() -> None:
    for text in (*division_phrases.QUESTIONS, *division_phrases.REFUSALS, *division_phrases.FALSE_CLAIMS):
        assert read_division("speak", text, ITEMS).kind == "none"
    for text in division_phrases.QUESTIONS:
        assert read_division_talk(observed(text, opener=1), BRIEF).question


# What it hears


def test_the_brief_is_read_from_goal_and_situation() -> None:
    for task in (Divide(0.5).generate(np.random.default_rng(seed)) for seed in range(20)):
        for goal, hidden in zip(task.scenario.goals, task.scenario.hidden, strict=True):
            brief = read_division_brief(goal, task.scenario.situation)
            assert brief is not None
            assert brief.items == items_of(task)
            assert brief.values == tuple(hidden["values"])
            assert brief.facts == tuple(hidden["facts"])
            assert (brief.manners, brief.questions, brief.leaks) == (0.5, 0.5, 0.5)
    assert read_division_brief("Sell the bike ($30 at least).", "A bike, listed at $60.") is None


def test_offers_of_both_sides_and_what_they_leave() -> None:
    talk = read_division_talk(
        observed("I take 3 lamps and 1 rug, and you get 2 mugs.", "I take 3 lamps, and you get 2 mugs and 1 rug."),
        BRIEF,
    )
    assert talk.own_offers == ((3, 0, 1),)
    assert talk.partner_offers == ((0, 2, 1),)
    assert talk.standing == (0, 2, 1)
    assert (talk.partner_before, talk.stalled) == (0, 0)


def test_remarks_tell_what_the_partner_cares_for() -> None:
    talk = read_division_talk(observed("Well, my late aunt painted the lamps. My partner hates mugs.", opener=1), BRIEF)
    assert (talk.cherished, talk.spared) == ({0}, {1})
    assert partner_weights(BRIEF, talk)[0] > partner_weights(BRIEF, EMPTY)[0]
    assert partner_weights(BRIEF, talk)[1] < partner_weights(BRIEF, EMPTY)[1]


def test_only_who_is_swayed_by_questions_listens() -> None:
    talk = replace(EMPTY, cherished=frozenset({0}))
    deaf = replace(BRIEF, questions=0.0)
    assert partner_weights(deaf, talk) == partner_weights(deaf, EMPTY)


def test_manner_and_low_offers_move_rapport() -> None:
    offer = "I take 1 lamp, 1 mug and 1 rug, and you get 2 lamps and 1 mug."
    low = "I take 3 lamps, 1 mug and 1 rug, and you get 1 mug."
    rapports = [
        read_division_talk(observed(text, opener=1), BRIEF).rapport
        for text in (offer, f"Thanks. {offer}", f"What nonsense. {offer}", low)
    ]
    assert rapports == [0, pytest.approx(1 / 3), pytest.approx(-1 / 3), pytest.approx(-1 / 3)]


# What it does


def test_couplings_soften() -> None:
    warm = replace(EMPTY, rapport=1.0)
    assert division_softness(BRIEF, warm) > division_softness(BRIEF, EMPTY) == 1
    assert division_softness(BRIEF, replace(EMPTY, told=frozenset(BRIEF.facts))) > 1
    assert division_softness(BRIEF, replace(EMPTY, secret_out=True)) < 1
    adverse = replace(BRIEF, manners=-0.5)
    assert division_softness(adverse, warm) < 1
    assert limit(BRIEF, warm) < limit(BRIEF, EMPTY) == LIMIT < limit(adverse, warm)


def test_of_shares_as_good_it_asks_for_the_one_that_suits_the_partner() -> None:
    # One lamp is worth as much as the rug, and two mugs as either.
    fond_of_rugs, fond_of_lamps = (1.0, 1.0, 5.0), (5.0, 1.0, 1.0)
    assert best_for_both(BRIEF, 0.8, fond_of_rugs) == (3, 2, 0)
    assert best_for_both(BRIEF, 0.8, fond_of_lamps) == (2, 2, 1)


def test_a_concession_answers_an_offer_and_nothing_else() -> None:
    opened = replace(EMPTY, own_offers=((3, 2, 0),))
    assert next_division(BRIEF, opened, PLAIN) == (3, 2, 0)
    offered = replace(opened, partner_offers=((1, 1, 0),))
    conceded = next_division(BRIEF, offered, PLAIN)
    assert BRIEF.share(conceded) < BRIEF.share((3, 2, 0))
    repeated = replace(offered, partner_offers=((1, 1, 0), (1, 1, 0)), partner_before=1)
    assert next_division(BRIEF, repeated, PLAIN) == (3, 2, 0)


def test_rapport_makes_concessions_larger() -> None:
    talk = replace(EMPTY, own_offers=((3, 2, 1),), partner_offers=((0, 1, 0),))
    shares = [BRIEF.share(next_division(BRIEF, replace(talk, rapport=rapport), PLAIN)) for rapport in (-1.0, 0.0, 1.0)]
    assert shares[0] >= shares[1] >= shares[2]
    assert shares[0] > shares[2]


def test_it_accepts_what_it_would_ask_for_next_and_nothing_below_its_limit() -> None:
    assert accepts_division(BRIEF, replace(EMPTY, own_offers=((3, 2, 0),)), PLAIN, (2, 2, 1), (3, 1, 0))
    assert not accepts_division(BRIEF, EMPTY, PLAIN, (0, 2, 0), (0, 2, 0))


def test_a_side_that_was_offered_all_it_can_hope_for_accepts() -> None:
    policy = sotopia_env.make_policy("scripted:firm")
    action = policy.act_one(observed("Take everything.", opener=1))
    assert action == Action("action", "accept")


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_divides_and_agrees_with_a_soft_partner(name: str) -> None:
    episodes = sotopia_env.rollout("divide:test", [f"scripted:{name}", "scripted:soft"], num_episodes=6, seed=1)
    reasons = [episode.ending.reason for episode in episodes if episode.ending is not None]
    assert reasons.count("agreement") >= 5
    assert not any(turn.invalid for episode in episodes for turn in episode.turns)
    for episode in episodes:
        values = [score for scores in episode.judgements[-1].scores.values() for score in scores]
        assert None not in values


def test_secrets_and_facts_come_out_in_the_first_person() -> None:
    facts_told = 0
    for episode in sotopia_env.rollout("divide:test", ["scripted:curious", "scripted:warm"], num_episodes=10, seed=0):
        told = episode.judgements[-1].latent["facts_told"][1]
        facts_told += len(told)
        for fact in told:
            assert any(language.tells(first_person(fact), turn.text) for turn in episode.turns if turn.seat == 1)
    assert facts_told >= 5
