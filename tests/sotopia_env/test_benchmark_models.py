from __future__ import annotations

from pathlib import Path

import pytest

from sotopia_env import benchmark_models
from sotopia_env.benchmark_models import Found, Size, measure_all


def test_a_checkout_is_measured_against_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def found(checkout: Path, stage: str, model: str, size: Size) -> Found:
        asked.append((checkout, stage))
        return Found(2.0, 4.0, 100.0, 60) if checkout == tmp_path else Found(1.0, 1.0, 50.0, 90)

    monkeypatch.setattr(benchmark_models, "_in_own_process", found)
    measures = list(measure_all("model", tmp_path, Size(), ("rollout", "GRPO step")))
    assert asked == [(root, stage) for stage in ("rollout", "GRPO step") for root in (benchmark_models.ROOT, tmp_path)]
    ratios = {measure.name.removesuffix(f" over {tmp_path.name}"): measure.value for measure in measures}
    assert ratios["rollout, tokens a second"] == 3.0
    assert ratios["rollout, memory"] == ratios["GRPO step, memory"] == ratios["GRPO step, time"] == 0.5
    assert [m.note for m in measures if m.name.startswith("GRPO step, time over")] == ["of CPU seconds 0.25"]


@pytest.mark.slow
@pytest.mark.parametrize("stage", benchmark_models.STAGES)
def test_each_stage_is_measured_in_a_process_of_its_own(stage: str, tmp_path: Path) -> None:
    pytest.importorskip("trl")
    from sotopia_env.agents.embedded import build_embedded_model
    from sotopia_env.agents.loading import LoadedModel
    from sotopia_env.rollouts.rollout import rollout
    from sotopia_env.training.batches import corpus

    played = rollout(benchmark_models.TASKS, "scripted:mixed", num_episodes=4)
    LoadedModel(*build_embedded_model(corpus(played), seed=0, hidden_size=32, layers=2), "tiny").save(tmp_path)
    small = Size(4, max_cycles=2, max_turn_tokens=4, cloning_rows=2, reward_model_rows=2, steps=2)
    found = benchmark_models._in_own_process(benchmark_models.ROOT, stage, str(tmp_path), small)
    assert 0 < found.seconds < 300
    assert 100 < found.megabytes < 4_000
    assert (found.tokens > 0) == (stage in ("rollout", "GRPO step"))
