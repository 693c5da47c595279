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
from sotopia_env.agents.generation import Continuation, Sampling
from sotopia_env.agents.sequence_states import Batch, Memory, Reread, SequenceStates, memory_of
from sotopia_env.agents.weights import Watch

# Below this many tokens in common, computing a prefix on its own saves less than it costs.
_MIN_SHARED = 16
# So many of the most likely tokens are looked at where a cut (top_p) is sought, and all where these do not reach it.
_CANDIDATES = (64, 512)
# Of larger vocabularies the probabilities are summed block by block, of so many tokens, and then within one block.
_LARGE_VOCABULARY = 8_192
_BLOCK = 256

CACHE_BYTES = 1 << 32
"""How much of the keys and values is kept between the turns, where nobody says otherwise."""

_REMEMBERED_USES = 1 << 14


@dataclass(frozen=True)
class _Kept:
    """A sequence that was read.

    Args:
        call: the number of the call that read it last.
        states: its keys and values; ``None`` where there was no room for them.
    """

    call: int
    states: SequenceStates | None


class Decoder:
    """Samples continuations from a model.

    Args:
        model: a causal language model of ``transformers``, adapters included.
        stop_ids: tokens that end a continuation.
        pad_id: any token id, for places that are masked.
        cache_bytes: how much of the keys and values to keep between calls; 0 keeps nothing. Where the sequences that
            are gone on from need more, as many of them as there is room for are kept, and the others are read anew.
    """

    def __init__(self, model: Any, stop_ids: Iterable[int], pad_id: int, cache_bytes: int = CACHE_BYTES) -> None:
        self.model = model
        self.stop_ids = frozenset(stop_ids)
        self.cache_bytes = cache_bytes
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._kept_bytes = 0
        self._calls = 0
        self._watch = Watch(model)
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
        if key not in self._kept and origin in self._kept and (states := self._kept[origin].states) is not None:
            self._store(key, states)

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
        self._calls += 1
        ids, logprobs = self._sampled([list(prompt) for prompt in prompts], uniforms, sampling, keys)
        if not np.isfinite(sum(map(sum, logprobs))):
            raise FloatingPointError("the model's logits are no numbers (nan); its weights are damaged or overflow")
        return [
            Continuation(tuple(own), tuple(values) if sampling.temperature > 0 else None, own[-1] not in self.stop_ids)
            for own, values in zip(ids, logprobs, strict=True)
        ]

    def _sampled(
        self,
        prompts: list[list[int]],
        uniforms: NDArray[np.float64],
        sampling: Sampling,
        keys: Sequence[Hashable] | None,
    ) -> tuple[list[list[int]], list[list[float]]]:
        """For each prompt the tokens that are drawn, and their log-probabilities."""
        batch, chunks = self._begin(prompts, keys, sampling.max_new_tokens)
        ids: list[list[int]] = [[] for _ in prompts]
        drawn: list[Tensor] = []  # the log-probabilities of a step, which a GPU need not hand over before the end
        owners: list[int | None] = []  # the prompt behind each of them; None where it had ended
        active = list(range(len(prompts)))  # the prompt behind each row of the batch
        for step in range(sampling.max_new_tokens):
            logits = batch.extend(chunks)
            tokens, values = draw(logits, torch.from_numpy(uniforms[active, step]).to(logits.device), sampling)
            running = [bool(chunk) for chunk in chunks]
            drawn.append(values)
            owners += [index if runs else None for index, runs in zip(active, running, strict=True)]
            for row, (index, token) in enumerate(zip(active, tokens.tolist(), strict=True)):
                if running[row]:
                    ids[index].append(token)
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
        logprobs: list[list[float]] = [[] for _ in prompts]
        for owner, value in zip(owners, torch.cat(drawn).tolist(), strict=True):
            if owner is not None:
                logprobs[owner].append(value)
        return ids, logprobs

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
        kept = self._kept.get(key)
        if kept is None or kept.states is None:
            return None
        states = kept.states
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
        """Keep a sequence, where there is room or older ones can go.

        What was read since this sequence was last is still being gone on from: were it dropped, sequences that take
        turns would push each other out, each just before it is read again.
        """
        before = self._drop(key)
        since = self._calls if before is None else before.call
        stays = states.size <= self.cache_bytes
        while stays and self._kept_bytes + states.size > self.cache_bytes:
            oldest = next(key for key, kept in self._kept.items() if kept.states is not None)
            stays = self._kept[oldest].call < since
            if stays:
                self._drop(oldest)
        self._kept[key] = _Kept(self._calls, states if stays else None)
        self._kept_bytes += states.size if stays else 0
        if len(self._kept) > _REMEMBERED_USES:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: Hashable) -> _Kept | None:
        kept = self._kept.pop(key, None)
        if kept is not None and kept.states is not None:
            self._kept_bytes -= kept.states.size
        return kept

    def _drop_stale(self) -> None:
        """States are worth nothing once the weights have changed."""
        if not self._keeps_states:
            return
        self._watch.model = self.model
        if self._watch.changed():
            self.forget()


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
    places = _inverted(probabilities, uniforms[:, None])
    tokens = places if candidates is None else candidates.gather(-1, places)
    return tokens[:, 0], probabilities.gather(-1, places)[:, 0].log()


def _inverted(probabilities: Tensor, uniforms: Tensor) -> Tensor:
    """The places at which the cumulative distributions pass so large a share: B x 1 of B x V, in 64 bits."""
    if probabilities.shape[-1] <= _LARGE_VOCABULARY:
        cumulative = probabilities.cumsum(dim=-1, dtype=torch.float64)
        return _passed(cumulative, uniforms * cumulative[:, -1:])
    blocks = torch.nn.functional.pad(probabilities, (0, -probabilities.shape[-1] % _BLOCK)).unflatten(-1, (-1, _BLOCK))
    cumulative = blocks.sum(-1, dtype=torch.float64).cumsum(-1)
    targets = uniforms * cumulative[:, -1:]
    block = _passed(cumulative, targets)
    before = torch.nn.functional.pad(cumulative, (1, 0)).gather(-1, block)
    chosen = blocks.gather(1, block[..., None].expand(-1, -1, _BLOCK))[:, 0]
    return block * _BLOCK + _passed(chosen.cumsum(-1, dtype=torch.float64), targets - before)


def _passed(cumulative: Tensor, targets: Tensor) -> Tensor:
    """The first places above the targets or, where rounding has put these at the end, the last ones that add to it."""
    last = (cumulative < cumulative[:, -1:]).sum(-1, keepdim=True)
    return torch.minimum(torch.searchsorted(cumulative, targets, right=True), last)


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
