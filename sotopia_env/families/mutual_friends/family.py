"""The family: it draws two tables of friends, watches for the common friend to be named by both, and scores.

## Description
Two people each know some friends, with attributes such as a hobby or a town. Exactly one friend stands in both tables.
Both are to name that friend; neither is to go through all the names.

## Couplings
How far manners, questions and indiscretions move a side stands in its own goal text, as in ``bargain``. Here they move
how openly a side tells of its friends. The couplings act through what policies do with them.

## Version history
* 1: initial version.
* 2: manners, secrets and facts are read clause by clause; asking about a friend is no claim to know the person, and a
  name that is only repeated is put forward.
* 3: names and attributes are read over the same clauses; the friend is found by who says to know the person, to repeat
  a name is free and worth nothing, and whoever goes through the own table in whatever words has named it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np
from annotated_types import MinLen

from sotopia_env.episodes import Ending, Episode, Judgement, Turn
from sotopia_env.families.base import Move, check_split
from sotopia_env.families.formal import is_formal, refusal, words_alone
from sotopia_env.families.generated import AnyCoupling, GeneratedFamily, checked_chances, draw_kind, draw_people, pick
from sotopia_env.families.mutual_friends import catalogue, scoring
from sotopia_env.families.mutual_friends.moves import read_move
from sotopia_env.families.mutual_friends.naming import Naming, read_name, take
from sotopia_env.families.mutual_friends.tables import Friend, read_published_tables, table_text
from sotopia_env.tasks import Scenario, Task


@dataclass(frozen=True)
class Difficulty:
    """How hard a pair of tables is.

    Args:
        friends: rows of each table.
        attributes: of each friend.
        values: different values of each attribute in the two tables together: the fewer, the more friends are alike.
    """

    friends: int
    attributes: int
    values: int


DIFFICULTIES: Mapping[str, Difficulty] = {
    "easy": Difficulty(4, 2, 5),
    "medium": Difficulty(6, 3, 5),
    "hard": Difficulty(9, 3, 4),
}
"""The difficulties tasks are drawn from."""


Name = Annotated[str, MinLen(1)]


@dataclass(frozen=True)
class FriendHidden:
    """One friend of a table: its name, and its value of each attribute."""

    name: Name
    attributes: Annotated[dict[str, str], MinLen(1)]


@dataclass(frozen=True)
class MutualFriendsHidden:
    """The hidden values of a seat: its table of friends, and the friend whom both know."""

    friends: Annotated[list[FriendHidden], MinLen(1)]
    common: Name

    def __post_init__(self) -> None:
        """Check that the common friend stands in the table."""
        if self.common not in [friend.name for friend in self.friends]:
            raise ValueError(f"common: {self.common!r} is none of the friends; it stands in the table of each seat")


class MutualFriends(GeneratedFamily):
    """Tasks of finding the one friend two people have in common.

    Args:
        coupling: one number for all channels, a :class:`~sotopia_env.families.generated.Coupling`, or a mapping of its
            fields.
        difficulties: probability of each of :data:`DIFFICULTIES`.
        max_cycles: turn limit of the tasks, in turns of the table.
        judge_bank: whose words the relationship score counts: ``"evaluation"`` or ``"training"``; by default those
            that a task names, else the evaluation's.
        agreement: ``"plain"``, where words settle as well, or ``"formal"``, where acts alone do
            (:mod:`sotopia_env.families.formal`).
    """

    name = "mutual-friends"
    version = "3"
    hidden_fields = MutualFriendsHidden

    def __init__(
        self,
        coupling: AnyCoupling = 1.0,
        *,
        difficulties: str | Mapping[str, float] | None = None,
        max_cycles: int = 12,
        judge_bank: str | None = None,
        agreement: str = "plain",
    ) -> None:
        """Check the arguments."""
        super().__init__(coupling, max_cycles, judge_bank, agreement)
        usual = {"easy": 0.3, "medium": 0.4, "hard": 0.3}
        self.difficulties = checked_chances(
            "difficulties", usual if difficulties is None else difficulties, DIFFICULTIES
        )

    def generate(self, rng: np.random.Generator, split: str = "train") -> Task:
        """Draw a task. No two splits share a friend's name or the value of an attribute."""
        check_split(split)
        difficulty = draw_kind(self.difficulties, rng)
        tables, common = _tables(rng, split, DIFFICULTIES[difficulty])
        characters = draw_people("mutual-friends", catalogue.SECRETS, rng)
        wording = pick(catalogue.GOALS, rng)
        situation = pick(catalogue.SITUATIONS, rng)
        relationship = pick(catalogue.RELATIONSHIPS, rng)
        scenario = Scenario(
            id=f"mutual-friends-{split}-{common.lower()}-{int(rng.integers(2**40)):010x}",
            situation=situation.format(first=characters[0].name, second=characters[1].name),
            goals=tuple(f"{wording} Your friends:\n{table_text(t)}\n{self.coupling.sentence()}" for t in tables),
            relationship=relationship,
            hidden=tuple(
                {"friends": [friend.to_dict() for friend in table], "common": common, "secret": character.secret}
                for table, character in zip(tables, characters, strict=True)
            ),
            notes=f"The common friend is {common}.",
        )
        return self._task(scenario.id, split, scenario, characters, {"difficulty": difficulty})

    def begin(self, task: Task) -> Naming:
        """Nobody named yet."""
        return scoring.opening(task)

    def advance(self, progress: Naming, turn: Turn) -> Naming:
        """Read one turn for names."""
        return take(progress, (turn,))

    def advance_cycle(self, progress: Naming, cycle: Sequence[Turn]) -> Naming:
        """Read the turns of a cycle, each against what its speaker had heard."""
        return take(progress, cycle)

    def ending(self, progress: Naming) -> Ending | None:
        """Both having named the common friend ends the episode."""
        return naming_ending(progress)

    def offer_form(self, task: Task) -> str:
        """The friend whom both know."""
        return "NAME (the friend you think you share)"

    def refusal(self, progress: Naming, seat: int, text: str) -> str | None:
        """An act that names no friend, or answers no name."""
        if not progress.formal:
            return None
        offered = {name: name for other, name in enumerate(progress.offered) if other != seat and name is not None}
        return refusal(text, partial(read_name, names=progress.names), offered)

    def offers(self, progress: Naming) -> tuple[str | None, ...] | None:
        """The name that each seat has offered; in words nothing stays on the table."""
        return progress.offered if progress.formal else None

    def move(self, task: Task, turn: Turn) -> Move:
        """A guess, a confirmation, a denial, something told of friends or asked about them."""
        return read_move(task, turn)

    def told(self, task: Task, turn: Turn) -> list[str]:
        """The attributes that the speaker tells of its friends."""
        turn = words_alone(turn) if is_formal(task) else turn
        return scoring.told(turn, scoring.friends_of(task.scenario.hidden[turn.seat]), scoring.values_of(task))

    @classmethod
    def read_published(
        cls, source: str, codename: str, situation: str, goals: Sequence[str], notes: str
    ) -> tuple[dict[str, Any], ...] | None:
        """Tables and the common friend of the scenarios that are called mutual friends."""
        return read_published_tables(goals, notes) if "mutual_friend" in f"{source} {codename}".lower() else None

    def score(self, episode: Episode) -> Judgement:
        """The seven dimensions, each with its evidence."""
        return scoring.score(episode, self.version, self.bank_of(episode.task))


def naming_ending(progress: Naming) -> Ending | None:
    """The ending that finding the friend makes."""
    found = progress.found
    return None if found is None else Ending("agreement", seat=found.seat, detail={"friend": found.friend})


def _tables(rng: np.random.Generator, split: str, size: Difficulty) -> tuple[tuple[tuple[Friend, ...], ...], str]:
    """Two tables with one friend in common, and that friend's name."""
    kinds = sorted(str(k) for k in rng.choice(list(catalogue.VALUES), size=size.attributes, replace=False))
    pools = {kind: [str(v) for v in rng.permutation(catalogue.VALUES[kind][split])[: size.values]] for kind in kinds}
    count = 2 * size.friends - 1
    names = [str(name) for name in rng.choice(catalogue.NAMES[split], size=count, replace=False)]
    shared = tuple((kind, pools[kind][0]) for kind in kinds)
    friends = [Friend(names[0], shared)]
    for name in names[1:]:
        drawn = shared
        while drawn == shared:  # nobody else may fit the description of the common friend
            drawn = tuple((kind, pick(pools[kind], rng)) for kind in kinds)
        friends.append(Friend(name, drawn))
    halves = (friends[: size.friends], [friends[0], *friends[size.friends :]])
    return tuple(tuple(half[int(i)] for i in rng.permutation(len(half))) for half in halves), names[0]
