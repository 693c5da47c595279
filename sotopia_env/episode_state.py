"""How far an episode has come: the fold of its turns, and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sotopia_env import views
from sotopia_env.actions import NONE, Action, problem, read_action
from sotopia_env.episodes import Ending, Turn, agent_name, seat_of
from sotopia_env.families.base import Family
from sotopia_env.policies import Decision
from sotopia_env.tasks import Task
from sotopia_env.turns import MAX_SEATS, Rules, acting_seats, cycles_of, talk_ending

_OUT_OF_TURN = Rules(action_types=("none",)).legal_types
_AGENTS = tuple(agent_name(seat) for seat in range(MAX_SEATS))
_SEATS = {agent: seat for seat, agent in enumerate(_AGENTS)}
ADDRESSED_TYPES = ("speak", "non-verbal communication", "action")
"""The types of action that may be private. Nobody leaves in secret."""

MAX_REASON = 400
"""Longest reason why an action is invalid, in characters; a policy's own is cut."""


@dataclass
class EpisodeState:
    """One episode as it goes on.

    Args:
        task: what is played.
        family: watches for the end state of the task.
        static: what each seat observes before the first turn; shared, so never changed.
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
    static: Sequence[dict[str, Any]]
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
    _offers: dict[str, str | None] | None = None
    _told_of: Any = None

    @classmethod
    def begin(
        cls, task: Task, static: Sequence[dict[str, Any]], family: Family, rules: Rules, rng: np.random.Generator
    ) -> EpisodeState:
        """A task before its first turn."""
        seats = range(task.num_seats)
        state = cls(task, family, static, [0] * len(seats), [0] * len(seats), list(seats), family.begin(task))
        if rules.private_messages or rules.action_order == "simultaneous":
            state.heard, state.first_heard = [""] * len(seats), [None] * len(seats)
        state.acting = acting_seats(rules.action_order, None, state.present, rng)
        return state

    def read(self, actions: Mapping[str, Any], rules: Rules) -> tuple[list[Turn], dict[str, str]]:
        """What was handed to a step, as the turns of the acting seats.

        Returns:
            The turns, and for each agent whose action was malformed, illegal or out of turn the reason.
        """
        turns: list[Turn] = []
        invalid: dict[str, str] = {}
        acting, index = self.acting, len(self.turns)
        for seat in acting:
            given = actions.get(_AGENTS[seat])
            own_index = self.own_turns[seat]
            if isinstance(given, str) and "speak" in rules.action_types:
                # Words to everyone, without an Action that would only be taken apart again.
                reason = problem("speak", given)
                kind, text = ("speak", given) if reason is None else ("none", "")
                turns.append(_turn(seat, own_index, index, kind, text, None, reason, None))
            else:
                action, reason, raw = _legal(given, rules, len(self.own_turns))
                if action.type == "action" and (refused := self.family.refusal(self.progress, seat, action.text)):
                    action, reason, raw = NONE, refused[:MAX_REASON], action.text if raw is None else raw
                to = _recipients(action, seat)
                turns.append(_turn(seat, own_index, index, action.type, action.text, raw, reason, to))
            index += 1
            if reason is not None:
                invalid[_AGENTS[seat]] = reason
        for agent, given in actions.items():
            if given is None or (seat := _SEATS[agent]) in acting:
                continue
            given = given.action if isinstance(given, Decision) else given
            num_seats = len(self.own_turns) if rules.private_messages else None
            if read_action(given, num_seats=num_seats) != (NONE, None):
                invalid[agent] = "it is not this agent's turn: only none is legal"
        return turns, invalid

    def play(self, turns: Sequence[Turn], rules: Rules, rng: np.random.Generator) -> None:
        """One more cycle, given the turns of its acting seats."""
        self.first_of_cycle = len(self.turns)
        endings = [self._take(turn, rules.max_stale) for turn in turns]
        if len(turns) == 1:
            self.progress = self.family.advance(self.progress, turns[0])
        else:
            self.progress = self.family.advance_cycle(self.progress, turns)
        if self.ending is None:
            # Who leaves has not seen what was agreed on at the same time, and undoes nothing.
            self.ending = self.family.ending(self.progress) or next(filter(None, endings), None)
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

    def observations(self, seats: Iterable[int], rules: Rules) -> dict[str, dict[str, Any]]:
        """What some seats observe now, by agent, as new mappings."""
        static, heard, acting = self.static, self.heard, self.acting
        transcript, cycle, legal = self.transcript, self.cycle, rules.legal_types
        found: dict[str, dict[str, Any]] = {}
        for seat in seats:
            found[_AGENTS[seat]] = observation = static[seat].copy()
            observation["transcript"] = transcript if heard is None else heard[seat]
            observation["turn"] = cycle
            observation["action_types"] = (legal if seat in acting else _OUT_OF_TURN).copy()
        if rules.private_messages:
            for agent, observation in found.items():
                observation["recipients"] = self._addressable(seat_of(agent))
        return found

    def information(self, invalid: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """What every seat is told besides, by agent, as new mappings.

        Args:
            invalid: for some agents why their last action was replaced by ``none``.
        """
        acting, heard = self.acting, self.heard
        alike = {
            "active": False,
            "turn": 0,
            "task": self.task.id,
            "ending": None if self.ending is None else self.ending.reason,
            "offers": self._offers_shown(),
            "transcript_cut": bool(self.turns) and not self.transcript.startswith("#0 "),
            "invalid_action": None,
        }
        found: dict[str, dict[str, Any]] = {}
        for seat, played in enumerate(self.own_turns):
            found[_AGENTS[seat]] = information = alike.copy()
            information["active"] = seat in acting
            information["turn"] = played
            if heard is not None:
                information["transcript_cut"] = self._is_cut(seat, heard[seat])
            if self.ending is not None:
                # Vector environments write the infos of the next reset over these, key by key.
                information["final"] = {name: information[name] for name in ("task", "turn", "ending")}
        for agent, reason in invalid.items():
            found[agent]["invalid_action"] = reason
        return found

    def information_of(self, seat: int) -> dict[str, Any]:
        """What a policy is told besides: the offers, and why the last turn of the seat was ``none``."""
        last = next((turn.invalid for turn in reversed(self.turns) if turn.seat == seat), None)
        return {"offers": self._offers_shown(), "invalid_action": last}

    def copy(self) -> EpisodeState:
        """An independent copy; what never changes is shared."""
        twin = copy.copy(self)
        twin.turns, twin.own_turns = list(self.turns), list(self.own_turns)
        twin.idle, twin.present = list(self.idle), list(self.present)
        twin.heard, twin.first_heard = None if self.heard is None else list(self.heard), list(self.first_heard)
        return twin

    def _take(self, turn: Turn, max_stale: int) -> Ending | None:
        """Take a turn down, and tell whether it ends the talk."""
        seat, kind = turn.seat, turn.type
        self.turns.append(turn)
        self.own_turns[seat] += 1
        self.idle[seat] = self.idle[seat] + 1 if kind == "none" else 0
        if kind == "leave":
            self.present.remove(seat)
        self.transcript = views.extend_transcript(self.transcript, turn)
        return talk_ending(turn, self.idle, self.present, max_stale)

    def _offers_shown(self) -> dict[str, str | None] | None:
        """What each agent has on the table, as a new mapping; told anew where the table is another one."""
        if self._told_of is not self.progress or self._offers is None:
            offers = self.family.offers(self.progress)
            self._offers = None if offers is None else dict(zip(_AGENTS, offers, strict=False))
            self._told_of = self.progress
        return None if self._offers is None else self._offers.copy()

    def _addressable(self, seat: int) -> NDArray[np.int8]:
        """The seats that one seat may address in private now, as 0 and 1."""
        acts = seat in self.acting
        others = [acts and other != seat and other in self.present for other in range(len(self.own_turns))]
        return np.array(others, dtype=np.int8)

    def _hear(self, heard: list[str], cycle: Sequence[Turn]) -> None:
        for seat in range(len(heard)):
            for turn in views.seen_by(seat, cycle):
                heard[seat] = views.extend_transcript(heard[seat], turn)
                if self.first_heard[seat] is None:
                    self.first_heard[seat] = turn.global_index

    def _is_cut(self, seat: int, heard: str) -> bool:
        """Whether the first turn a seat has seen has dropped out of what it has heard."""
        first = self.first_heard[seat]
        return first is not None and not heard.startswith(f"#{first} ")


@lru_cache
def agent_names(seats: tuple[int, ...]) -> tuple[str, ...]:
    """The agents of some seats."""
    return tuple(_AGENTS[seat] for seat in seats)


def _turn(
    seat: int,
    own_index: int,
    global_index: int,
    kind: str,
    text: str,
    raw: str | None,
    invalid: str | None,
    recipients: tuple[int, ...] | None,
) -> Turn:
    """A turn, made in a third of the time: the constructor of a frozen dataclass sets its fields one call each."""
    turn = object.__new__(Turn)
    fields = turn.__dict__
    fields["seat"] = seat
    fields["own_index"] = own_index
    fields["global_index"] = global_index
    fields["type"] = kind
    fields["text"] = text
    fields["raw"] = raw
    fields["invalid"] = invalid
    fields["recipients"] = recipients
    return turn


def _recipients(action: Action, seat: int) -> tuple[int, ...] | None:
    """Returns the other seats that see an action; ``None`` for everyone, none where it is addressed to itself alone."""
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
