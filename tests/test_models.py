"""Tiny random models of many families: each can do what docs/models.md says, with the numbers of ``transformers``."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from sotopia_env.episodes import Episode


def _table() -> Any:
    spec = importlib.util.spec_from_file_location("models_table", Path(__file__).with_name("models_table.py"))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["models_table"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


table = _table()

# What the head's numbers go through, a cap and windows, learnt positions, windows that no mask shows, states of
# recurrent layers, experts, and no decoder at all.
ESSENTIAL = ("Gemma 2", "GPT-2", "GPT-Neo", "Qwen 3.5", "BERT")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def episodes() -> list[Episode]:
    found: list[Episode] = table.dialogues()
    return found


def test_the_page_has_a_row_for_each_family_and_no_other() -> None:
    page = table.read_page()
    assert list(page) == list(table.FAMILIES)
    assert all(list(row) == list(table.COLUMNS) for row in page.values())


@pytest.mark.parametrize("name", ESSENTIAL)
def test_essential_kinds_sample_what_they_score(name: str, episodes: list[Episode]) -> None:
    columns = ("plays", "is cloned", "GRPO")
    said = table.read_page()[name]
    assert table.measure(name, episodes, columns) == {column: said[column] for column in columns}


@pytest.mark.slow
@pytest.mark.parametrize("name", table.FAMILIES)
def test_the_page_says_what_each_family_can_do(name: str, episodes: list[Episode]) -> None:
    assert table.measure(name, episodes) == table.read_page()[name]
