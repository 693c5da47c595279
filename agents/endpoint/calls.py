"""Questions to a model that grades: replies kept on disk, calls counted, the bill known before and kept in hand."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sotopia_env.agents.endpoint.cache import ReplyCache, reply_key, storable
from sotopia_env.agents.endpoint.call_log import Usage
from sotopia_env.agents.endpoint.client import HOPELESS, OPENAI_URL, Endpoint, Failure, Reply, Request
from sotopia_env.describe import Description
from sotopia_env.names import name_and_options

_ADDRESS = re.compile(r"@(?=https?://)")
_CHARACTERS_PER_TOKEN = 4
_FEWEST_CHARACTERS_PER_TOKEN = 2
_MILLION = 1_000_000
_LONGEST_REPLY = 4_000
"""Characters of an unusable reply that are shown when it is asked for once more."""

Outcomes = dict[str, "str | Failure"]
"""By key of the question its reply, or why there is none."""

Correction = Callable[[int, str], Request | None]
"""Takes the position of a question and a reply; what to ask if the reply cannot be used."""


@dataclass(frozen=True)
class CallEstimate:
    """What answering questions would take.

    Args:
        questions: how many, equal ones counted once.
        cached: how many of them the cache answers.
        calls: the fewest calls for the others; a reply that cannot be used costs one more, a fault its repetitions.
        prompt_tokens: of these calls, a guess from the length of the texts: four characters a token.
        longest_completion_tokens: the most that can be written in these calls, ``None`` without a limit.
        highest_cost: in the money of the prices, if all replies are as long as they can be; ``None`` without prices.
    """

    questions: int
    cached: int
    calls: int
    prompt_tokens: int
    longest_completion_tokens: int | None
    highest_cost: float | None


class ModelCalls:
    """One model on one server, asked through a cache and within a budget.

    Args:
        model: ``MODEL``, or ``MODEL@http://127.0.0.1:8000/v1`` with the address of the server; ``llm:`` may stand
            before it, and ``?thinking=off`` behind it.
        base_url: the address, if ``model`` does not hold it; by default ``OPENAI_BASE_URL``, then OpenAI's own.
        cache: a file that keeps replies, shared by any number of processes; ``None`` keeps nothing.
        temperature: 0 by default; ``None`` leaves it to the server.
        max_tokens: length limit of a reply; one cut there cannot be used (``usage.truncated`` counts them).
        enforce_schema: send a JSON schema with which the server constrains the reply, in the form that it takes. By
            default at OpenAI alone: many other servers refuse it. The form stands in the prompt in any case.
        parameters: further fields of the request's body.
        cached_only: make no call, and want no key; what the cache does not hold fails as ``"uncached"``.
        max_calls: ask nothing new once so many calls stand in the ledger; the rest fails as ``"budget"``. Calls in
            flight then are still repeated after faults.
        max_cost: the same in money: a question goes out only where the tokens of the ledger, and a reply of full
            length, leave it within this sum. A fault that the server bills without counting tokens is not seen.
        price_in: of a million tokens that the model reads.
        price_out: of a million tokens that it writes.
        offline: want no key, for an estimate alone; ``cached_only`` does not either.
        endpoint_options: passed to :class:`~sotopia_env.agents.endpoint.Endpoint`, such as ``timeout``, ``retries``,
            ``concurrency``, ``api_key_env`` or ``ledger``. A ledger that several share is a budget they share.

    Raises:
        ModuleNotFoundError: the ``openai`` library is not installed.
        ValueError: an argument makes no sense, or OpenAI's server is called without a key.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        *,
        cache: str | Path | None = None,
        temperature: float | None = 0.0,
        max_tokens: int | None = 2048,
        enforce_schema: bool | None = None,
        parameters: Mapping[str, Any] | None = None,
        cached_only: bool = False,
        max_calls: int | None = None,
        max_cost: float | None = None,
        price_in: float | None = None,
        price_out: float | None = None,
        offline: bool = False,
        **endpoint_options: Any,
    ) -> None:
        if cached_only and cache is None:
            raise ValueError("cached_only makes no call, and there is no cache; give cache=FILE")
        if max_calls is not None and max_calls < 0:
            raise ValueError(f"max_calls is {max_calls}; give 0 or more, or None for no limit")
        if (price_in is None) != (price_out is None) or min(price_in or 0.0, price_out or 0.0) < 0:
            raise ValueError(f"price_in is {price_in} and price_out {price_out}; give both, 0 or more")
        if max_cost is not None and (price_in is None or not max_cost >= 0):
            raise ValueError(f"max_cost is {max_cost}; give 0 or more, and price_in and price_out with it")
        model, given = name_and_options(model.removeprefix("llm:"), ("thinking",))
        endpoint_options = {**given, **endpoint_options}
        model, *address = _ADDRESS.split(model, maxsplit=1)
        if address and base_url is not None:
            raise ValueError(f"llm:{model}: the address is given twice, in the name and as base_url; give it once")
        body = {"temperature": temperature, **(parameters or {})}
        self.endpoint = Endpoint(
            model,
            address[0] if address else base_url,
            parameters=body,
            offline=offline or cached_only,
            **endpoint_options,
        )
        at_openai = self.endpoint.base_url == OPENAI_URL
        self.cache = None if cache is None else ReplyCache(cache)
        # OpenAI's newer models refuse the old name of the limit, and many other servers do not know the new one.
        self._limit = "max_completion_tokens" if at_openai else "max_tokens"
        if max_tokens is not None:
            self.endpoint.parameters.setdefault(self._limit, max_tokens)
        if max_cost is not None and self.endpoint.parameters.get(self._limit) is None:
            raise ValueError("max_cost: a reply without a length limit may cost anything; give max_tokens too")
        self.enforce_schema = at_openai if enforce_schema is None else enforce_schema
        self.cached_only = cached_only
        self.max_calls = max_calls
        self.max_cost = max_cost
        self.prices = None if price_in is None or price_out is None else (price_in, price_out)
        self._options = endpoint_options

    @property
    def model(self) -> str:
        """Its name on the server."""
        return self.endpoint.model

    @property
    def limited(self) -> bool:
        """Whether there is a budget."""
        return self.max_calls is not None or self.max_cost is not None

    @property
    def usage(self) -> Usage:
        """Calls, tokens and failed requests of the ledger so far."""
        return self.endpoint.ledger.usage

    @property
    def cost(self) -> float | None:
        """What the tokens of the ledger cost; ``None`` without prices."""
        return self._cost(self.usage.prompt_tokens, self.usage.completion_tokens)

    def describe(self) -> Description:
        """What a reply follows from besides the chat: neither the server nor how and at what price it is asked."""
        model, parameters, enforce_schema = self.version_inputs
        return {"model": model, "parameters": parameters, "enforce_schema": enforce_schema}

    @property
    def version_inputs(self) -> list[Any]:
        """What a reply follows from besides the chat, for the versions of those who ask."""
        return [self.model, _under_one_name(self.endpoint.parameters), self.enforce_schema]

    def spec(self) -> dict[str, Any]:
        """Plain JSON-able arguments; the first two are ``llm:MODEL@URL``, which stands in ``address``."""
        ledger = self.endpoint.ledger.path
        price_in, price_out = self.prices or (None, None)
        return {
            "cache": None if self.cache is None else str(self.cache.path),
            "temperature": None,
            "max_tokens": None,
            "enforce_schema": self.enforce_schema,
            "parameters": dict(self.endpoint.parameters),
            "cached_only": self.cached_only,
            "max_calls": self.max_calls,
            "max_cost": self.max_cost,
            "price_in": price_in,
            "price_out": price_out,
            **self._options,
            "ledger": None if ledger is None else str(ledger),
        }

    @property
    def address(self) -> str:
        """``llm:MODEL@URL``."""
        return f"llm:{self.model}@{self.endpoint.base_url}"

    def request(self, messages: Sequence[Mapping[str, str]], label: str, schema: Mapping[str, Any]) -> Request:
        """A question.

        Args:
            messages: the chat.
            label: what it is for, in the ledger and in errors.
            schema: the JSON schema of the reply, sent where the server is to enforce it.
        """
        if not self.enforce_schema:
            return Request(messages, label)
        form = {"type": "json_schema", "json_schema": {"name": "verdict", "strict": True, "schema": schema}}
        return Request(messages, label, parameters={"response_format": form})

    def ask_with_repair(
        self, requests: Sequence[Request], problem_of: Callable[[int, str], str | None]
    ) -> list[tuple[str | Failure, str | None]]:
        """Ask, and once more where a reply cannot be used: at once, while other questions are still in flight.

        Within a budget a correction waits for the first replies to all questions, since these come first.

        Args:
            requests: B questions.
            problem_of: takes the position of a question and a reply; what is wrong with it, ``None`` if nothing is.

        Returns:
            For each question the first reply, or why there is none, and the second one, if there is any.

        Raises:
            EndpointError: see :meth:`ask`.
        """

        @functools.cache
        def correction_of(position: int, reply: str) -> Request | None:
            problem = problem_of(position, reply)
            if not problem:
                return None
            request = requests[position]
            messages = correction_messages(request.messages, reply, problem)
            return replace(request, messages=messages, label=f"correction of {request.label}")

        outcomes: Outcomes = {}
        first = self._ask(requests, outcomes, None if self.limited else correction_of)
        again = {
            i: correction
            for i, reply in enumerate(first)
            if isinstance(reply, str) and (correction := correction_of(i, reply))
        }
        corrections = dict(zip(again, self._ask(list(again.values()), outcomes), strict=True))
        # Where no correction came, what was wrong with the first reply stays and says more.
        texts = {i: reply for i, reply in corrections.items() if isinstance(reply, str)}
        return [(reply, texts.get(i)) for i, reply in enumerate(first)]

    def ask(self, requests: Sequence[Request]) -> list[str | Failure]:
        """Texts from the cache and the server. Equal questions are asked once, and replies kept as they come.

        Raises:
            EndpointError: the server refuses the key, does not know the model, wants money, or is gone. Replies that
                came stand in the cache.
        """
        return self._ask(requests, {})

    def _ask(
        self, requests: Sequence[Request], outcomes: Outcomes, correction_of: Correction | None = None
    ) -> list[str | Failure]:
        """The same, with what came of earlier questions; what comes of these, and of corrections, is added to it."""
        keys = [self._key(request) for request in requests]
        positions = {key: position for position, key in enumerate(keys) if key not in outcomes}
        outcomes.update(self._cached(list(positions)))
        waiting = {key: requests[position] for key, position in positions.items() if key not in outcomes}
        if self.cached_only:
            detail = f"{self.cache} does not hold it"
            outcomes.update({k: Failure("uncached", detail, r.label, 0) for k, r in waiting.items()})
            waiting = {}
        while waiting:
            wave = self._affordable(waiting)
            if not wave:
                outcomes.update({k: Failure("budget", self._limits(), r.label, 0) for k, r in waiting.items()})
                break
            self._send(wave, positions, outcomes, correction_of)
            waiting = {key: request for key, request in waiting.items() if key not in wave}
        # Of several the first question's, whichever came back first; those of corrections stand behind.
        for outcome in [*(outcomes[key] for key in keys), *outcomes.values()]:
            if isinstance(outcome, Failure) and (outcome.kind in HOPELESS or outcome.gone):
                raise self.endpoint.error(outcome)
        return [outcomes[key] for key in keys]

    def estimate(self, requests: Sequence[Request]) -> CallEstimate:
        """What answering these questions would take. It makes no call."""
        asked = {self._key(request): request for request in requests}
        known = self._cached(list(asked))
        missing = [request for key, request in asked.items() if key not in known]
        prompt_tokens = sum(_characters(request) for request in missing) // _CHARACTERS_PER_TOKEN
        limit = self.endpoint.parameters.get(self._limit)
        longest = None if limit is None else limit * len(missing)
        return CallEstimate(
            questions=len(asked),
            cached=len(known),
            calls=len(missing),
            prompt_tokens=prompt_tokens,
            longest_completion_tokens=longest,
            highest_cost=None if longest is None else self._cost(prompt_tokens, longest),
        )

    def _send(
        self,
        wave: Mapping[str, Request],
        positions: Mapping[str, int],
        outcomes: Outcomes,
        correction_of: Correction | None,
    ) -> None:
        """Ask the server, and add what comes of it; corrections of replies that cannot be used are asked along."""
        asked = list(wave)  # the latest question of each place
        with nullcontext() if self.cache is None else self.cache.keeping(self.model) as keep:

            def take(position: int, outcome: Reply | Failure) -> Request | None:
                key = asked[position]
                if isinstance(outcome, Failure):
                    outcomes[key] = outcome
                    return None
                text = outcomes[key] = storable(outcome.text)
                if keep is not None:
                    keep(key, text)
                # A correction is not corrected again.
                if correction_of is None or key not in wave:
                    return None
                correction = correction_of(positions[key], text)
                if correction is not None:
                    asked[position] = self._key(correction)
                return correction

            self.endpoint.complete(list(wave.values()), take)
        # Where two processes asked the same, the reply that was kept first is the one that counts for both.
        outcomes.update(self._cached([*wave, *asked]))

    def _affordable(self, waiting: Mapping[str, Request]) -> dict[str, Request]:
        """As many questions, from the first, as the budget allows whatever their replies will be."""
        usage = self.usage
        room = len(waiting) if self.max_calls is None else max(0, self.max_calls - usage.calls)
        wave = dict(list(waiting.items())[:room])
        if self.max_cost is None:
            return wave
        if usage.unmetered:
            return {}
        left = self.max_cost - (self.cost or 0.0)
        affordable = {}
        for key, request in wave.items():
            left -= self._highest_cost(request)
            if left < 0:
                break
            affordable[key] = request
        return affordable

    def _limits(self) -> str:
        """Why nothing more is asked."""
        usage = self.usage
        if self.max_calls is not None and usage.calls >= self.max_calls:
            return f"max_calls is {self.max_calls}"
        if usage.unmetered:
            return "the server counts no tokens, so that nobody can tell what was spent; give a budget in calls"
        return f"max_cost is {self.max_cost:g}, {self.cost:.4g} is spent, and the next reply may cost more than is left"

    def _highest_cost(self, request: Request) -> float:
        prompt_tokens = _characters(request) // _FEWEST_CHARACTERS_PER_TOKEN
        return self._cost(prompt_tokens, self.endpoint.parameters[self._limit]) or 0.0

    def _cost(self, prompt_tokens: int, completion_tokens: int) -> float | None:
        if self.prices is None:
            return None
        return (prompt_tokens * self.prices[0] + completion_tokens * self.prices[1]) / _MILLION

    def _key(self, request: Request) -> str:
        parameters = _under_one_name({**self.endpoint.parameters, **request.parameters})
        return reply_key(self.model, request.messages, parameters)

    def _cached(self, keys: Sequence[str]) -> dict[str, str]:
        return {} if self.cache is None else self.cache.find(keys)


def _under_one_name(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters whose limit counts under either name alike: a model does not become another one by moving."""
    return {name.replace("completion_", ""): value for name, value in parameters.items()}


def _characters(request: Request) -> int:
    return sum(len(message["content"]) for message in request.messages)


CORRECTION = """\
This could not be used: {problem}. Answer again with the JSON object alone, complete, in the form asked for."""


def correction_messages(messages: Sequence[Mapping[str, str]], reply: str, problem: str) -> list[Mapping[str, str]]:
    """The same chat with a reply that could not be read, and what was wrong with it.

    Args:
        messages: of the first question.
        reply: what came back; a long one is cut.
        problem: why it could not be used.
    """
    return [
        *messages,
        {"role": "assistant", "content": reply[:_LONGEST_REPLY]},
        {"role": "user", "content": CORRECTION.format(problem=problem)},
    ]
