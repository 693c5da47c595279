"""Tiny random models of many families: each can do what docs/models.md says, with the numbers of ``transformers``."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sotopia_env.episodes import Episode
from sotopia_env.training import memory, scoring, shared_prefix
from sotopia_env.training.scoring import scored


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


# Rows with padding anywhere, and the tokens of them that are asked about.
IDS = torch.randint(5, 60, (5, 40), generator=torch.Generator().manual_seed(0))
_PLACES = torch.arange(40)
_FIRST, _LAST = torch.tensor([[0], [9], [3], [12], [5]]), torch.tensor([[40], [31], [17], [40], [22]])
ATTENTION = ((_PLACES >= _FIRST) & (_PLACES < _LAST)).long()
SELECTED = (ATTENTION == 1) & (_PLACES > _FIRST + 4) & (_PLACES % 3 == 0) & (torch.arange(5)[:, None] != 2)
# What the head's numbers go through: nothing, a factor, a divisor, a cap; a head that is more than a matrix, or not as
# wide as the layers; experts, and states of recurrent layers.
WAYS = ("Llama 2, 3", "Cohere", "Granite", "Gemma 2", "BERT as decoder", "OPT", "Mixtral", "Qwen 3.5")


def gradient(model: Any, of: Tensor) -> Tensor:
    model.zero_grad()
    of.square().mean().backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize(
    "name",
    [n if n in WAYS else pytest.param(n, marks=pytest.mark.slow) for n in table.FAMILIES if n != "BERT"],
)
@pytest.mark.parametrize("layers_again", [False, True])
def test_in_pieces_computed_again_numbers_and_gradients_are_those_of_a_plain_pass(
    name: str, layers_again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if layers_again and name == "Phi MoE":
        pytest.skip("while in training, the layers of this one draw at random")
    model = table.tiny(name, table.tokenizer())
    rows = zip(IDS, ATTENTION.bool(), SELECTED, strict=True)
    logits = [(model(input_ids=ids[read][None], use_cache=False).logits[0], chosen[read]) for ids, read, chosen in rows]
    plain = torch.cat([said[chosen.roll(-1)] for said, chosen in logits])
    gradients = gradient(model, plain)
    if layers_again:
        model.activation_checkpointing_enable()
        model.train()
        table.without_dropout(model)
    monkeypatch.setattr(scoring, "LOGITS_AT_A_TIME", 7 * plain.shape[1])
    monkeypatch.setattr(scoring, "tokens_at_a_time", lambda model: 60)
    monkeypatch.setattr(memory, "KEPT_ON_CPU", 0)
    most = 0

    def read(logits: Tensor, tokens: Tensor, which: Tensor) -> tuple[Tensor]:
        nonlocal most
        most = max(most, len(logits))
        assert torch.equal(IDS[SELECTED][which], tokens)
        return (logits,)

    (found,), _ = scored(model, IDS, ATTENTION, SELECTED, read)
    # Llama 4 names no part of itself as its layers, so that its logits are held for all rows that are read together.
    assert most == (14 if name == "Llama 4" else 7)
    assert torch.allclose(found, plain, atol=1e-4)
    again = gradient(model, found)
    assert len(again) == len(gradients)
    assert (again - gradients).norm() < 1e-4 * gradients.norm()


@pytest.mark.parametrize(
    "name",
    [n if n in WAYS else pytest.param(n, marks=pytest.mark.slow) for n in table.FAMILIES if n != "BERT"],
)
def test_behind_a_beginning_that_is_read_once_numbers_and_gradients_are_those_of_rows_by_themselves(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = table.tiny(name, table.tokenizer())
    ids = IDS.clone()
    # Behind its padding each row but the second begins like the first.
    for row, first in enumerate(_FIRST[:, 0].tolist()):
        if row != 1:
            ids[row, first : first + 8] = IDS[0, :8]
    chosen = SELECTED & (_PLACES >= _FIRST + 9)

    def read(logits: Tensor, *_: Tensor) -> tuple[Tensor]:
        return (logits,)

    (plain,), _ = scored(model, ids, ATTENTION, chosen, read)
    gradients = gradient(model, plain)
    monkeypatch.setattr(shared_prefix, "LARGE", 0)
    monkeypatch.setattr(shared_prefix, "SHORTEST", 4)
    shares = shared_prefix.can_share(model)
    assert shares or name not in ("Llama 2, 3", "Qwen 2, 2.5", "Qwen 3", "Mixtral", "GPT-2")
    assert ([4, 3, 0] in scoring.rows_together(model, ids, ATTENTION, chosen)) == shares
    (found,), _ = scored(model, ids, ATTENTION, chosen, read)
    assert torch.allclose(found, plain, atol=1e-4)
    again = gradient(model, found)
    assert len(again) == len(gradients)
    assert (again - gradients).norm() < 1e-4 * gradients.norm()
