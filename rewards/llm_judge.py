"""A model behind an OpenAI-compatible server as a judge."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sotopia_env.agents.endpoint import OPENAI_URL, Endpoint, Failure, Reply, Request
from sotopia_env.agents.ledger import Usage
from sotopia_env.episodes import Episode, Judgement
from sotopia_env.rewards.judge_prompt import (
    CORRECTION,
    QUESTION,
    SYSTEM,
    correction_messages,
    judge_messages,
    reply_schema,
)
from sotopia_env.rewards.judge_replies import Mark, Verdict, failed_verdict, merged, problem_of, read_verdict
from sotopia_env.rewards.judges import Judge
from sotopia_env.rewards.reply_cache import ReplyCache, reply_key, storable
from sotopia_env.rewards.rubric import RUBRIC, Dimension, as_dimensions

_ADDRESS = re.compile(r"@(?=https?://)")
_HOPELESS = ("authentication", "not_found", "quota")
_CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True)
class JudgeFailure:
    """A score that could not be had.

    Args:
        episode: key of the episode.
        agent: whose score.
        dimension: which score.
        kind: of :data:`~sotopia_env.agents.endpoint.KINDS` or
            :data:`~sotopia_env.rewards.judge_replies.REPLY_KINDS`, or ``"uncached"`` or ``"budget"``.
        detail: what happened, in words.
    """

    episode: str
    agent: str
    dimension: str
    kind: str
    detail: str


@dataclass(frozen=True)
class JudgeEstimate:
    """What judging would take.

    Args:
        episodes: how many.
        calls: the fewest calls for those that the cache does not answer; a reply that cannot be used costs one more,
            a fault its repetitions.
        prompt_tokens: a guess from the length of the texts, four characters a token.
        longest_completion_tokens: the most that can be written in these calls, ``None`` without a limit.
    """

    episodes: int
    calls: int
    prompt_tokens: int
    longest_completion_tokens: int | None


class LLMJudge(Judge):
    """Has a model grade episodes: all agents and dimensions of an episode in one call, many episodes side by side.

    Every score has its reason in the judgement's evidence. What could not be had is ``None`` there, with evidence
    ``failed (KIND): ...``, and stands in ``failures``; a reply that cannot be used is asked for once more.

    Args:
        model: ``MODEL``, or ``MODEL@http://127.0.0.1:8000/v1`` with the address of the server.
        base_url: the address, if ``model`` does not hold it; by default ``OPENAI_BASE_URL``, then OpenAI's own.
        dimensions: names of Sotopia's seven, by default all of them, and
            :class:`~sotopia_env.rewards.rubric.Dimension` of one's own.
        cache: a file that keeps replies, shared by any number of processes; ``None`` keeps nothing.
        name: what it is called in judgements; ``llm:MODEL`` by default, without the address.
        temperature: 0 by default; ``None`` leaves it to the server.
        max_tokens: length limit of a reply; one cut there cannot be used (``usage.truncated`` counts them).
        enforce_schema: send a JSON schema with which the server constrains the reply. By default at OpenAI alone:
            many other servers refuse it. The form stands in the prompt in any case.
        parameters: further fields of the request's body.
        cached_only: make no call; what the cache does not hold fails as ``"uncached"``.
        max_calls: ask nothing new once so many calls went out; the rest fails as ``"budget"``. Calls in flight then
            are still repeated after faults.
        endpoint_options: passed to :class:`~sotopia_env.agents.endpoint.Endpoint`, such as ``timeout``, ``retries``,
            ``concurrency``, ``api_key_env`` or ``ledger``.

    Raises:
        ModuleNotFoundError: the ``openai`` library is not installed.
        ValueError: an argument makes no sense, or OpenAI's server is called without a key.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        *,
        dimensions: Iterable[str | Dimension | Mapping[str, Any]] = tuple(RUBRIC),
        cache: str | Path | None = None,
        name: str | None = None,
        temperature: float | None = 0.0,
        max_tokens: int | None = 2048,
        enforce_schema: bool | None = None,
        parameters: Mapping[str, Any] | None = None,
        cached_only: bool = False,
        max_calls: int | None = None,
        **endpoint_options: Any,
    ) -> None:
        if cached_only and cache is None:
            raise ValueError("cached_only makes no call, and there is no cache; give cache=FILE")
        if max_calls is not None and max_calls < 0:
            raise ValueError(f"max_calls is {max_calls}; give 0 or more, or None for no limit")
        model, *address = _ADDRESS.split(model.removeprefix("llm:"), maxsplit=1)
        if address and base_url is not None:
            raise ValueError(f"llm:{model}: the address is given twice, in the name and as base_url; give it once")
        body = {"temperature": temperature, **(parameters or {})}
        self.endpoint = Endpoint(model, address[0] if address else base_url, parameters=body, **endpoint_options)
        at_openai = self.endpoint.base_url == OPENAI_URL
        self.dimensions = as_dimensions(dimensions)
        self.cache = None if cache is None else ReplyCache(cache)
        self.name = name or f"llm:{model}"
        # OpenAI's newer models refuse the old name of the limit, and many other servers do not know the new one.
        self._limit = "max_completion_tokens" if at_openai else "max_tokens"
        if max_tokens is not None:
            self.endpoint.parameters.setdefault(self._limit, max_tokens)
        self.enforce_schema = at_openai if enforce_schema is None else enforce_schema
        self.cached_only = cached_only
        self.max_calls = max_calls
        self.failures: list[JudgeFailure] = []
        self._options = endpoint_options
        rubric = [asdict(dimension) for dimension in self.dimensions]
        # The limit counts under either name alike: a model does not become another judge by moving.
        sampling = {name.replace("completion_", ""): value for name, value in self.endpoint.parameters.items()}
        decides = [SYSTEM, QUESTION, CORRECTION, rubric, model, sampling, self.enforce_schema]
        self.version = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:12]
        """A digest of rubric, prompt, model and sampling."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.endpoint.model!r}, {self.endpoint.base_url!r})"

    @property
    def usage(self) -> Usage:
        """Calls, tokens and failed requests so far."""
        return self.endpoint.ledger.usage

    def spec(self) -> dict[str, Any]:
        """Plain JSON-able data of which :func:`~sotopia_env.rewards.judges.as_judge` makes an equal judge."""
        ledger = self.endpoint.ledger.path
        return {
            "judge": f"llm:{self.endpoint.model}@{self.endpoint.base_url}",
            "dimensions": [d.name if RUBRIC.get(d.name) == d else asdict(d) for d in self.dimensions],
            "cache": None if self.cache is None else str(self.cache.path),
            "name": self.name,
            "temperature": None,
            "max_tokens": None,
            "enforce_schema": self.enforce_schema,
            "parameters": dict(self.endpoint.parameters),
            "cached_only": self.cached_only,
            "max_calls": self.max_calls,
            **self._options,
            "ledger": None if ledger is None else str(ledger),
        }

    def judge(self, episodes: Sequence[Episode]) -> list[Judgement]:
        """Grade episodes.

        Raises:
            EndpointError: the server refuses the key, does not know the model, or wants money. Replies that came
                stand in the cache.
        """
        episodes = list(episodes)
        requests = [self._request(episode) for episode in episodes]
        replies = self._ask(requests)
        verdicts = [self._verdict(episode, reply) for episode, reply in zip(episodes, replies, strict=True)]
        again = {
            i: replace(
                requests[i],
                messages=correction_messages(requests[i].messages, reply, problem),
                label=f"correction of {requests[i].label}",
            )
            for i, reply in enumerate(replies)
            if isinstance(reply, str) and (problem := problem_of(verdicts[i]))
        }
        for i, correction in zip(again, self._ask(list(again.values())), strict=True):
            # Where no correction came, what was wrong with the first reply stays and says more.
            if isinstance(correction, str):
                verdicts[i] = merged(verdicts[i], self._verdict(episodes[i], correction))
        return [self._judgement(episode, verdict) for episode, verdict in zip(episodes, verdicts, strict=True)]

    def estimate(self, episodes: Sequence[Episode]) -> JudgeEstimate:
        """What judging these episodes would take. It makes no call."""
        asked = {self._key(request): request for request in map(self._request, episodes)}
        known = self._cached([self._key(self._request(episode)) for episode in episodes])
        missing = [request for key, request in asked.items() if key not in known]
        characters = sum(len(message["content"]) for request in missing for message in request.messages)
        limit = self.endpoint.parameters.get(self._limit)
        return JudgeEstimate(
            episodes=len(episodes),
            calls=len(missing),
            prompt_tokens=characters // _CHARACTERS_PER_TOKEN,
            longest_completion_tokens=None if limit is None else limit * len(missing),
        )

    def _request(self, episode: Episode) -> Request:
        parameters: dict[str, Any] = {}
        if self.enforce_schema:
            schema = {"name": "verdict", "strict": True, "schema": reply_schema(episode.agents, self.dimensions)}
            parameters["response_format"] = {"type": "json_schema", "json_schema": schema}
        label = f"scores of episode {episode.key} by {self.name}"
        return Request(judge_messages(episode, self.dimensions), label, parameters=parameters)

    def _key(self, request: Request) -> str:
        parameters = {**self.endpoint.parameters, **request.parameters}
        return reply_key(self.endpoint.model, request.messages, parameters)

    def _cached(self, keys: Sequence[str]) -> dict[str, str]:
        return {} if self.cache is None else self.cache.find(keys)

    def _ask(self, requests: Sequence[Request]) -> list[str | Failure]:
        """Texts from the cache and the server. Equal requests are asked once, and replies kept as they come."""
        keys = [self._key(request) for request in requests]
        texts = self._cached(keys)
        failures: dict[str, Failure] = {}
        open_requests = {key: request for key, request in zip(keys, requests, strict=True) if key not in texts}
        room = None if self.max_calls is None else max(0, self.max_calls - self.usage.calls)
        asked: dict[str, Request] = {}
        for key, request in open_requests.items():
            if self.cached_only:
                failures[key] = Failure("uncached", f"{self.cache} does not hold it", request.label, 0)
            elif room is not None and len(asked) >= room:
                failures[key] = Failure("budget", f"max_calls is {self.max_calls}", request.label, 0)
            else:
                asked[key] = request
        order = list(asked)

        with nullcontext() if self.cache is None else self.cache.keeping(self.endpoint.model) as keep:

            def take(position: int, outcome: Reply | Failure) -> None:
                key = order[position]
                if isinstance(outcome, Failure):
                    failures[key] = outcome
                    return
                texts[key] = storable(outcome.text)
                if keep is not None:
                    keep(key, texts[key])

            self.endpoint.complete(list(asked.values()), take)
        # Where two processes asked the same, the reply that was kept first is the one that counts for both.
        texts.update(self._cached(order))
        for failure in failures.values():
            if failure.kind in _HOPELESS:
                raise self.endpoint.error(failure)
        return [texts[key] if key in texts else failures[key] for key in keys]

    def _verdict(self, episode: Episode, reply: str | Failure) -> Verdict:
        if isinstance(reply, Failure):
            return failed_verdict(reply.kind, reply.detail, episode.task.num_seats, self.dimensions)
        names = [character.name for character in episode.task.characters]
        return read_verdict(reply, episode.agents, self.dimensions, names)

    def _judgement(self, episode: Episode, verdict: Verdict) -> Judgement:
        for name, marks in verdict.items():
            for agent, mark in zip(episode.agents, marks, strict=True):
                if mark.kind is not None:
                    self.failures.append(JudgeFailure(episode.key, agent, name, mark.kind, mark.reason))
        scores = {name: [mark.score for mark in marks] for name, marks in verdict.items()}
        evidence = {name: [_finding(mark) for mark in marks] for name, marks in verdict.items()}
        return Judgement(self.name, self.version, scores, evidence)


def _finding(mark: Mark) -> list[str]:
    if mark.kind is not None:
        return [f"failed ({mark.kind}): {mark.reason}"]
    return [mark.reason] if mark.reason else []
