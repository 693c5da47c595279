"""Batched sampling from a causal language model, with keys and values kept between the turns of a dialogue.

``generate`` of ``transformers`` draws one random stream for a whole batch, so what a dialogue gets would depend on its
neighbours. Here every row brings its own uniform numbers. What is kept between calls only saves time: a prompt that
begins like the one before it is not computed again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sotopia_env.agents.forward import arguments, without_router_loss
from sotopia_env.agents.sequence_states import Batch, Memory, Reread, SequenceStates, memory_of

# Below this many tokens in common, computing a prefix on its own saves less than it costs.
_MIN_SHARED = 16
# So many of the most likely tokens are looked at where a cut (top_p) is sought, and all where these do not reach it.
_CANDIDATES = (64, 512)


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


class Decoder:
    """Samples continuations from a model.

    Args:
        model: a causal language model of ``transformers``, adapters included.
        stop_ids: tokens that end a continuation.
        pad_id: any token id, for places that are masked.
        cache_bytes: how much of the keys and values to keep between calls; 0 keeps nothing.
    """

    def __init__(self, model: Any, stop_ids: Iterable[int], pad_id: int, cache_bytes: int = 1 << 29) -> None:
        self.model = model
        self.stop_ids = frozenset(stop_ids)
        self.cache_bytes = cache_bytes
        self._kept: OrderedDict[Hashable, SequenceStates] = OrderedDict()
        self._kept_bytes = 0
        self._seen: tuple[list[tuple[int, int]], Tensor] | None = None
        self._memory = Memory()
        self._pad_id = pad_id
        names = arguments(model)
        self._with_positions = "position_ids" in names
        self._options = {"logits_to_keep": 1} if "logits_to_keep" in names else {}
        self._options |= without_router_loss(model)

    @cached_property
    def _kind(self) -> str:
        return memory_of(self.model)

    @property
    def _keeps_states(self) -> bool:
        return self.cache_bytes > 0 and self._kind == "rows"

    def _new_batch(self, rows: Sequence[SequenceStates | None], room: int) -> Any:
        if self._kind == "none":
            return Reread(self.model, len(rows), self._pad_id)
        return Batch(
            self.model,
            rows,
            room,
            memory=self._memory if self._keeps_states else None,
            pad_id=self._pad_id,
            with_positions=self._with_positions,
            options=self._options,
        )

    def forget(self) -> None:
        """Drop all keys and values."""
        self._kept.clear()
        self._kept_bytes = 0
        self._memory.release()

    def begin_like(self, key: Hashable, origin: Hashable) -> None:
        """Let a sequence that nothing is known of begin with what is kept of another one."""
        if key not in self._kept and origin in self._kept:
            self._store(key, self._kept[origin])

    @torch.inference_mode()
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
            uniforms: B x max_new_tokens numbers in [0, 1): row b decides the tokens of prompt b.
            sampling: how tokens are drawn.
            keys: what to keep each sequence under, so that a later prompt with the same key can go on from it.

        Raises:
            FloatingPointError: the model's logits are no numbers.
        """
        self._drop_stale()
        batch, chunks = self._begin([list(prompt) for prompt in prompts], keys, sampling.max_new_tokens)
        ids: list[list[int]] = [[] for _ in prompts]
        logprobs: list[list[float]] = [[] for _ in prompts]
        active = list(range(len(prompts)))  # the prompt behind each row of the batch
        for step in range(sampling.max_new_tokens):
            logits = batch.extend(chunks)
            tokens, values = draw(logits, torch.from_numpy(uniforms[active, step]).to(logits.device), sampling)
            running = [bool(chunk) for chunk in chunks]
            for row, (index, token, value) in enumerate(zip(active, tokens.tolist(), values.tolist(), strict=True)):
                if running[row]:
                    ids[index].append(token)
                    logprobs[index].append(value)
                    running[row] = token not in self.stop_ids
            if not any(running):
                break
            # Each token costs a pass over all states of all rows, so letting finished rows go soon pays.
            if self._keeps_states and 2 * sum(running) <= len(running):
                self._keep(batch, active, keys, [row for row, runs in enumerate(running) if not runs])
                rest = [row for row, runs in enumerate(running) if runs]
                batch = self._new_batch([batch.row(row) for row in rest], room=sampling.max_new_tokens)
                active, running = [active[row] for row in rest], [True] * len(rest)
            chunks = [ids[index][-1:] if runs else [] for index, runs in zip(active, running, strict=True)]
        self._keep(batch, active, keys, range(len(active)))
        if not np.isfinite(sum(map(sum, logprobs))):
            raise FloatingPointError("the model's logits are no numbers (nan); its weights are damaged or overflow")
        return [
            Continuation(tuple(own), tuple(values) if sampling.temperature > 0 else None, own[-1] not in self.stop_ids)
            for own, values in zip(ids, logprobs, strict=True)
        ]

    def _begin(
        self, prompts: list[list[int]], keys: Sequence[Hashable] | None, room: int
    ) -> tuple[Any, list[list[int]]]:
        """A batch with what is known of the prompts, and what is left to compute of each."""
        known = [self._known(key, prompt) for key, prompt in zip(keys or [None] * len(prompts), prompts, strict=True)]
        fresh = [index for index, states in enumerate(known) if states is None]
        if self._keeps_states and fresh and len(prompts) > 1:
            computed = self._compute_shared([prompts[index] for index in fresh], alone=len(fresh) == len(prompts))
            for index, states in zip(fresh, computed, strict=True):
                known[index] = states
        chunks = [
            prompt if states is None else prompt[len(states.ids) :]
            for prompt, states in zip(prompts, known, strict=True)
        ]
        return self._new_batch(known, room=max(map(len, chunks)) + room), chunks

    def _known(self, key: Hashable, prompt: list[int]) -> SequenceStates | None:
        states = self._kept.get(key)
        if states is None:
            return None
        limit = min(len(states.ids), len(prompt) - 1)
        if states.ids[:limit] != prompt[:limit]:
            limit = _common_prefix([states.ids, prompt])
        return states.first(limit) if limit >= _MIN_SHARED else None

    def _compute_shared(self, prompts: list[list[int]], alone: bool) -> list[SequenceStates | None]:
        """Compute once what prompts have in common: their beginning, and equal prompts as a whole.

        Args:
            prompts: the prompts nothing is known of.
            alone: whether nothing else is in the batch. Otherwise all but the last token is computed here, as the
                others' short chunks would be padded to these long ones.
        """
        start: SequenceStates | None = None
        length = min(_common_prefix(prompts), min(map(len, prompts)) - 1)
        if length >= _MIN_SHARED:
            (start,) = self._compute([prompts[0][:length]], None)
        unique = list(dict.fromkeys(map(tuple, prompts)))
        if alone and len(unique) == len(prompts):
            return [start] * len(prompts)
        rest = [prompt for prompt in unique if len(prompt) > 1 + (length if start else 0)]
        computed = dict(zip(rest, self._compute([list(prompt[:-1]) for prompt in rest], start), strict=True))
        return [computed.get(tuple(prompt), start) for prompt in prompts]

    def _compute(self, sequences: list[list[int]], start: SequenceStates | None) -> list[SequenceStates]:
        if not sequences:
            return []
        begun = 0 if start is None else len(start.ids)
        batch = self._new_batch([start] * len(sequences), room=max(map(len, sequences)) - begun)
        batch.extend([sequence[begun:] for sequence in sequences])
        return [batch.row(row) for row in range(len(sequences))]

    def _keep(self, batch: Batch, active: list[int], keys: Sequence[Hashable] | None, rows: Iterable[int]) -> None:
        if keys is None or not self._keeps_states:
            return
        for row in rows:
            self._store(keys[active[row]], batch.row(row))

    def _store(self, key: Hashable, states: SequenceStates) -> None:
        if key in self._kept:
            self._kept_bytes -= self._kept.pop(key).size
        self._kept[key] = states
        self._kept_bytes += states.size
        while self._kept_bytes > self.cache_bytes:
            self._kept_bytes -= self._kept.popitem(last=False)[1].size

    def _drop_stale(self) -> None:
        """States are worth nothing once the weights have changed.

        Fused optimizers leave a tensor's version as it was, so a few of the values are compared too.
        """
        if not self._keeps_states:
            return
        parameters = list(self.model.parameters())
        versions = [(parameter.data_ptr(), parameter._version) for parameter in parameters]
        seen = (versions, torch.cat([_sample(parameter).float() for parameter in parameters]))
        if self._seen is None or self._seen[0] != seen[0] or not torch.equal(self._seen[1], seen[1]):
            self.forget()
            self._seen = seen


def _sample(parameter: Tensor) -> Tensor:
    flat = parameter.detach().reshape(-1)
    return flat[:: max(1, len(flat) // 8)]


def draw(logits: Tensor, uniforms: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """Draw one token per row by inverting the cumulative distribution.

    Args:
        logits: B x V.
        uniforms: B numbers in [0, 1), of 64 bits.
        sampling: temperature and cuts.

    Returns:
        B tokens, and their log-probabilities under the distribution they were drawn from.
    """
    if sampling.temperature == 0:
        best = logits.float().max(dim=-1)
        return best.indices, best.values * 0
    logits = tempered(logits, sampling.temperature)
    if sampling.top_k is not None:
        logits = _highest(logits, sampling.top_k)
    candidates: Tensor | None = None
    if sampling.top_p is not None:
        logits, candidates = _most_likely(logits, sampling.top_p)
    probabilities = logits.softmax(dim=-1)
    cumulative = probabilities.cumsum(dim=-1, dtype=torch.float64)
    targets = uniforms[:, None] * cumulative[:, -1:]
    places = torch.searchsorted(cumulative, targets, right=True).clamp(max=logits.shape[-1] - 1)
    tokens = places if candidates is None else candidates.gather(-1, places)
    return tokens[:, 0], probabilities.gather(-1, places)[:, 0].log()


@torch.no_grad()
def drawable(logits: Tensor, sampling: Sampling) -> Tensor:
    """Which tokens can be drawn at all, as :func:`draw` does.

    Args:
        logits: B x V, divided by the temperature.
        sampling: its cuts.

    Returns:
        B x V booleans.
    """
    logits = logits.float()
    if sampling.top_k is not None:
        logits = _highest(logits, sampling.top_k)
    if sampling.top_p is not None:
        kept, tokens = _most_likely(logits, sampling.top_p)
        logits = torch.full_like(logits, -torch.inf).scatter(-1, tokens, kept)
    return logits > -torch.inf


def _highest(logits: Tensor, top_k: int) -> Tensor:
    """The logits of the ``top_k`` most likely tokens, the others' minus infinity."""
    least = logits.topk(min(top_k, logits.shape[-1])).values[:, -1:]
    return logits.masked_fill(logits < least, -torch.inf)


def tempered(logits: Tensor, temperature: float) -> Tensor:
    """Logits in 32 bits, divided by the temperature: what tokens are drawn by, and scored by in training."""
    logits = logits.float()
    return logits if temperature == 1 else logits / temperature


def log_probabilities(logits: Tensor, temperature: float) -> Tensor:
    """Returns the log-probabilities of all tokens under the distribution that they are drawn from.

    Args:
        logits: N x V.
        temperature: divides them.
    """
    return tempered(logits, temperature).log_softmax(-1)


def _most_likely(logits: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    """The most likely tokens that together reach ``top_p``: B x K logits, the others' minus infinity, and the tokens.

    A few tokens nearly always reach it: looking at them alone takes a tenth of the time of sorting all.
    """
    probabilities = logits.softmax(dim=-1)
    vocabulary = logits.shape[-1]
    for number in (*_CANDIDATES, vocabulary):
        highest, tokens = probabilities.topk(min(number, vocabulary))
        if (highest.sum(dim=-1) >= top_p).all():
            break
    # A token stays if the more likely ones do not yet reach top_p, so at least one does.
    stays = highest.cumsum(dim=-1) - highest < top_p
    return logits.gather(-1, tokens).masked_fill(~stays, -torch.inf), tokens


def _common_prefix(sequences: Sequence[Sequence[int]]) -> int:
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*sequences, strict=False)))
