"""Which of vLLM's two forms a policy is served by."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from sotopia_env.agents.digests import describe_tokenizer
from sotopia_env.agents.generation import Generator
from sotopia_env.agents.loading import LoadedModel, base_of
from sotopia_env.agents.vllm.engine import VLLMEngine
from sotopia_env.agents.vllm.server import VLLMServer


def vllm_generator(
    source: str | Path | LoadedModel,
    loaded: LoadedModel,
    stop_ids: Collection[int],
    url: str | None,
    adapter: str | None,
    options: Mapping[str, Any],
) -> Generator:
    """Returns a server's client where there is an address, else an engine in this process.

    Args:
        source: what the policy was made from.
        loaded: its tokenizer and, where it was loaded before, its model, whose weights are handed over.
        stop_ids: tokens that end a turn.
        url: of the server.
        adapter: the name of an adapter on the server.
        options: of the client or the engine.

    Raises:
        ValueError: an engine in this process was to follow a model that is loaded already.
    """
    tokenizer = describe_tokenizer(loaded.tokenizer)
    if url is not None:
        learner = loaded if isinstance(source, LoadedModel) else None
        served = {} if adapter is None or learner is not None else {"served": adapter}
        return VLLMServer(url, stop_ids, learner=learner, tokenizer=tokenizer, **served, **options)
    if isinstance(source, LoadedModel):
        raise ValueError(
            "backend='vllm' without url= loads a folder in this process, and cannot follow a model that is loaded "
            "already: start a server (vllm serve MODEL) and give its url"
        )
    path = Path(source).expanduser()
    if (path / "adapter_config.json").is_file():
        return VLLMEngine(base_of(path), stop_ids, adapter=str(path.resolve()), tokenizer=tokenizer, **options)
    return VLLMEngine(str(source), stop_ids, tokenizer=tokenizer, **options)
