"""A causal language model on this machine as a policy."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sotopia_env.actions import NONE, Action
from sotopia_env.agents.decoding import CACHE_BYTES
from sotopia_env.agents.generation import Continuation, Generator, Sampling
from sotopia_env.agents.loading import FAST, LoadedModel, load_model, load_tokenizer
from sotopia_env.agents.model_generator import ModelGenerator
from sotopia_env.agents.scripted.policy import context_of
from sotopia_env.chat_encoding import ChatEncoder, Thinking
from sotopia_env.describe import Description, typed
from sotopia_env.policies import Context, Decision, Observation, TokenTrace
from sotopia_env.rendering import action_output, messages, output_text, read_output

_REMEMBERED_DIALOGUES = 8_192
_SILENCE = output_text(NONE)


class ContextOverflow(ValueError):
    """A dialogue has grown beyond the longest sequence of the model."""


@dataclass(frozen=True)
class _OwnTurn:
    """What was sampled in an own turn, and how the turn stands in the chat, as long as it was played as decided."""

    text: str
    ids: tuple[int, ...]


class LocalLM:
    """Samples its turns from a causal language model.

    In float32 the tokens of a turn depend on the dialogue and on the turn's own generator, not on the batch. Own
    turns are remembered as they were sampled; where there is no memory of them, as after a restart, or where what was
    played differs, their text is tokenised instead.

    Args:
        source: a directory, a hub id, or a model that is already loaded and may be shared with others.
        name: what it is called in episodes and tables; by default after the model.
        temperature: divides the logits; 0 takes the most likely token.
        top_k: only the k most likely tokens, ``None`` for all.
        top_p: only the most likely tokens that together reach this probability, ``None`` for all.
        max_new_tokens: length limit of one turn.
        batch_size: at most so many dialogues go through the model at a time.
        adapter: which of the model's adapters to use; ``None`` uses the model as it is.
        cache_bytes: how much of the keys and values to keep between turns; 0 keeps nothing.
        dtype: what it plays in. By default the fastest (:func:`~sotopia_env.agents.loading.fast_dtype`) where it loads
            the model itself, and the model's own where it is given one; ``"fast"``, or a name such as ``"bfloat16"``,
            plays on a copy of that one. In bfloat16 the sums that a turn follows from are rounded otherwise in another
            batch: now and then another token is drawn, and log-probabilities differ by a few hundredths.
        thinking: ``"off"`` has it speak at once. With ``"on"`` it thinks first, where its chat template has it think:
            nobody else learns of its thoughts, and a template may drop them from its own history, as those of most
            models do, so that its dialogues cannot be trained on. Thoughts count in ``max_new_tokens``.
        backend: ``"decoder"`` computes in this process with ``transformers``; ``"vllm"`` has vLLM do it: the server at
            ``url``, or an engine in this process. From the source then comes the tokenizer alone, and the weights of a
            model that is given loaded are handed over to the server as they change.
        url: of a running server of vLLM (:class:`~sotopia_env.agents.vllm.server.VLLMServer`).
        load_options: passed to :func:`~sotopia_env.agents.loading.load_model`, such as ``device`` or ``revision``, and
            for vLLM to the server's client or the engine.
    """

    def __init__(
        self,
        source: str | Path | LoadedModel,
        *,
        name: str | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        max_new_tokens: int = 48,
        batch_size: int = 64,
        adapter: str | None = None,
        cache_bytes: int = CACHE_BYTES,
        thinking: Thinking = "off",
        dtype: Any = None,
        backend: Literal["decoder", "vllm"] = "decoder",
        url: str | None = None,
        **load_options: Any,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be 1 or more")
        if backend not in ("decoder", "vllm"):
            raise ValueError(f"backend is {backend!r}; it must be 'decoder' or 'vllm'")
        if url is not None and backend != "vllm":
            raise ValueError(f"url is {url!r}, and backend {backend!r} asks no server; give backend='vllm'")
        self._source = source
        self._playing = {"dtype": dtype, "backend": backend, "url": url}
        self._load_options = dict(load_options)
        if isinstance(source, LoadedModel):
            if load_options and backend != "vllm":
                raise TypeError(f"{', '.join(load_options)}: the model is already loaded")
            loaded = source
        elif backend == "vllm":
            loaded = load_tokenizer(source, chat_template=load_options.pop("chat_template", None))
        else:
            loaded, dtype = load_model(source, dtype=dtype or FAST, **load_options), None
        self.model, self.tokenizer = loaded.model, loaded.tokenizer
        self.name = name or (f"{loaded.name}:{adapter}" if adapter else loaded.name)
        self.sampling = Sampling(temperature, top_k, top_p, max_new_tokens)
        self.batch_size, self._cache_bytes = batch_size, cache_bytes
        self.adapter = adapter
        self.encoder = ChatEncoder(self.tokenizer, thinking=thinking, append_only=thinking == "off")
        if thinking == "off":
            self.encoder.check_turns()
        stops = self.encoder.stop_ids | loaded.stop_ids
        if backend == "vllm":
            from sotopia_env.agents.vllm.choice import vllm_generator

            self.generator: Generator = vllm_generator(source, loaded, stops, url, adapter, load_options)
        else:
            self.generator = ModelGenerator(loaded, stops, adapter=adapter, dtype=dtype, cache_bytes=cache_bytes)
        self._own_turns: OrderedDict[tuple[str, str], dict[int, _OwnTurn]] = OrderedDict()
        # Tokenizers are for one thread at a time.
        self._lock = threading.Lock()

    @property
    def calls_at_once(self) -> int:
        """How many calls its server gets at a time; 1 where it computes here, in batches."""
        return getattr(self.generator, "calls_at_once", 1)

    def opened(self) -> AbstractContextManager[None]:
        """Keep one connection for the calls within, where it has a server."""
        found: AbstractContextManager[None] = getattr(self.generator, "opened", nullcontext)()
        return found

    def act(self, observations: Sequence[Observation], contexts: Sequence[Context]) -> list[Decision]:
        """Sample a turn for each observation.

        Raises:
            ContextOverflow: a dialogue and one more turn do not fit into the model.
        """
        decisions: list[Decision] = []
        for start in range(0, len(observations), self.batch_size):
            stop = start + self.batch_size
            decisions += self._act(observations[start:stop], contexts[start:stop])
        return decisions

    def act_one(self, observation: Observation, context: Context | None = None) -> Action:
        """Sample a single turn; without a context, the generator follows from the observation."""
        return self.act([observation], [context or context_of(observation)])[0].action

    def on(self, loaded: LoadedModel, adapter: str | None = None) -> LocalLM:
        """Returns the same policy on another model that reads the same tokens."""
        return type(self)(loaded, name=self.name, adapter=adapter, **self._options)

    @property
    def _options(self) -> dict[str, Any]:
        """Its arguments beside the model."""
        return {**asdict(self.sampling), "batch_size": self.batch_size, "cache_bytes": self._cache_bytes}

    def describe(self) -> Description:
        """What decides its turns: sampling, and the model by digests of what it is rather than by its folder."""
        model = self.generator.describe()
        return typed(self, sampling=asdict(self.sampling), thinking=self.encoder.thinking, model=model)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as its arguments: weights stay in their files, and memories behind.

        Raises:
            TypeError: it was made of a model in memory.
        """
        if isinstance(self._source, LoadedModel):
            raise TypeError(f"the policy {self.name!r} holds a model in memory; make it from a directory or a hub id")
        made = partial(
            type(self),
            self._source,
            name=self.name,
            **self._options,
            adapter=self.adapter,
            thinking=self.encoder.thinking,
            **self._playing,
            **self._load_options,
        )
        return made, ()

    def forget(self) -> None:
        """Drop the memory of all dialogues."""
        self._own_turns.clear()
        self.generator.forget()

    def _act(self, observations: Sequence[Observation], contexts: Sequence[Context]) -> list[Decision]:
        with self._lock:
            prompts = [
                self._prompt(observation, context) for observation, context in zip(observations, contexts, strict=True)
            ]
        uniforms = np.stack([context.rng.random(self.sampling.max_new_tokens) for context in contexts])
        keys = [(context.episode, context.agent) for context in contexts]
        continuations = self.generator.generate(prompts, uniforms, self.sampling, keys)
        with self._lock:
            return [
                self._decide(observation, context, prompt, continuation)
                for observation, context, prompt, continuation in zip(
                    observations, contexts, prompts, continuations, strict=True
                )
            ]

    def _prompt(self, observation: Observation, context: Context) -> list[int]:
        chat = messages(observation)
        texts = [message["content"] for message in chat if message["role"] == "assistant"]
        remembered = self._remembered(context)
        if context.info.get("invalid_action") and (last := remembered.get(context.turn - 1)) is not None:
            # What the game has refused is shown as silence, and remains what was written.
            remembered[context.turn - 1] = replace(last, text=_SILENCE)
        # Of a very long dialogue an observation holds only the last turns.
        first = context.turn - len(texts)
        own_ids = [
            turn.ids if (turn := remembered.get(first + index)) is not None and turn.text == text else None
            for index, text in enumerate(texts)
        ]
        prompt = self.encoder.encode(chat, own_ids if self.encoder.keeps_turns else None).ids
        limit = self.context_length
        if limit is not None and len(prompt) + self.sampling.max_new_tokens > limit:
            raise ContextOverflow(
                f"episode {context.episode!r}, {context.agent}, own turn {context.turn}: the dialogue has "
                f"{len(prompt)} tokens and a turn may take {self.sampling.max_new_tokens}, but {self.name} reads at "
                f"most {limit}; lower max_cycles or max_new_tokens, or take a model with a longer context"
            )
        return prompt

    @property
    def context_length(self) -> int | None:
        """Longest sequence the model reads, in tokens; ``None`` where it names none."""
        return self.generator.context_length

    def _remembered(self, context: Context) -> dict[int, _OwnTurn]:
        """Own turns of this dialogue. A continuation (``key~7``) begins with those of what it goes on from.

        That may be a continuation too (``key~7~1``), or one in which this agent had no turn yet.
        """
        key = (context.episode, context.agent)
        if context.turn == 0:
            self._own_turns.pop(key, None)
        if key not in self._own_turns:
            origin = key
            while origin not in self._own_turns and "~" in origin[0]:
                origin = (origin[0].rpartition("~")[0], context.agent)
            self._own_turns[key] = dict(self._own_turns.get(origin, {})) if context.turn > 0 else {}
            self.generator.begin_like(key, origin)
            while len(self._own_turns) > _REMEMBERED_DIALOGUES:
                self._own_turns.popitem(last=False)
        self._own_turns.move_to_end(key)
        return self._own_turns[key]

    def _decide(
        self, observation: Observation, context: Context, prompt: list[int], continuation: Continuation
    ) -> Decision:
        ids = continuation.ids
        raw = self.encoder.decode(ids if continuation.truncated else ids[:-1])
        action, invalid = read_output(raw, observation, opened=self.encoder.opens_thought)
        played = _OwnTurn(action_output(action, observation), ids)
        self._own_turns[context.episode, context.agent][context.turn] = played
        trace = TokenTrace(tuple(prompt), ids, continuation.logprobs, continuation.truncated)
        return Decision(action, raw, invalid, trace)
