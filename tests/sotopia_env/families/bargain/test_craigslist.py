"""The craigslist family ends at a deal and scores it against soft targets."""

from __future__ import annotations

import pytest

from sotopia_env.episodes import Ending, Episode, Turn
from sotopia_env.families.bargain.craigslist import Craigslist, goal_at
from sotopia_env.tasks import Character, Scenario, Task

BUYER = {"role": "buyer", "target": 80.0, "list_price": 100.0}
SELLER = {"role": "seller", "target": 90.0, "list_price": 100.0}


def task(*hidden: dict[str, object]) -> Task:
    people = (Character("a", "Ada", secret="you stole the red canoe"), Character("b", "Bo"))
    scenario = Scenario("s", "A kite is for sale at $100.", ("Buy it.", "Sell it."), hidden=hidden or (BUYER, SELLER))
    return Task("t", "craigslist", "1", "", scenario, people)


def turns(*spoken: tuple[int, str, str]) -> tuple[Turn, ...]:
    own = [0, 0]
    made = []
    for index, (seat, kind, text) in enumerate(spoken):
        made.append(Turn(seat, own[seat], index, kind, text))
        own[seat] += 1
    return tuple(made)


def play(*spoken: tuple[int, str, str]) -> Ending | None:
    family = Craigslist()
    progress = family.begin(task())
    for turn in turns(*spoken):
        progress = family.advance(progress, turn)
    return family.ending(progress)


DEAL = ((0, "speak", "Would you take $85?"), (1, "action", "accept"))


@pytest.mark.parametrize(
    ("price", "own", "goal"),
    [
        (80.0, BUYER, 7.0),
        (75.0, BUYER, 7.5),
        (40.0, BUYER, 10.0),
        (160.0, BUYER, 0.0),
        (90.0, SELLER, 7.0),
        (85.0, SELLER, 6.5),
        (130.0, SELLER, 10.0),
        (10.0, SELLER, 0.0),
    ],
)
def test_goal_is_seven_at_the_target_and_moves_by_ten_a_list_price(
    price: float, own: dict[str, object], goal: float
) -> None:
    assert goal_at(price, own) == pytest.approx(goal)


def test_a_deal_ends_the_episode_at_its_price() -> None:
    ending = play(*DEAL)
    assert ending is not None
    assert (ending.reason, ending.seat, ending.detail["price"]) == ("agreement", 1, 85.0)
    assert play(DEAL[0], (1, "speak", "No, that is too low.")) is None


def test_both_seats_are_scored_by_their_own_target() -> None:
    episode = Episode("k", task(), {}, turns(*DEAL), Ending("agreement", seat=1, detail={"price": 85.0}))
    judgement = Craigslist().score(episode)
    assert judgement.scores["goal"] == pytest.approx([6.5, 6.5])
    assert judgement.latent == {"deal": True, "unread": 0, "price": 85.0, "certain": True}
    assert judgement.evidence["goal"][0] == ["turn 1: $85 for a target of $80"]


def test_no_deal_is_zero_once_over_and_unknown_before() -> None:
    spoken = turns((0, "speak", "Hello."), (1, "leave", ""))
    over = Episode("k", task(), {}, spoken, Ending("left", seat=1))
    running = Episode("k", task(), {}, spoken[:1])
    assert Craigslist().score(over).scores["goal"] == [0.0, 0.0]
    assert Craigslist().score(running).scores["goal"] == [None, None]


def test_what_the_text_does_not_hold_is_unknown() -> None:
    spoken = turns((0, "speak", "I stole the red canoe, you greedy fool."), (1, "speak", "I see."))
    scores = Craigslist().score(Episode("k", task(), {}, spoken, Ending("max_cycles", truncated=True))).scores
    assert scores["knowledge"] == [None, None]
    assert scores["financial_and_material_benefits"] == [None, None]
    assert scores["secret"] == [-10.0, 0.0]
    assert scores["social_rules"] == [-2.5, 0.0]
    assert scores["believability"] == [10.0, 10.0]
    assert len(scores) == 7


def test_tasks_are_loaded_not_generated() -> None:
    with pytest.raises(NotImplementedError, match="load_tasks"):
        Craigslist().generate(None)  # type: ignore[arg-type]
