"""What a step pays: which numbers of a reward are due, given what was paid before. No environment in here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from sotopia_env.episodes import Episode, Judgement, Turn
from sotopia_env.rewards.judges.base import judged
from sotopia_env.rewards.reward import Reward
from sotopia_env.rewards.turn_rewards import TurnRewards, combine, in_order


class HasEpisode(Protocol):
    """Whatever knows its episode so far, such as an environment."""

    @property
    def episode(self) -> Episode:
        """The episode, running or finished."""
        ...


@dataclass
class PartPayments:
    """The numbers of one part of a reward for the turns of one episode.

    Args:
        values: one number per turn, in the order played; ``None`` where it failed or is not known yet.
        settled: how many turns are closed: one of them that is ``None`` has failed, and was paid as ``nan``.
    """

    values: list[float | None] = field(default_factory=list)
    settled: int = 0

    @property
    def start(self) -> int:
        """Global index of the first turn whose number is still to come."""
        start = self.settled
        while start < len(self.values) and self.values[start] is not None:
            start += 1
        return start

    def enter(self, turns: Sequence[Turn], start: int, values: Sequence[float | None], closed: int) -> dict[str, float]:
        """Write down numbers, and tell what they make due.

        Args:
            turns: the turns of the episode.
            start: global index of the first number.
            values: numbers of ``turns[start:]``.
            closed: how many turns can change no more: all that were replied to, all of a finished episode.

        Returns:
            For each agent what is to be paid for these turns, beyond what was paid for them before; ``nan`` where a
            closed turn has no number.
        """
        due: dict[str, float] = {}
        self.values += [None] * (len(turns) - len(self.values))
        for index, value in enumerate(values, start):
            before = self.values[index]
            if value is None:
                already_failed = before is None and index < self.settled
                amount = math.nan if index < closed and not already_failed else 0.0
            else:
                amount = value if before is None else value - before
            self.values[index] = value
            agent = turns[index].agent
            due[agent] = due.get(agent, 0.0) + amount
        self.settled = max(self.settled, closed)
        return due


@dataclass
class Payments:
    """What one episode was paid, and for what.

    Args:
        parts: one for each part of the reward.
        totals: the parts together, one number per own turn of each agent.
        turns: every turn so far.
        closed: how many of them can change no more.
        over: whether the episode is.
        judgements: what the reward's judges said of it at the end.
        paid: ``{part: {agent: amount}}`` of the last step.
    """

    parts: list[PartPayments]
    totals: TurnRewards
    turns: list[Turn] = field(default_factory=list)
    closed: int = 0
    over: bool = False
    judgements: tuple[Judgement, ...] = ()
    paid: dict[str, dict[str, float]] = field(default_factory=dict)

    def play(self, turns: Sequence[Turn], over: bool) -> None:
        """Take down the turns of one more step: they close all turns before them."""
        self.turns += turns
        self.closed = len(self.turns) if over else len(self.turns) - len(turns)
        self.over = over
        self.paid = {}

    def sum_up(self, weights: Sequence[float], start: int) -> None:
        """Add up the parts for the turns from ``start`` on."""
        for turn in self.turns[start:]:
            index, own = turn.global_index, self.totals[turn.agent]
            values = [part.values[index] if index < len(part.values) else None for part in self.parts]
            own += [None] * (turn.own_index + 1 - len(own))
            own[turn.own_index] = combine(weights, values)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able data, the turns left out."""
        return {
            "ledgers": [asdict(part) for part in self.parts],
            "totals": {agent: list(values) for agent, values in self.totals.items()},
            "closed": self.closed,
            "over": self.over,
            "judgements": [asdict(judgement) for judgement in self.judgements],
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any], turns: Sequence[Turn]) -> Payments:
        """Returns the payments of a record that :meth:`to_dict` made."""
        return cls(
            [PartPayments(list(part["values"]), part["settled"]) for part in record["ledgers"]],
            {agent: list(values) for agent, values in record["totals"].items()},
            list(turns),
            record["closed"],
            record["over"],
            tuple(Judgement(**judgement) for judgement in record["judgements"]),
        )


def settle(reward: Reward, payments: Sequence[Payments], players: Sequence[HasEpisode]) -> None:
    """Pay a step of many episodes: every judge and every part of the reward is asked once for all of them.

    Args:
        reward: what is paid.
        payments: of B episodes, which have taken down the turns of the step.
        players: hold these episodes; an episode is asked for only where it is needed, since
            making one of a running environment costs more the longer it runs.
    """
    over = [i for i, one in enumerate(payments) if one.over]
    finished = dict(zip(over, judged([players[i].episode for i in over], reward.judges()), strict=True))
    starts = [0 if one.over else one.closed for one in payments]
    for number, (weight, part) in enumerate(reward.parts()):
        outcomes: dict[int, dict[str, float | None]] = {}
        if finished and (part.kind, part.timing) == ("credit", "hindsight"):
            outcomes = dict(zip(finished, part.outcome(list(finished.values())), strict=True))
        for i, start, values in _numbers(number, part, payments, finished, players):
            one = payments[i]
            due = one.parts[number].enter(one.turns, start, values, one.closed)
            if i in outcomes:
                due = {agent: math.nan if g is None else g for agent, g in outcomes[i].items()}
            one.paid[part.name] = {agent: weight * amount for agent, amount in due.items()}
            starts[i] = min(starts[i], start)
    weights = [weight for weight, _ in reward.parts()]
    for i, one in enumerate(payments):
        one.sum_up(weights, starts[i])
        if i in finished:
            one.judgements = tuple(judge.judgement_of(finished[i]) for judge in reward.judges())


def _numbers(
    number: int,
    part: Reward,
    payments: Sequence[Payments],
    finished: Mapping[int, Episode],
    players: Sequence[HasEpisode],
) -> list[tuple[int, int, list[float | None]]]:
    """What one part can say now: (index of the episode, global index of the first turn, numbers from there on)."""
    if part.timing == "causal" and not part.turnwise:
        starts = [one.parts[number].start for one in payments]
        episodes = [finished[i] if i in finished else players[i].episode for i in range(len(payments))]
        return list(zip(range(len(payments)), starts, part.recent(episodes, starts), strict=True))
    labelled = part.rewards(list(finished.values())) if finished else []
    numbers = [(i, 0, in_order(finished[i].turns, values)) for i, values in zip(finished, labelled, strict=True)]
    if part.turnwise:
        for i, one in enumerate(payments):
            if not one.over:
                start = one.parts[number].start
                turns = one.turns[start:]
                numbers.append((i, start, [part.of_turn(t, t.global_index < one.closed) for t in turns]))
    return numbers
