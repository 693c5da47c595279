"""An untrained embedded model, which writes garbage."""

from __future__ import annotations

import pytest
import torch

from sotopia_env.agents.embedded import build_embedded_model
from sotopia_env.agents.loading import LoadedModel

CORPUS = [
    "You are Mara Lind. You sell the bike and want a high price. You lose money below $72.",
    "I can offer $85. Why do you sell it?",
    "Thanks, that is fair! Would $90 work for you?",
    "Reply with your words, or with [action] or [leave].",
] * 2


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def embedded() -> LoadedModel:
    model, tokenizer = build_embedded_model(CORPUS, seed=0, hidden_size=32, layers=2, heads=2)
    return LoadedModel(model, tokenizer, "embedded")
