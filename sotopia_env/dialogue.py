"""How far an episode has come: the fold of its turns, and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sotopia_env import views
from sotopia_env.actions import ACTION_TYPES, NONE, Action, read_action
from sotopia_env.episodes import Ending, Turn, agent_name
from sotopia_env.families.base import Family
from sotopia_env.policies import Decision
from sotopia_env.tasks import Task
from sotopia_env.turns import Rules, acting_seats, cycles_of, talk_ending


@dataclass
class Dialogue:
    """One episode as it goes on.

    Args:
        task: what is played.
        family: watches for the end state of the task.
        static: the part of each seat's observation that does not change.
        turns: every turn so far.
        own_turns: how many turns each seat has had.
        idle: how many of each seat's own last turns in a row were ``none``.
        present: seats that have not left, ascending.
        cycle: cycles played.
        first_of_cycle: global index of the first turn of the last cycle.
        transcript: the turns as text, in a window.
        acting: seats asked to act next; empty once the episode is over.
        ending: why it is over, or ``None``.
        progress: the family's own fold of the turns.
    """

    task: Task
    family: Family
    static: list[dict[str, str]]
    own_turns: list[int]
    idle: list[int]
    present: list[int]
    progress: Any
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
            agent = agent_name(seat)
            given = actions.get(agent)
            if seat in self.acting:
                action, reason, raw = _legal(given, rules)
                turns.append(Turn(seat, own_index, len(self.turns) + len(turns), action.type, action.text, raw, reason))
            else:
                given = given.action if isinstance(given, Decision) else given
                idle = given is None or read_action(given) == (NONE, None)
                reason = None if idle else "it is not this agent's turn: only none is legal"
            if reason is not None:
                invalid[agent] = reason
        return turns, invalid

    def play(self, turns: Sequence[Turn], rules: Rules, rng: np.random.Generator) -> None:
        """One more cycle, given the turns of its acting seats."""
        self.first_of_cycle = len(self.turns)
        for turn in turns:
            self._take(turn, rules.max_stale)
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
        types = rules.action_types if seat in self.acting else ("none",)
        legal = np.array([kind in types for kind in ACTION_TYPES], dtype=np.int8)
        return {**self.static[seat], "transcript": self.transcript, "turn": self.cycle, "action_types": legal}

    def information(self, seat: int) -> dict[str, Any]:
        """What a seat is told besides, as a new mapping."""
        return {
            "active": seat in self.acting,
            "turn": self.own_turns[seat],
            "task": self.task.id,
            "ending": None if self.ending is None else self.ending.reason,
            "transcript_cut": bool(self.transcript) and not self.transcript.startswith("#0 "),
        }

    def copy(self) -> Dialogue:
        """An independent copy; what never changes is shared."""
        twin = copy.copy(self)
        twin.turns, twin.own_turns = list(self.turns), list(self.own_turns)
        twin.idle, twin.present = list(self.idle), list(self.present)
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


def _legal(given: Any, rules: Rules) -> tuple[Action, str | None, str | None]:
    """The action that counts, why it is not the one given, and the raw text behind it where that differs."""
    decision = given if isinstance(given, Decision) else None
    action, reason = read_action(given if decision is None else decision.action)
    if decision is not None and decision.invalid is not None:
        action, reason = NONE, decision.invalid
    if action.type not in rules.action_types:
        action, reason = NONE, f"{action.type} is not among this environment's action types"
    raw = None
    if decision is not None and decision.raw is not None and decision.raw != action.text:
        # A model's bytes may decode to lone surrogates, which no file takes.
        raw = decision.raw.encode("utf-8", "backslashreplace").decode("utf-8")
    return action, reason, raw
