"""Attributors: episodes -> how important each own turn was, for each dimension."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from sotopia_env.episodes import Episode, Turn
from sotopia_env.families import conduct, family_of, language
from sotopia_env.families.base import Family
from sotopia_env.families.formal import is_formal, words_alone
from sotopia_env.families.resolve import as_family
from sotopia_env.names import NameTable, import_attribute, public_path
from sotopia_env.rewards.components import Component, name_function
from sotopia_env.rewards.designs import Importances
from sotopia_env.rewards.judges.base import is_shipped
from sotopia_env.rewards.turn_rewards import number_or_none
from sotopia_env.tasks import Task
from sotopia_env.turns import as_heard, cycles_of

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
        """Raises ``ValueError`` where importances for these dimensions can never be told of tasks of this family."""
        for child in self.children():
            if isinstance(child, Attributor):
                child.check_dimensions(family, dimensions)


OF_THE_GAME = ("goal", "financial_and_material_benefits")
"""The dimensions whose importances follow from what turns do in the game of the family."""

OF_CONDUCT = ("relationship", "social_rules", "knowledge", "secret", "believability")
"""Those whose importances follow from conduct, in any family."""


@dataclass(frozen=True)
class RuleAttributor(Attributor):
    """Importances from 0 to 3 that follow from the text alone. It does not know how one turn changes a later one.

    ============================================  =======================================================
    dimension                                     importance of a turn
    ============================================  =======================================================
    goal, financial_and_material_benefits         3 accepts, or offers what the next speaker accepts;
                                                  2 offers; 1 refuses, asks or tells something of the game,
                                                  or tells a fact of one's own
    relationship, social_rules                    3 insults or threatens; 2 is courteous
    knowledge                                     3 the next speaker tells a fact; 1 asks something
    secret                                        3 tells one's own secret; 2 tells half of it
    believability                                 3 is invalid, or repeats an earlier utterance
    any other                                     the greatest of these
    ============================================  =======================================================

    What a turn does in the game, the family of the task says (:meth:`~sotopia_env.families.base.Family.move`); where it
    cannot, the first and the last row are unknown.

    Args:
        family: of the tasks, where it is one of your own; an environment made from it gives it.
    """

    family: Any = None
    name = "rule"
    levels = 3.0

    def __post_init__(self) -> None:
        """Take a family in any form."""
        if self.family is not None:
            object.__setattr__(self, "family", as_family(self.family))

    def importances(self, episodes: Sequence[Episode], dimensions: Sequence[str]) -> list[Attributed]:
        """See the table."""
        return [{a: self._of_agent(e, a, dimensions) for a in e.agents} for e in episodes]

    def check_dimensions(self, family: Family, dimensions: Sequence[str]) -> None:
        """Refuse a family that does not know what turns do, where a dimension needs it."""
        needing = [dimension for dimension in dimensions if dimension not in OF_CONDUCT]
        family = self.family or family
        if needing and not family.has_moves:
            raise ValueError(
                f"the rule attributor cannot tell how important turns are for {', '.join(needing)}: the family "
                f"{family.name!r} does not say what a turn does in its game. Give the family move(task, turn), or the "
                "reward another attributor, such as 'llm:MODEL@URL' or a function (episode, agent) -> importances"
            )

    def for_family(self, family: Family) -> RuleAttributor:
        """The same attributor with the family at hand, where its name alone would not lead to it."""
        return self if is_shipped(family) or self.family is not None else replace(self, family=family)

    def spec(self) -> dict[str, Any]:
        """The class: a family of one's own is given again by whoever makes it anew."""
        return {"attributor": public_path(type(self))}

    def _of_agent(self, episode: Episode, agent: str, dimensions: Sequence[str]) -> dict[str, list[float | None]]:
        family = self.family or family_of(episode.task)
        graded = [_graded(family, episode, turn) for turn in episode.own_turns(agent)]
        return {d: [grades[d] if d in grades else _greatest(grades) for grades in graded] for d in dimensions}


def _graded(family: Family, episode: Episode, turn: Turn) -> dict[str, float | None]:
    reply = _reply(episode, turn)
    turn = as_heard(turn)
    said = _said(episode, turn)
    moving = _moving(family, episode.task, turn, reply)
    manner = _manner(said.text)
    return {
        **dict.fromkeys(OF_THE_GAME, moving),
        "relationship": manner,
        "social_rules": manner,
        "knowledge": _learning(family, episode.task, said, reply),
        "secret": _revealing(conduct.own_secret(episode.task, turn.seat), said.text),
        "believability": 3.0 if turn.invalid is not None or _repeats(episode, said) else 0.0,
    }


def _said(episode: Episode, turn: Turn) -> Turn:
    """A turn as talk: where acts settle, without them."""
    return words_alone(turn) if is_formal(episode.task) else turn


def _reply(episode: Episode, turn: Turn) -> Turn | None:
    """The first turn of another seat that could answer this one, and that was to be heard."""
    later = [
        cycle for cycle in cycles_of(episode.turns, episode.action_order) if cycle[0].global_index > turn.global_index
    ]
    return next((as_heard(t) for cycle in later for t in cycle if t.seat != turn.seat), None)


def _greatest(grades: Mapping[str, float | None]) -> float | None:
    known = [grade for grade in grades.values() if grade is not None]
    return max(known) if len(known) == len(grades) else None


def _moving(family: Family, task: Task, turn: Turn, reply: Turn | None) -> float | None:
    move = family.move(task, turn)
    if move is None:
        return None
    if move.kind == "accept":
        return 3.0
    if move.kind == "offer":
        answer = None if reply is None else family.move(task, reply)
        return 3.0 if answer is not None and answer.kind == "accept" else 2.0
    return 1.0 if move.kind != "none" or family.told(task, turn) else 0.0


def _manner(text: str) -> float:
    if language.insults(text) or language.threatens(text):
        return 3.0
    return 2.0 if any(language.courtesies(text, bank) for bank in conduct.BANKS) else 0.0


def _learning(family: Family, task: Task, turn: Turn, reply: Turn | None) -> float:
    if reply is not None and family.told(task, reply):
        return 3.0
    return 1.0 if turn.type == "speak" and "?" in turn.text else 0.0


def _revealing(secret: str, text: str) -> float:
    told = language.told_share(secret, text) if secret else 0.0
    return 3.0 if told >= 0.75 else 2.0 if told >= 0.5 else 0.0


def _repeats(episode: Episode, turn: Turn) -> bool:
    said = " ".join(turn.text.lower().split())
    before = (_said(episode, t) for t in episode.turns[: turn.global_index] if t.seat == turn.seat)
    return turn.type == "speak" and any(" ".join(t.text.lower().split()) == said for t in before if t.type == "speak")


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


BY_MODELS = NameTable({"llm": "sotopia_env.rewards:LLMAttributor"})
"""Attributors that ask models."""


def _llm_attributor(model: str, options: dict[str, Any], levels: float | None) -> Attributor:
    return BY_MODELS["llm"](model, **{**({} if levels is None else {"levels": levels}), **options})
