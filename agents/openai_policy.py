"""A model behind an OpenAI-compatible server as a policy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal

from sotopia_env.actions import NONE, Action
from sotopia_env.agents.endpoint.call_log import Usage
from sotopia_env.agents.endpoint.client import KINDS, OPENAI_URL, Endpoint, Failure, Reply, Request
from sotopia_env.agents.scripted.policy import context_of
from sotopia_env.policies import Context, Decision, Observation
from sotopia_env.rendering import messages, read_output

_ADDRESS = re.compile(r"@(?=https?://)")


class OpenAIPolicy:
    """Has its turns written by a model on an OpenAI-compatible server, all dialogues of a batch side by side.

    The model reads the native chat of its seat (:func:`sotopia_env.rendering.messages`), and what it writes is read by
    :func:`sotopia_env.rendering.read_output`. A call that fails for good never becomes a silent ``none``.

    Args:
        model: ``MODEL``, or ``MODEL@http://127.0.0.1:8000/v1`` with the address of the server.
        base_url: the address, if ``model`` does not hold it; by default ``OPENAI_BASE_URL``, then OpenAI's own.
        name: what it is called in episodes and tables; ``openai:MODEL`` by default, without the address, so that a run
            goes on when a server has moved.
        temperature: ``None`` leaves it to the server.
        top_p: the same.
        max_tokens: length limit of one turn; a turn cut there is played as far as it goes, and counted.
        send_seed: send a seed drawn from the generator of the turn. On a server that honours it, a turn then depends
            on the dialogue and on the turn's own generator, and not on the batch.
        instruction: added to the system message, for models that were not trained on the format of the turns.
        parameters: further fields of the request's body.
        on_failure: ``"raise"`` ends the run with an :class:`~sotopia_env.agents.endpoint.EndpointError`; finished
            episodes are in the file and the same command goes on. ``"invalid"`` plays an invalid turn, whose reason
            names the failure, and goes on; a failure that concerns the server or the account is raised all the same.
        endpoint_options: passed to :class:`~sotopia_env.agents.endpoint.Endpoint`, such as ``timeout``, ``retries``,
            ``concurrency``, ``api_key_env``, ``ledger`` or ``thinking``.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        *,
        name: str | None = None,
        temperature: float | None = 1.0,
        top_p: float | None = None,
        max_tokens: int | None = 256,
        send_seed: bool = True,
        instruction: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        on_failure: Literal["raise", "invalid"] = "raise",
        **endpoint_options: Any,
    ) -> None:
        if on_failure not in ("raise", "invalid"):
            raise ValueError(f"on_failure is {on_failure!r}; it must be 'raise' or 'invalid'")
        model, *address = _ADDRESS.split(model, maxsplit=1)
        if address and base_url is not None:
            raise ValueError(f"openai:{model}: the address is given twice, in the name and as base_url; give it once")
        body = {"temperature": temperature, "top_p": top_p, **(parameters or {})}
        self.endpoint = Endpoint(model, address[0] if address else base_url, parameters=body, **endpoint_options)
        # OpenAI's newer models refuse the old name of the limit, and many other servers do not know the new one.
        limit = "max_completion_tokens" if self.endpoint.base_url == OPENAI_URL else "max_tokens"
        if max_tokens is not None:
            self.endpoint.parameters.setdefault(limit, max_tokens)
        self.name = name or f"openai:{model}"
        self.send_seed = send_seed
        self.instruction = instruction
        self.on_failure = on_failure
        self.failures: list[Failure] = []

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.endpoint.model!r}, {self.endpoint.base_url!r})"

    @property
    def calls_at_once(self) -> int:
        """How many calls the server gets at a time."""
        return self.endpoint.concurrency

    def opened(self) -> AbstractContextManager[None]:
        """Keep one connection for the calls within; see :meth:`Endpoint.opened`."""
        return self.endpoint.opened()

    @property
    def usage(self) -> Usage:
        """Calls, tokens and failures so far."""
        return self.endpoint.ledger.usage

    @property
    def config(self) -> dict[str, Any]:
        """What decides its turns, as plain data for a manifest. It holds no key and no address."""
        return {
            "model": self.endpoint.model,
            "parameters": dict(self.endpoint.parameters),
            "send_seed": self.send_seed,
            "instruction": self.instruction,
            "on_failure": self.on_failure,
        }

    def act(self, observations: Sequence[Observation], contexts: Sequence[Context]) -> list[Decision]:
        """Have a turn written for each observation.

        Raises:
            EndpointError: a call failed for good, and ``on_failure`` or the kind of failure wants it raised. The other
                calls of the batch are waited for, and all failures stand in ``failures``.
        """
        requests = [self._request(*pair) for pair in zip(observations, contexts, strict=True)]
        outcomes = self.endpoint.complete(requests)
        failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
        self.failures += failures
        for failure in failures:
            if self.on_failure == "raise" or KINDS[failure.kind].of_server:
                raise self.endpoint.error(failure)
        return [_decision(*pair) for pair in zip(observations, outcomes, strict=True)]

    def act_one(self, observation: Observation, context: Context | None = None) -> Action:
        """Have a single turn written; without a context, the generator follows from the observation."""
        return self.act([observation], [context or context_of(observation)])[0].action

    def _request(self, observation: Observation, context: Context) -> Request:
        chat = messages(observation)
        if self.instruction:
            chat[0] = {**chat[0], "content": f"{chat[0]['content']}\n{self.instruction}"}
        seed = int(context.rng.integers(2**31)) if self.send_seed else None
        return Request(chat, f"episode {context.episode}, {context.agent}, own turn {context.turn}", seed)


def _decision(observation: Observation, outcome: Reply | Failure) -> Decision:
    if isinstance(outcome, Failure):
        reason = f"the endpoint gave no answer: {outcome.kind} after {outcome.attempts} calls: {outcome.detail}"
        return Decision(NONE, invalid=reason)
    action, invalid = read_output(outcome.text, observation)
    if invalid and outcome.truncated:
        invalid += " (the length limit cut it)"
    return Decision(action, outcome.raw, invalid)
