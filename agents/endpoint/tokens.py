"""Calls that send token ids and get token ids back, with their log-probabilities: vLLM's form of ``/completions``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field, ValidationError

from sotopia_env.agents.endpoint.client import Endpoint, Failure, Reply, Request
from sotopia_env.agents.endpoint.dialect import Form

if TYPE_CHECKING:
    from openai import AsyncOpenAI


@dataclass(frozen=True)
class TokenReply(Reply):
    """What a model wrote, in its own tokens.

    Args:
        ids: token ids, the one that ended the turn included.
        logprobs: of each token under the distribution it was drawn from.
    """

    ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()


class _Logprobs(BaseModel):
    token_logprobs: list[float]


class _Choice(BaseModel):
    token_ids: list[int] = Field(min_length=1)
    logprobs: _Logprobs


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)


class TokenEndpoint(Endpoint):
    """A model on a vLLM server that continues token ids; concurrency, retries and ledger are those of `Endpoint`."""

    def request(self, ids: Sequence[int], label: str, seed: int, parameters: Mapping[str, Any]) -> Request:
        """A prompt to be continued.

        Args:
            ids: its token ids.
            label: what it is for, in the ledger and in errors.
            seed: of the server's sampling.
            parameters: further fields of the request's body.
        """
        asked = {"prompt": list(ids), "return_token_ids": True, "logprobs": 0}
        return Request((), label, seed, {**parameters, **asked})

    async def _send(self, client: AsyncOpenAI, request: Request, form: Form, body: Mapping[str, Any]) -> Any:
        fields = dict(body)
        return await client.completions.with_raw_response.create(
            model=self.model, prompt=fields.pop("prompt"), extra_body=fields
        )

    def _read(self, body: bytes, label: str, attempt: int, key: str) -> Reply | Failure:
        try:
            (choice, *_) = _Completion.model_validate_json(body).choices
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the body"
            remedy = "is it a vLLM server? Others do not give back token ids and their log-probabilities"
            return Failure("malformed", f"{where}: {first['msg']}", label, attempt, 200, remedy=remedy)
        ids, logprobs = tuple(choice.token_ids), tuple(choice.logprobs.token_logprobs)
        if len(ids) != len(logprobs):
            detail = f"{len(ids)} token_ids and {len(logprobs)} token_logprobs"
            return Failure("malformed", detail, label, attempt, 200)
        return TokenReply("", "", False, label, attempt, None, len(ids), ids=ids, logprobs=logprobs)
