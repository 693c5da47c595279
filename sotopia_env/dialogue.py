"""How far an episode has come: the fold of its turns, and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sotopia_env import views
from sotopia_env.actions import NONE, Action, read_action
from sotopia_env.episodes import Ending, Turn, agent_name
from sotopia_env.families.base import Family
from sotopia_env.policies import Decision
from sotopia_env.tasks import Task
from sotopia_env.turns import MAX_SEATS, Rules, acting_seats, cycles_of, talk_ending

_OUT_OF_TURN = Rules(action_types=("none",)).legal_types
_AGENTS = tuple(agent_name(seat) for seat in range(MAX_SEATS))
ADDRESSED_TYPES = ("speak", "non-verbal communication", "action")
"""The types of action that may be private. Nobody leaves in secret."""

MAX_REASON = 400
"""Longest reason why an action is invalid, in characters; a policy's own is cut."""


@dataclass
class Dialogue:
    """One episode as it goes on.

    Args:
        task: what is played.
        family: watches for the end state of the task.
        static: the part of each seat's observation that does not change.
        own_turns: how many turns each seat has had.
        idle: how many of each seat's own last turns in a row were ``none``.
        present: seats that have not left, ascending.
        progress: the family's own fold of the turns.
        heard: where messages may be private or seats act at the same time, for each seat the turns it sees as text, in
            a window and in the order of :func:`~sotopia_env.views.seen_by`; else ``None``.
        first_heard: there, for each seat the global index of the first turn in it before anything dropped out.
        turns: every turn so far.
        cycle: cycles played.
        first_of_cycle: global index of the first turn of the last cycle.
        transcript: all the turns as text, in a window.
        acting: seats asked to act next; empty once the episode is over.
        ending: why it is over, or ``None``.
    """

    task: Task
    family: Family
    static: list[dict[str, str]]
    own_turns: list[int]
    idle: list[int]
    present: list[int]
    progress: Any
    heard: list[str] | None = None
    first_heard: list[int | None] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    cycle: int = 0
    first_of_cycle: int = 0
    transcript: str = ""
    acting: tuple[int, ...] = ()
    ending: Ending | None = None

    @classmethod
    def begin(cls, task: Task, family: Family, rules: Rules, rng: np.random.Generator) -> Dialogue:
        """A task before its first turn."""
        seats = range(task.num_seats)
        static = [views.static_observation(task, seat) for seat in seats]
        dialogue = cls(task, family, static, [0] * len(seats), [0] * len(seats), list(seats), family.begin(task))
        if rules.private_messages or rules.action_order == "simultaneous":
            dialogue.heard, dialogue.first_heard = [""] * len(seats), [None] * len(seats)
        dialogue.acting = acting_seats(rules.action_order, None, dialogue.present, rng)
        return dialogue

    def read(self, actions: Mapping[str, Any], rules: Rules) -> tuple[list[Turn], dict[str, str]]:
        """What was handed to a step, as the turns of the acting seats.

        Returns:
            The turns, and for each agent whose action was malformed, illegal or out of turn the reason.
        """
        turns: list[Turn] = []
        invalid: dict[str, str] = {}
        for seat, own_index in enumerate(self.own_turns):
            agent = _AGENTS[seat]
            given = actions.get(agent)
            if seat in self.acting:
                action, reason, raw = _legal(given, rules, len(self.own_turns))
                recipients = _recipients(action, seat)
                index = len(self.turns) + len(turns)
                turns.append(Turn(seat, own_index, index, action.type, action.text, raw, reason, recipients))
            elif given is None:
                continue
            else:
                given = given.action if isinstance(given, Decision) else given
                num_seats = len(self.own_turns) if rules.private_messages else None
                idle = read_action(given, num_seats=num_seats) == (NONE, None)
                reason = None if idle else "it is not this agent's turn: only none is legal"
            if reason is not None:
                invalid[agent] = reason
        return turns, invalid

    def play(self, turns: Sequence[Turn], rules: Rules, rng: np.random.Generator) -> None:
        """One more cycle, given the turns of its acting seats."""
        self.first_of_cycle = len(self.turns)
        for turn in turns:
            self._take(turn, rules.max_stale)
        if self.heard is not None:
            self._hear(self.heard, turns)
        self.cycle += 1
        if self.ending is None and self.cycle >= rules.limit(self.task):
            self.ending = Ending("max_cycles", truncated=True)
        over = self.ending is not None
        self.acting = () if over else acting_seats(rules.action_order, turns[-1].seat, self.present, rng)

    def replay(self, turns: Sequence[Turn], rules: Rules, rng: np.random.Generator) -> None:
        """All the turns of an episode, or its first ones."""
        for cycle in cycles_of(turns, rules.action_order):
            self.play(cycle, rules, rng)

    def observation(self, seat: int, rules: Rules) -> dict[str, Any]:
        """What a seat observes now, as a new mapping."""
        acts = seat in self.acting
        observation: dict[str, Any] = {
            **self.static[seat],
            "transcript": self._heard_by(seat),
            "turn": self.cycle,
            "action_types": (rules.legal_types if acts else _OUT_OF_TURN).copy(),
        }
        if rules.private_messages:
            others = [acts and other != seat and other in self.present for other in range(len(self.own_turns))]
            observation["recipients"] = np.array(others, dtype=np.int8)
        return observation

    def information(self, seat: int, invalid: str | None) -> dict[str, Any]:
        """What a seat is told besides, as a new mapping.

        Args:
            seat: who is told.
            invalid: why its last action was replaced by ``none``, or ``None``.
        """
        return {
            "active": seat in self.acting,
            "turn": self.own_turns[seat],
            "task": self.task.id,
            "ending": None if self.ending is None else self.ending.reason,
            "transcript_cut": self._is_cut(seat),
            "invalid_action": invalid,
        }

    def copy(self) -> Dialogue:
        """An independent copy; what never changes is shared."""
        twin = copy.copy(self)
        twin.turns, twin.own_turns = list(self.turns), list(self.own_turns)
        twin.idle, twin.present = list(self.idle), list(self.present)
        twin.heard, twin.first_heard = None if self.heard is None else list(self.heard), list(self.first_heard)
        return twin

    def _take(self, turn: Turn, max_stale: int) -> None:
        seat = turn.seat
        self.turns.append(turn)
        self.own_turns[seat] += 1
        self.idle[seat] = self.idle[seat] + 1 if turn.type == "none" else 0
        if turn.type == "leave":
            self.present.remove(seat)
        self.transcript = views.extend_transcript(self.transcript, turn)
        self.progress = self.family.advance(self.progress, turn)
        if self.ending is None:
            self.ending = self.family.ending(self.progress) or talk_ending(turn, self.idle, self.present, max_stale)

    def _hear(self, heard: list[str], cycle: Sequence[Turn]) -> None:
        for seat in range(len(heard)):
            for turn in views.seen_by(seat, cycle):
                heard[seat] = views.extend_transcript(heard[seat], turn)
                if self.first_heard[seat] is None:
                    self.first_heard[seat] = turn.global_index

    def _heard_by(self, seat: int) -> str:
        return self.transcript if self.heard is None else self.heard[seat]

    def _is_cut(self, seat: int) -> bool:
        """Whether the first turn a seat has seen has dropped out of its transcript."""
        if self.heard is None:
            return bool(self.turns) and not self.transcript.startswith("#0 ")
        first = self.first_heard[seat]
        return first is not None and not self.heard[seat].startswith(f"#{first} ")


def _recipients(action: Action, seat: int) -> tuple[int, ...] | None:
    """Who sees an action besides its seat; ``None`` for everyone. To oneself alone, it is nobody."""
    if not action.to or action.type not in ADDRESSED_TYPES:
        return None
    return tuple(sorted(set(action.to) - {seat}))


def _legal(given: Any, rules: Rules, num_seats: int) -> tuple[Action, str | None, str | None]:
    """The action that counts, why it is not the one given, and the raw text behind it where that differs."""
    decision = given if isinstance(given, Decision) else None
    action, reason = read_action(
        given if decision is None else decision.action, num_seats=num_seats if rules.private_messages else None
    )
    if decision is not None and decision.invalid is not None:
        action, reason = NONE, _text(decision.invalid)[:MAX_REASON] or "the policy gave no reason"
    if action.type not in rules.action_types:
        action, reason = NONE, f"{action.type} is not among this environment's action types"
    if action.to and not rules.private_messages:
        # To tell everyone what was meant for some would be the worse mistake.
        action, reason = NONE, "private messages are off here: an action takes no recipients"
    elif action.to and not set(action.to) <= set(range(num_seats)):
        action, reason = NONE, f"to names a seat that is none of the {num_seats}"
    raw = None if decision is None or decision.raw is None else _text(decision.raw)
    return action, reason, None if raw == action.text else raw


def _text(given: Any) -> str:
    """What a policy gave as text, as a file takes it: a model's bytes may decode to lone surrogates."""
    text = given if isinstance(given, str) else f"({type(given).__name__})"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
