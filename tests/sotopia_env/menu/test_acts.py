from __future__ import annotations

import numpy as np

from sotopia_env.actions import ACTION_TYPES, NONE, leave
from sotopia_env.menu.acts import ACTS, PROPOSALS, legal_acts, mask_of, proposals


def test_the_menu_holds_seven_acts_and_48_proposals_under_different_names() -> None:
    assert len(ACTS) == len(set(ACTS)) == 7 + PROPOSALS == 55
    assert ACTS[0] == "wait"
    assert ACTS[-1] == "propose-47"


def test_out_of_turn_only_waiting_is_legal() -> None:
    only_none = np.array([1, 0, 0, 0, 0], dtype=np.int8)
    legal = legal_acts({"ask": "Why?", "leave": leave()}, only_none)
    assert legal == {"wait": NONE}
    mask = mask_of(legal)
    assert mask.dtype == np.int8
    assert mask.nonzero()[0].tolist() == [0]


def test_an_act_whose_type_is_switched_off_is_not_legal() -> None:
    no_leaving = np.array([kind != "leave" for kind in ACTION_TYPES], dtype=np.int8)
    assert set(legal_acts({"ask": "Why?", "leave": leave()}, no_leaving)) == {"wait", "ask"}


def test_what_lies_beyond_the_last_slot_is_left_out() -> None:
    assert proposals({0: "a", 47: "b", 48: "c"}) == {"propose-0": "a", "propose-47": "b"}
