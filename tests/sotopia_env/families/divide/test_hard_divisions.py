"""Divisions as people and language models put them, by kinds: what is read, what is left open, what is not read."""

from __future__ import annotations

import pytest

from sotopia_env.episodes import Turn
from sotopia_env.families.divide.agreement import DivisionTable, opening, take, update
from sotopia_env.families.divide.items import ItemKind
from sotopia_env.families.divide.moves import read_division

ITEMS = (ItemKind("vase", "vases", 3), ItemKind("kettle", "kettles", 2, ("pot",)), ItemKind("clock", "clocks", 1))
OFFER = "I take the clock and 1 vase, you get 2 vases and 2 kettles."
DIVISION = ((1, 0, 1), (2, 2, 0))

WHOLE = (
    # numbers before the item
    ("I take 2 vases, 1 kettle and the clock.", (2, 1, 1)),
    ("I'll take two vases, you'll take one vase. Both kettles are yours and the clock is mine.", (2, 0, 1)),
    ("You get 1 vase, 2 kettles and no clock.", (2, 0, 1)),
    ("I get 2 of the 3 vases, 1 of the kettles and 0 clocks.", (2, 1, 0)),
    ("I take 2/3 vases, 1/2 kettles and the clock.", (2, 1, 1)),
    ("3 vases + 1 kettle + 0 clocks for me.", (3, 1, 0)),
    ("Give me 2 extra vases, 1 kettle and 1 clock.", (2, 1, 1)),
    ("You can have 2 pieces of the vases, 1 of the kettles and the clock.", (1, 1, 0)),
    ("I'm ok with 1 vase, 1 kettle and the clock.", (1, 1, 1)),
    ("I can live with 1 vase, 2 kettles and no clock.", (1, 2, 0)),
    # behind it
    ("Vases 1, kettles 1, clocks 1 for you.", (2, 1, 0)),
    ("vases 2 kettles 1 clocks 0 for me", (2, 1, 0)),
    ("For me: vases 2, kettles 1, clock 1.", (2, 1, 1)),
    ("I take vases: 2, kettles: 0, clocks: 1.", (2, 0, 1)),
    ("You get: vases - 2, kettles - 1, clocks - 1.", (1, 1, 0)),
    ("Vases (2 me, 1 you), kettles (0 me, 2 you), clock (1 me, 0 you).", (2, 0, 1)),
    ("2 vases me, 1 vase you, 2 kettles you, 1 clock me.", (2, 0, 1)),
    ("Me: 2 vases, 1 kettle. You: 1 vase, 1 kettle, 1 clock.", (2, 1, 0)),
    ("Me - 2 vases, the clock, you - 1 vase, 2 kettles.", (2, 0, 1)),
    # elided
    ("I take 2 vases and you take 1. You get both kettles and I get the clock.", (2, 0, 1)),
    ("Vases: 2 for me and 1 for you. Both kettles for you, the clock for me.", (2, 0, 1)),
    ("You get 1 vase and I get the other 2. The kettles are yours, the clock is mine.", (2, 0, 1)),
    ("I keep one kettle, you take the other one. All three vases for you, the clock for me.", (0, 1, 1)),
    # the rest
    ("I take the clock. You can have the rest.", (0, 0, 1)),
    ("You take 2 vases and I get everything else.", (1, 2, 1)),
    ("I want the clock and one vase, you can have the rest.", (1, 0, 1)),
    ("The clock for me, whatever is left is yours.", (0, 0, 1)),
    ("You can have everything except the clock.", (0, 0, 1)),
    ("I'd be happy with just the clock, and all the rest goes to you.", (0, 0, 1)),
    ("The rest is yours, that way you get 3 vases and 2 kettles. I take the clock.", (0, 0, 1)),
    ("I take 2 vases and 1 kettle, and leave the rest to you, including the clock.", (2, 1, 0)),
    ("I will give you everything if you give me the clock.", (0, 0, 1)),
    # each and halves
    ("We each get one kettle, I take the clock and you take all the vases.", (0, 1, 1)),
    ("Let's split the kettles, you get the clock and two vases, I get one vase.", (1, 1, 0)),
    ("One kettle each, the clock for you, the vases for me.", (3, 1, 0)),
    # give and take turned round
    ("If you give me the clock, I'll give you all the vases and both kettles.", (0, 0, 1)),
    ("Would you let me have the clock and 2 vases if you get 1 vase and both kettles?", (2, 0, 1)),
    ("What if I took 2 vases and the clock and gave you both kettles and 1 vase?", (2, 0, 1)),
    ("Could you leave me with 2 vases, 1 kettle and the clock?", (2, 1, 1)),
    ("I am willing to part with both kettles and 1 vase, and I keep 2 vases and the clock.", (2, 0, 1)),
    ("Would you be okay with taking 1 vase, 2 kettles and 0 clocks?", (2, 0, 1)),
    ("Are you fine with me getting 2 vases, 1 kettle and the clock?", (2, 1, 1)),
    # verbose, as language models put it
    (
        "Thank you for your message. I understand that the clock matters to you. I would therefore like to propose the "
        "following: you receive the clock and 1 vase, while I receive 2 vases and both kettles. How does that sound?",
        (2, 2, 0),
    ),
    (
        "That is a fair point, and I appreciate your honesty. Perhaps we could find a middle ground: I'll take 1 vase "
        "and 1 kettle, and you'll keep 2 vases, 1 kettle and the clock.",
        (1, 1, 0),
    ),
    (
        "To summarize our agreement:\n- You: 2 vases, 1 kettle\n- Me: 1 vase, 1 kettle, 1 clock\nDoes this work for "
        "you?",
        (1, 1, 1),
    ),
    (
        "Hello! I'd like to propose that I take 2 vases and the clock, and you take the remaining vase and both "
        "kettles.",
        (2, 0, 1),
    ),
    (
        "I understand your perspective. I would be willing to accept 2 vases and 1 kettle, leaving you with 1 vase, 1 "
        "kettle and the clock.",
        (2, 1, 0),
    ),
    (
        "I see your point, but the clock is worth a lot to me. I need the clock. You can have everything else.",
        (0, 0, 1),
    ),
    ("My proposal is: Vases: 2 for me, 1 for you; Kettles: 1 each; Clock: for you.", (2, 1, 0)),
    ("I suggest we divide them as follows: 3 vases to you, 2 kettles and 1 clock to me.", (0, 2, 1)),
    ("Honestly, I'd prefer to keep both kettles and the clock; in return, you could have all the vases.", (0, 2, 1)),
    ("Could we agree on 2 vases for me, 1 vase for you, both kettles for you, and the clock for me?", (2, 0, 1)),
    ("I would like to offer you 2 vases and 1 kettle, and I will keep 1 vase, 1 kettle and the clock.", (1, 1, 1)),
    ("I agree to your terms: 2 vases for you and the rest for me.", (1, 2, 1)),
    ("You said you like kettles, so take both kettles and the clock; I'd take all vases.", (3, 0, 0)),
    ("Why don't you take the clock and 2 kettles, and I keep the vases?", (3, 0, 0)),
    ("I only need one of each, you take the others.", (1, 1, 1)),
    ("I was thinking of giving you 2 vases, keeping 1, and the clock is yours, and I keep the kettles.", (1, 2, 0)),
    ("How does 2 vases, 1 kettle and 1 clock for you sound?", (1, 1, 0)),
    ("No way, I am not giving you 3 vases. You get 1 vase, 2 kettles and the clock.", (2, 0, 0)),
    ("So instead of 2 vases I'd take 1 vase, and you take 2 vases, 2 kettles for me and the clock for you.", (1, 2, 0)),
    ("Since you are cold, I will give you both kettles and the clock, and I keep the vases.", (3, 0, 0)),
    ("I need the clock because my mother had one, so I take the clock and you get all vases and kettles.", (0, 0, 1)),
)


def share_of(text: str) -> tuple[int | None, ...] | None:
    move = read_division("speak", text, ITEMS)
    return None if move.proposal is None else move.proposal.share(ITEMS)


@pytest.mark.parametrize(("text", "share"), WHOLE)
def test_whole_divisions_are_read(text: str, share: tuple[int, ...]) -> None:
    assert share_of(text) == share


OPEN = (
    ("You can have the kettles.", (None, 0, None)),
    ("I'll take the clock and you take both kettles.", (None, 0, 1)),
    ("I take 2 vases.", (2, None, None)),
    ("How about 2 vases for me?", (2, None, None)),
    ("I can give you 1 vase and the clock.", (2, None, 0)),
    ("So you get 2 vases and I get both kettles?", (1, 2, None)),
    ("I don't need the kettles, you can have them.", (None, 0, None)),
    ("The vases are yours.", (0, None, None)),
    ("I cannot give up the clock.", (None, None, 1)),
    ("I need the clock.", (None, None, 1)),
    ("I'd love 2 vases and the clock.", (2, None, 1)),
)


@pytest.mark.parametrize(("text", "share"), OPEN)
def test_what_is_not_named_stays_open(text: str, share: tuple[int | None, ...]) -> None:
    assert share_of(text) == share


WISHES = (
    "I need 2 vases, 1 kettle and the clock.", "I want one of everything.", "I would like the clock and the kettles.",
    "I'd love to get all three vases.", "I am hoping to get the clock.", "I was hoping for 2 vases and the clock.",
    "I really want everything.", "My kids need the kettles.", "I'm looking for 2 vases.", "I could use both kettles.",
    "I prefer the clock.", "I'm trying to get the clock and 2 vases.", "I would like to have the clock.",
)  # fmt: skip


@pytest.mark.parametrize("text", WISHES)
def test_wishes_are_no_offers(text: str) -> None:
    move = read_division("speak", text, ITEMS)
    assert move.proposal is None or move.proposal.wished
    for answer in ("Okay.", "Sounds good.", "I understand."):
        assert talk(text, answer).agreement is None


UNREAD = (
    # amounts that are no number
    "I can give you some vases.", "You get at least one kettle and the clock.", "I'll take most of the vases.",
    "You can have a few vases and the clock.", "I take up to 2 vases and the clock.", "You get one more vase.",
    "I could give you another kettle.", "I'd take 1 or 2 vases.", "You can have the majority of the vases.",
    "I give you 2-3 vases.", "You can get a couple more vases.", "I will give you extra vases for the clock.",
    # choices
    "You can have the clock or both kettles.", "I take the vases or the kettles, you choose.",
    "Either you get the clock or I get the vases.",
    # what does not fit
    "I take 2 vases and you take 2 vases.", "I take 5 vases.", "You get 3 kettles and the clock.",
    "I take 2 vases, 1 kettle, and you get 2 vases, 1 kettle and the clock.",
    # shares without a number
    "How about you take one vase and both of us share the rest?", "Let's split the vases.", "Let's share everything.",
    "I take the clock and we split the rest evenly.", "You get half of the vases.",
    # who gets it is not said
    "2 vases for me, 1 for you, and all the kettles.", "Would 2 vases and the clock work for you?",
    "Let's make it 2 vases, 1 kettle and the clock.", "How about two vases for a kettle?",
    "Can you do 2 vases and a kettle?", "If you can do 2 vases, I will give you the clock.",
    # conditions and exchanges that leave the others of a kind open
    "If I get the clock, I will be satisfied.", "I'll trade you 1 vase for 1 kettle.",
    "I would swap one of my vases for a kettle.", "I'll give you 1 vase in exchange for the clock.",
    "You take 1 and I take 2.",
    # the rest of what is not said
    "I brought 2 vases, so you take the rest.", "Because I need 2 vases, you can have the rest.",
    "I take one of the other items.", "I think we could split the vases evenly, but there are three.",
)  # fmt: skip


@pytest.mark.parametrize("text", UNREAD)
def test_what_moves_and_cannot_be_read_lapses_the_older_offer_and_is_counted(text: str) -> None:
    assert read_division("speak", text, ITEMS).kind == "unread"
    table = talk(OFFER, "Hm.", text)
    assert table.offers[0] is None
    assert table.unread == (2,)
    assert talk(OFFER, "Hm.", text, "Deal.").agreement is None


NOTHING = (
    "We have 3 vases, 2 kettles and 1 clock.", "There are 3 vases, 2 kettles and a clock.",
    "3 vases, 2 kettles, 1 clock",
    "So we have three vases, two kettles and one clock to divide between us.", "I brought 2 kettles of my own.",
    "I already have a clock at home.", "You have kettles at home.", "My wife had 2 vases like these.",
    "I need time to think.", "Which do you want, the clock or the kettles?", "Why do you need 2 vases?",
    "Do you want the clock?", "How many vases do you need?", "The clock is my top priority.",
    "You said that you want the clock.", "They get 2 vases every year.", "I use a kettle to make tea.",
    "Kettles are good for making tea.", "The clock belongs to the hall.", "How would you split the vases?",
    "Is the clock important to you?", "I don't really care about the kettles.", "I do not want any vases.",
    "My grandfather collected clocks.", "The vases are worth more than the clock.", "Thanks for the 2 vases.",
    "Everything sounds good so far.", "Everything you said makes sense.",
)  # fmt: skip


@pytest.mark.parametrize("text", NOTHING)
def test_what_is_told_asked_or_valued_proposes_nothing(text: str) -> None:
    assert read_division("speak", text, ITEMS).proposal is None
    assert talk(text, "Deal.").agreement is None


YES = (
    ("Sounds pretty good.", False), ("That is a fair deal.", False), ("I would accept that offer.", True),
    ("That sounds really fair to me.", False), ("I think that works for both of us.", False),
    ("That sounds like a good deal to me.", True), ("That sounds like a great plan!", False),
    ("I am happy with that arrangement.", True), ("I can live with that deal.", True), ("I'll take that deal!", True),
    ("Yes, I am willing to accept that.", True), ("I think that would be fine with me.", False),
    ("You know what, that sounds fair.", False), ("I guess that is fine.", False), ("We have a deal!", True),
    ("It sounds like we have a deal.", True), ("I think we have a deal.", True), ("That works perfectly for us.",
    False),
    ("That will work out great.", False), ("Yep, that seems fair enough.", False), ("I can agree to that.", True),
    ("I'm good with that.", False), ("That would be great, thanks!", False), ("Not ideal, but I'll take it.", True),
    ("I agree with you.", True), ("Fair enough, it's a deal.", True), ("Great, I will submit the deal.", False),
    ("That is perfect for me! Have a nice day.", False), ("That works for me. Where are you travelling?", False),
    ("I'm glad we could come to an agreement.", False), ("Absolutely, that's more than fair.", False),
    ("I accept your proposal \U0001f642", True), ("\U0001f642 That works for me!", False), ("Okay, let's do that.",
    True),
    ("Let's go with your suggestion.", True), ("Correct.", False),
    ("That's correct.", False), ("I am on board with that.", False),
    ("We are in agreement.", True),
)  # fmt: skip


@pytest.mark.parametrize(("answer", "certain"), YES)
def test_the_yes_of_people(answer: str, certain: bool) -> None:
    agreement = talk(OFFER, answer).agreement
    assert agreement is not None
    assert agreement.division == DIVISION
    assert agreement.certain == certain


@pytest.mark.parametrize("answer", ["That could work.", "That might work.", "I could live with that."])
def test_a_yes_in_the_conditional_is_uncertain(answer: str) -> None:
    agreement = talk(OFFER, answer).agreement
    assert agreement is not None
    assert not agreement.certain


NO = (
    # conditions
    "Switch the vases and you got a deal.", "Swap the clock for a kettle and it's a deal.", "Deal, if I get the clock.",
    "Add a vase and we have a deal.", "That works as long as I get the clock.",
    "I accept, provided you throw in a vase.",
    "Sounds good, assuming the clock is mine.", "Deal - once you give me another vase.",
    "I would take that with the clock.",
    "That's fine with me if you are fine without kettles.", "Make it 2 vases and you have a deal.",
    "Let me have the clock and we have a deal.", "Leave me one kettle less and I agree.",
    # contrasts
    "That sounds fair. However, I need the clock.", "I like that, but what about the clock?",
    "Good offer, however I need more.",
    "That would be great, though I was hoping for the clock.", "Sounds good, except for the clock.",
    "That is a good deal, but not for me.", "I understand that you want the clock. However, I need it too.",
    # questions
    "Sounds good? I am not sure.", "Is that a fair deal?", "That works for you?", "So do we have a deal?",
    "Why would I accept that?", "That sounds good. What about the clock, though?", "Would you accept that?",
    "That is fine. Could I have one more vase?", "That is a good deal. Why do you need the clock?",
    # denials
    "That does not sound good.", "I don't think that works for me.", "That is not a fair deal.",
    "I can't accept that offer.",
    "I am not happy with that.", "That would not be great.", "I wouldn't call it a deal.", "No, that is not fair.",
    # talk about it
    "That's a great offer, but I was thinking of something different.", "If you're okay with that, we have a deal.",
    "I could agree if you gave me one more kettle.", "That is too little. Thank you, that is kind, great.",
    "That is a good start.", "You made a good offer.", "I will think about that deal.",
    "We are getting closer to a deal.",
    "I hope we can make a deal.", "Let's make a deal.", "I want a fair deal.", "I see, that makes sense.",
    "I appreciate the offer.",
    "Thank you for being reasonable.", "Good morning!", "I'm good, how are you?", "I'm good. How are you?",
    "That sounds like fun.",
    "Nice to meet you.",
    "Okay, I understand.", "Yes, we need to talk a bit more.", "My friend would accept that.", 'He said "deal".',
)  # fmt: skip


@pytest.mark.parametrize("answer", NO)
def test_what_is_no_yes(answer: str) -> None:
    assert talk(OFFER, answer).agreement is None


AGREED = (
    # kinds settled one by one
    (("I take the clock.", "Okay.", "You get both kettles.", "Sounds good.", "2 vases for me and 1 for you?",
    "Deal."), (2, 0, 1)),
    (("You can have all the vases.", "Deal.", "Can I have the clock and the kettles?", "Sure."), (0, 2, 1)),
    (("I'd take 2 vases.", "That works. And you get the clock?", "Yes.", "Then both kettles are mine.", "Deal."),
    (2, 0, 1)),
    # an offer completed by the one who takes it
    (("I take the clock and both kettles.", "Okay, then I take the vases.", "Deal."), (0, 2, 1)),
    # the other's words said again
    ((OFFER, "So I get 2 vases and 2 kettles, and you get 1 vase and the clock?", "Yes."), (1, 0, 1)),
    ((OFFER, "Yes, you take the clock and 1 vase, I get 2 vases and 2 kettles."), (1, 0, 1)),
    # a newer offer counts
    ((OFFER, "No, I need the clock.", "Then I take 2 vases and you get the rest.", "Deal."), (2, 0, 0)),
    # a question is answered by a yes among other words
    (("How about I take the clock and 1 vase, and you get the rest?", "Yes! Have a nice trip."), (1, 0, 1)),
    (("How about I take the clock and 1 vase, and you get the rest?", "Yes, do we have a deal?"), (1, 0, 1)),
)  # fmt: skip


@pytest.mark.parametrize(("texts", "first"), AGREED)
def test_dialogues_that_end_agreed(texts: tuple[str, ...], first: tuple[int, ...]) -> None:
    agreement = talk(*texts).agreement
    assert agreement is not None
    assert agreement.division[0] == first
    assert agreement.accepted_turn == len(texts) - 1


NOT_AGREED = (
    ("I take the clock.", "Deal."),
    ("You can have the vases.", "Okay.", "And the kettles?", "Sure."),
    ("I want everything.", "Okay."),
    ("How about you take one vase and both of us share the rest?", "Deal."),
    (OFFER, "Would you give me the clock?", "Some other time.", "Good.", "Deal."),
    (OFFER, "No, I take 2 vases, 1 kettle and the clock.", "Hm.", "Okay, deal."),
    (OFFER, "Hm.", "Actually, I'd rather keep some of the kettles as well.", "Deal."),
    ("I take the clock and both kettles.", "Okay, you take the clock.", "Deal."),
    (OFFER, "What a nice day.", "Indeed.", "Yes.", "So.", "I agree."),
    ("If I give you 3 vases, 2 kettles and the clock, nothing is left.", "Deal."),
    ("I'll trade 1 vase for the clock.", "Deal."),
)


@pytest.mark.parametrize("texts", NOT_AGREED)
def test_dialogues_that_do_not(texts: tuple[str, ...]) -> None:
    assert talk(*texts).agreement is None


def test_what_is_inferred_within_a_kind_is_not_certain() -> None:
    agreement = talk("I take 2 vases, 1 kettle and the clock.", "Deal.").agreement
    assert agreement is not None
    assert agreement.division == ((2, 1, 1), (1, 1, 0))
    assert not agreement.certain


def test_an_offer_that_is_not_sure_takes_a_clear_yes() -> None:
    offer = "Take 2 vases, 1 kettle and the clock."
    assert talk(offer, "Sounds good.").agreement is None
    assert talk(offer, "Deal.").agreement is not None


def test_kinds_settled_one_by_one_are_not_certain() -> None:
    agreement = talk("You can have all the vases.", "Deal.", "Can I have the clock and the kettles?", "Deal.").agreement
    assert agreement is not None
    assert not agreement.certain
    assert talk(OFFER, "Deal.").agreement.certain  # type: ignore[union-attr]


def test_what_was_settled_is_open_again_once_somebody_asks_for_something_else() -> None:
    assert talk("You can have all the vases.", "Deal.").settled == (0, None, None)
    assert talk("You can have all the vases.", "Deal.", "I need 1 vase after all.").settled == (None, None, None)


def test_what_both_say_at_once_is_merged() -> None:
    def at_once(table: DivisionTable, cycle: int, *texts: str) -> DivisionTable:
        return take(table, [Turn(seat, cycle, 2 * cycle + seat, "speak", text) for seat, text in enumerate(texts)])

    table = at_once(opening(ITEMS), 0, "You can have the vases.", "You get some vases.")
    assert table.unread == (1,)
    table = at_once(table, 1, "Hm.", "I take the clock.")
    table = at_once(table, 2, "You get the kettles.", "I give you a few vases.")
    assert table.unread == (1, 5)
    assert [offer and offer.turn for offer in table.offers] == [4, None]
    table = at_once(talk("You can have the vases.", "Deal."), 1, "I take the clock.", "Hm.")
    assert table.settled == (0, None, None)
    assert at_once(table, 2, "Fine.", "I want a vase.").settled == (None, None, None)
    assert at_once(table, 2, "Fine.", "Deal.").settled == (0, None, 1)


def talk(*texts: str) -> DivisionTable:
    table = opening(ITEMS)
    for index, text in enumerate(texts):
        table = update(table, index % 2, index, "speak", text)
    return table
