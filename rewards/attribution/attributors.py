"""Attributors: episodes -> how important each own turn was, for each dimension."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sotopia_env.episodes import Episode, Turn
from sotopia_env.families import language
from sotopia_env.families.bargain.moves import read_move
from sotopia_env.families.base import Family
from sotopia_env.names import from_table, import_attribute
from sotopia_env.rewards.components import Component, name_function
from sotopia_env.rewards.designs import Importances
from sotopia_env.rewards.turn_rewards import number_or_none

Given = Importances | Mapping[str, Importances] | None
"""Importances of one agent's turns: the same for all dimensions, or by dimension; ``None`` where they failed."""
Attributed = dict[str, dict[str, list[float | None]]]
"""``{agent: {dimension: [one importance per own turn]}}``."""


class Attributor(Component):
    """Tells the importance of turns. Deterministic, so that labels made later are those of play.

    * ``name``: what the names of rewards and reports call it.
    * ``levels``: s, the importance of a decisive turn; 0 is that of a turn without effect.
    """

    levels: float
    SPEC_KEY: ClassVar[str] = "attributor"

    @abstractmethod
    def importances(self, episodes: Sequence[Episode], dimensions: Sequence[str]) -> list[Attributed]:
        """Importances in 0..s of a batch of finished episodes, for each dimension. What failed is ``None``."""

    def check_dimensions(self, family: Family, dimensions: Sequence[str]) -> None:
        """Raises ``ValueError`` where it can never tell importances for these dimensions in tasks of this family."""
        for child in self.children():
            if isinstance(child, Attributor):
                child.check_dimensions(family, dimensions)


@dataclass(frozen=True)
class RuleAttributor(Attributor):
    """Importances from 0 to 3 that follow from the text alone. It does not know how one turn changes a later one.

    ============================================  =======================================================
    dimension                                     importance of a turn
    ============================================  =======================================================
    goal, financial_and_material_benefits         3 accepts, or offers what the next speaker accepts;
                                                  2 offers; 1 refuses, or tells a fact of one's own
    relationship, social_rules                    3 insults or threatens; 2 is courteous
    knowledge                                     3 the next speaker tells a fact; 1 asks something
    secret                                        3 tells one's own secret; 2 tells half of it
    believability                                 3 is invalid, or repeats an earlier utterance
    any other                                     the greatest of these
    ============================================  =======================================================
    """

    name = "rule"
    levels = 3.0

    def importances(self, episodes: Sequence[Episode], dimensions: Sequence[str]) -> list[Attributed]:
        """See the table."""
        return [{a: self._of_agent(e, a, dimensions) for a in e.agents} for e in episodes]

    def _of_agent(self, episode: Episode, agent: str, dimensions: Sequence[str]) -> dict[str, list[float | None]]:
        turns = episode.own_turns(agent)
        graded = [_graded(episode, turn) for turn in turns]
        return {d: [grades.get(d, max(grades.values())) for grades in graded] for d in dimensions}


def _graded(episode: Episode, turn: Turn) -> dict[str, float]:
    reply = next((t for t in episode.turns[turn.global_index + 1 :] if t.seat != turn.seat), None)
    bargaining = _bargaining(episode, turn, reply)
    manner = _manner(turn.text)
    return {
        "goal": bargaining,
        "financial_and_material_benefits": bargaining,
        "relationship": manner,
        "social_rules": manner,
        "knowledge": _learning(episode, turn, reply),
        "secret": _revealing(_hidden(episode, turn.seat).get("secret"), turn.text),
        "believability": 3.0 if turn.invalid is not None or _repeats(episode, turn) else 0.0,
    }


def _hidden(episode: Episode, seat: int) -> Mapping[str, Any]:
    hidden = episode.task.scenario.hidden
    return hidden[seat] if seat < len(hidden) else {}


def _tells_a_fact(episode: Episode, turn: Turn) -> bool:
    facts = _hidden(episode, turn.seat).get("facts", ())
    return any(isinstance(fact, str) and language.tells(fact, turn.text) for fact in facts)


def _bargaining(episode: Episode, turn: Turn, reply: Turn | None) -> float:
    move = read_move(turn.type, turn.text).kind
    if move == "accept":
        return 3.0
    if move == "offer":
        return 3.0 if reply is not None and read_move(reply.type, reply.text).kind == "accept" else 2.0
    return 1.0 if move == "reject" or _tells_a_fact(episode, turn) else 0.0


def _manner(text: str) -> float:
    spoken = language.words(text)
    if any(spoken & bank for bank in language.NEGATIVE.values()) or language.THREATS.search(text):
        return 3.0
    return 2.0 if any(spoken & bank for bank in language.POSITIVE.values()) else 0.0


def _learning(episode: Episode, turn: Turn, reply: Turn | None) -> float:
    if reply is not None and _tells_a_fact(episode, reply):
        return 3.0
    return 1.0 if turn.type == "speak" and "?" in turn.text else 0.0


def _revealing(secret: Any, text: str) -> float:
    told = language.told_share(secret, text) if isinstance(secret, str) else 0.0
    return 3.0 if told >= 0.75 else 2.0 if told >= 0.5 else 0.0


def _repeats(episode: Episode, turn: Turn) -> bool:
    said = " ".join(turn.text.lower().split())
    before = (t for t in episode.turns[: turn.global_index] if t.seat == turn.seat and t.type == "speak")
    return turn.type == "speak" and any(" ".join(t.text.lower().split()) == said for t in before)


@dataclass(frozen=True)
class FunctionAttributor(Attributor):
    """Any function ``(episode, agent) -> importances`` as an attributor.

    Args:
        function: returns one importance per own turn, ``{dimension: [...]}``, or ``None`` where it failed.
        levels: s.
        name: by default the function's own.
    """

    function: Callable[[Episode, str], Given]
    levels: float = 3.0
    name: str = ""

    def __post_init__(self) -> None:
        """Take the function's name where none was given, and the function behind the path that a spec holds."""
        name_function(self)

    def importances(self, episodes: Sequence[Episode], dimensions: Sequence[str]) -> list[Attributed]:
        """What the function says, checked."""
        return [{a: self._checked(self.function(e, a), e, a, dimensions) for a in e.agents} for e in episodes]

    def _checked(
        self, given: Given, episode: Episode, agent: str, dimensions: Sequence[str]
    ) -> dict[str, list[float | None]]:
        return checked(given, dimensions, len(episode.own_turns(agent)), self.levels, f"{self.name}: {episode.key!r}")


@dataclass(frozen=True)
class RecordedAttributor(Attributor):
    """Importances written down before, such as those :func:`sotopia_env.rewards.read_attributions` reads.

    Args:
        recorded: ``{key of the episode: {agent: importances}}``; episodes and agents that are missing are unknown.
        levels: s.
        name: see :class:`Attributor`.
    """

    recorded: Mapping[str, Mapping[str, Given]]
    levels: float = 3.0
    name: str = "recorded"

    def importances(self, episodes: Sequence[Episode], dimensions: Sequence[str]) -> list[Attributed]:
        """What was recorded, checked."""
        found = []
        for episode in episodes:
            by_agent = self.recorded.get(episode.key, {})
            counts = {agent: len(episode.own_turns(agent)) for agent in episode.agents}
            where = f"{self.name}: {episode.key!r}"
            found.append(
                {a: checked(by_agent.get(a), dimensions, counts[a], self.levels, where) for a in episode.agents}
            )
        return found


def checked(
    given: Given, dimensions: Sequence[str], num_turns: int, levels: float, where: str
) -> dict[str, list[float | None]]:
    """Importances by dimension, with unknown ones where none were given.

    Raises:
        ValueError: not one number for each own turn, or one that is not in 0..s.
    """
    by_dimension = given if isinstance(given, Mapping) else dict.fromkeys(dimensions, given)
    result: dict[str, list[float | None]] = {}
    for dimension in dimensions:
        values = by_dimension.get(dimension)
        numbers = [number_or_none(value) for value in ([None] * num_turns if values is None else values)]
        if len(numbers) != num_turns:
            raise ValueError(f"{where}, {dimension}: {len(numbers)} importances for {num_turns} own turns")
        for number in numbers:
            if number is not None and not 0 <= number <= levels:
                raise ValueError(
                    f"{where}, {dimension}: an importance of {number} is not in 0..{levels:g}; give None for a turn "
                    "that could not be graded, and the scale as levels="
                )
        result[dimension] = numbers
    return result


def as_attributor(given: Any, levels: float | None = None) -> Attributor:
    """An attributor from whatever stands for one.

    Args:
        given: ``"rule"``, ``"llm:MODEL@URL"``, ``module:attribute``, an ``Attributor``, a function ``(episode, agent)
            -> importances``, recorded importances, or what ``Attributor.spec`` returned, such as
            ``{"attributor": "llm:MODEL@URL", "cache": FILE, ...}``.
        levels: s of a function's, a model's or of recorded importances, 3 by default; others know their own.

    Raises:
        ValueError: no attributor of that name, or one with another scale.
        TypeError: the object is no attributor.
    """
    if levels is not None and not 0 < levels < math.inf:
        raise ValueError(f"levels: {levels} is not positive")
    if isinstance(given, str):
        if given == "rule":
            given = RuleAttributor()
        elif given.startswith("llm:"):
            given = _llm_attributor(given, {}, levels)
        elif ":" in given:
            given = import_attribute(given)
        else:
            raise ValueError(
                f"unknown attributor {given!r}; 'rule', 'llm:MODEL@URL', module:attribute, or the object itself"
            )
    if isinstance(given, Mapping) and isinstance(given.get("attributor"), str):
        arguments = {name: value for name, value in given.items() if name != "attributor"}
        if given["attributor"].startswith("llm:"):
            given = _llm_attributor(given["attributor"], arguments, levels)
        else:
            given = import_attribute(given["attributor"])(**arguments)
    if isinstance(given, type):
        given = given()
    scale = 3.0 if levels is None else float(levels)
    if isinstance(given, Mapping):
        return RecordedAttributor(given, scale)
    if not isinstance(given, Attributor) and callable(given):
        return FunctionAttributor(given, scale)
    if not isinstance(given, Attributor):
        raise TypeError(f"{given!r:.80} is no attributor: no function, no recorded importances")
    if levels is not None and levels != given.levels:
        raise ValueError(f"levels: the attributor {given.name!r} grades 0..{given.levels:g}, not 0..{levels:g}")
    return given


BY_MODELS = {"llm": "sotopia_env.rewards:LLMAttributor"}
"""Attributors that ask models."""


def _llm_attributor(model: str, options: dict[str, Any], levels: float | None) -> Attributor:
    return from_table(BY_MODELS, "llm")(model, **{**({} if levels is None else {"levels": levels}), **options})
