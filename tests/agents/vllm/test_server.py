"""vLLM's server as what samples turns, against one that speaks its JSON."""

from __future__ import annotations

import copy
import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sotopia_env
from sotopia_env.agents.adapters import add_lora
from sotopia_env.agents.endpoint.client import EndpointError
from sotopia_env.agents.generation import Sampling
from sotopia_env.agents.loading import LoadedModel
from sotopia_env.agents.local_lm import LocalLM
from sotopia_env.agents.vllm.server import VLLMError, VLLMServer
from sotopia_env.resolve import make_policy

STOPS = {3}
QUICK = {"retries": 2, "first_wait": 0.0, "timeout": 10.0}


def completion(ids: list[int], logprobs: list[float] | None = None) -> dict[str, Any]:
    values = [-0.5 * place for place, _ in enumerate(ids)] if logprobs is None else logprobs
    choice = {"index": 0, "text": "", "token_ids": ids, "logprobs": {"token_logprobs": values}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": len(ids), "total_tokens": 3 + len(ids)}
    return {"id": "1", "object": "text_completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}


def written(request: dict[str, Any]) -> list[int]:
    """Tokens that follow from the seed alone, the last of them a stop."""
    rng = np.random.default_rng(request["seed"])
    return [*rng.integers(5, 60, size=rng.integers(1, request["max_tokens"])).tolist(), request["stop_token_ids"][0]]


@pytest.fixture
def vllm_server(chat_server: Any) -> Any:
    chat_server.models = ["m"]
    chat_server.otherwise = lambda request: chat_server.response(
        completion(written(request)) if "prompt" in request else {}
    )
    return chat_server


def uniforms(count: int, length: int = 8) -> np.ndarray:
    return np.random.default_rng(0).random((count, length))


def test_token_ids_go_out_and_come_back_with_their_log_probabilities(vllm_server: Any) -> None:
    sampling = Sampling(temperature=0.7, top_p=0.9, max_new_tokens=8)
    generator = VLLMServer(vllm_server.url, STOPS, **QUICK)
    found = generator.generate([[5, 6], [7, 8, 9]], uniforms(2), sampling, ["a", "b"])
    assert [row.ids[-1] for row in found] == [3, 3]
    assert [row.logprobs for row in found] == [tuple(-0.5 * place for place in range(len(row.ids))) for row in found]
    assert not any(row.truncated for row in found)
    first, second = sorted(vllm_server.requests, key=lambda request: request["prompt"])
    assert first == {
        "path": "/v1/completions",
        "model": "m",
        "prompt": [5, 6],
        "max_tokens": 8,
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 0,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "stop_token_ids": [3],
        "ignore_eos": True,
        "return_token_ids": True,
        "logprobs": 0,
        "seed": int(uniforms(2)[0, 0] * 2**31),
    }
    assert second["prompt"] == [7, 8, 9]
    assert second["seed"] != first["seed"]
    assert generator.generate([[7, 8, 9]], uniforms(2)[1:], sampling)[0].ids == found[1].ids


def test_greedy_has_no_log_probabilities_and_the_length_limit_is_seen(vllm_server: Any) -> None:
    vllm_server.always(body=completion([5, 6, 7]))
    generator = VLLMServer(vllm_server.url, STOPS, **QUICK)
    (found,) = generator.generate([[5]], uniforms(1), Sampling(temperature=0, max_new_tokens=3))
    assert (found.ids, found.logprobs, found.truncated) == ((5, 6, 7), None, True)


def test_what_fails_is_asked_again_and_then_said(vllm_server: Any) -> None:
    generator = VLLMServer(vllm_server.url, STOPS, **QUICK)
    vllm_server.will(status=500)
    vllm_server.will(reset=True)
    assert len(generator.generate([[5]], uniforms(1), Sampling())) == 1
    assert len(vllm_server.requests) == 3
    bare = completion([5, 3])
    del bare["choices"][0]["token_ids"]
    vllm_server.always(body=bare)
    with pytest.raises(EndpointError, match=r"prompt 0: malformed .*choices\.0\.token_ids.*is it a vLLM server"):
        generator.generate([[5]], uniforms(1), Sampling())
    vllm_server.always(body=completion([5, 3], [-0.1]))
    with pytest.raises(EndpointError, match="2 token_ids and 1 token_logprobs"):
        generator.generate([[5]], uniforms(1), Sampling())
    vllm_server.always(body={"error": {"message": "too long"}}, status=400)
    with pytest.raises(EndpointError, match="rejected after 1 call"):
        generator.generate([[5]], uniforms(1), Sampling())


def test_the_model_is_named_where_the_server_has_several(vllm_server: Any) -> None:
    vllm_server.models = ["one", "two"]
    with pytest.raises(VLLMError, match="no model is named .* has one, two"):
        VLLMServer(vllm_server.url, STOPS)
    assert VLLMServer(vllm_server.url, STOPS, served="two").served == "two"
    with pytest.raises(VLLMError, match="there is no 'three'"):
        VLLMServer(vllm_server.url, STOPS, served="three")
    with pytest.raises(VLLMError, match="vllm serve MODEL"):
        VLLMServer("http://127.0.0.1:9", STOPS)


def test_a_policy_plays_its_own_tokens_on_the_server(vllm_server: Any, embedded: LoadedModel, tmp_path: Path) -> None:
    embedded.save(tmp_path / "model")
    name = f"vllm:{tmp_path / 'model'}@{vllm_server.url}?max_new_tokens=6&timeout=10"
    policy = make_policy(name)
    assert isinstance(policy, LocalLM)
    assert policy.model is None
    assert policy.name.startswith("vllm:")
    assert policy.describe()["model"]["served"] == "m"
    traces: dict[Any, Any] = {}
    episodes = sotopia_env.rollout("bargain", policy, num_episodes=3, batch_size=3, max_cycles=3, traces=traces)
    assert len(vllm_server.requests) == sum(len(episode.turns) for episode in episodes)
    prompts = {tuple(request["prompt"]) for request in vllm_server.requests}
    for own in traces.values():
        for before, after in itertools.pairwise(own):
            assert after.prompt_ids[: len(before.prompt_ids) + len(before.ids)] == (*before.prompt_ids, *before.ids)
        assert {turn.prompt_ids for turn in own} <= prompts
        assert all(len(turn.ids) == len(turn.logprobs) for turn in own)
    again = sotopia_env.rollout("bargain", pickle.loads(pickle.dumps(policy)), num_episodes=3, max_cycles=3)  # noqa: S301
    assert [[turn.text for turn in episode.turns] for episode in again] == [
        [turn.text for turn in episode.turns] for episode in episodes
    ]


def test_a_learners_adapter_is_handed_over_when_it_has_changed(
    vllm_server: Any, embedded: LoadedModel, tmp_path: Path
) -> None:
    embedded.save(tmp_path / "base")
    model = copy.deepcopy(embedded.model)
    model.name_or_path = str(tmp_path / "base")
    learner = LoadedModel(add_lora(model), embedded.tokenizer)
    generator = VLLMServer(vllm_server.url, STOPS, learner=learner, folder=tmp_path / "weights", **QUICK)
    for _ in range(2):
        generator.generate([[5]], uniforms(1), Sampling())
    with torch.no_grad():
        next(weight for name, weight in learner.model.named_parameters() if "lora_B" in name).add_(1)
    generator.generate([[5]], uniforms(1), Sampling())
    asked = [(request["path"], request.get("lora_name", request.get("model"))) for request in vllm_server.requests]
    assert asked == [
        ("/v1/load_lora_adapter", "m-learner-1"),
        ("/v1/completions", "m-learner-1"),
        ("/v1/completions", "m-learner-1"),
        ("/v1/load_lora_adapter", "m-learner-2"),
        ("/v1/unload_lora_adapter", "m-learner-1"),
        ("/v1/completions", "m-learner-2"),
    ]
    assert (Path(vllm_server.requests[0]["lora_path"]) / "adapter_model.safetensors").is_file()
    vllm_server.always(status=404, body={"detail": "Not Found"})
    with torch.no_grad():
        next(weight for name, weight in learner.model.named_parameters() if "lora_B" in name).add_(1)
    with pytest.raises(VLLMError, match="load_lora_adapter: .*404.* --enable-lora"):
        generator.generate([[5]], uniforms(1), Sampling())


def test_all_weights_are_handed_over_and_old_prefixes_dropped(
    vllm_server: Any, embedded: LoadedModel, tmp_path: Path
) -> None:
    learner = LoadedModel(copy.deepcopy(embedded.model), embedded.tokenizer)
    policy = LocalLM(learner, backend="vllm", url=vllm_server.url, folder=tmp_path / "weights")
    assert not policy.generator.exact
    policy.generator.generate([[5]], uniforms(1), Sampling())
    assert [request["path"] for request in vllm_server.requests] == [
        "/collective_rpc",
        "/reset_prefix_cache",
        "/v1/completions",
    ]
    assert vllm_server.requests[0]["method"] == "reload_weights"
    assert (Path(vllm_server.requests[0]["kwargs"]["weights_path"]) / "model.safetensors").is_file()


def test_where_a_backend_is_named_that_cannot_be_had_it_is_said(embedded: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be 'decoder' or 'vllm'"):
        LocalLM(embedded, backend="llama")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="give backend='vllm'"):
        LocalLM(embedded, url="http://127.0.0.1:8000")
    with pytest.raises(ValueError, match="start a server"):
        LocalLM(embedded, backend="vllm")
