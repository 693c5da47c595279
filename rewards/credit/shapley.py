"""Shapley credit: what each own turn adds to the outcome, over all ways of keeping some turns and replaying the rest.

L. S. Shapley, "A value for n-person games" (1953): the players are the own turns of one agent, and the worth v(S) of a
coalition S of them is the expected outcome where the turns in S are said verbatim, the others are drawn anew from a
reference policy that sees the talk as it then is, and the partner answers live.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from sotopia_env.actions import Action
from sotopia_env.episodes import Episode, Turn, seat_of
from sotopia_env.policies import Context, Decision, Observation, Policy
from sotopia_env.rewards.credit.continuations import ContinuationReward, state_numbers
from sotopia_env.rewards.designs import Kind, Timing
from sotopia_env.rewards.judges.base import judged
from sotopia_env.rewards.turn_rewards import TurnRewards
from sotopia_env.seeds import episode_seed, generator_of
from sotopia_env.statistics import MeanAndError, mean_and_error

Coalition = frozenset[int]
"""Own indices of the turns that are said verbatim."""


@dataclass(frozen=True)
class ShapleyValues:
    """The Shapley values of one agent's own turns, and what they leave unexplained.

    Args:
        credit: φ_t of every own turn; they sum to v(N) - v(∅). All are ``None`` where a play could not be scored.
        stderr: their standard errors over the k samples; ``None`` for a single sample.
        empty: v(∅) with its standard error: the reference policy says every turn.
        full: v(N) with its standard error: every own turn is said verbatim, and the partner answers anew.
        outcome: G, as the episode really ended.
        exact: whether all coalitions were played; else those along sampled permutations.
        policies: ``{agent: name}`` of the reference and of those that answer.
        k: samples.
    """

    credit: tuple[float | None, ...]
    stderr: tuple[float | None, ...]
    empty: MeanAndError
    full: MeanAndError
    outcome: float | None
    exact: bool
    policies: Mapping[str, str]
    k: int

    @property
    def residual(self) -> MeanAndError:
        """The partner's luck, G - v(N), with its standard error: no own turn earned it."""
        worth, error = self.full
        return (None, None) if worth is None or self.outcome is None else (self.outcome - worth, error)


@dataclass(frozen=True)
class Shapley(ContinuationReward):
    """Credit of an own turn: its Shapley value in the game of keeping own turns verbatim or drawing them anew.

    v(S) = E[G | own turns in S verbatim, the others from the reference policy, the partner live]. Own turns beyond
    those that were played come from the reference policy too. All coalitions are played under the same k seeds
    (common random numbers), so that equal plays differ by nothing but their verbatim turns. Up to ``exact_up_to`` own
    turns all 2^T coalitions are played, k · 2^T dialogues; with more, each of the k samples draws ``permutations``
    orders in which the turns join, k · (permutations · (T - 1) + 2) dialogues at most.

    What step pays at the end is G. An episode whose own score is unknown has no credit, and nothing is played for it.

    Args:
        policies: one for every seat, or one per seat, names or objects: the agent's own is the reference, those of
            other seats answer live.
        k: samples of every coalition.
        dimensions: ``{dimension: weight}``.
        seed: of all plays. They do not depend on what was said, so that episodes of one task share their luck.
        judge: see :class:`~sotopia_env.rewards.Outcome`.
        scale: ``"unit"`` or ``"native"``.
        batch_size: how many dialogues are played side by side.
        family: of the tasks, where it is one of your own; an environment made from it gives it.
        name: what infos and stored episodes call it.
        exact_up_to: own turns up to which all coalitions are played.
        permutations: orders drawn for each sample of a longer episode.
    """

    name: str = "shapley"
    exact_up_to: int = 6
    permutations: int = 4

    kind: ClassVar[Kind] = "credit"  # type: ignore[misc]
    timing: ClassVar[Timing] = "hindsight"  # type: ignore[misc]

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        if self.exact_up_to < 0 or self.permutations < 1:
            raise ValueError(
                f"exact_up_to ({self.exact_up_to}) must be 0 or more, permutations ({self.permutations}) positive"
            )

    def rewards(self, episodes: Sequence[Episode]) -> list[TurnRewards]:
        """The Shapley values of every own turn; of a running episode nothing is known."""
        return [{agent: list(v.credit) for agent, v in by_agent.items()} for by_agent in self._estimate(episodes)]

    def estimate(self, episodes: Sequence[Episode]) -> list[dict[str, ShapleyValues]]:
        """For each episode and agent the values with their errors, v(∅), v(N) and the partner's luck."""
        return self._estimate(judged(episodes, self.judges()))

    def _estimate(self, episodes: Sequence[Episode]) -> list[dict[str, ShapleyValues]]:
        outcomes = [{agent: None if e.ending is None else self.score(e, agent) for agent in e.agents} for e in episodes]
        orders = {
            (i, agent): self._orders(episode, agent)
            for i, episode in enumerate(episodes)
            for agent in episode.agents
            if outcomes[i][agent] is not None
        }
        plays = {
            _Play(i, agent if coalition else "", coalition, j): None
            for (i, agent), by_sample in orders.items()
            for j, sampled in enumerate(by_sample)
            for coalition in _needed(len(episodes[i].own_turns(agent)), sampled)
        }
        scores = self._played(episodes, list(plays))
        results: list[dict[str, ShapleyValues]] = []
        for i, episode in enumerate(episodes):
            names = {agent: policy.name for agent, policy in self.seated(episode.task).items()}
            results.append({})
            for agent, outcome in outcomes[i].items():
                num_turns = len(episode.own_turns(agent))
                worths = [
                    {c: scores[_Play(i, agent if c else "", c, j)][agent] for c in _needed(num_turns, sampled)}
                    for j, sampled in enumerate(orders.get((i, agent), ()))
                ]
                samples = [
                    shapley_values(num_turns, worth) if sampled is None else values_along(sampled, worth)
                    for sampled, worth in zip(orders.get((i, agent), ()), worths, strict=True)
                ]
                turns = [mean_and_error([s[t] for s in samples]) for t in range(num_turns)]
                everything = frozenset(range(num_turns))
                results[i][agent] = ShapleyValues(
                    credit=tuple(value for value, _ in turns),
                    stderr=tuple(error for _, error in turns),
                    empty=mean_and_error([worth[frozenset()] for worth in worths]),
                    full=mean_and_error([worth[everything] for worth in worths]),
                    outcome=outcome,
                    exact=num_turns <= self.exact_up_to,
                    policies=names,
                    k=self.k,
                )
        return results

    def _orders(self, episode: Episode, agent: str) -> list[list[list[int]] | None]:
        """For each sample the orders in which turns join; ``None`` stands for all coalitions."""
        num_turns = len(episode.own_turns(agent))
        if num_turns <= self.exact_up_to:
            return [None] * self.k
        start = state_numbers(episode, self.seed)[0]
        orders: list[list[list[int]] | None] = []
        for j in range(self.k):
            rng = generator_of(start, seat_of(agent), j)
            orders.append([rng.permutation(num_turns).tolist() for _ in range(self.permutations)])
        return orders

    def _played(self, episodes: Sequence[Episode], plays: Sequence[_Play]) -> dict[_Play, dict[str, float | None]]:
        starts = [state_numbers(replace(episode, turns=()), self.seed)[0] for episode in episodes]
        said: dict[str, Mapping[tuple[str, int], Turn]] = {}
        replaying: dict[int, _Replaying] = {}
        begun, seated, seeds = [], [], []
        for play in plays:
            episode = episodes[play.episode]
            seed = episode_seed(starts[play.episode], play.sample)
            kept = [turn for turn in episode.turns if turn.agent == play.agent and turn.own_index in play.coalition]
            # The key before "~" leads a language model to the tokens it really wrote in the verbatim turns.
            key = f"{episode.key}~{_digest(kept)}"
            said[f"{key}~{seed}"] = {(turn.agent, turn.own_index): turn for turn in kept}
            begun.append(replace(episode, key=key, turns=(), ending=None, judgements=()))
            players = self.seated(episode.task)
            for player in players.values():
                replaying.setdefault(id(player), _Replaying(player, said))
            seated.append({agent: replaying[id(player)] for agent, player in players.items()})
            seeds.append(seed)
        return dict(zip(plays, self.scores_played_on(begun, seated, seeds), strict=True))


def shapley_values(num_turns: int, worth: Mapping[Coalition, float | None]) -> list[float | None]:
    """φ_t = Σ over S without t of |S|! (T - |S| - 1)! / T! · (v(S + t) - v(S)).

    Args:
        num_turns: T.
        worth: v of every coalition; where one is ``None``, all values are.
    """
    known = {coalition: value for coalition, value in worth.items() if value is not None}
    if len(known) < len(worth):
        return [None] * num_turns
    values: list[float | None] = []
    for turn in range(num_turns):
        gains = (
            (known[coalition | {turn}] - value) / (num_turns * math.comb(num_turns - 1, len(coalition)))
            for coalition, value in known.items()
            if turn not in coalition
        )
        values.append(math.fsum(gains))
    return values


def values_along(orders: Sequence[Sequence[int]], worth: Mapping[Coalition, float | None]) -> list[float | None]:
    """An unbiased estimate of the Shapley values: the mean gain of a turn where it joins those before it in an order.

    Args:
        orders: permutations of the T turns.
        worth: v of the coalitions along them; where one is ``None``, all values are.
    """
    known = {coalition: value for coalition, value in worth.items() if value is not None}
    num_turns = len(orders[0])
    if len(known) < len(worth):
        return [None] * num_turns
    values = [0.0] * num_turns
    for order in orders:
        for position, turn in enumerate(order):
            before = frozenset(order[:position])
            values[turn] += (known[before | {turn}] - known[before]) / len(orders)
    return list(values)


@dataclass(frozen=True)
class _Play:
    """One dialogue to be played: which turns of which agent (nobody's: ``""``) are verbatim, and its sample."""

    episode: int
    agent: str
    coalition: Coalition
    sample: int


class _Replaying:
    """A policy that says some turns verbatim, as the key of the dialogue tells, and the others as another would."""

    def __init__(self, policy: Policy, said: Mapping[str, Mapping[tuple[str, int], Turn]]) -> None:
        self.name = policy.name
        self._policy = policy
        self._said = said

    def act(self, observations: Sequence[Observation], contexts: Sequence[Context]) -> list[Decision]:
        """The verbatim turns, and one call for all others."""
        kept = [self._said[context.episode].get((context.agent, context.turn)) for context in contexts]
        open_turns = [i for i, turn in enumerate(kept) if turn is None]
        drawn = (
            self._policy.act([observations[i] for i in open_turns], [contexts[i] for i in open_turns])
            if open_turns
            else []
        )
        decisions = dict(zip(open_turns, drawn, strict=True))
        return [decisions[i] if turn is None else _verbatim(turn) for i, turn in enumerate(kept)]

    def act_one(self, observation: Observation, context: Context | None = None) -> Action:
        """Only dialogues with a key have verbatim turns."""
        return self._policy.act_one(observation, context)


def _verbatim(turn: Turn) -> Decision:
    # A turn told to nobody was addressed to its own seat.
    to = () if turn.recipients is None else turn.recipients or (turn.seat,)
    return Decision(Action(turn.type, turn.text, to), turn.raw, turn.invalid)


def _needed(num_turns: int, orders: Sequence[Sequence[int]] | None) -> list[Coalition]:
    """The coalitions whose worth is asked for."""
    if orders is None:
        return [
            frozenset(t for t in range(num_turns) if number >> t & 1)
            for number in range(2**num_turns)
        ]  # fmt: skip
    return list(dict.fromkeys(frozenset(order[:size]) for order in orders for size in range(num_turns + 1)))


def _digest(turns: Sequence[Turn]) -> str:
    text = repr([(turn.seat, turn.own_index, turn.type, turn.text, turn.recipients, turn.invalid) for turn in turns])
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).hexdigest()
