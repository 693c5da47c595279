"""Published episodes as checked records: the full format, the short one, and Sotopia's own ``EpisodeLog``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints, model_validator

from sotopia_env.errors import RecordError
from sotopia_env.schema import MAX_SEATS, Id, OptionalText, check_record

Scores = dict[str, float | None]
Rating = tuple[float | None, Scores | None]
"""The overall score of one agent, and its score in each dimension where there are any."""


def _score(given: Any) -> float | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise ValueError(f"a score is a number or null, not {given!r:.40}")
    return float(given) if math.isfinite(given) else None


def _scores(given: Any) -> Scores:
    if not isinstance(given, Mapping):
        raise ValueError("an object of dimension -> score is needed")
    return {str(dimension): _score(value) for dimension, value in given.items()}


def _rating(given: Any) -> Rating:
    if isinstance(given, Mapping):
        scores = _scores(given)
        return scores.get("overall_score"), scores
    if isinstance(given, list | tuple):
        if len(given) != 2:
            raise ValueError("the overall score and the scores by dimension are needed")
        return _score(given[0]), _scores(given[1])
    return _score(given), None


Words = Annotated[str, StringConstraints(strict=True)]
Messages = list[list[tuple[Words, Words, Words]]]
Agents = Annotated[list[Id], Field(max_length=MAX_SEATS)]
Ratings = list[Annotated[Any, BeforeValidator(_rating)]]


class EpisodeRecord(BaseModel):
    """What the formats share, under names of its own.

    Args:
        id: of the episode.
        environment: id of the scenario; empty where it is not told.
        agents: ids of the characters; empty where they are not told.
        tag: of the experiment.
        models: the judge, and who played each seat.
        messages: for each turn of the table, triples of sender, receiver and text.
        ratings: per agent; a bare 0.0 means that the judge failed.
        reasoning: what the judge wrote.
        prompt: what the judge was asked.
    """

    id: Id
    environment: OptionalText = ""
    agents: Agents = []
    tag: OptionalText = ""
    models: list[Words] | None = None
    messages: Messages | None = None
    ratings: Ratings = []
    reasoning: OptionalText = ""
    prompt: OptionalText = ""


class LogRecord(EpisodeRecord):
    """An ``EpisodeLog`` of Sotopia."""

    id: Id = Field(validation_alias="pk")
    environment: Id
    agents: Annotated[list[Id], Field(min_length=2, max_length=MAX_SEATS)]
    messages: Messages
    ratings: Ratings = Field(validation_alias="rewards")
    prompt: OptionalText = Field(default="", validation_alias="rewards_prompt")

    @model_validator(mode="after")
    def _one_rating_per_agent(self) -> LogRecord:
        if len(self.ratings) != len(self.agents):
            raise ValueError(f"rewards: {len(self.ratings)} for {len(self.agents)} agents; give one each")
        return self


class FullRecord(EpisodeRecord):
    """An episode in the published format of 15 fields; without messages, in the short one."""

    id: Id = Field(validation_alias="episode_id")
    environment: OptionalText = Field(default="", validation_alias="environment_id")
    agents: Agents = Field(default=[], validation_alias="agent_ids")
    tag: OptionalText = Field(default="", validation_alias="experiment_tag")
    models: list[Words] | None = Field(default=None, validation_alias="experiment_model_name_pairs")
    messages: Messages | None = Field(default=None, validation_alias="raw_messages")
    ratings: Ratings = Field(default=[], validation_alias="raw_rewards")
    prompt: OptionalText = Field(default="", validation_alias="raw_rewards_prompt")
    scenario: Annotated[Words, StringConstraints(min_length=1)]
    codename: OptionalText = ""
    backgrounds: Annotated[dict[str, Words], Field(min_length=2, max_length=MAX_SEATS)] = Field(
        validation_alias="agents_background"
    )
    goals: dict[str, Words] = Field(validation_alias="social_goals")
    interactions: OptionalText = Field(default="", validation_alias="social_interactions")
    rewards: Ratings = []

    @model_validator(mode="after")
    def _one_of_each(self) -> FullRecord:
        names = list(self.backgrounds)
        if list(self.goals) != names:
            raise ValueError(f"social_goals: of {list(self.goals)}, but agents_background of {names}; give one each")
        if self.agents and len(self.agents) != len(names):
            raise ValueError(f"agent_ids: {len(self.agents)} for {len(names)} agents; give one each")
        for field, values in (("raw_rewards", self.ratings), ("rewards", self.rewards)):
            if values and len(values) != len(names):
                raise ValueError(f"{field}: {len(values)} for {len(names)} agents; give one each")
        if self.messages is None and not self.interactions:
            raise ValueError("raw_messages or social_interactions is needed; the record holds neither")
        return self


def check_episode(record: Any, where: str) -> FullRecord | LogRecord:
    """A record of any of the formats, checked.

    Args:
        record: what a file held.
        where: names the record in an error.

    Raises:
        RecordError: it is no episode, or a field is missing or wrong.
    """
    if not isinstance(record, Mapping):
        raise RecordError(where, f"a JSON object is needed, not a {type(record).__name__}")
    if "episode_id" in record:
        return check_record(FullRecord, record, where)
    if {"messages", "environment", "rewards_prompt"} & set(record):
        return check_record(LogRecord, record, where)
    raise RecordError(where, "no episode: it has neither episode_id (the published formats) nor messages (EpisodeLog)")
