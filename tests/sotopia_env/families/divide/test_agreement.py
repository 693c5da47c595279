from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sotopia_env.episodes import Turn
from sotopia_env.families.divide.agreement import DivisionTable, find_agreement, offer_to, opening, update
from sotopia_env.families.divide.items import ItemKind

ITEMS = (ItemKind("book", "books", 3), ItemKind("hat", "hats", 2), ItemKind("ball", "balls", 1))
OFFER = "I take the ball and 1 book, you get 2 books and 2 hats."
DIVISION = ((1, 0, 1), (2, 2, 0))


def talk(*texts: str, last: str = "speak") -> DivisionTable:
    table = opening(ITEMS)
    for index, text in enumerate(texts):
        kind = last if index == len(texts) - 1 else "speak"
        table = update(table, index % 2, index, kind, text)
    return table


@pytest.mark.parametrize(
    "answer",
    [
        "Deal.", "Agreed.", "I accept.", "ok", "Okay, deal!", "Sounds good to me.", "That works for me.", "DEAL!!!",
        "You have a deal, thanks.", "It's a deal", "Works for me!", "I can live with that.", "Yes please",
        "Alright, I accept your offer.", "That's fine with me.", "Perfect, thanks!", "Sure, let's do that.",
        "Ok, that seems fair.", "I guess that works.", "Yes, you take the ball and 1 book.",
        "Fine, I take 2 books and 2 hats.", "I'll take 2 books and both hats, you get the rest.",
        "Okay. 2 books and 2 hats for me.",
    ],
)  # fmt: skip
def test_an_offer_and_consent_make_an_agreement(answer: str) -> None:
    agreement = talk(OFFER, answer).agreement
    assert agreement is not None
    assert agreement.division == DIVISION
    assert (agreement.proposer, agreement.accepter) == (0, 1)
    assert not agreement.formal


NEAR_MISSES = (
    "No deal.", "I would accept if you add the ball.", "Deal if I get the ball.", "Deal, but I keep the ball.",
    "Not a deal.", "That is not fair.", "I can't agree to that.", "Sounds good, but I want the ball.",
    "You call that a deal?", "Is that a deal?", "Deal?", "What a deal that would be.", "My brother said: deal.",
    "I don't accept.", "I accept nothing of the sort.", "I will think about it. Sounds good.",
    "OK, what about the ball?", "I would be happy with the ball.", "Fine, but not for the books.",
    "Let me think about that deal.", "Throw in the ball and we have a deal.", "You get nothing.", "The hats look old.",
    "How about a deal where I get the ball?", "I agree that the books are nice.", "If you add a book, it's a deal.",
    "I'd agree to that only with the ball.", "Good books, these.", "Do you accept?", "Would you take that deal?",
    "Great question.", "Yes, what do you want?", "I am not sure that works for me.", "That would never work.",
    "It's a good start.", "Thanks for the offer.", "Nice try.", "Okay, let me have the ball and two hats.",
    "We could make a deal soon.", "No way I accept that.", "I was going to say deal, but no.", "Hm, no.",
    "I never said yes.", "You have a deal, provided I get the ball.", "As if I would accept!", "Accept my offer.",
    "I could accept that, if the ball were mine.", "Please accept.", "You should accept this.", "Will you accept?",
    "I want to accept, but my wife says no.", "Not okay.", "That works for you, not for me.", "Maybe.",
    "Maybe that works.", "We are close to a deal.", "I'd say we are almost agreed.", "The ball is yours?",
    "I need the ball.", '"Deal" is a big word.', "agreed, unless you keep the ball", "Nope, deal is off.",
    "I wish I could say deal.", "hello", "Ok so what do you like?", "I said no, okay?", "I'll take it all.",
    "Well, okay, but only if I get the ball too.", "Sure you would like that.", "Right, as if.",
    "You are generous and fair.", "It is a deal only if I get both the hats and the ball.",
)  # fmt: skip


@pytest.mark.parametrize("answer", NEAR_MISSES)
def test_near_misses_are_no_agreement(answer: str) -> None:
    assert talk(OFFER, answer).agreement is None


@pytest.mark.parametrize("act", ["accept", "accepts the offer", "accept the deal", "agree to the division", "I accept"])
def test_a_formal_acceptance(act: str) -> None:
    agreement = talk(OFFER, act, last="action").agreement
    assert agreement is not None
    assert agreement.formal
    assert agreement.certain


@pytest.mark.parametrize(
    "act", ["pretend to accept", "accept if you add the ball", "do not accept", "reject the offer", "accepts a drink"]
)
def test_other_acts_agree_to_nothing(act: str) -> None:
    assert talk(OFFER, act, last="action").agreement is None


@pytest.mark.parametrize("kind", ["none", "leave", "non-verbal communication"])
def test_only_speech_and_acts_count(kind: str) -> None:
    assert talk(OFFER, "accept", last=kind).agreement is None


def test_nobody_accepts_an_own_offer_or_thin_air() -> None:
    table = update(opening(ITEMS), 0, 0, "speak", OFFER)
    assert update(table, 0, 1, "action", "accept").agreement is None
    assert talk("deal").agreement is None


def test_nothing_is_given_away_by_inference() -> None:
    table = talk("I take the ball.", "Deal.")
    assert table.agreement is None
    assert table.settled == (None, None, 1)
    assert talk("I take the ball, you can have the rest.", "Deal.").agreement is not None


def test_a_bare_yes_is_not_certain() -> None:
    assert talk(OFFER, "Deal.").agreement.certain  # type: ignore[union-attr]
    assert not talk(OFFER, "ok").agreement.certain  # type: ignore[union-attr]


def test_to_have_heard_a_wish_is_not_to_agree() -> None:
    wish = "I want 3 books, 1 hat and the ball."
    assert talk(wish, "Okay.").agreement is None
    assert talk(wish.replace("want", "take"), "Okay.").agreement is not None
    assert talk(OFFER, "Okay, I understand.").agreement is None
    assert talk(OFFER, "Yes, I know what you mean.").agreement is None


def test_an_offer_that_leaves_something_open_cannot_be_accepted() -> None:
    table = talk("You can have the hats if I get the ball.", "Deal.")
    assert table.agreement is None
    assert table.offers[0] is not None
    assert offer_to(table, 1) is None


def test_the_rest_is_the_rest_of_what_the_other_asked_for() -> None:
    agreement = talk("I want the ball.", "Then I get the rest.", "Deal.").agreement
    assert agreement is not None
    assert agreement.division == ((0, 0, 1), (3, 2, 0))


def test_a_bare_list_in_answer_to_a_wish_is_about_the_wish() -> None:
    table = talk("I want the ball and the hats.", "How about just the ball?", "Deal.")
    assert table.agreement is None
    assert table.settled == (None, None, 1)


def test_consent_with_a_but_amends_the_offer() -> None:
    agreement = talk(OFFER, "Deal, but you get no hats and I keep the ball.", "Deal.").agreement
    assert agreement is not None
    assert agreement.division == ((1, 0, 0), (2, 2, 1))


def test_the_same_division_from_both_sides_is_an_agreement_if_the_second_moves_to_it() -> None:
    first = "I take the hats and the ball, you take the books."
    assert talk(first, "I take the books, and you take the hats and the ball.").agreement is not None
    assert talk(first, "So I take the books, and you take the hats and the ball?").agreement is None


def test_vague_consent_answers_the_turn_before_only() -> None:
    late = (OFFER, "Hm, let me see.", "Well?", "Sounds good.")
    assert talk(*late).agreement is None
    assert talk(*late[:-1], "I accept.").agreement is not None


def test_withdrawing_takes_ones_own_offer_back() -> None:
    assert talk(OFFER, "Hm.", "No deal.", "I accept.").agreement is None
    assert talk(OFFER, "No deal.", "Well.", "I accept.").agreement is not None


def test_an_agreement_stands() -> None:
    table = talk(OFFER, "Deal.")
    assert update(table, 0, 2, "speak", "No deal, I take everything.") is table


def test_the_fold_is_the_same_as_reading_all_at_once() -> None:
    texts = (OFFER, "I need the ball.", "You can have the ball if I get everything else.", "Deal.")
    turns = [Turn(i % 2, i // 2, i, "speak", text) for i, text in enumerate(texts)]
    assert find_agreement(turns, ITEMS) == talk(*texts)


WORDS = " ".join((OFFER, *NEAR_MISSES, "everything rest for me \ue003 \u202e <b> $5 2 3 each half split")).split()


def test_every_division_adds_up_whatever_is_said() -> None:
    draw, table = random.Random(0), opening(ITEMS)
    for number in range(3000):
        text = " ".join(draw.choice(WORDS) for _ in range(draw.randrange(12)))
        table = update(table, number % 2, number, "speak", text)
        divisions = [offer.division for offer in table.offers if offer is not None and offer.division is not None]
        for own, other in divisions + ([table.agreement.division] if table.agreement else []):
            assert tuple(map(sum, zip(own, other, strict=True))) == (3, 2, 1)
            assert min(*own, *other) >= 0
        table = opening(ITEMS) if table.agreement else table


@given(st.text(max_size=300))
def test_any_text_is_read(text: str) -> None:
    update(talk(OFFER), 1, 1, "speak", text)
