"""A vLLM server as what samples turns: token ids in, token ids and log-probabilities out, many dialogues in flight."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Collection, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sotopia_env.agents.endpoint.client import Failure
from sotopia_env.agents.endpoint.tokens import TokenEndpoint, TokenReply
from sotopia_env.agents.generation import Continuation, Sampling
from sotopia_env.agents.loading import LoadedModel
from sotopia_env.agents.weights import Watch
from sotopia_env.describe import Description

_ADMIN_TIMEOUT = 600.0
"""Seconds that loading weights may take."""


class VLLMError(OSError):
    """A vLLM server that cannot be used; the message says why and what to do."""


class VLLMServer:
    """Continues prompts on a running vLLM server (``vllm serve MODEL --logprobs-mode processed_logprobs``).

    The seed of a continuation follows from its uniform numbers, so a server that honours seeds repeats it. The server
    computes in its own number format and in batches of its own making: a turn may differ in another batch, and its
    log-probabilities differ a little from one plain pass of the same weights.

    Args:
        url: such as ``http://127.0.0.1:8000``, with or without ``/v1``.
        stop_ids: tokens that end a continuation.
        served: the model's name on the server; by default the one it serves.
        learner: a model in training that shares this machine's files with the server. Its weights are handed over when
            they have changed: of an adapter the adapter alone, which needs ``--enable-lora`` and
            ``VLLM_ALLOW_RUNTIME_LORA_UPDATING=1`` on the server's side, else all, which needs
            ``VLLM_SERVER_DEV_MODE=1``.
        folder: where weights are handed over; by default a temporary one.
        tokenizer: digest of the tokenizer, for :meth:`describe`.
        endpoint_options: passed to :class:`~sotopia_env.agents.endpoint.Endpoint`, such as ``timeout``, ``retries``,
            ``concurrency`` or ``api_key_env``.

    Raises:
        VLLMError: there is no server, it does not serve the model, or it serves several and none is named.
    """

    exact = False

    def __init__(
        self,
        url: str,
        stop_ids: Collection[int],
        *,
        served: str | None = None,
        learner: LoadedModel | None = None,
        folder: str | Path | None = None,
        tokenizer: str | None = None,
        **endpoint_options: Any,
    ) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        self.stop_ids = frozenset(stop_ids)
        self._tokenizer = tokenizer
        self._endpoint = TokenEndpoint(
            "unnamed", f"{self.url}/v1", **{"concurrency": 256, "timeout": 600.0} | endpoint_options
        )
        card = self._served(served)
        self._endpoint.model = self._base = card["id"]
        self.context_length: int | None = card.get("max_model_len")
        """Longest sequence that the server reads, in tokens."""
        self._learner, self._handed_over = learner, 0
        self._watch = None if learner is None else Watch(learner.model)
        self._folder = None if folder is None else Path(folder)
        self._lock = threading.Lock()

    @property
    def calls_at_once(self) -> int:
        """How many calls the server gets at a time."""
        return self._endpoint.concurrency

    def opened(self) -> AbstractContextManager[None]:
        """Keep one connection for the calls within; see :meth:`Endpoint.opened`."""
        return self._endpoint.opened()

    @property
    def served(self) -> str:
        """The name that the server is asked for: of a model, or of an adapter on it."""
        return self._endpoint.model

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        uniforms: NDArray[np.float64],
        sampling: Sampling,
        keys: Sequence[Hashable] | None = None,
    ) -> list[Continuation]:
        """Continue B prompts; see :class:`~sotopia_env.agents.generation.Generator`.

        Raises:
            EndpointError: the server did not answer.
            VLLMError: it did not take the learner's weights.
        """
        with self._lock:
            if self._watch is not None and self._watch.changed():
                self._hand_over()
        # All that a model's own generation_config might say otherwise is said.
        parameters = {
            "max_tokens": sampling.max_new_tokens,
            "temperature": sampling.temperature,
            "top_p": 1.0 if sampling.top_p is None else sampling.top_p,
            "top_k": sampling.top_k or 0,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "stop_token_ids": sorted(self.stop_ids),
            "ignore_eos": True,
        }
        labels = [f"prompt {row}" for row in range(len(prompts))] if keys is None else [str(key) for key in keys]
        seeds = (uniforms[:, 0] * 2**31).astype(np.int64).tolist()
        outcomes = self._endpoint.complete(
            [
                self._endpoint.request(prompt, label, seed, parameters)
                for prompt, label, seed in zip(prompts, labels, seeds, strict=True)
            ]
        )
        found = []
        for outcome in outcomes:
            if isinstance(outcome, Failure):
                raise self._endpoint.error(outcome)
            assert isinstance(outcome, TokenReply)
            logprobs = outcome.logprobs if sampling.temperature > 0 else None
            found.append(Continuation(outcome.ids, logprobs, outcome.ids[-1] not in self.stop_ids))
        return found

    def begin_like(self, key: Hashable, origin: Hashable) -> None:
        """The server finds common beginnings by itself."""

    def forget(self) -> None:
        """The server drops what it keeps by itself."""

    def describe(self) -> Description:
        """The model's name there, and how its tokens are read: its weights cannot be seen from here."""
        return {"served": self._base, "tokenizer": self._tokenizer, "stop_ids": sorted(self.stop_ids)}

    def _hand_over(self) -> None:
        """Have the server compute with the learner's present weights."""
        assert self._learner is not None
        if self._folder is None:
            # Removed with this object, or when the interpreter ends: the server has read them by then.
            self._temporary = tempfile.TemporaryDirectory(prefix="sotopia-env-weights-")
            self._folder = Path(self._temporary.name)
        self._handed_over += 1
        folder = self._folder / str(self._handed_over % 2)
        self._learner.save(folder)
        if (folder / "adapter_config.json").is_file():
            # Under a new name each time: what the server keeps of prefixes goes by the name.
            before, name = self.served, f"{self._base}-learner-{self._handed_over}"
            self._ask("POST", "/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(folder.resolve())}, _LORA)
            self._endpoint.model = name
            if before != self._base:
                self._ask("POST", "/v1/unload_lora_adapter", {"lora_name": before}, _LORA)
            return
        asked = {"method": "reload_weights", "kwargs": {"weights_path": str(folder.resolve())}}
        self._ask("POST", "/collective_rpc", asked, _WHOLE)
        self._ask("POST", "/reset_prefix_cache", {}, _WHOLE)

    def _served(self, name: str | None) -> Mapping[str, Any]:
        cards = json.loads(self._ask("GET", "/v1/models", None, "start it with: vllm serve MODEL"))["data"]
        fitting = [card for card in cards if (not card.get("parent") if name is None else card["id"] == name)]
        if len(fitting) == 1:
            card: Mapping[str, Any] = fitting[0]
            return card
        names = ", ".join(str(card["id"]) for card in cards)
        asked = "no model is named" if name is None else f"there is no {name!r}"
        raise VLLMError(f"{self.url}: {asked} (served=), and the server has {names}")

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None, remedy: str) -> bytes:
        key = os.environ.get(self._endpoint.api_key_env, "").strip()
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        content = None if body is None else json.dumps(body).encode()
        # The endpoint has seen to it that this is an address of http.
        request = urllib.request.Request(self.url + path, content, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=_ADMIN_TIMEOUT) as response:
                answer: bytes = response.read()
        except OSError as error:
            said = error.read().decode("utf-8", "replace")[:400] if isinstance(error, urllib.error.HTTPError) else ""
            raise VLLMError(f"{method} {self.url}{path}: {error} {said}; {remedy}".replace("\n", " ")) from error
        return answer


_LORA = "start the server with --enable-lora --max-lora-rank R and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1"
_WHOLE = "start the server with VLLM_SERVER_DEV_MODE=1, on a machine that sees the same files"
