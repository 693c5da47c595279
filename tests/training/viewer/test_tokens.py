from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from sotopia_env.training.viewer import tokens
from sotopia_env.training.viewer.tokens import TokenReader, token_texts


class Bytes:
    """A tokenizer of bytes."""

    def decode(self, ids: Sequence[int], clean_up_tokenization_spaces: bool = False) -> str:
        return bytes(ids).decode("utf-8", "replace")


def test_a_letter_of_several_tokens_stands_with_its_last() -> None:
    ids = list("né 中!".encode())
    texts = token_texts(Bytes(), ids)
    assert texts == ["n", "", "é", " ", "", "", "中", "!"]
    assert token_texts(Bytes(), ids[:2]) == ["n", "\ufffd"]


def test_tokens_are_read_by_the_tokenizer_in_the_folder_of_their_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run" / "clone").mkdir(parents=True)
    (tmp_path / "run" / "clone" / "tokenizer.json").touch()
    loaded: list[object] = []

    def load(source: object) -> Bytes:
        loaded.append(source)
        return Bytes()

    monkeypatch.setattr(tokens, "_loaded", load)
    reader = TokenReader(places=[tmp_path / "run" / "evaluation", tmp_path / "run"])
    assert reader("clone?temperature=0.5", b"ab") == ["a", "b"]
    assert reader("clone?temperature=0.5", b"c") == ["c"]
    assert (loaded, reader.unread) == ([tmp_path / "run" / "clone"], set())
    assert reader("stranger", [7]) == ["⟨7⟩"]
    assert reader("", [7]) == ["⟨7⟩"]
    assert reader.unread == {"stranger", ""}
    assert TokenReader("elsewhere")("stranger", b"a") == ["a"]
