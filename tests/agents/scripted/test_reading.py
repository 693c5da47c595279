from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sotopia_env import views
from sotopia_env.agents.scripted.reading import Brief, first_person, read_brief, read_talk
from sotopia_env.episodes import Turn
from sotopia_env.families.bargain import Bargain, Coupling

SELLER = Brief(("you move out of your flat on Friday", "the rent is due next week"), 1, 1, 1, "seller", 60, 100)
BUYER = Brief(("your old one broke yesterday",), 1, 1, 1, "buyer", 90, 100)


def talk_of(*said: tuple[int, str, str] | str, brief: Brief = SELLER, agent: str = "agent_0") -> Any:
    """What ``agent`` reads: texts alternate from agent_0, or are (seat, type, text)."""
    turns = []
    for index, entry in enumerate(said):
        seat, kind, text = (index % 2, "speak", entry) if isinstance(entry, str) else entry
        turns.append(Turn(seat, index // 2, index, kind, text))
    observation = {
        "agent": agent, "participants": "agent_0: A\nagent_1: B", "transcript": views.transcript(turns),
    }  # fmt: skip
    return read_talk(observation, brief)


@pytest.mark.parametrize("coupling", [1.0, 0.0, -0.5, Coupling(0.5, -0.25, 0)])
@pytest.mark.parametrize("facts", [0, 2, 4])
def test_the_brief_of_every_bargain_is_read_from_its_text(coupling: Any, facts: int) -> None:
    family, rng = Bargain(coupling, facts=facts), np.random.default_rng(0)
    for split in ("train", "validation", "test"):
        for _ in range(60):
            task = family.generate(rng, split)
            for seat, hidden in enumerate(task.scenario.hidden):
                brief = read_brief(task.scenario.goals[seat], task.scenario.situation)
                assert brief is not None
                assert (brief.role, brief.limit, brief.list_price) == (
                    hidden["role"], hidden["limit"], hidden["list_price"],
                )  # fmt: skip
                assert list(brief.facts) == hidden["facts"]
                sways = family.coupling
                assert (brief.manners, brief.questions, brief.leaks) == (sways.manners, sways.questions, sways.leaks)


@pytest.mark.parametrize(
    ("goal", "role", "limit"),
    [
        ("You want to buy the bike and can spend $1,250.50.", "buyer", 1250.5),
        ("You are the seller of a lamp and want $40 for it.", "seller", 40.0),
        ("Sell it to whoever wants to buy, not below $ 7.", "seller", 7.0),
    ],
)
def test_other_wordings_are_read_too(goal: str, role: str, limit: float) -> None:
    brief = read_brief(goal, "A yard sale.")
    assert brief is not None
    assert (brief.role, brief.limit, brief.facts) == (role, limit, ())
    assert brief.list_price == pytest.approx(1.25 * limit)
    assert (brief.manners, brief.questions, brief.leaks) == (0.0, 0.0, 0.0)


def test_a_target_is_no_limit() -> None:
    """A price somewhat beyond it is better than no deal; what lies within it is welcome."""
    buyer = read_brief("You are the buyer. Your target price is $80.", "Listed at $100.")
    seller = read_brief("You are the seller. Your target price is $80.", "Listed at $100.")
    assert buyer is not None
    assert seller is not None
    assert 80 < buyer.limit < 120
    assert 40 < seller.limit < 80


@pytest.mark.parametrize("goal", ["", "Make a friend.", "Sell your idea.", "You have $40.", "Comfort her."])
def test_a_goal_without_a_bargain_has_no_brief(goal: str) -> None:
    assert read_brief(goal, "They meet at $5.") is None


def test_limits_hold_on_either_side() -> None:
    assert [SELLER.within_limit(price) for price in (59.9, 60, 70)] == [False, True, True]
    assert [BUYER.within_limit(price) for price in (80, 90, 90.1)] == [True, True, False]


def test_a_price_is_worth_it_a_step_inside_the_limit() -> None:
    assert (SELLER.reserve, BUYER.reserve) == (65, 85)
    assert [SELLER.worth(price) for price in (60, 64.9, 65)] == [False, False, True]
    assert [BUYER.worth(price) for price in (90, 85.1, 85)] == [False, False, True]
    assert (SELLER.sign, BUYER.sign) == (1, -1)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("you move out of your flat on Friday", "I move out of my flat on Friday"),
        ("you were fired from your last job", "I was fired from my last job"),
        ("your guests are late", "my guests are late"),
        ("you are in debt", "I am in debt"),
        ("the shop in town has closed", "the shop in town has closed"),
    ],
)
def test_a_statement_is_put_into_the_first_person(statement: str, told: str) -> None:
    assert first_person(statement) == told


def test_offers_are_read_in_order_for_both_sides() -> None:
    talk = talk_of("I am asking $90.", "I would pay $50.", "I could do $85.", "How about $60?", "I stay at $85.")
    assert talk.own_offers == (90, 85, 85)
    assert talk.partner_offers == (50, 60)
    assert talk.partner_before == 2
    assert talk.standing == 60
    assert not talk.agreed


def test_what_stands_is_what_an_acceptance_would_take() -> None:
    assert talk_of().standing is None
    assert talk_of("Hello.", "I would pay $70.").standing == 70
    assert talk_of("Hello.", "I would pay $70.", "Hm.", "I take that back.").standing is None
    assert talk_of("Hello.", "I would pay $70.", "Hm.", (1, "action", "reject")).standing is None
    lowered = talk_of("I am asking $90.", "I would pay $85.", "Hm.", "Deal, $20 works for me.")
    assert lowered.standing == 20, "an acceptance of a price that nobody offered is an offer"
    assert lowered.partner_offers == (85, 20)


def test_an_agreement_is_noticed() -> None:
    assert talk_of("I am asking $90.", (1, "action", "accept")).agreed
    assert not talk_of("I am asking $90.", (1, "action", "wave")).agreed


def test_facts_are_told_by_ones_own_words_alone() -> None:
    assert talk_of("Well, I move out of my flat on Friday.").told == frozenset(SELLER.facts[:1])
    assert talk_of("Hello.", "So you move out of your flat on Friday?").told == frozenset()


@pytest.mark.parametrize(
    ("said", "question"),
    [
        (("Hello.", "Why do you sell it?"), True),
        (("Hello.", "How about $50?"), False),
        (("Hello.", "Would $50 work? And why do you sell it?"), True),
        (("Hello.", "Why?", "Because."), False),
        ((), False),
    ],
)
def test_a_question_is_one_that_is_not_about_a_price_and_just_asked(said: tuple[str, ...], question: bool) -> None:
    assert talk_of(*said).question is question


@pytest.mark.parametrize(
    ("partner", "rapport"),
    [
        ([], 0.0),
        (["Hello."], 0.0),
        (["Thanks!"], 1 / 3),
        (["Thanks, thank you, glad, happy!"], 1 / 3),
        (["Thanks!", "Glad.", "Fair.", "Happy."], 1.0),
        (["Nonsense."], -1 / 3),
        (["Thanks for the nonsense."], -1 / 3),
        (["You will regret this."], -1 / 3),
        (["Thanks!", "Thanks!"], 0.0),
        (["I would pay $10."], -1 / 3),
        (["I would pay $25."], 0.0),
        (["I appreciate it.", "I respect that."], 0.0),
        (["That is not fair.", "I am not happy with it."], 0.0),
        (["Is that fair?", "If you were happy with it, fine."], 0.0),
        (["That is no nonsense.", "You will not regret this."], 0.0),
        (["To be honest, I promised it to my daughter."], 1 / 3),
    ],
)
def test_rapport_follows_manner_one_act_a_turn(partner: list[str], rapport: float) -> None:
    said = [text for number, reply in enumerate(partner) for text in (f"Word {number}.", reply)]
    assert talk_of(*said).rapport == pytest.approx(rapport)


def test_ones_own_words_do_not_move_oneself() -> None:
    assert talk_of("Thanks, I am glad and happy.", "Well.").rapport == 0.0


def test_turns_without_a_better_price_are_counted() -> None:
    assert talk_of("Hi.", "I would pay $50.").stalled == 0
    assert talk_of("Hi.", "I would pay $50.", "Hm.", "I would pay $50.", "Hm.", "I would pay $40.").stalled == 2
    assert talk_of("Hi.", "Hm.", "Hi.", (1, "none", ""), "Hi.", "I would pay $50.").stalled == 0


def test_a_secret_that_slips_out_is_heard() -> None:
    assert talk_of("Hello.", "Between us, I gambled away my savings.").secret_out
    assert not talk_of("Between us, I lied.", "Hello.").secret_out


@settings(max_examples=150)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.sampled_from(["speak", "action", "none", "leave"]), st.text()), max_size=5)
)
def test_any_talk_is_read(said: list[tuple[int, str, str]]) -> None:
    talk = talk_of(*said)
    assert -1 <= talk.rapport <= 1


@given(
    st.text() | st.sampled_from(["sell $", "buy $1,2,3.4.5", "Sell. You know: . Sway: 1.", "buy $9 Sway: --1."]),
    st.text(),
)
def test_any_goal_is_read(goal: str, situation: str) -> None:
    read_brief(goal, situation)
