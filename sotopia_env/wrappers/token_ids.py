"""The token-id interface: ids of a tokenizer in, ids out, for learners that train a model of tokens themselves.

Observations are the rendered chat of a seat, padded at the end to a fixed length; actions are a fixed number of ids, of
which those up to the first end-of-text count. What an action says is read as any raw output of a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces

from sotopia_env import rendering
from sotopia_env.actions import NONE
from sotopia_env.chat_encoding import ChatEncoder, Thinking
from sotopia_env.policies import Decision, Observation
from sotopia_env.wrappers.base import InterfaceWrapper


class Tokenizer(Protocol):
    """What is needed of a tokenizer; those of ``transformers`` have it."""

    pad_token_id: int | None
    eos_token_id: int | None

    def __len__(self) -> int:
        """How many ids there are."""
        ...

    def encode(self, text: str, *, add_special_tokens: bool = ...) -> list[int]:
        """The ids of a text."""
        ...

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool = ...) -> str:
        """The text of ids."""
        ...


class TokenIds(InterfaceWrapper):
    """Observations and actions become token ids of fixed length.

    Observations: ``Box(0, vocabulary - 1, (max_length,), int64)``, the seat's chat and padding. Where the tokenizer has
    a chat template, the ids are those that a local model reads, so that no utterance can smuggle in a control token;
    else they are those of the chat as plain text. Where the chat is too long, its oldest turns drop out whole. Actions:
    ``MultiDiscrete``, ``max_new_tokens`` ids; padding alone is silence. Infos: ``length`` (ids before the padding) and
    ``cut`` (whether turns dropped out), besides those of the environment below.

    Args:
        env: a parallel environment of this package with the dict interface, with or without other wrappers.
        tokenizer: a tokenizer of ``transformers``, or anything with its ``encode`` and ``decode``.
        max_length: ids of an observation.
        max_new_tokens: ids of an action.
        thinking: ``"on"`` has a model think before it speaks, where the chat template can; its thoughts are nobody
            else's, and room for them is needed among ``max_new_tokens``.

    Example:
        >>> from transformers import AutoTokenizer  # doctest: +SKIP
        >>> env = TokenIds(sotopia_env.parallel_env("bargain"), AutoTokenizer.from_pretrained(FOLDER))  # doctest: +SKIP
    """

    def __init__(
        self,
        env: Any,
        tokenizer: Tokenizer,
        *,
        max_length: int = 1024,
        max_new_tokens: int = 64,
        thinking: Thinking = "off",
    ) -> None:
        """Check the lengths."""
        for name, value in (("max_length", max_length), ("max_new_tokens", max_new_tokens)):
            if value < 1:
                raise ValueError(f"{name}: {value} is not a positive number")
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.max_new_tokens = max_new_tokens
        self.pad_id = _padding(tokenizer)
        # Each observation is a whole chat of its own, so that a template may rewrite earlier messages.
        has_template = bool(getattr(tokenizer, "chat_template", None))
        self._encoder = ChatEncoder(tokenizer, thinking=thinking, append_only=False) if has_template else None
        super().__init__(env)

    def encode(self, observation: Observation) -> tuple[list[int], bool]:
        """The ids of an observation of the dict interface, and whether turns had to drop out."""
        ids = self._rendered(observation)
        if len(ids) <= self.max_length:
            return ids, False
        turns = str(observation["transcript"]).split("\n#")
        kept = len(turns)
        # Half as many turns each time: what stands before an agent's turn begins alike for many turns.
        while len(ids) > self.max_length and kept:
            kept //= 2
            transcript = "\n#".join(turns[len(turns) - kept :])
            ids = self._rendered({**observation, "transcript": transcript and f"#{transcript.removeprefix('#')}"})
        return ids[-self.max_length :], True

    def decision(self, ids: Sequence[int] | np.ndarray, agent: str | None = None) -> Decision:
        """What an action of ids says; padding alone says nothing.

        Args:
            ids: the action.
            agent: who acts, so that names before its words can tell for whom they are where messages may be private.
        """
        numbers = [int(number) for number in np.asarray(ids).reshape(-1)]
        if any(not 0 <= number < len(self.tokenizer) for number in numbers):
            return Decision(NONE, invalid=f"an id of the action is outside 0..{len(self.tokenizer) - 1}")
        ends = {self.tokenizer.eos_token_id} | (self._encoder.stop_ids if self._encoder else set())
        end = next((place for place, number in enumerate(numbers) if number in ends), len(numbers))
        numbers = [number for number in numbers[:end] if number != self.pad_id]
        if not numbers:
            return Decision(NONE, raw="")
        if self._encoder is None:
            return self._read(agent, self.tokenizer.decode(numbers, skip_special_tokens=True))
        return self._read(agent, self._encoder.decode(numbers), opened=self._encoder.opens_thought)

    def padded(self, ids: Sequence[int], length: int) -> np.ndarray:
        """``(length,)`` int64: ids and padding."""
        array = np.full(length, self.pad_id, dtype=np.int64)
        array[: len(ids)] = ids
        return array

    def action_of(self, text: str) -> np.ndarray:
        """A raw output as an action, cut to its length: for demonstrations and tests."""
        return self.padded(
            self.tokenizer.encode(text, add_special_tokens=False)[: self.max_new_tokens], self.max_new_tokens
        )

    def _spaces(self) -> tuple[spaces.Box, spaces.MultiDiscrete]:
        vocabulary = len(self.tokenizer)
        ids = spaces.Box(0, vocabulary - 1, (self.max_length,), np.int64)
        return ids, spaces.MultiDiscrete([vocabulary] * self.max_new_tokens)

    def _told(self, agent: str, given: Any) -> Any:
        return self.decision(given, agent) if isinstance(given, np.ndarray | list) else given

    def _rendered(self, observation: Observation) -> list[int]:
        if self._encoder is None:
            return self.tokenizer.encode(rendering.as_text(observation), add_special_tokens=True)
        return self._encoder.encode(rendering.messages(observation)).ids

    def _shown(self, observations: Mapping[str, Observation], infos: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        shown = {}
        for agent, observation in observations.items():
            ids, cut = self.encode(observation)
            shown[agent] = self.padded(ids, self.max_length)
            infos[agent] |= {"length": len(ids), "cut": cut}
        return shown


def _padding(tokenizer: Tokenizer) -> int:
    """The id to pad with: the tokenizer's own, else its end of text, else 0."""
    for number in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if number is not None:
            return number
    return 0
