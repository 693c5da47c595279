"""Which rows go through the model together behind a beginning that is read once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sotopia_env.agents.loading import load_model
from sotopia_env.training import shared_prefix
from sotopia_env.training.scoring import scored, selected_logprobs
from sotopia_env.training.shared_prefix import Together, can_share, rows_that_begin_alike

SCENARIO, OTHER = list(range(40)), list(range(100, 140))


def test_rows_with_one_beginning_go_together_and_others_by_their_length() -> None:
    ids = [
        [*SCENARIO, 1, 2, 3],
        [*OTHER, 1],
        [*SCENARIO, 1, 9],
        [7] * 5,
        [*SCENARIO, 4, 4, 4, 4],
        [*OTHER, 2, 2],
        [8] * 60,
    ]
    before = [40, 39, 41, 2, 42, 40, 50]
    assert rows_that_begin_alike(ids, before, 1_000) == [
        Together([3, 6]),
        Together([2, 0, 4], shared=40),
        Together([1, 5], shared=39),
    ]
    # What is asked about cannot lie in what is read once.
    assert rows_that_begin_alike(ids[:1] * 3, [0, 0, 0], 1_000) == [Together([0, 1, 2])]
    assert rows_that_begin_alike([], [], 10) == []


def test_a_beginning_is_not_cut_short_for_a_row_that_has_little_of_it() -> None:
    long = [*SCENARIO, *OTHER, *SCENARIO]
    ids = [[*long, 1], [*long, 2], [*long, 3], [*SCENARIO, 50]]
    assert rows_that_begin_alike(ids, [120, 120, 120, 40], 1_000) == [Together([3]), Together([0, 1, 2], shared=120)]


def test_more_rows_than_fit_are_read_in_parts_each_behind_the_beginning() -> None:
    ids = [[*SCENARIO, *[5 + row] * 30] for row in range(5)]
    assert rows_that_begin_alike(ids, [40] * 5, 100) == [
        Together([0, 1], shared=40),
        Together([2, 3], shared=40),
        Together([4]),
    ]


def test_the_model_reads_a_common_beginning_once(tiny_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(tiny_directory).model
    ids = torch.tensor([[*range(5, 45), 50 + row, 60, 61] for row in range(4)])
    chosen = torch.zeros_like(ids, dtype=torch.bool)
    chosen[:, 41:] = True
    seen: list[int] = []
    model.get_input_embeddings().register_forward_hook(lambda _, given, __: seen.append(given[0].numel()))

    def gradient() -> torch.Tensor:
        model.zero_grad()
        seen.clear()
        (said,), _ = scored(model, ids, torch.ones_like(ids), chosen, lambda logits, tokens, _: (logits,))
        said.square().mean().backward()
        return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    whole, alone = gradient(), selected_logprobs(model, ids, torch.ones_like(ids), chosen, 0.5)
    assert not can_share(model)  # too small to gain by it
    assert seen[:1] == [4 * 42]
    monkeypatch.setattr(shared_prefix, "LARGE", 0)
    assert (gradient() - whole).norm() < 1e-5 * whole.norm()
    assert seen[:2] == [40, 4 * 2]
    assert torch.allclose(selected_logprobs(model, ids, torch.ones_like(ids), chosen, 0.5), alone, atol=1e-5)
