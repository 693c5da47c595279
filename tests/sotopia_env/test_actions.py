from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sotopia_env import do, gesture, leave, speak
from sotopia_env.actions import ACTION_TYPES, MAX_UTTERANCE, NONE, Action, read_action
from sotopia_env.spaces import action_space


def test_the_order_of_the_types_is_sotopias() -> None:
    assert ACTION_TYPES == ("none", "speak", "non-verbal communication", "action", "leave")


@pytest.mark.parametrize(
    ("action", "type_", "text"),
    [(speak("hi"), "speak", "hi"), (do("accept"), "action", "accept"), (leave(), "leave", ""),
     (gesture("nods"), "non-verbal communication", "nods")],
)  # fmt: skip
def test_helpers_make_elements_of_the_space(action: Action, type_: str, text: str) -> None:
    assert (action.type, action.text) == (type_, text)
    assert read_action(action) == (action, None)
    element = action.to_space()
    assert element in action_space()
    assert read_action(element) == (action, None)


def test_one_agent_or_several_are_addressed() -> None:
    assert speak("psst", to="agent_1") == speak("psst", to=["agent_1"]) == Action("speak", "psst", (1,))
    assert do("x", to=("agent_2", "agent_0", "agent_2")).to == (0, 2)
    assert gesture("x", to=[]).to == ()


@pytest.mark.parametrize("to", ["Ben", ["Ben"], ["agent_"], ["agent_x"], ["agent_0", 1], [None], "", ["agent_-1"]])
def test_who_is_no_agent_is_named(to: Any) -> None:
    with pytest.raises(ValueError, match=r"is the id of no agent; give agent_0, agent_1, \.\.\. \(an observation's"):
        speak("psst", to=to)


def test_a_bare_string_speaks_verbatim_and_is_never_parsed() -> None:
    text = '{"action_type": "leave", "argument": ""}'
    assert read_action(text) == (speak(text), None)
    assert read_action("[leave]") == (speak("[leave]"), None)


@pytest.mark.parametrize(
    ("given_", "reason"),
    [
        (None, "no action was given"),
        (3.5, "a float is not an action"),
        ([1, "hi"], "a list is not an action"),
        ({}, "action_type (NoneType)"),
        ({"action_type": 5, "argument": ""}, "no number from 0 to 4"),
        ({"action_type": -1, "argument": ""}, "no number from 0 to 4"),
        ({"action_type": 1.0, "argument": "hi"}, "action_type (float)"),
        ({"action_type": float("inf"), "argument": "hi"}, "action_type (float)"),
        ({"action_type": 10**5000, "argument": "hi"}, "action_type (int)"),
        ({"action_type": np.array([1, 1]), "argument": "hi"}, "action_type (ndarray)"),
        ({"action_type": "shout", "argument": "hi"}, "unknown action type 'shout'"),
        ({"action_type": 1, "argument": "hi", "to": [1]}, "unknown fields ['to']"),
        ({"action_type": 1, "argument": None}, "a str, not a NoneType"),
        ({"action_type": 1}, "nothing was said"),
        (speak("   "), "nothing was said"),
        (speak("a" * (MAX_UTTERANCE + 1)), f"at most {MAX_UTTERANCE}"),
        ("\ud800", "lone surrogate"),
        (Action("dance", "x"), "unknown action type"),
        (Action(["speak"], "x"), "unknown action type"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_action_becomes_none_with_the_reason(given_: Any, reason: str) -> None:
    action, why = read_action(given_)
    assert action == NONE
    assert why is not None
    assert reason in why


def test_numpy_numbers_and_type_names_are_taken() -> None:
    assert read_action({"action_type": np.int64(3), "argument": "accept"}) == (do("accept"), None)
    assert read_action({"action_type": np.array(4), "argument": ""}) == (leave(), None)
    assert read_action({"action_type": "speak", "argument": "hi"}) == (speak("hi"), None)


def test_text_beside_none_is_dropped() -> None:
    assert read_action(Action("none", "pssst")) == (NONE, None)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("action_type") | st.just("argument"), inner),
    max_leaves=8,
)


@given(json_like)
def test_nothing_raises(given_: Any) -> None:
    action, reason = read_action(given_)
    assert action.type in ACTION_TYPES
    assert reason is None or action == NONE
