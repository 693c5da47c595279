from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sotopia_env.agents.scripted import phrases as scripted_phrases
from sotopia_env.environment import SotopiaParallelEnv
from sotopia_env.families import Bargain, language
from sotopia_env.families.bargain.moves import read_move
from sotopia_env.menu import FEATURES, phrases, read_scene
from sotopia_env.menu.offers import in_all_manners
from sotopia_env.tasks import Task

TURNS = range(20)


def started(task: Task, *said: Any) -> SotopiaParallelEnv:
    env = SotopiaParallelEnv(Bargain(), tasks=[task])
    env.reset(seed=0)
    for action in said:
        env.step({env.acting[0]: action})
    return env


def slots(env: SotopiaParallelEnv, agent: str) -> dict[int, float | None]:
    """The prices of the plain slots, as the agreement function reads them."""
    acts = read_scene(env.observe(agent)).acts
    found = {}
    for number in range(12):
        act = acts.get(f"propose-{4 * number}")
        found[number] = None if act is None else read_move("speak", str(act)).price
    return found


def feature(env: SotopiaParallelEnv, agent: str, name: str) -> float:
    return float(read_scene(env.observe(agent)).features[FEATURES.index(name)])


def test_prices_lie_between_the_limit_and_the_ambition(bargain_task: Callable[..., Task]) -> None:
    env = started(bargain_task(seller=60, buyer=100, price=100))
    seller = slots(env, "agent_0")
    assert list(seller.values()) == [60, 72, 84, 96, 108, 120] + [None] * 6
    env = started(bargain_task(seller=60, buyer=80, price=100), "Hello.")
    buyer = slots(env, "agent_1")
    assert list(buyer.values()) == [80, 66, 53, 39, 26, 12] + [None] * 6


def test_steps_go_from_ones_own_price_towards_the_partners(bargain_task: Callable[..., Task]) -> None:
    env = started(bargain_task(seller=60, buyer=100, price=100), "My price is $100.", "My offer is $80.")
    assert list(slots(env, "agent_0").values())[6:] == [100, 99, 98, 95, 90, 80]


def test_steps_end_at_ones_own_limit(bargain_task: Callable[..., Task]) -> None:
    env = started(bargain_task(seller=60, buyer=100, price=100), "My price is $100.", "My offer is $20.")
    assert list(slots(env, "agent_0").values())[6:] == [100, 99, 96, 90, 80, 60]


@pytest.mark.parametrize("role", ["seller", "buyer"])
def test_every_offer_is_read_as_a_certain_offer_of_its_price(role: str) -> None:
    for turn in TURNS:
        courtesy, question = phrases.COURTESIES[turn % 7], phrases.QUESTIONS[role][turn % 4]
        for wordings in (phrases.OPENINGS[role], phrases.OFFERS, phrases.HOLDS):
            for price in ("80", "4.50", "1200"):
                sentence = phrases.rotated(wordings, turn).format(price=price)
                for text in in_all_manners(0, sentence, courtesy, question).values():
                    move = read_move("speak", str(text))
                    assert (move.kind, move.price, move.certain, move.asked) == ("offer", float(price), True, False)


def test_refusals_refuse_their_price_and_nothing_else_moves_a_price() -> None:
    for sentence in phrases.REFUSED_PRICES:
        move = read_move("speak", sentence.format(price="80"))
        assert (move.kind, move.price) == ("reject", 80.0)
    others = [*phrases.COURTESIES, *phrases.QUESTIONS["seller"], *phrases.QUESTIONS["buyer"], *phrases.FAREWELLS]
    others += [*phrases.SUGGESTIONS, *phrases.OPEN_QUESTIONS, *phrases.DIVISION_QUESTIONS]
    assert {read_move("speak", sentence).kind for sentence in others} == {"none"}


def test_every_courtesy_moves_scripted_policies_and_is_seen_by_a_judge() -> None:
    for sentence in phrases.COURTESIES:
        spoken = language.words(sentence)
        assert spoken & scripted_phrases.MOVING
        assert not spoken & scripted_phrases.OFFENDING
        assert any(spoken & bank for bank in language.POSITIVE.values())


def test_accepting_ends_in_a_deal_at_the_standing_price(bargain_task: Callable[..., Task]) -> None:
    env = started(bargain_task(seller=60, buyer=100, price=100), "My price is $100.", "My offer is $80.")
    env.step({"agent_0": read_scene(env.observe("agent_0")).acts["accept"]})
    assert env.ending is not None
    assert env.ending.reason == "agreement"
    assert env.ending.detail["price"] == 80


def test_facts_are_told_in_turn_and_once(bargain_task: Callable[..., Task]) -> None:
    task = bargain_task(facts=2)
    facts = task.scenario.hidden[0]["facts"]
    env = started(task)
    assert feature(env, "agent_0", "untold") == 1.0
    for told, fact in enumerate(facts):
        act = read_scene(env.observe("agent_0")).acts["tell"]
        assert language.tells(fact, str(act))
        env.step({"agent_0": act})
        assert feature(env, "agent_0", "untold") == pytest.approx(1 - (told + 1) / 2)
        env.step({"agent_1": "I see."})
    assert "tell" not in read_scene(env.observe("agent_0")).acts


def test_features_measure_prices_against_ones_own_limit(bargain_task: Callable[..., Task]) -> None:
    env = started(
        bargain_task(seller=60, buyer=100, price=100), "My price is $100.", "My offer is $50.",
        "I could do $94.", "Thank you. I could do $70. Why do you sell it?",
    )  # fmt: skip
    expected = {
        "to_act": 1, "price": 1, "side": 1, "limit": -0.4, "standing_worth": 0.1, "standing_suits": 1, "own_first": 0.4,
        "own_last": 0.34, "own_moved": -0.3, "partner_first": -0.1, "partner_last": 0.1, "partner_moved": 1.0,
        "gap": 0.24, "answered": 1, "heard_question": 1, "heard_courtesy": 1, "heard_speak": 1, "division": 0,
    }  # fmt: skip
    assert {name: feature(env, "agent_0", name) for name in expected} == pytest.approx(expected, abs=1e-6)
    assert feature(env, "agent_1", "to_act") == 0.0


def test_nothing_of_the_partners_brief_gets_into_acts_or_features(bargain_task: Callable[..., Task]) -> None:
    scenes = []
    for limit in (90, 105, 130):
        env = started(bargain_task(seller=60, buyer=limit, price=100), "My price is $100.", "My offer is $50.")
        scenes.append(read_scene(env.observe("agent_0")))
    assert all((scene.features == scenes[0].features).all() and scene.acts == scenes[0].acts for scene in scenes)
