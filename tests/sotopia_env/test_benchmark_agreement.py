from __future__ import annotations

from pathlib import Path

import pytest

from sotopia_env.benchmark_agreement import TASKS, rows_of


def test_in_32_bits_sampler_and_trainer_say_the_same_and_in_16_what_rounding_explains(tmp_path: Path) -> None:
    pytest.importorskip("trl")
    from sotopia_env.agents.embedded import build_embedded_model
    from sotopia_env.agents.loading import LoadedModel
    from sotopia_env.rollouts.rollout import rollout
    from sotopia_env.training.batches import corpus

    played = rollout(TASKS, "scripted:mixed", num_episodes=4)
    LoadedModel(*build_embedded_model(corpus(played), seed=0, hidden_size=32, layers=2), "tiny").save(tmp_path)
    (exact, rounded) = rows_of(str(tmp_path), None, dialogues=2)
    assert [row[0] for row in (exact, rounded)] == ["decoder, float32", "decoder, bfloat16"]
    assert exact[1] > 20
    mean, largest = (cell.value for cell in exact[2:4])
    assert 0 <= mean <= largest < 1e-4
    assert 1e-4 < rounded[2].value < 0.05
