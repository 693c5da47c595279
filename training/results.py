"""What an evaluation found: one result for each evaluated episode, and the figures of a row of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from sotopia_env.episodes import Episode, Judgement
from sotopia_env.families.formal import is_formal, words_alone
from sotopia_env.rewards.dimensions import DIMENSIONS
from sotopia_env.statistics import Estimate, interval, known_mean


@dataclass(frozen=True)
class Result:
    """One evaluated episode, seen from the evaluated seat.

    Args:
        task: id of the task.
        scenario: id of its scenario, the unit of the bootstrap.
        seat: the evaluated one.
        scores: ``{dimension: native score}`` of that seat; ``None`` where the judge does not know.
        partner_goal: the partner's score in goal.
        feasible: whether a deal within both limits was possible; ``None`` where the world has no limits.
        deal: whether there was one; ``None`` where the world knows no deals.
        share: of the zone, for the evaluated seat, given a deal; above 1 outside the partner's limit.
        own_outside_limit: whether the deal lies outside the evaluated seat's limit.
        partner_outside_limit: whether it lies outside the partner's.
        walked_away: in an empty zone without a deal, whether someone left.
        turns: own turns of the evaluated seat.
        invalid_turns: those among them whose action was replaced by ``none``.
        words: it spoke, over all own turns.
        ending: reason of the episode's end.
        certain: given a deal, whether only one reading of its words is plausible; ``None`` where nobody says.
        unread: turns of the dialogue, of whichever seat, that seem to change what is offered to something that their
            words do not tell; ``None`` where nobody counts them.
    """

    task: str
    scenario: str
    seat: int
    scores: Mapping[str, float | None]
    partner_goal: float | None
    feasible: bool | None
    deal: bool | None
    share: float | None
    own_outside_limit: bool | None
    partner_outside_limit: bool | None
    walked_away: bool | None
    turns: int
    invalid_turns: int
    words: int
    ending: str
    certain: bool | None = None
    unread: int | None = None

    def score(self, dimension: str) -> float | None:
        """The score in a dimension. The goal is ``None`` where no deal was possible, which is not a failure."""
        return None if dimension == "goal" and self.feasible is False else self.scores.get(dimension)

    @property
    def goal_strict(self) -> float | None:
        """The goal, with a deal that the partner accepted outside its own limit scored as no deal."""
        return 0.0 if self.partner_outside_limit and self.feasible is not False else self.score("goal")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able data."""
        return {**asdict(self), "goal_strict": self.goal_strict}


@dataclass(frozen=True)
class Evaluation:
    """What one policy did against one partner.

    Args:
        name: of the row.
        policy: name of the evaluated policy.
        partner: name of the partner.
        judge: name of the judge.
        seed: of the evaluation.
        results: one for each (task, seat).
        training_episodes: how many of the episodes were played on tasks of the training split.
        episodes: the episodes behind the results, in the same order, judged.
    """

    name: str
    policy: str
    partner: str
    judge: str
    seed: int
    results: tuple[Result, ...]
    training_episodes: int = 0
    episodes: tuple[Episode, ...] = field(default=(), repr=False)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The row of a table: every estimate as ``{mean, low, high, known, of}``, counts as numbers."""
        return {
            "name": self.name,
            "policy": self.policy,
            "partner": self.partner,
            "judge": self.judge,
            "seed": self.seed,
            "training_episodes": self.training_episodes,
            **summarise(self.results),
        }

    def sample(self, number: int = 3, seed: int = 0) -> list[Episode]:
        """Some of the episodes, chosen by a seed and nothing else."""
        chosen = np.random.default_rng(seed).permutation(len(self.episodes))[:number]
        return [self.episodes[int(i)] for i in chosen]


def result_of(episode: Episode, seat: int, judgement: Judgement) -> Result:
    """What an episode was for one seat. Where there are more than two, the partner is the next one."""
    partner = (seat + 1) % episode.task.num_seats
    latent = judgement.latent
    shares, outside = latent.get("shares"), latent.get("outside_limit")
    goals = judgement.counted.get("goal", [None] * episode.task.num_seats)
    turns = [turn for turn in episode.turns if turn.seat == seat]
    said = map(words_alone, turns) if is_formal(episode.task) else turns
    return Result(
        task=episode.task.id,
        scenario=episode.task.scenario.id,
        seat=seat,
        scores={dimension: values[seat] for dimension, values in judgement.scores.items()},
        partner_goal=goals[partner],
        feasible=judgement.solvable,
        deal=latent.get("deal"),
        share=None if shares is None else shares[seat],
        own_outside_limit=None if outside is None else outside[seat],
        partner_outside_limit=None if outside is None else outside[partner],
        walked_away=latent.get("walked_away"),
        turns=len(turns),
        invalid_turns=sum(turn.invalid is not None for turn in turns),
        words=sum(len(turn.text.split()) for turn in said if turn.type == "speak"),
        ending=episode.ending.reason if episode.ending else "",
        certain=latent.get("certain"),
        unread=latent.get("unread"),
    )


def summarise(results: Sequence[Result]) -> dict[str, Any]:
    """Every figure of a row of results.

    Goal, deal rate and what is said of deals are over the tasks in which a deal was possible; what happened in empty
    zones stands apart.
    """
    possible = [r for r in results if r.feasible is not False]
    deals = [r for r in possible if r.deal]
    empty = [r for r in results if r.feasible is False]
    scores = {
        dimension: _mean(possible if dimension == "goal" else results, _score_of(dimension)) for dimension in DIMENSIONS
    }
    others: dict[str, Estimate] = {
        "goal_strict": _mean(possible, lambda r: r.goal_strict),
        "partner_goal": _mean(possible, lambda r: r.partner_goal),
        "deal_rate": _mean(possible, lambda r: r.deal),
        "uncertain_deals": _mean([r for r in results if r.deal], _uncertain),
        "unread": _mean(results, lambda r: r.unread),
        "share_given_deal": _mean(deals, lambda r: r.share),
        "own_outside_limit": _mean(deals, lambda r: r.own_outside_limit),
        "partner_outside_limit": _mean(deals, lambda r: r.partner_outside_limit),
        "walk_away_rate": _mean(empty, lambda r: bool(r.walked_away)),
        "empty_zone_deal_rate": _mean(empty, lambda r: r.deal),
        "invalid_rate": _per_turn(results, lambda r: r.invalid_turns),
        "words_per_turn": _per_turn(results, lambda r: r.words),
        "turns": _mean(results, lambda r: r.turns),
    }
    return {
        **{name: estimate.to_dict() for name, estimate in (scores | others).items()},
        "episodes": len(results),
        "tasks": len({r.task for r in results}),
        "scenarios": len({r.scenario for r in results}),
        "feasible_episodes": len(possible),
        "deals": len(deals),
        "invalid_turns": sum(r.invalid_turns for r in results),
        "missing": {dimension: estimate.missing for dimension, estimate in scores.items()},
        "endings": dict(sorted(Counter(r.ending for r in results).items())),
    }


def mean_goal(results: Sequence[Result]) -> Estimate:
    """The mean goal of those results in which it is known, without an interval."""
    return known_mean(result.score("goal") for result in results)


def _score_of(dimension: str) -> Callable[[Result], float | None]:
    return lambda result: result.score(dimension)


def _uncertain(result: Result) -> bool | None:
    return None if result.certain is None else not result.certain


def _mean(results: Sequence[Result], value: Callable[[Result], float | None]) -> Estimate:
    return interval([value(r) for r in results], [r.scenario for r in results])


def _per_turn(results: Sequence[Result], count: Callable[[Result], int]) -> Estimate:
    rates = [count(r) / r.turns if r.turns else 0.0 for r in results]
    return interval(rates, [r.scenario for r in results], weights=[r.turns for r in results])
