"""vLLM in this process, against a module of its name that answers as it does."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sotopia_env.agents.generation import Sampling
from sotopia_env.agents.loading import LoadedModel
from sotopia_env.agents.local_lm import LocalLM


class Engine:
    made: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, model: str, **options: Any) -> None:
        Engine.made = {"model": model, **options}
        self.llm_engine = SimpleNamespace(model_config=SimpleNamespace(max_model_len=2_048))

    def generate(self, prompts: list[Any], parameters: list[Any], lora_request: Any, use_tqdm: bool) -> list[Any]:
        assert not use_tqdm
        self.asked = list(zip(prompts, parameters, strict=True))
        written = SimpleNamespace(
            token_ids=[7, 3], logprobs=[{7: SimpleNamespace(logprob=-1.5)}, {3: SimpleNamespace(logprob=-0.25)}]
        )
        return [SimpleNamespace(outputs=[written]) for _ in prompts]


def test_an_engine_in_this_process_continues_token_ids(
    embedded: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded.save(tmp_path / "model")
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ModuleNotFoundError, match="install vllm, or give the url"):
        LocalLM(tmp_path / "model", backend="vllm")
    vllm = ModuleType("vllm")
    vllm.LLM, vllm.SamplingParams = Engine, SimpleNamespace  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", vllm)
    policy = LocalLM(tmp_path / "model", backend="vllm", gpu_memory_utilization=0.5)
    assert Engine.made == {
        "model": str(tmp_path / "model"),
        "logprobs_mode": "processed_logprobs",
        "gpu_memory_utilization": 0.5,
    }
    assert policy.context_length == 2_048
    uniforms = np.array([[0.25, 0.5], [0.75, 0.5]])
    found = policy.generator.generate([[5, 6], [8]], uniforms, Sampling(temperature=0.5, max_new_tokens=4))
    assert [(row.ids, row.logprobs) for row in found] == [((7, 3), (-1.5, -0.25))] * 2
    (first, one), (second, two) = policy.generator._engine.asked  # type: ignore[attr-defined]
    assert (first, second) == ({"prompt_token_ids": [5, 6]}, {"prompt_token_ids": [8]})
    assert (one.seed, two.seed) == (2**29, 3 * 2**29)
    assert (one.temperature, one.top_p, one.top_k, one.max_tokens, one.logprobs) == (0.5, 1.0, 0, 4, 0)
