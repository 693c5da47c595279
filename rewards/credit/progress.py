"""Progress: each own turn is paid by how much better the agent stands once it was replied to."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sotopia_env.episodes import Episode
from sotopia_env.rewards.credit.potentials import StandingOffer, as_potential
from sotopia_env.rewards.designs import Kind, Timing
from sotopia_env.rewards.dimensions import Scale, check_weights, goal_alone, suffix
from sotopia_env.rewards.judges.base import as_judge
from sotopia_env.rewards.outcome import ScoredReward
from sotopia_env.rewards.turn_rewards import TurnRewards, by_agent, number_or_none
from sotopia_env.turns import cycles_of


@dataclass(frozen=True)
class _OwnOffer(StandingOffer):
    """The standing offer that was asked for by name: its arguments are those of the progress that holds it."""

    def spec(self) -> str:
        """Returns the name."""
        return self.name


@dataclass(frozen=True)
class Progress(ScoredReward):
    """r_t = γ · Φ(after the reply to turn t) - Φ(before turn t), a causal return; the outcome G closes the last turn.

    This is the shaping of Ng, Harada and Russell (1999, "Policy invariance under reward transformations"), F = γ ·
    Φ(s') - Φ(s), on top of G at the end, where the potential is 0: the last own turn is paid G - Φ(before it), for G
    is a reward and no potential, and so is not discounted. Over an agent's own turns Σ γ^t · r_t = γ^(T-1) · G - Φ_0
    for every Φ, with Φ_0 before its first turn; at γ = 1 they sum to G - Φ_0. The best policy stays what it is as long
    as the learner discounts by the same γ, however bad the potential: a bad one makes learning slower only.

    "After the reply" is the state after the next cycle, or before one's own next turn where that comes first. With
    more than two seats, what happens between the first reply and the own next turn is the next turn's, and what
    happens after the first reply to the last own turn is nobody's.

    Args:
        potential: Φ. ``"standing-offer"`` (:class:`~sotopia_env.rewards.StandingOffer` of the same
            dimensions, judge and scale), ``module:attribute``, a function ``(episode, agent) -> number`` of running
            episodes, an LLM's estimate (:class:`~sotopia_env.rewards.JudgePotential`), or anything with
            ``values(episodes)``, such as a ``MonteCarlo`` or a model of the outcome. Its numbers are on the scale of G.
        dimensions: ``{dimension: weight}``, of G.
        judge: of G; see :class:`~sotopia_env.rewards.Outcome`.
        scale: ``"unit"`` or ``"native"``.
        gamma: γ, counted in own turns.
        paper: the published form instead (arXiv 2508.03905), (p_t - p_(t-1)) / 10 · G with the progress p on 0..10: a
            credit known in hindsight. p / 10 is the potential, on the unit scale, at the end too.
        name: what infos and stored episodes call it; by default with dimensions and potential where they are not the
            goal alone and the standing offer.

    Example:
        >>> reward = Progress()
        >>> reward.name, reward.kind, reward.timing
        ('progress', 'return', 'causal')
    """

    potential: Any = "standing-offer"
    dimensions: Mapping[str, float] = field(default_factory=goal_alone)
    judge: Any = "rule"
    scale: Scale = "unit"
    gamma: float = 1.0
    paper: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        """Check the arguments and make judge and potential of their names."""
        check_weights(self.dimensions, self.scale)
        if not 0 <= self.gamma <= 1:
            raise ValueError(f"gamma: {self.gamma} is not between 0 and 1")
        if self.paper and self.gamma != 1:
            raise ValueError("gamma: the published form knows no discount; leave it at 1")
        object.__setattr__(self, "judge", as_judge(self.judge))
        potential = self.potential
        if potential == StandingOffer.name or isinstance(potential, _OwnOffer):
            # Made anew, since one that was copied with the other arguments is of their dimensions, judge and scale.
            family = potential.family if isinstance(potential, _OwnOffer) else None
            potential = _OwnOffer(self.dimensions, self.judge, "unit" if self.paper else self.scale, family)
        object.__setattr__(self, "potential", as_potential(potential))
        if not self.name:
            source = "" if self.potential.name == StandingOffer.name else f"@{self.potential.name}"
            design = "progress-paper" if self.paper else "progress"
            object.__setattr__(self, "name", f"{design}{suffix(self.dimensions)}{source}")

    @property
    def kind(self) -> Kind:  # type: ignore[override]
        """A return; the published form is a credit."""
        return "credit" if self.paper else "return"

    @property
    def timing(self) -> Timing:  # type: ignore[override]
        """Causal; the published form needs the end."""
        return "hindsight" if self.paper else "causal"

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """What the potential needs."""
        return tuple(self.potential.needs)

    def rewards(self, episodes: Sequence[Episode]) -> list[TurnRewards]:
        """The progress of every own turn; of a running episode what was replied to."""
        numbers = self.recent(episodes, [0] * len(episodes))
        return [by_agent(episode, values) for episode, values in zip(episodes, numbers, strict=True)]

    def recent(self, episodes: Sequence[Episode], settled: Sequence[int]) -> list[list[float | None]]:
        """The progress of the latest turns: the potential is asked of the states around them alone."""
        spans = [
            {} if self.paper and episode.ending is None else spans_of(episode, start)
            for episode, start in zip(episodes, settled, strict=True)
        ]
        wanted = [{state for span in of_turn.values() for state in span} for of_turn in spans]
        if not self.paper:
            # The outcome stands where the potential of the end would.
            wanted = [
                states - {len(e.turns)} if e.ending is not None else states
                for e, states in zip(episodes, wanted, strict=True)
            ]
        potentials = values_at(self.potential, episodes, wanted)
        change = self._share if self.paper else self._shaped
        return [
            [
                change(episode, turn.agent, spans[i][turn.global_index], potentials[i])
                if turn.global_index in spans[i]
                else None
                for turn in episode.turns[settled[i] :]
            ]
            for i, episode in enumerate(episodes)
        ]

    def _shaped(
        self, episode: Episode, agent: str, span: tuple[int, int], potentials: Mapping[int, Mapping[str, float | None]]
    ) -> float | None:
        start, stop = span
        over = episode.ending is not None and stop == len(episode.turns)
        before = potentials[start][agent]
        after = self.score(episode, agent) if over else potentials[stop][agent]
        if before is None or after is None:
            return None
        return (1.0 if over else self.gamma) * after - before

    def _share(
        self, episode: Episode, agent: str, span: tuple[int, int], potentials: Mapping[int, Mapping[str, float | None]]
    ) -> float | None:
        before, after = (potentials[state][agent] for state in span)
        outcome = self.score(episode, agent)
        return None if before is None or after is None or outcome is None else (after - before) * outcome


def spans_of(episode: Episode, first: int = 0) -> dict[int, tuple[int, int]]:
    """From which state to which one the turns of an episode lead: the spans of an agent's own turns follow each other.

    Args:
        episode: running or finished.
        first: global index of the first turn that is asked for.

    Returns:
        ``{global index: (start, stop)}``, states being numbers of turns played. A turn that nobody has replied to yet
        is left out.
    """
    cycles = cycles_of(episode.turns, episode.action_order)
    spans: dict[int, tuple[int, int]] = {}
    begun: dict[int, int] = {}
    for number, cycle in enumerate(cycles):
        for turn in cycle:
            start = begun.get(turn.seat, cycle[0].global_index)
            if number + 1 < len(cycles):
                reply = cycles[number + 1]
                both = any(other.seat == turn.seat for other in reply)
                stop = reply[0].global_index if both else reply[-1].global_index + 1
            elif episode.ending is not None:
                stop = len(episode.turns)
            else:
                continue
            begun[turn.seat] = stop
            if turn.global_index >= first:
                spans[turn.global_index] = (start, stop)
    return spans


def values_at(
    potential: Any, episodes: Sequence[Episode], wanted: Sequence[Collection[int]]
) -> list[dict[int, dict[str, float | None]]]:
    """A potential of some states of some episodes, in one call.

    Args:
        potential: anything with ``values(episodes)``.
        episodes: B episodes. The state after the last turn is handed over as it is, finished or not.
        wanted: for each the numbers of turns played.

    Returns:
        For each episode ``{state: {agent: Φ}}``.
    """
    places = [(i, state) for i, states in enumerate(wanted) for state in sorted(states)]
    asked = [
        episodes[i]
        if state == len(episodes[i].turns)
        else replace(episodes[i], turns=episodes[i].turns[:state], ending=None, judgements=())
        for i, state in places
    ]
    found: list[dict[int, dict[str, float | None]]] = [{} for _ in episodes]
    values = list(potential.values(asked)) if asked else []
    for (i, state), by_name in zip(places, values, strict=True):
        found[i][state] = {agent: number_or_none(by_name[agent]) for agent in episodes[i].agents}
    return found
