"""Judges: episodes -> scores per dimension and seat."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from sotopia_env.describe import describe
from sotopia_env.episodes import Episode, Judgement
from sotopia_env.families import FAMILIES, family_of
from sotopia_env.families.base import Family, OpenEnded
from sotopia_env.families.conduct import bank_of, named_for
from sotopia_env.families.resolve import as_family, name_of
from sotopia_env.names import NameTable, import_attribute
from sotopia_env.rewards.components import Component, name_function
from sotopia_env.rewards.turn_rewards import number_or_none
from sotopia_env.tasks import Task


class Judge(Component):
    """Scores episodes. ``name`` stands in every judgement it makes."""

    SPEC_KEY: ClassVar[str] = "judge"

    @abstractmethod
    def judge(self, episodes: Sequence[Episode]) -> list[Judgement]:
        """Judge a batch of episodes, in one go. What the judge cannot know is ``None``."""

    def check_dimensions(self, family: Family, dimensions: Sequence[str]) -> None:
        """Raises ``ValueError`` where it can never know one of these dimensions in tasks of this family."""

    def judgement_of(self, episode: Episode) -> Judgement:
        """This judge's latest judgement among those an episode holds.

        Raises:
            LookupError: it has not judged the episode.
        """
        name = self.name_in(episode)
        for judgement in reversed(episode.judgements):
            if judgement.judge == name:
                return judgement
        raise LookupError(f"episode {episode.key!r} has not been judged by {name!r}; call reward(episodes)")

    def name_in(self, episode: Episode) -> str:
        """Returns the name that stands in its judgement of an episode."""
        return self.name


@dataclass(frozen=True)
class RuleJudge(Judge):
    """The judge of the task's own family: deterministic, offline, exact.

    It belongs to a family with all its settings. What is set up otherwise than usual stands in the name of its
    judgements: ``rule-training`` counts the words of the training bank.

    Args:
        family: who scores. By default the family each task names, as the task says it is set up; a family of one's own
            has to be given, unless an environment made from it does that.
    """

    family: Any = None
    name = "rule"

    def __post_init__(self) -> None:
        """Take a family in any form."""
        if self.family is not None:
            object.__setattr__(self, "family", as_family(self.family))

    def judge(self, episodes: Sequence[Episode]) -> list[Judgement]:
        """The families' own scores."""
        return [replace((self.family or family_of(e.task)).score(e), judge=self.name_in(e)) for e in episodes]

    def name_in(self, episode: Episode) -> str:
        """Its name, with how the family's judge is set up, or with what the task says of that."""
        if self.family is None:
            return named_for(bank_of(episode.task), self.name)
        return str(self.family.judge_name(episode.task, self.name))

    def check(self, family: Family, tasks: Sequence[Task] | None = None) -> None:
        """Open-ended tasks have no rules to be judged by."""
        if isinstance(self.family or family, OpenEnded):
            example = f", such as {tasks[0].id!r}" if tasks else ""
            raise ValueError(
                f"the rule judge cannot score open-ended tasks{example}: their outcome does not follow from the text. "
                "Give another judge: Outcome(judge=...) takes an object or function with (episode, agent) -> scores"
            )

    def check_dimensions(self, family: Family, dimensions: Sequence[str]) -> None:
        """Refuse what the family never knows."""
        family = self.family or family
        if never := [dimension for dimension in dimensions if dimension in family.unknowable]:
            raise ValueError(
                f"the judge {self.name!r} never knows {', '.join(never)} in tasks of {family.name!r}: the texts do not "
                "tell. Give another judge, such as 'llm:MODEL@URL' or a function (episode, agent) -> scores"
            )

    def for_family(self, family: Family) -> Self:
        """The same judge with the family at hand, where its name alone would not lead to it as it is set up."""
        return self if is_shipped(family) or self.family is not None else replace(self, family=family)

    def spec(self) -> str | dict[str, str]:
        """Returns its name, with that of a family that is set up otherwise than usual.

        A family of one's own is given anew by an environment made from it.
        """
        family = None if self.family is None else name_of(self.family)
        return self.name if family is None else {"judge": self.name, "family": family}


@dataclass(frozen=True)
class StrictJudge(RuleJudge):
    """The rule judge, for whom a deal that the other side took outside its own limit is no deal: a goal of 0.

    A small partner makes such mistakes, and a learner that is paid for them learns to bring them about
    (``docs/judges.md`` has the figures).
    """

    name = "strict"

    def judge(self, episodes: Sequence[Episode]) -> list[Judgement]:
        """The families' own scores, without what the other side gave away."""
        return [_without_gifts(judgement) for judgement in super().judge(episodes)]


def _without_gifts(judgement: Judgement) -> Judgement:
    outside, goals = judgement.latent.get("outside_limit"), judgement.scores.get("goal")
    if not outside or not goals:
        return judgement
    given = [bool(goal) and outside[(seat + 1) % len(outside)] for seat, goal in enumerate(goals)]
    found = judgement.evidence.get("goal", [[] for _ in goals])
    why = "the other side took it outside its own limit: no deal"
    return replace(
        judgement,
        scores={**judgement.scores, "goal": [0.0 if gift else goal for gift, goal in zip(given, goals, strict=True)]},
        evidence={
            **judgement.evidence,
            "goal": [[*texts, why] if gift else texts for gift, texts in zip(given, found, strict=True)],
        },
    )


@dataclass(frozen=True)
class FunctionJudge(Judge):
    """Any function ``(episode, agent) -> {dimension: score or None}`` as a judge.

    Args:
        function: called once for each agent of each episode; ``nan`` counts as unknown.
        name: by default the function's own.
        version: of the function's rules.
    """

    function: Callable[[Episode, str], Mapping[str, float | None]]
    name: str = ""
    version: str = ""

    def __post_init__(self) -> None:
        """Take the function's name where none was given, and the function behind the path that a spec holds."""
        name_function(self)

    def judge(self, episodes: Sequence[Episode]) -> list[Judgement]:
        """The function's scores, dimension by dimension."""
        judgements = []
        for episode in episodes:
            by_seat = [dict(self.function(episode, agent)) for agent in episode.agents]
            dimensions = dict.fromkeys(dimension for scores in by_seat for dimension in scores)
            scores = {d: [number_or_none(scores.get(d)) for scores in by_seat] for d in dimensions}
            judgements.append(Judgement(self.name, self.version, scores))
        return judgements


def is_shipped(family: Family) -> bool:
    """Whether a task's family name alone leads to this family, with all its settings."""
    return family.name in FAMILIES and describe(family) == describe(FAMILIES[family.name]())


BY_RULES: dict[str, type[RuleJudge]] = {judge.name: judge for judge in (RuleJudge, StrictJudge)}
"""Judges that know the rules of the world, by their names."""


def as_judge(given: Any) -> Judge:
    """A judge from a name (:func:`judge_names`), ``module:attribute``, a ``Judge``, an object or a function.

    Args:
        given: see above; an object's ``score`` and a function take ``(episode, agent)`` and return
            ``{dimension: score or None}``. A mapping holds options besides: ``{"judge": "llm:MODEL@URL", "cache":
            FILE, ...}``, what the judge's ``spec`` returns.
    """
    if isinstance(given, Mapping):
        return _judge_with(**given)
    if isinstance(given, str):
        if given in BY_RULES:
            return BY_RULES[given]()
        if given.startswith(("llm:", "relative:")):
            return _judge_with(given)
        if ":" not in given:
            raise ValueError(f"unknown judge {given!r}; one of {', '.join(judge_names())}, or the object itself")
        given = import_attribute(given)
    if isinstance(given, type):
        given = given()
    if isinstance(given, Judge):
        return given
    score = getattr(given, "score", None)
    if callable(score):
        name = str(getattr(given, "name", type(given).__name__))
        return FunctionJudge(score, name, str(getattr(given, "version", "")))
    if callable(given):
        return FunctionJudge(given)
    raise TypeError(f"{given!r:.80} is no judge: it is no function and has no score(episode, agent)")


WITH_OPTIONS = NameTable(
    {
        "llm": "sotopia_env.rewards:LLMJudge",
        "relative": "sotopia_env.rewards:RelativeJudge",
        "ensemble": "sotopia_env.rewards:EnsembleJudge",
    }
)
"""Judges that ask models; each is made with options."""


def judge_names() -> list[str]:
    """Every form of name :func:`as_judge` takes."""
    return [*BY_RULES, "llm:MODEL", "llm:MODEL@URL", "module:attribute"]


def _judge_with(judge: str = "", **options: Any) -> Judge:
    """The judge of a name or path with options.

    Raises:
        ValueError: it takes none.
        TypeError: what the path leads to is no judge.
    """
    kind, _, model = judge.partition(":")
    if judge in BY_RULES and options.keys() == {"family"}:
        return BY_RULES[judge](**options)
    if judge == "ensemble":
        return WITH_OPTIONS[kind](**options)
    if kind in ("llm", "relative"):
        return WITH_OPTIONS[kind](model, **options)
    if not model:
        raise ValueError(f"judge: {judge!r} takes no options; 'llm:MODEL@URL' and 'ensemble' do")
    found = import_attribute(judge)
    if not (isinstance(found, type) and issubclass(found, Judge)):
        raise TypeError(f"judge: {judge!r} is no class of judges, and takes no options")
    return found(**options)


def judged(episodes: Sequence[Episode], judges: Iterable[Judge]) -> list[Episode]:
    """Episodes with the judgements of some judges: one batched call for each judge.

    Running episodes stay as they are. An older judgement of the same judge and version is replaced.
    """
    episodes = list(episodes)
    finished = [i for i, episode in enumerate(episodes) if episode.ending is not None]
    for judge in judges if finished else ():
        judgements = judge.judge([episodes[i] for i in finished])
        for i, judgement in zip(finished, judgements, strict=True):
            episodes[i] = episodes[i].with_judgement(judgement)
    return episodes


def scores_of(judgement: Judgement, seat: int) -> dict[str, float | None]:
    """What a judgement says of one seat."""
    return {dimension: values[seat] for dimension, values in judgement.scores.items()}
