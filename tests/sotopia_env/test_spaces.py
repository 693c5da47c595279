from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from gymnasium import spaces as gym_spaces
from gymnasium.spaces import utils
from gymnasium.vector.utils import (
    batch_space,
    concatenate,
    create_empty_array,
    create_shared_memory,
    iterate,
    read_from_shared_memory,
    write_to_shared_memory,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import sotopia_env
from sotopia_env import spaces
from sotopia_env.actions import ACTION_TYPES, MAX_UTTERANCE
from sotopia_env.spaces import UnicodeText

encodable = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(encodable)
def test_any_encodable_text_within_the_length_is_contained(text: str) -> None:
    assert text in UnicodeText(40)
    assert (text in UnicodeText(10)) == (len(text) <= 10)


@pytest.mark.parametrize("strange", ["\ud800", "ok \udfff", b"bytes", None, 3, ["a"], np.array("a")])
def test_lone_surrogates_and_other_types_are_not_contained(strange: object) -> None:
    assert strange not in UnicodeText(40)


def test_samples_are_contained_and_follow_the_seed() -> None:
    one, other = UnicodeText(5), UnicodeText(5)
    one.seed(3)
    other.seed(3)
    samples = [one.sample() for _ in range(50)]
    assert samples == [other.sample() for _ in range(50)]
    assert all(sample in one and 1 <= len(sample) <= 5 for sample in samples)
    assert len(set(samples)) > 10


def test_equality_and_hash_follow_the_length_alone() -> None:
    assert UnicodeText(7) == UnicodeText(7, seed=1)
    assert hash(UnicodeText(7)) == hash(UnicodeText(7))
    assert UnicodeText(7) != UnicodeText(8)
    assert UnicodeText(7) != gym_spaces.Text(7)
    assert repr(UnicodeText(7)) == "UnicodeText(7)"


def test_the_space_is_small_on_the_wire_and_survives_pickle_and_deepcopy() -> None:
    space = UnicodeText(MAX_UTTERANCE, seed=5)
    pickled = pickle.dumps(space)
    assert len(pickled) < 4_000
    expected = copy.deepcopy(space).sample()
    assert pickle.loads(pickled) == space  # noqa: S301
    assert pickle.loads(pickled).sample() == expected  # noqa: S301
    assert space.sample() == expected


@settings(max_examples=50)
@given(encodable)
def test_flatten_and_unflatten_give_the_text_back(text: str) -> None:
    space = UnicodeText(40)
    flat = utils.flatten(space, text)
    assert flat in utils.flatten_space(space)
    assert utils.unflatten(space, flat) == text


def test_action_and_observation_spaces_flatten() -> None:
    space = spaces.action_space()
    space.seed(0)
    action = space.sample()
    flat = utils.flatten(space, action)
    assert utils.unflatten(space, flat) == action


@pytest.mark.parametrize("texts", [["", "é — ok?", "日本語 \U0001f600"], ["a", "b\n\nc", "d\x01"]])
def test_vector_batches_and_shared_memory_carry_any_text(texts: list[str]) -> None:
    space = UnicodeText(20)
    batched = batch_space(space, 3)
    stacked = concatenate(space, texts, create_empty_array(space, 3))
    assert stacked in batched
    assert list(iterate(batched, stacked)) == texts
    memory = create_shared_memory(space, 3)
    for index, text in enumerate(texts):
        write_to_shared_memory(space, index, text, memory)
    assert list(read_from_shared_memory(space, memory, 3)) == texts


def test_action_space_samples_allowed_types_alone() -> None:
    allowed = ("none", "speak", "action")
    space = spaces.action_space(allowed)
    space.seed(0)
    kinds = {ACTION_TYPES[space.sample()["action_type"]] for _ in range(200)}
    assert kinds == set(allowed)
    assert {"action_type": np.int64(4), "argument": ""} not in space
    assert {"action_type": np.int64(3), "argument": "accept"} in space
    assert space != spaces.action_space()


def test_spaces_are_the_same_for_every_task() -> None:
    assert spaces.observation_space() == spaces.observation_space()
    assert spaces.action_space() == spaces.action_space()
    assert spaces.state_space() == spaces.state_space()


def test_an_utterance_of_line_breaks_alone_fits_into_a_transcript() -> None:
    assert 5 * MAX_UTTERANCE + 100 < spaces.MAX_TRANSCRIPT


def test_the_counter_of_turns_is_one_number_when_flattened() -> None:
    env = sotopia_env.parallel_env("bargain")
    observations, _ = env.reset(seed=0)
    space = env.observation_space("agent_0")
    assert isinstance(space["turn"], gym_spaces.Box)
    assert utils.flatten_space(space["turn"]).shape == (1,)
    (size,) = utils.flatten_space(space).shape
    assert size < 2**20
    assert isinstance(observations["agent_0"]["turn"], int)
    assert observations["agent_0"] in space
    assert utils.flatten(space["turn"], 7).tolist() == [7]
    assert all(value in space["turn"] for value in (0, np.int64(3), np.array(3), space["turn"].sample()))
    assert not any(value in space["turn"] for value in (-1, 2**31, True, 1.0, np.array([1]), "1", None))
    assert env.unwrapped.state() in env.unwrapped.state_space
