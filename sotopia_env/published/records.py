"""The fields of Sotopia's published files, as they stand there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from sotopia_env.schema import (
    MAX_SEATS,
    Id,
    Name,
    OptionalAge,
    OptionalText,
    OptionalTexts,
    Relationship,
    Text,
    _absent,
    _check_length,
    _text,
)

_IDS = ("pk", "env_id", "agent_id", "combo_id", "list_id")


def _age(given: Any) -> Any:
    """``None`` also for 0, which stands in Sotopia's profiles wherever no age was given."""
    present = _absent(given)
    return None if present in (0, "0") else present


class PublishedRecord(BaseModel):
    """One of Sotopia's records, in any of its published spellings."""

    model_config = ConfigDict(extra="allow")
    untold: ClassVar[Mapping[str, Any]] = {}
    """What Sotopia's readers ask for and no task tells, with the values that say nothing."""

    id: Id

    @property
    def further(self) -> dict[str, Any]:
        """The fields that no task needs, as they stood there; those that say nothing are left out."""
        extra = (self.model_extra or {}).items()
        told = {name: value for name, value in extra if name not in _IDS and _absent(value) is not None and value != []}
        return {name: value for name, value in told.items() if self.untold.get(name) != value}


class PublishedScenario(PublishedRecord):
    """An ``EnvironmentProfile`` of Sotopia."""

    # The ages are those that Sotopia's sampler takes for no constraint.
    untold: ClassVar[Mapping[str, Any]] = {
        "age_constraint": "[(18, 70), (18, 70)]",
        "occupation_constraint": "nan",
        "agent_constraint": None,
        "tag": "",
    }

    id: Id = Field(validation_alias=AliasChoices("env_id", "pk"))
    codename: OptionalText = ""
    source: OptionalText = ""
    scenario: Annotated[Text, StringConstraints(min_length=1)]
    agent_goals: Annotated[list[Text], Field(min_length=2, max_length=MAX_SEATS)]
    relationship: Relationship


class PublishedCharacter(PublishedRecord):
    """An ``AgentProfile`` of Sotopia."""

    untold: ClassVar[Mapping[str, Any]] = {"big_five": "", "model_id": "", "mbti": "", "tag": ""}

    id: Id = Field(validation_alias=AliasChoices("agent_id", "pk"))
    first_name: Annotated[Name, Field(min_length=1)]
    last_name: Annotated[Name, BeforeValidator(_text)] = ""
    age: Annotated[OptionalAge, BeforeValidator(_age)] = None
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
