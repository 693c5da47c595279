"""Episodes as frozen plain data: one play of a task, with everything needed to judge, replay and train on it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from typing import Any

from sotopia_env.names import import_attribute
from sotopia_env.tasks import Task

FORMAT_VERSION = 1


def agent_name(seat: int) -> str:
    """The PettingZoo name of a seat: ``agent_0``, ``agent_1``, ..."""
    return f"agent_{seat}"


def seat_of(agent: str) -> int:
    """The seat behind ``agent_3``: 3."""
    return int(agent.rpartition("_")[2])


@dataclass(frozen=True)
class Turn:
    """One agent asked to act, whatever it then did. An invalid action is a turn too, of type ``none``.

    Args:
        seat: whose turn it was.
        own_index: 0, 1, ... among the turns of that seat.
        global_index: 0, 1, ... among all turns of the episode.
        type: one of :data:`sotopia_env.actions.ACTION_TYPES`.
        text: what was said or done, verbatim.
        raw: what a model really produced, where that differs.
        invalid: why the action given was replaced by ``none``; ``None`` for a valid action.
        recipients: seats that may see it besides the speaker; ``None`` for everyone.
    """

    seat: int
    own_index: int
    global_index: int
    type: str
    text: str
    raw: str | None = None
    invalid: str | None = None
    recipients: tuple[int, ...] | None = None

    @property
    def agent(self) -> str:
        """``agent_0`` for seat 0."""
        return agent_name(self.seat)


@dataclass(frozen=True)
class Ending:
    """Why an episode is over.

    Args:
        reason: ``"agreement"``, ``"left"``, ``"stale"`` (all terminated) or ``"max_cycles"`` (truncated).
        truncated: whether the turn limit ended it.
        seat: who ended it, where someone did.
        detail: what the family adds, such as the price agreed on.
    """

    reason: str
    truncated: bool = False
    seat: int | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Judgement:
    """What one judge says of an episode.

    Args:
        judge: name of the judge.
        version: version of its rules or rubric.
        scores: ``{dimension: [one value per seat]}`` in the dimension's native range. ``None`` means unknown or
            failed, which is never the same as 0.
        evidence: ``{dimension: [one list of findings per seat]}``: plain texts that name turns and words.
        latent: quantities of the world itself, where it keeps them (true rapport, facts transferred).
    """

    judge: str
    version: str
    scores: Mapping[str, list[float | None]]
    evidence: Mapping[str, list[list[str]]] = field(default_factory=dict)
    latent: Mapping[str, Any] = field(default_factory=dict)

    @property
    def solvable(self) -> bool | None:
        """Whether there was an agreement that suits everyone; ``None`` where the world does not know."""
        zone = self.latent.get("zone")
        return None if zone is None else zone >= 0

    @property
    def counted(self) -> Mapping[str, list[float | None]]:
        """The scores as means count them: without the goals where nothing could be agreed on, which stand apart."""
        if self.solvable is not False or "goal" not in self.scores:
            return self.scores
        return {**self.scores, "goal": [None] * len(self.scores["goal"])}


@dataclass(frozen=True)
class Episode:
    """One play of a task.

    Args:
        key: unique within a run; decides the generators of the policies that played.
        task: the whole task, so that the file alone is enough to judge and replay.
        config: keyword arguments of the environment (turn order, limits).
        turns: every turn, in the order played.
        ending: ``None`` while it runs.
        seed: what the episode was seeded with.
        policies: ``{agent: policy name}``.
        judgements: what judges said.
        rewards: ``{reward name: {agent: [one number per own turn]}}``; ``None`` where a judge failed.
        format_version: of this record.
    """

    key: str
    task: Task
    config: Mapping[str, Any]
    turns: tuple[Turn, ...] = ()
    ending: Ending | None = None
    seed: int | None = None
    policies: Mapping[str, str] = field(default_factory=dict)
    judgements: tuple[Judgement, ...] = ()
    rewards: Mapping[str, Mapping[str, list[float | None]]] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    @property
    def action_order(self) -> str:
        """In which order the seats acted, one of :data:`sotopia_env.turns.ACTION_ORDERS`."""
        return str(self.config.get("action_order", "round-robin"))

    @property
    def agents(self) -> list[str]:
        """All agents of the task, finished or not."""
        return [agent_name(seat) for seat in range(self.task.num_seats)]

    def __str__(self) -> str:
        """The episode to be read: who wants what, every turn with its rewards, offers, and scores with their reasons.

        80 columns wide; ``sotopia-env show`` prints the same.
        """
        # By name: what is shown needs the families, which know episodes.
        return str(import_attribute("sotopia_env.showing.terminal:episode_text")(self))

    def __repr__(self) -> str:
        """Which episode it is; a whole one is too long to be read so."""
        ending = None if self.ending is None else self.ending.reason
        return f"Episode(key={self.key!r}, task={self.task.id!r}, turns={len(self.turns)}, ending={ending!r})"

    def own_turns(self, agent: str) -> list[Turn]:
        """The turns of one agent: what T, per-utterance rewards and token spans count."""
        seat = seat_of(agent)
        return [turn for turn in self.turns if turn.seat == seat]

    def with_judgement(self, judgement: Judgement) -> Episode:
        """A copy with one more judgement; an older one of the same judge and version is replaced."""
        kept = tuple(j for j in self.judgements if (j.judge, j.version) != (judgement.judge, judgement.version))
        return replace(self, judgements=(*kept, judgement))

    def with_rewards(self, name: str, rewards: Mapping[str, list[float | None]]) -> Episode:
        """A copy with the rewards of one more design."""
        return replace(self, rewards={**self.rewards, name: dict(rewards)})

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able data."""
        record = {name: getattr(self, name) for name in self.__dataclass_fields__}
        record["task"] = self.task.to_dict()
        record["config"] = dict(self.config)
        record["turns"] = [asdict(turn) for turn in self.turns]
        record["ending"] = None if self.ending is None else asdict(self.ending)
        record["judgements"] = [asdict(judgement) for judgement in self.judgements]
        return record

    def to_json(self) -> bytes:
        """One line of JSON: what :meth:`to_dict` gives, without copying it first.

        Raises:
            ValueError: a value is no plain data, or nothing that JSON can say (``nan``; unknown is ``None``).
        """
        try:
            return plain_json(vars(self))
        except (TypeError, ValueError) as error:
            raise ValueError(f"episode {self.key}, field {self._unwritable()!r} cannot be written: {error}") from error

    def _unwritable(self) -> str:
        for name, value in vars(self).items():
            try:
                plain_json(value)
            except (TypeError, ValueError):
                return name
        return "key"

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Episode:
        """The episode of a record that :meth:`to_dict` made."""
        version = record.get("format_version")
        if version != FORMAT_VERSION:
            raise ValueError(
                f"episode {record.get('key')!r}: format_version is {version!r}, this package reads {FORMAT_VERSION}"
            )
        turns = []
        for turn in record.get("turns", ()):
            recipients = turn.get("recipients")
            turns.append(Turn(**{**turn, "recipients": None if recipients is None else tuple(recipients)}))
        ending = record.get("ending")
        return cls(
            **{
                **record,
                "task": Task.from_dict(record["task"]),
                "turns": tuple(turns),
                "ending": None if ending is None else Ending(**ending),
                "judgements": tuple(Judgement(**judgement) for judgement in record.get("judgements", ())),
            }
        )


def plain_json(value: Any) -> bytes:
    """Plain data, with the dataclasses of this package in it, as one line of JSON without a newline."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_fields).encode()


def _fields(value: Any) -> dict[str, Any]:
    if is_dataclass(value):
        return vars(value)
    raise TypeError(f"a {type(value).__name__} is no plain data")
