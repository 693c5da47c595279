"""The fields of Sotopia's published files, as they stand there."""

from __future__ import annotations

from typing import Annotated

from pydantic import AliasChoices, BaseModel, BeforeValidator, Field, StringConstraints, model_validator

from sotopia_env.schema import (
    MAX_SEATS,
    Id,
    Name,
    OptionalAge,
    OptionalText,
    OptionalTexts,
    Relationship,
    Text,
    _check_length,
    _text,
)


class PublishedRecord(BaseModel):
    """One of Sotopia's records, in any of its published spellings. Fields that no task needs are passed over."""

    id: Id


class PublishedScenario(PublishedRecord):
    """An ``EnvironmentProfile`` of Sotopia."""

    id: Id = Field(validation_alias=AliasChoices("env_id", "pk"))
    codename: OptionalText = ""
    source: OptionalText = ""
    scenario: Annotated[Text, StringConstraints(min_length=1)]
    agent_goals: Annotated[list[Text], Field(min_length=2, max_length=MAX_SEATS)]
    relationship: Relationship


class PublishedCharacter(PublishedRecord):
    """An ``AgentProfile`` of Sotopia."""

    id: Id = Field(validation_alias=AliasChoices("agent_id", "pk"))
    first_name: Annotated[Name, Field(min_length=1)]
    last_name: Annotated[Name, BeforeValidator(_text)] = ""
    age: OptionalAge = None
    occupation: OptionalText = ""
    gender: OptionalText = ""
    gender_pronoun: OptionalText = ""
    public_info: OptionalText = ""
    moral_values: OptionalTexts = []
    schwartz_personal_values: OptionalTexts = []
    personality_and_values: OptionalText = ""
    decision_making_style: OptionalText = ""
    secret: OptionalText = ""

    @model_validator(mode="after")
    def _fits(self) -> PublishedCharacter:
        _check_length(self)
        return self


class PublishedPairing(PublishedRecord):
    """An ``EnvAgentComboStorage`` of Sotopia: a scenario and who plays it."""

    id: Id = Field(validation_alias=AliasChoices("combo_id", "pk"))
    env_id: Id
    agent_ids: Annotated[list[Id], Field(min_length=2, max_length=MAX_SEATS)]


class PublishedList(PublishedRecord):
    """An ``EnvironmentList`` of Sotopia: scenarios, each with the seat that is evaluated."""

    id: Id = Field(validation_alias=AliasChoices("pk", "list_id"))
    name: Id
    environments: list[Id]
    agent_index: list[int]

    @model_validator(mode="after")
    def _one_seat_per_entry(self) -> PublishedList:
        if len(self.agent_index) != len(self.environments):
            raise ValueError(
                f"agent_index: {len(self.agent_index)} seats for {len(self.environments)} environments; give one each"
            )
        return self
