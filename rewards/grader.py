"""What judges and attributors that ask a model share: its calls, its name, their version, and what failed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, ClassVar

from sotopia_env.agents.endpoint.call_log import Usage
from sotopia_env.agents.endpoint.calls import CORRECTION, ModelCalls
from sotopia_env.rewards.components import Component


@dataclass(frozen=True)
class GradeFailure:
    """A score, or the importances of an agent's turns, that could not be had.

    Args:
        episode: key of the episode.
        agent: whose.
        dimension: of which dimension.
        kind: of :data:`~sotopia_env.agents.endpoint.client.KINDS` or
            :data:`~sotopia_env.rewards.judges.replies.REPLY_KINDS`, or ``"uncached"`` or ``"budget"``.
        detail: what happened, in words.
    """

    episode: str
    agent: str
    dimension: str
    kind: str
    detail: str


class ModelGrader(Component):
    """Asks a model behind an OpenAI-compatible server.

    Args:
        model: ``MODEL``, or ``MODEL@http://127.0.0.1:8000/v1`` with the address of the server.
        base_url: the address, if ``model`` does not hold it; by default ``OPENAI_BASE_URL``, then OpenAI's own.
        name: what it is called; ``PREFIX:MODEL`` by default, without the address.
        prefix: of that name.
        options: passed to :class:`~sotopia_env.rewards.ModelCalls`.
    """

    waits: ClassVar[bool] = True

    def __init__(
        self, model: str, base_url: str | None, name: str | None, options: dict[str, Any], prefix: str = "llm"
    ) -> None:
        self.calls = ModelCalls(model, base_url, **options)
        self.name = name or f"{prefix}:{self.calls.model}"
        self.failures: list[GradeFailure] = []

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.calls.model!r}, {self.calls.endpoint.base_url!r})"

    @property
    def usage(self) -> Usage:
        """Calls, tokens and failed requests so far."""
        return self.calls.usage

    def _version(self, system: str, question: str, *asked: Any) -> str:
        """A digest of the prompt and of whatever else is asked, of the model and its sampling."""
        inputs = [system, question, CORRECTION, *asked, *self.calls.version_inputs]
        return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:12]
