"""What samples turns for a policy: the interface of generation backends."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sotopia_env.describe import Description


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn.

    Args:
        temperature: divides the logits; 0 takes the most likely token.
        top_k: only the k most likely tokens, ``None`` for all.
        top_p: only the most likely tokens that together reach this probability, ``None`` for all.
        max_new_tokens: length limit of one continuation.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    max_new_tokens: int = 48

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise ValueError(f"temperature is {self.temperature}; it must be 0 (greedy) or more")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k is {self.top_k}; it must be 1 or more, or None")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; it must lie in (0, 1], or be None")
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens is {self.max_new_tokens}; it must be 1 or more")


@dataclass(frozen=True)
class Continuation:
    """What was sampled after one prompt.

    Args:
        ids: token ids, the one that ended the turn included.
        logprobs: of each token under the sampling distribution; ``None`` where the most likely token was taken.
        truncated: whether the length limit came before an end.
    """

    ids: tuple[int, ...]
    logprobs: tuple[float, ...] | None
    truncated: bool


class Generator(Protocol):
    """A causal language model that continues prompts, wherever it runs.

    Token ids go in and come out, so that nothing that was sampled is ever tokenised again.
    """

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        uniforms: NDArray[np.float64],
        sampling: Sampling,
        keys: Sequence[Hashable] | None = None,
    ) -> list[Continuation]:
        """Continue B prompts.

        Args:
            prompts: B sequences of token ids, none empty.
            uniforms: B x max_new_tokens numbers in [0, 1): row b decides the tokens of prompt b, and nothing else does.
            sampling: how tokens are drawn.
            keys: names of the sequences, under which a later call may find again what was computed of them.
        """

    def begin_like(self, key: Hashable, origin: Hashable) -> None:
        """Let a sequence that nothing is known of begin with what is kept of another one."""

    def forget(self) -> None:
        """Drop what is kept of all sequences."""

    @property
    def exact(self) -> bool:
        """Whether log-probabilities are those of the policy's model itself, in the number format it has."""

    def describe(self) -> Description:
        """What model it is, as plain data for a manifest."""

    @property
    def context_length(self) -> int | None:
        """Longest sequence it reads, in tokens; ``None`` where it names none."""
