from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from sotopia_env.actions import ACTION_TYPES
from sotopia_env.episodes import Turn
from sotopia_env.turns import Rules, acting_seats, cycles_of, talk_ending

RNG = np.random.default_rng(0)


def a_turn(seat: int, type_: str = "speak") -> Turn:
    return Turn(seat, 0, 0, type_, "x")


@pytest.mark.parametrize(("last", "present", "acting"), [
    (None, [0, 1], 0), (0, [0, 1], 1), (1, [0, 1], 0), (0, [0, 2], 2), (1, [0, 2], 2), (2, [0, 1], 0), (2, [1, 2], 1),
])  # fmt: skip
def test_round_robin_goes_on_with_the_next_seat_that_is_present(
    last: int | None, present: list[int], acting: int
) -> None:
    assert acting_seats("round-robin", last, present, RNG) == (acting,)


def test_simultaneous_asks_all_who_are_present() -> None:
    assert acting_seats("simultaneous", 1, [0, 2, 3], RNG) == (0, 2, 3)


def test_random_order_draws_every_seat_alike() -> None:
    rng = np.random.default_rng(0)
    drawn = Counter(acting_seats("random", None, [0, 2], rng)[0] for _ in range(2_000))
    assert set(drawn) == {0, 2}
    assert abs(drawn[0] - 1_000) < 150


def test_the_talk_ends_where_too_few_remain_or_one_is_silent_for_too_long() -> None:
    left = talk_ending(a_turn(1, "leave"), [0, 0], [0], 2)
    assert left is not None
    assert (left.reason, left.seat, left.truncated) == ("left", 1, False)
    assert talk_ending(a_turn(1, "leave"), [0, 0, 0], [0, 2], 2) is None
    assert talk_ending(a_turn(0, "none"), [2, 0], [0, 1], 2) is None
    stale = talk_ending(a_turn(0, "none"), [3, 0], [0, 1], 2)
    assert stale is not None
    assert (stale.reason, stale.seat, stale.truncated) == ("stale", 0, False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_cycles": 0}, "max_cycles: 0"),
        ({"action_order": "clockwise"}, "action_order: 'clockwise' is none of round-robin"),
        ({"max_stale": -1}, "max_stale: -1"),
        ({"action_types": ("none", "shout")}, "action_types"),
        ({"action_types": ("speak",)}, "holds none"),
        ({"action_types": "none"}, None),
    ],
)
def test_rules_refuse_what_makes_no_sense(arguments: dict[str, Any], message: str | None) -> None:
    if message is None:
        assert Rules(**arguments).action_types == ("none",)
        return
    with pytest.raises(ValueError, match=message):
        Rules(**arguments)


def test_rules_survive_plain_data_and_keep_one_order_of_types() -> None:
    rules = Rules(5, "random", 1, ("leave", "none", "speak"))
    assert rules.action_types == ("none", "speak", "leave")
    assert Rules.from_dict(rules.to_dict()) == rules
    assert Rules().action_types == ACTION_TYPES


def test_simultaneous_turns_are_cut_into_cycles_where_the_seats_start_over() -> None:
    turns = [a_turn(seat) for seat in (0, 1, 2, 0, 2, 0, 2)]
    assert [[t.seat for t in cycle] for cycle in cycles_of(turns, "simultaneous")] == [[0, 1, 2], [0, 2], [0, 2]]
    assert len(cycles_of(turns, "round-robin")) == 7
