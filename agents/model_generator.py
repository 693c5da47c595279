"""A model in the memory of this process as what samples turns."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peft import PeftModel

from sotopia_env.agents.adapters import using_adapter
from sotopia_env.agents.decoding import CACHE_BYTES, Decoder
from sotopia_env.agents.forward import bare, context_length
from sotopia_env.agents.generation import Continuation, Sampling
from sotopia_env.agents.loading import FAST, LoadedModel, cast, fast_dtype
from sotopia_env.agents.weights import Watch
from sotopia_env.describe import Description


class ModelGenerator:
    """Continues prompts with a model that may be in training, or serve others with other adapters.

    In another number format than the model's own it plays on a copy, with the adapter merged, that is made anew when
    weights have changed: training in 32 bits then plays as fast as the machine can. So does ``"fast"`` on a CPU for a
    model in bfloat16 with adapters.

    Args:
        loaded: the model.
        stop_ids: tokens that end a continuation.
        adapter: which of the model's adapters to use; ``None`` uses the model as it is.
        dtype: to play in, such as ``"bfloat16"``, or ``"fast"`` (:func:`~sotopia_env.agents.loading.fast_dtype`);
            ``None`` is the model's own.
        cache_bytes: how much of the keys and values to keep between calls; 0 keeps nothing.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        stop_ids: Iterable[int],
        *,
        adapter: str | None = None,
        dtype: str | torch.dtype | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.loaded = loaded
        self.adapter = adapter
        model = loaded.model
        wanted = fast_dtype(model) if dtype == FAST else getattr(torch, dtype) if isinstance(dtype, str) else dtype
        # Merged adapters cost nothing more a token, where the last digits are not what counts.
        merges = dtype == FAST and wanted != torch.float32 and isinstance(model, PeftModel)
        merges = merges and model.device.type == "cpu"
        self.dtype: torch.dtype | None = None if wanted == bare(model).dtype and not merges else wanted
        """What it plays in, where that is not the model's own with its adapters beside it."""
        self._watch = Watch(model)
        self._decoder = Decoder(model, stop_ids, loaded.tokenizer.pad_token_id, cache_bytes)

    @property
    def cache_bytes(self) -> int:
        """How much of the keys and values it keeps."""
        return self._decoder.cache_bytes

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        uniforms: NDArray[np.float64],
        sampling: Sampling,
        keys: Sequence[Hashable] | None = None,
    ) -> list[Continuation]:
        """Continue B prompts; see :class:`~sotopia_env.agents.generation.Generator`."""
        if self.dtype is not None:
            if self._watch.changed():
                self._decoder.model = self._copied(self.dtype)
            return self._decoder.generate(prompts, uniforms, sampling, keys)
        model = self.loaded.model
        with _evaluating(model), self._adapted(model):
            return self._decoder.generate(prompts, uniforms, sampling, keys)

    def begin_like(self, key: Hashable, origin: Hashable) -> None:
        """Let a sequence that nothing is known of begin with what is kept of another one."""
        self._decoder.begin_like(key, origin)

    def forget(self) -> None:
        """Drop what is kept of all sequences."""
        self._decoder.forget()

    @property
    def exact(self) -> bool:
        """Whether the model itself plays, and not a copy in another number format."""
        return self.dtype is None

    def describe(self) -> Description:
        """Digests of weights, configuration and tokenizer, wherever they were loaded from."""
        return self.loaded.describe(None if self.adapter is None else [self.adapter])

    @property
    def context_length(self) -> int | None:
        """Longest sequence the model reads, in tokens; ``None`` where it names none."""
        return context_length(self.loaded.model)

    def _adapted(self, model: Any) -> Any:
        return using_adapter(model, self.adapter) if self.adapter else nullcontext()

    def _copied(self, dtype: torch.dtype) -> Any:
        model = self.loaded.model
        with self._adapted(model), torch.no_grad():
            twin = copy.deepcopy(model)
        # What a trainer has put around a forward pass still calls the model itself, whichever module it stands on.
        for module in twin.modules():
            for name in ("forward", "_original_forward"):
                vars(module).pop(name, None)
        merged = twin.merge_and_unload() if hasattr(twin, "merge_and_unload") else twin
        return cast(merged, dtype).requires_grad_(False).eval()


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Without dropout, and afterwards in the mode it was in: the model may be in training."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
