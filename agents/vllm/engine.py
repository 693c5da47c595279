"""vLLM in this process as what samples turns."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sotopia_env.agents.generation import Continuation, Sampling
from sotopia_env.describe import Description


class VLLMEngine:
    """Continues prompts with an engine of vLLM; see :class:`~sotopia_env.agents.vllm.server.VLLMServer` on its numbers.

    Args:
        source: the model's folder or hub id.
        stop_ids: tokens that end a continuation.
        adapter: the folder of a LoRA adapter on it.
        tokenizer: digest of the tokenizer, for :meth:`describe`.
        engine_options: passed to ``vllm.LLM``, such as ``gpu_memory_utilization`` or ``tensor_parallel_size``.

    Raises:
        ModuleNotFoundError: vLLM is not installed.
    """

    exact = False

    def __init__(
        self,
        source: str,
        stop_ids: Collection[int],
        *,
        adapter: str | None = None,
        tokenizer: str | None = None,
        **engine_options: Any,
    ) -> None:
        try:
            from vllm import LLM, SamplingParams
        except ModuleNotFoundError as error:
            missing = "backend='vllm' without url= runs vLLM in this process: install vllm, or give the url of a server"
            raise ModuleNotFoundError(missing, name="vllm") from error
        self.stop_ids = frozenset(stop_ids)
        self._source, self._tokenizer, self._adapter = source, tokenizer, None
        if adapter is not None:
            from vllm.lora.request import LoRARequest

            engine_options = {"enable_lora": True} | engine_options
            self._adapter = LoRARequest("adapter", 1, adapter)
        self._engine = LLM(source, logprobs_mode="processed_logprobs", **engine_options)
        self._sampling_params = SamplingParams
        self.context_length: int | None = self._engine.llm_engine.model_config.max_model_len
        """Longest sequence that it reads, in tokens."""

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        uniforms: NDArray[np.float64],
        sampling: Sampling,
        keys: Sequence[Hashable] | None = None,
    ) -> list[Continuation]:
        """Continue B prompts; see :class:`~sotopia_env.agents.generation.Generator`."""
        parameters = [
            self._sampling_params(
                max_tokens=sampling.max_new_tokens,
                temperature=sampling.temperature,
                top_p=1.0 if sampling.top_p is None else sampling.top_p,
                top_k=sampling.top_k or 0,
                seed=int(uniform * 2**31),
                stop_token_ids=sorted(self.stop_ids),
                ignore_eos=True,
                logprobs=0,
                detokenize=False,
            )
            for uniform in uniforms[:, 0]
        ]
        asked = [{"prompt_token_ids": list(prompt)} for prompt in prompts]
        outputs = self._engine.generate(asked, parameters, lora_request=self._adapter, use_tqdm=False)
        found = []
        for output in outputs:
            (written,) = output.outputs
            ids = tuple(int(token) for token in written.token_ids)
            values = tuple(float(at[token].logprob) for token, at in zip(ids, written.logprobs, strict=True))
            found.append(Continuation(ids, values if sampling.temperature > 0 else None, ids[-1] not in self.stop_ids))
        return found

    def begin_like(self, key: Hashable, origin: Hashable) -> None:
        """The engine finds common beginnings by itself."""

    def forget(self) -> None:
        """Drop what is kept of all sequences."""
        self._engine.reset_prefix_cache()

    def describe(self) -> Description:
        """The model's folder or name, and how its tokens are read."""
        return {"served": self._source, "tokenizer": self._tokenizer, "stop_ids": sorted(self.stop_ids)}
