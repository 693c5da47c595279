"""What a family of tasks is, and what any object with ``generate`` and ``score`` becomes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import numpy as np

from sotopia_env.actions import Action
from sotopia_env.describe import Description, arguments, describe, typed
from sotopia_env.episodes import Ending, Episode, Judgement, Turn
from sotopia_env.families import language
from sotopia_env.tasks import Task
from sotopia_env.turns import as_heard

P = TypeVar("P")

SPLITS = ("train", "validation", "test")


def check_split(split: str, known: Sequence[str] = SPLITS) -> None:
    """Raises ``ValueError`` for a split that a family does not draw; most draw :data:`SPLITS`."""
    if split not in known:
        raise ValueError(f"split {split!r} is none of {', '.join(known)}")


MoveKind = Literal["offer", "accept", "reject", "ask", "tell", "none"]
"""What a turn can do in a game: ``none`` is a turn that does nothing in it."""


@dataclass(frozen=True)
class Move:
    """What one turn does in the game of its family.

    Args:
        kind: one of :data:`MoveKind`.
        content: what is offered, accepted, refused, asked or told, as the family has it; ``None`` where nothing is
            named. Two turns that do the same in the game have equal moves.
    """

    kind: MoveKind
    content: Any = None


class Family:
    """Generates tasks, scores their episodes, and knows what a turn does in its game.

    A subclass defines :meth:`generate` and :meth:`score`. One whose tasks can end by themselves (a deal) also folds
    the turns of an episode: :meth:`begin`, :meth:`advance` and :meth:`ending` must be pure, so that forks and replays
    agree, and cheap, since every step calls them. One that has a game defines :meth:`move`, which the rule attributor
    and the attacks on rewards ask; the others are optional too.

    * ``num_seats``: how many agents play the tasks it draws.
    * ``splits``: what it draws from.
    * ``hidden_fields``: a dataclass of what ``scenario.hidden`` holds for each seat, further fields aside; ``None``
      where it may hold anything. Task files are checked against it.
    * ``unknowable``: the dimensions that :meth:`score` never knows, whatever is said; rewards that need one are
      refused.
    """

    name: str = "family"
    version: str = "1"
    num_seats: int = 2
    splits: tuple[str, ...] = SPLITS
    hidden_fields: type | None = None
    unknowable: frozenset[str] = frozenset()

    def generate(self, rng: np.random.Generator, split: str = "train") -> Task:
        """Draw a task of one split. Splits never share a scenario."""
        raise NotImplementedError

    def score(self, episode: Episode) -> Judgement:
        """Score an episode, running or finished, from its text and the task's hidden values."""
        raise NotImplementedError

    def begin(self, task: Task) -> Any:
        """The progress of an episode before its first turn."""
        return None

    def advance(self, progress: Any, turn: Turn) -> Any:
        """The progress after one more turn."""
        return progress

    def advance_cycle(self, progress: Any, cycle: Sequence[Turn]) -> Any:
        """The progress after the turns of one cycle, several in simultaneous order alone: by default one by one.

        A game reads each of them against the progress before the cycle, which is what its speaker had seen.
        """
        for turn in cycle:
            progress = self.advance(progress, turn)
        return progress

    def ending(self, progress: Any) -> Ending | None:
        """Why the episode is over, or ``None`` while it is not."""
        return None

    def describe(self) -> Description:
        """What the family is, with all its configuration: by default its version and the arguments it was made with."""
        return typed(self, **{"version": self.version, **arguments(self)})

    def judge_name(self, task: Task, name: str = "rule") -> str:
        """Returns what a judge by the family's rules is called in the judgement of a task.

        Args:
            task: that is judged.
            name: of the judge; a family whose judge can be set up in several ways adds how it was.
        """
        return name

    def move(self, task: Task, turn: Turn) -> Move | None:
        """Returns what a turn does in the game, read on its own; ``None`` is unknown, ``Move("none")`` is nothing.

        A family without a game does not define it: nothing is known of any turn then, and what needs moves refuses it.
        """
        return None

    @property
    def has_moves(self) -> bool:
        """Whether it knows what turns do in its game."""
        return type(self).move is not Family.move

    def offer_form(self, task: Task) -> str | None:
        """Returns how an offer is written where agreements are made by acts alone, such as ``"$N"``.

        ``None`` where the task knows no agreements, or none that could be made so
        (:mod:`sotopia_env.families.formal`). A family that gives a form reads acts alone in tasks that
        :func:`~sotopia_env.families.formal.is_formal`.
        """
        return None

    def refusal(self, progress: Any, seat: int, text: str) -> str | None:
        """Returns why an ``action`` of a seat is not possible now, or ``None``; asked before it is played."""
        return None

    def offers(self, progress: Any) -> Sequence[str | None] | None:
        """Returns what each seat has on the table, in words; ``None`` where nothing is offered in the game."""
        return None

    def told(self, task: Task, turn: Turn) -> Sequence[str]:
        """Returns the private facts of its own that a speaker tells in a turn: of ``facts`` among its hidden values."""
        facts = hidden_of(task, turn.seat).get("facts", ())
        return [fact for fact in facts if isinstance(fact, str) and language.tells(fact, turn.text)]

    def knows(self, task: Task, dimension: str) -> bool:
        """Returns whether its rules can ever score a task in a dimension; trainers refuse to learn what they cannot."""
        return dimension not in self.unknowable

    def menu(self, observation: Mapping[str, Any]) -> Mapping[str, Action | str] | None:
        """Returns acts of the menu interface by name (:data:`sotopia_env.menu.ACTS`), above all what may be proposed.

        They replace those of open-ended talk. ``None`` leaves the menu to what the texts of the observation say.

        Args:
            observation: of the dict interface; an act must not tell more than the seat may know.
        """
        return None

    @classmethod
    def read_published(
        cls, source: str, codename: str, situation: str, goals: Sequence[str], notes: str
    ) -> tuple[dict[str, Any], ...] | None:
        """Returns the hidden values of a scenario that Sotopia published; ``None`` where it is not of this family.

        Args:
            source: where the scenario comes from, as published.
            codename: its name.
            situation: what every seat reads.
            goals: one per seat.
            notes: text for the judge alone.

        Raises:
            ValueError: it is of this family, but its texts do not say what the judge needs.
        """
        return None


Update = Callable[[P, int, int, str, str], P]
"""The progress of a game after one more act: takes progress, seat, ``global_index``, action type and text."""


def follow(progress: P, cycle: Sequence[Turn], update: Update[P], merge: Callable[[P, Sequence[P]], P]) -> P:
    """Returns the progress of a game after one cycle: each act is read against what its speaker could see.

    That is what stood before the cycle. A note to oneself does nothing in the game.

    Args:
        progress: before it.
        cycle: its turns, several where they were taken at the same time.
        update: changes nothing once the game is over.
        merge: the progress of what several turns made of the same one, in the order of their seats.
    """
    heard = [as_heard(turn) for turn in cycle]
    after = [update(progress, turn.seat, turn.global_index, turn.type, turn.text) for turn in heard]
    return after[0] if len(after) == 1 else merge(progress, after)


def merge_offers(before: Any, after: Sequence[Any], same: Callable[[Any, Any], bool]) -> Any:
    """Returns the table that several seats made of the same one at once: the ``merge`` of :func:`follow` for offers.

    Two who take each other's offer have not agreed on one.

    Args:
        before: a frozen dataclass with ``offers``, the live one of every seat, ``agreement``, and ``unread``, the
            turns that could not be read.
        after: what each made of it.
        same: whether two agreements are on the same terms.
    """
    unread = tuple(sorted({turn for table in after for turn in table.unread}.union(before.unread)))
    reached = [table.agreement for table in after if table.agreement is not None]
    if reached and all(same(agreement, reached[0]) for agreement in reached):
        return replace(before, agreement=reached[0], unread=unread)
    # Each seat changes its own offer; what another one refuses is the offer that it had seen, not one made meanwhile.
    changed: dict[int, Any] = {}
    for one in after:
        for seat, offer in enumerate(one.offers):
            if offer is not before.offers[seat] and (offer is not None or seat not in changed):
                changed[seat] = offer
    offers = tuple(changed.get(seat, offer) for seat, offer in enumerate(before.offers))
    return replace(before, offers=offers, agreement=None, unread=unread)


def hidden_of(task: Task, seat: int) -> Mapping[str, Any]:
    """Returns the hidden values of a seat, none where the task holds none."""
    hidden = task.scenario.hidden
    return hidden[seat] if seat < len(hidden) else {}


class UserFamily(Family):
    """Any object with ``generate(rng) -> Task`` and ``score(episode) -> {dimension: [per seat]}`` as a family.

    What else a :class:`Family` may define is taken over where the object has it.
    """

    def __init__(self, source: Any) -> None:
        """Wrap ``source``; its ``generate`` may also take a split."""
        self.source = source
        self.name = str(getattr(source, "name", type(source).__name__))
        self.version = str(getattr(source, "version", "1"))
        self.num_seats = int(getattr(source, "num_seats", 2))
        self.splits = tuple(getattr(source, "splits", SPLITS))
        self.hidden_fields = getattr(source, "hidden_fields", None)
        self.unknowable = frozenset(getattr(source, "unknowable", ()))
        self._takes_split = "split" in inspect.signature(source.generate).parameters

    def generate(self, rng: np.random.Generator, split: str = "train") -> Task:
        """The object's own task."""
        task = self.source.generate(rng, split=split) if self._takes_split else self.source.generate(rng)
        if not isinstance(task, Task):
            raise TypeError(f"family {self.name!r}: generate returned a {type(task).__name__}, not a Task")
        return task

    def score(self, episode: Episode) -> Judgement:
        """The object's own scores as a judgement."""
        scores = self.source.score(episode)
        if isinstance(scores, Judgement):
            return scores
        if not isinstance(scores, Mapping):
            raise TypeError(f"family {self.name!r}: score returned a {type(scores).__name__}, not a mapping")
        seats = episode.task.num_seats
        for dimension, values in scores.items():
            if not isinstance(values, Sequence) or len(values) != seats:
                raise ValueError(f"family {self.name!r}: score[{dimension!r}] must hold one value per seat ({seats})")
        return Judgement("rule", self.version, {dimension: list(values) for dimension, values in scores.items()})

    def begin(self, task: Task) -> Any:
        """The object's own fold, where it has one."""
        return self._own("begin")(task)

    def advance(self, progress: Any, turn: Turn) -> Any:
        """The object's own fold, where it has one."""
        return self._own("advance")(progress, turn)

    def advance_cycle(self, progress: Any, cycle: Sequence[Turn]) -> Any:
        """The object's own fold of a cycle, where it has one."""
        return self._own("advance_cycle")(progress, cycle)

    def ending(self, progress: Any) -> Ending | None:
        """The object's own ending, where it has one."""
        return self._own("ending")(progress)

    def judge_name(self, task: Task, name: str = "rule") -> str:
        """The object's own name for its judge, where it has one."""
        return str(self._own("judge_name")(task, name))

    def move(self, task: Task, turn: Turn) -> Move | None:
        """The object's own reading of a turn, where it has one."""
        return self._own("move")(task, turn)

    @property
    def has_moves(self) -> bool:
        """Whether the object reads turns."""
        return bool(getattr(self.source, "has_moves", hasattr(self.source, "move")))

    def offer_form(self, task: Task) -> str | None:
        """The object's own form, where it has one."""
        return self._own("offer_form")(task)

    def refusal(self, progress: Any, seat: int, text: str) -> str | None:
        """What the object says, where it does."""
        return self._own("refusal")(progress, seat, text)

    def offers(self, progress: Any) -> Sequence[str | None] | None:
        """What the object says, where it does."""
        return self._own("offers")(progress)

    def told(self, task: Task, turn: Turn) -> Sequence[str]:
        """The object's own reading of facts, where it has one."""
        return self._own("told")(task, turn)

    def knows(self, task: Task, dimension: str) -> bool:
        """What the object says, where it does."""
        return bool(self._own("knows")(task, dimension))

    def menu(self, observation: Mapping[str, Any]) -> Mapping[str, Action | str] | None:
        """The object's own acts, where it has some."""
        return self._own("menu")(observation)

    def _own(self, method: str) -> Callable[..., Any]:
        return getattr(self.source, method, None) or getattr(super(), method)

    def describe(self) -> Description:
        """What the object says of itself, or the arguments it was made with."""
        return {"name": self.name, "version": self.version, **describe(self.source)}


class OpenEnded(Family):
    """Tasks whose outcome does not follow from their text: they end by leaving, silence or the turn limit alone."""

    name = "sotopia"

    def generate(self, rng: np.random.Generator, split: str = "train") -> Task:
        """Open-ended tasks are not generated."""
        raise NotImplementedError("open-ended tasks are loaded from a file (load_tasks), not generated")

    def score(self, episode: Episode) -> Judgement:
        """Nothing is known without a judge."""
        unknown: list[float | None] = [None] * episode.task.num_seats
        return Judgement("rule", self.version, {"goal": unknown})

    def knows(self, task: Task, dimension: str) -> bool:
        """Nothing."""
        return False


class MixedFamily(Family):
    """Hands every call over to the family of the task.

    Args:
        families: by name, as it stands in ``Task.family``.
    """

    def __init__(self, families: Mapping[str, Family]) -> None:
        """Keep the families."""
        self.families = dict(families)
        self.name = "+".join(sorted(families))
        self.version = "+".join(f"{name}-{family.version}" for name, family in sorted(families.items()))
        # Of open-ended tasks nothing is known; what counts is what is never known of any other.
        known = [family.unknowable for family in families.values() if not isinstance(family, OpenEnded)]
        self.unknowable = frozenset.intersection(*known) if known else frozenset()

    def generate(self, rng: np.random.Generator, split: str = "train") -> Task:
        """Mixed tasks are given, not drawn."""
        raise NotImplementedError(f"tasks of {self.name} are given as a list; draw from one family instead")

    def score(self, episode: Episode) -> Judgement:
        """The judgement of the task's own family."""
        return self.families[episode.task.family].score(episode)

    def begin(self, task: Task) -> Any:
        """The task's family with its own progress."""
        family = self.families[task.family]
        return family, family.begin(task)

    def advance(self, progress: Any, turn: Turn) -> Any:
        """One more turn in the task's own family."""
        family, inner = progress
        return family, family.advance(inner, turn)

    def advance_cycle(self, progress: Any, cycle: Sequence[Turn]) -> Any:
        """One more cycle in the task's own family."""
        family, inner = progress
        return family, family.advance_cycle(inner, cycle)

    def ending(self, progress: Any) -> Ending | None:
        """What the task's own family says."""
        family, inner = progress
        return family.ending(inner)

    def judge_name(self, task: Task, name: str = "rule") -> str:
        """What the task's own family says."""
        return self.families[task.family].judge_name(task, name)

    def move(self, task: Task, turn: Turn) -> Move | None:
        """What the task's own family says."""
        return self.families[task.family].move(task, turn)

    @property
    def has_moves(self) -> bool:
        """Whether one of them knows; of turns of the others nothing is known."""
        return any(family.has_moves for family in self.families.values())

    def offer_form(self, task: Task) -> str | None:
        """What the task's own family says."""
        return self.families[task.family].offer_form(task)

    def refusal(self, progress: Any, seat: int, text: str) -> str | None:
        """What the task's own family says."""
        family, inner = progress
        return family.refusal(inner, seat, text)

    def offers(self, progress: Any) -> Sequence[str | None] | None:
        """What the task's own family says."""
        family, inner = progress
        return family.offers(inner)

    def told(self, task: Task, turn: Turn) -> Sequence[str]:
        """What the task's own family says."""
        return self.families[task.family].told(task, turn)

    def knows(self, task: Task, dimension: str) -> bool:
        """What the task's own family says."""
        return self.families[task.family].knows(task, dimension)
