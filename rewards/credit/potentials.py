"""Potentials: what a running episode is worth to each agent, as far as one can tell."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

from sotopia_env.episodes import Ending, Episode, Turn
from sotopia_env.families import family_of
from sotopia_env.families.base import Family
from sotopia_env.names import import_attribute, public_path
from sotopia_env.rewards.components import Component, name_function
from sotopia_env.rewards.dimensions import Scale, check_weights, goal_alone, weighted_score
from sotopia_env.rewards.judges.base import as_judge, is_shipped, scores_of
from sotopia_env.rewards.judges.llm import LLMJudge
from sotopia_env.rewards.judges.rubric import RUBRIC, Dimension
from sotopia_env.rewards.reward import from_spec
from sotopia_env.rewards.turn_rewards import number_or_none
from sotopia_env.turns import cycles_of

Values = dict[str, float | None]
"""``{agent: Φ}``; ``None`` is unknown."""


class Potential(Component):
    """Says what episodes are worth as they stand. ``name`` tells potentials apart in the names of rewards.

    ``needs`` is what it takes besides the episode, as of a reward. Numbers are on the scale of the outcome they stand
    for. Anything else with ``values(episodes)`` will do as well, such as a model or a
    :class:`~sotopia_env.rewards.MonteCarlo`.
    """

    SPEC_KEY: ClassVar[str] = "potential"

    @abstractmethod
    def values(self, episodes: Sequence[Episode]) -> Sequence[Mapping[str, float | None]]:
        """Φ of the latest state of each episode, for every agent; mostly of running episodes."""


@runtime_checkable
class HasValues(Protocol):
    """Whatever says what episodes are worth, such as a potential or a reward that measures states."""

    def values(self, episodes: Sequence[Episode]) -> Sequence[Mapping[str, float | None]]:
        """Φ of the latest state of each episode, for every agent."""


@dataclass(frozen=True)
class StandingOffer(Potential):
    """What a judge would score if the talk ended here, and an offer that stands were accepted.

    It finds out by letting a seat accept: first whoever did not speak last, then the last speaker. Where that makes
    the family see an agreement, the episode is judged with it; else as one that ended without. For families in which
    nothing is accepted it is the score of a talk that ends here. It takes offers at their word, and so a bluff too.

    Args:
        dimensions: ``{dimension: weight}``.
        judge: see :class:`~sotopia_env.rewards.Outcome`.
        scale: ``"unit"`` or ``"native"``.
        family: of the tasks, where it is one of your own; an environment made from it gives it.
    """

    dimensions: Mapping[str, float] = field(default_factory=goal_alone)
    judge: Any = "rule"
    scale: Scale = "unit"
    family: Family | None = None
    name: ClassVar[str] = "standing-offer"  # type: ignore[misc]

    def __post_init__(self) -> None:
        """Check the weights and make the judge of its name."""
        check_weights(self.dimensions, self.scale)
        judge = as_judge(self.judge)
        object.__setattr__(self, "judge", judge if self.family is None else judge.for_family(self.family))

    def values(self, episodes: Sequence[Episode]) -> list[Values]:
        """The scores of the episodes as they would end."""
        ended = [episode if episode.ending is not None else self._ended(episode) for episode in episodes]
        judgements = self.judge.judge(ended) if ended else []
        return [
            {
                agent: weighted_score(scores_of(judgement, seat), self.dimensions, self.scale)
                for seat, agent in enumerate(episode.agents)
            }
            for episode, judgement in zip(ended, judgements, strict=True)
        ]

    def for_family(self, family: Family) -> Self:
        """The same with family and judge."""
        if is_shipped(family) or self.family is not None:
            return self
        return replace(self, judge=self.judge.for_family(family), family=family)

    def spec(self) -> Any:
        """Returns its type and arguments. A family of one's own is given anew by an environment made from it."""
        return {self.SPEC_KEY: public_path(type(self)), **self._arguments(without="family")}

    def _ended(self, episode: Episode) -> Episode:
        family = self.family or family_of(episode.task)
        progress = family.begin(episode.task)
        for cycle in cycles_of(episode.turns, episode.action_order):
            progress = family.advance_cycle(progress, cycle)
        if (ending := family.ending(progress)) is not None:
            return replace(episode, ending=ending)
        last = episode.turns[-1].seat if episode.turns else 0
        for step in range(1, episode.task.num_seats + 1):
            seat = (last + step) % episode.task.num_seats
            own = len(episode.own_turns(episode.agents[seat]))
            accepts = Turn(seat, own, len(episode.turns), "action", "accept")
            if (ending := family.ending(family.advance(progress, accepts))) is not None:
                return replace(episode, turns=(*episode.turns, accepts), ending=ending)
        return replace(episode, ending=Ending("max_cycles", truncated=True))


PROGRESS = Dimension(
    "progress",
    0,
    10,
    "The talk may still be going on: how near has this agent come, by the last turn of the record, to what its own "
    "goal asks for? Count what is done and agreed, and what is within reach, not what is only claimed. 0 is no "
    "nearer than before the first turn, 10 is reached.",
)
"""What a model is asked that estimates progress; the wording is our own."""


@dataclass(frozen=True)
class JudgePotential(Potential):
    """What a judge says of the episode so far in one dimension, mapped from its range to [0, 1].

    The judge must be able to judge running episodes; where it cannot, the potential is unknown. In play each state is
    asked for about twice: give a model's judge a cache.

    Args:
        judge: ``"llm:MODEL@URL"``, a mapping with its options, a ``Judge``, or a function ``(episode, agent) ->
            {dimension: score}``. A model that is given by name is asked for this dimension alone.
        dimension: one of Sotopia's seven, a :class:`~sotopia_env.rewards.Dimension`, or its fields.
        name: by default that of the judge.
    """

    judge: Any
    dimension: Any = PROGRESS
    name: str = ""

    def __post_init__(self) -> None:
        """Make judge and dimension of what stands for them."""
        given = self.dimension
        if isinstance(given, str) and given not in RUBRIC:
            raise ValueError(f"dimension: {given!r} is none of {', '.join(RUBRIC)}; give a Dimension with its range")
        made = RUBRIC[given] if isinstance(given, str) else given
        dimension = made if isinstance(made, Dimension) else Dimension(**made)
        object.__setattr__(self, "dimension", dimension)
        judge = {"judge": self.judge} if isinstance(self.judge, str) and self.judge.startswith("llm:") else self.judge
        if isinstance(judge, Mapping) and str(judge.get("judge")).startswith("llm:"):
            judge = {"dimensions": [asdict(dimension)], **judge}
        judge = as_judge(judge)
        if isinstance(judge, LLMJudge) and dimension.name not in [one.name for one in judge.dimensions]:
            raise ValueError(f"judge: {judge.name!r} is not asked for {dimension.name!r}; add it to its dimensions")
        object.__setattr__(self, "judge", judge)
        object.__setattr__(self, "name", self.name or judge.name)

    def values(self, episodes: Sequence[Episode]) -> list[Values]:
        """The judge's scores of the episodes so far."""
        judgements = self.judge.judge(episodes) if episodes else []
        low, high = self.dimension.low, self.dimension.high
        found: list[Values] = []
        for episode, judgement in zip(episodes, judgements, strict=True):
            scores = [scores_of(judgement, seat).get(self.dimension.name) for seat in range(episode.task.num_seats)]
            found.append(
                {
                    a: None if s is None else (s - low) / (high - low)
                    for a, s in zip(episode.agents, scores, strict=True)
                }
            )
        return found

    def spec(self) -> dict[str, Any]:
        """Returns its type and arguments."""
        arguments = {**self._arguments(without="dimension"), "dimension": asdict(self.dimension)}
        return {self.SPEC_KEY: public_path(type(self)), **arguments}


@dataclass(frozen=True)
class FunctionPotential(Potential):
    """A plain function ``(episode, agent) -> number`` as a potential.

    Args:
        function: called for each agent of each episode, mostly running ones; ``None`` or ``nan`` is unknown.
        name: by default the function's own.
    """

    function: Callable[[Episode, str], float | None]
    name: str = ""

    def __post_init__(self) -> None:
        """Take the function's name where none was given, and the function behind the path that a spec holds."""
        name_function(self)

    def values(self, episodes: Sequence[Episode]) -> list[Values]:
        """What the function says."""
        return [{agent: number_or_none(self.function(e, agent)) for agent in e.agents} for e in episodes]


@dataclass(frozen=True)
class ObjectPotential(Potential):
    """An object of another class that has ``values(episodes)`` as a potential.

    Args:
        object: says what episodes are worth. Where it has a ``name``, ``needs`` or ``spec()``, they are the
            potential's.
    """

    object: Any

    @property
    def name(self) -> str:  # type: ignore[override]
        """The object's, or that of its class."""
        return str(getattr(self.object, "name", type(self.object).__name__))

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """What the object needs."""
        return tuple(getattr(self.object, "needs", ()))

    def values(self, episodes: Sequence[Episode]) -> Sequence[Mapping[str, float | None]]:
        """What the object says."""
        said: Sequence[Mapping[str, float | None]] = self.object.values(episodes)
        return said

    def spec(self) -> Any:
        """Returns what the object's own ``spec()`` does."""
        spec = getattr(self.object, "spec", None)
        if not callable(spec):
            raise ValueError(f"potential: {self.object!r:.80} has no spec() and cannot be written as text")
        return spec()


def as_potential(given: Any) -> Component:
    """A potential from whatever stands for one.

    Args:
        given: ``module:attribute``, an object with ``values(episodes)``, a function ``(episode, agent) -> number``, or
            what the ``spec`` of a potential or of a reward returned.

    Returns:
        A component with ``values(episodes)``: a potential, or a reward that is one too.

    Raises:
        ValueError: no potential of that name.
        TypeError: the object is no potential.
    """
    if isinstance(given, str):
        if ":" not in given:
            raise ValueError(f"unknown potential {given!r}; 'standing-offer', module:attribute, or the object itself")
        given = import_attribute(given)
    if isinstance(given, Mapping) and isinstance(given.get("potential"), str):
        arguments = {name: value for name, value in given.items() if name != "potential"}
        given = import_attribute(given["potential"])(**arguments)
    if isinstance(given, Mapping) and "type" in given:
        given = from_spec(given)
    if inspect.isclass(given):
        given = given()
    if isinstance(given, HasValues) and not isinstance(given, Mapping):
        return given if isinstance(given, Component) else ObjectPotential(given)
    if callable(given):
        return FunctionPotential(given)
    raise TypeError(f"{given!r:.80} is no potential: no function, and no values(episodes)")
