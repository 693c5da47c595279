from __future__ import annotations

import copy

import pytest
from gymnasium import spaces
from gymnasium.vector.utils import batch_space, create_shared_memory, read_from_shared_memory, write_to_shared_memory

from sotopia_env.spaces import UnicodeText


def test_a_text_is_read_when_it_is_looked_at() -> None:
    """A vector environment reads its shared memory once, before anything is written."""
    space = spaces.Dict({"text": UnicodeText(50), "other": UnicodeText(9)})
    memory = create_shared_memory(space, 3)
    texts = read_from_shared_memory(space, memory, 3)
    assert list(texts["text"]) == ["", "", ""]
    written = ["hello", "é — ok? 日本 \U0001f600", "\U0001f600" * 50]
    for index, text in enumerate(written):
        write_to_shared_memory(space, index, {"text": text, "other": str(index)}, memory)
    given = copy.deepcopy(texts)
    assert given == {"text": tuple(written), "other": ("0", "1", "2")}
    assert given in batch_space(space, 3)
    write_to_shared_memory(space, 2, {"text": "", "other": ""}, memory)
    assert texts["text"][2] == texts["text"][-1] == ""
    assert texts["text"][:2] == tuple(written[:2])
    assert given["text"][2] == written[2]


def test_texts_are_a_sequence() -> None:
    space = UnicodeText(5)
    texts = read_from_shared_memory(space, create_shared_memory(space, 2), 2)
    assert len(texts) == 2
    assert texts == ["", ""]
    assert texts != ["", "", ""]
    assert repr(texts) == "('', '')"
    with pytest.raises(IndexError, match="text 2 of 2"):
        texts[2]
