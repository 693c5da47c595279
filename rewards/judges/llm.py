"""A model behind an OpenAI-compatible server as a judge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sotopia_env.agents.endpoint.calls import CallEstimate
from sotopia_env.agents.endpoint.client import Failure, Request
from sotopia_env.describe import Description, typed
from sotopia_env.episodes import Episode, Judgement
from sotopia_env.rewards.grader import GradeFailure, ModelGrader
from sotopia_env.rewards.judges.base import Judge
from sotopia_env.rewards.judges.prompt import QUESTION, SYSTEM, judge_messages, reply_schema
from sotopia_env.rewards.judges.replies import Mark, Verdict, failed_verdict, merged, problem_of, read_verdict
from sotopia_env.rewards.judges.rubric import RUBRIC, Dimension, as_dimensions


class LLMJudge(ModelGrader, Judge):
    """Has a model grade episodes: all agents and dimensions of an episode in one call, many episodes side by side.

    Every score has its reason in the judgement's evidence. What could not be had is ``None`` there, with evidence
    ``failed (KIND): ...``, and stands in ``failures``; a reply that cannot be used is asked for once more.

    Args:
        model: ``MODEL``, or ``MODEL@http://127.0.0.1:8000/v1`` with the address of the server.
        base_url: the address, if ``model`` does not hold it; by default ``OPENAI_BASE_URL``, then OpenAI's own.
        dimensions: names of Sotopia's seven, by default all of them, and
            :class:`~sotopia_env.rewards.Dimension` of one's own.
        name: what it is called in judgements; ``llm:MODEL`` by default, without the address.
        options: passed to :class:`~sotopia_env.rewards.ModelCalls`: ``cache``, ``temperature``,
            ``max_tokens``, ``enforce_schema``, ``parameters``, ``cached_only``, ``max_calls``, ``max_cost`` with
            ``price_in`` and ``price_out``, ``timeout``, ``retries``, ``concurrency``, ``api_key_env``, ``ledger``.

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
        name: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(model, base_url, name, options)
        self.dimensions = as_dimensions(dimensions)
        self.version = self._version(SYSTEM, QUESTION, [asdict(dimension) for dimension in self.dimensions])

    def spec(self) -> dict[str, Any]:
        """Plain JSON-able data of which :func:`~sotopia_env.rewards.judges.as_judge` makes an equal judge."""
        dimensions = [d.name if RUBRIC.get(d.name) == d else asdict(d) for d in self.dimensions]
        return {"judge": self.calls.address, "dimensions": dimensions, "name": self.name, **self.calls.spec()}

    def describe(self) -> Description:
        """What its scores follow from: the model and its sampling, and a digest of all it is asked and told."""
        return typed(self, calls=self.calls, dimensions=[d.name for d in self.dimensions], version=self.version)

    def judge(self, episodes: Sequence[Episode]) -> list[Judgement]:
        """Grade episodes.

        Raises:
            EndpointError: the server refuses the key, does not know the model, wants money, or is gone. Replies that
                came stand in the cache.
        """
        episodes = list(episodes)

        def problem(position: int, reply: str) -> str | None:
            return problem_of(self._verdict(episodes[position], reply))

        answers = self.calls.ask_with_repair([self._request(episode) for episode in episodes], problem)
        judgements = []
        for episode, (reply, correction) in zip(episodes, answers, strict=True):
            verdict = self._verdict(episode, reply)
            if correction is not None:
                verdict = merged(verdict, self._verdict(episode, correction))
            judgements.append(self._judgement(episode, verdict))
        return judgements

    def estimate(self, episodes: Sequence[Episode]) -> CallEstimate:
        """What judging these episodes would take. It makes no call."""
        return self.calls.estimate([self._request(episode) for episode in episodes])

    def _request(self, episode: Episode) -> Request:
        label = f"scores of episode {episode.key} by {self.name}"
        schema = reply_schema(episode.agents, self.dimensions)
        return self.calls.request(judge_messages(episode, self.dimensions), label, schema)

    def _verdict(self, episode: Episode, reply: str | Failure) -> Verdict:
        if isinstance(reply, Failure):
            return failed_verdict(reply.kind, reply.detail, episode.task.num_seats, self.dimensions)
        names = [character.name for character in episode.task.characters]
        return read_verdict(reply, episode.agents, self.dimensions, names)

    def _judgement(self, episode: Episode, verdict: Verdict) -> Judgement:
        for name, marks in verdict.items():
            for agent, mark in zip(episode.agents, marks, strict=True):
                if mark.kind is not None:
                    self.failures.append(GradeFailure(episode.key, agent, name, mark.kind, mark.reason))
        scores = {name: [mark.score for mark in marks] for name, marks in verdict.items()}
        evidence = {name: [_finding(mark) for mark in marks] for name, marks in verdict.items()}
        return Judgement(self.name, self.version, scores, evidence)


def _finding(mark: Mark) -> list[str]:
    if mark.kind is not None:
        return [f"failed ({mark.kind}): {mark.reason}"]
    return [mark.reason] if mark.reason else []
