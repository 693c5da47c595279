"""The outcome of an episode as a reward, spread over its turns by their importance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sotopia_env.episodes import Episode
from sotopia_env.families.base import Family
from sotopia_env.rewards.attribution.attributors import as_attributor
from sotopia_env.rewards.designs import ATTRIBUTION_DESIGNS, Timing, check_design
from sotopia_env.rewards.dimensions import DIMENSIONS, Scale, check_weights, goal_alone, suffix, to_unit, weighted_score
from sotopia_env.rewards.judges.base import as_judge, judged, scores_of
from sotopia_env.rewards.outcome import ScoredReward
from sotopia_env.rewards.turn_rewards import TurnRewards, combine
from sotopia_env.tasks import Task

Baseline = Mapping[str, Mapping[str, Mapping[str, float]]]
"""``{family: {agent: {dimension: mean score}}}``."""


@dataclass(frozen=True)
class Attribution(ScoredReward):
    """G, the judge's score of the whole episode, spread by the importance a_t of the agent's own turns.

    Each dimension is spread on its own, by its own importances; the numbers are weighted means over the dimensions.
    Scores are mapped from their native range to [0, 1] unless ``scale="native"``.

    Args:
        design: ``"direct"`` (a_t / s · G, hindsight credit), ``"direct-centred"`` (a_t / s · (G - b), hindsight
            credit), ``"scaled"`` (a_t / Σa · G, hindsight return or credit) or ``"singular"`` (G at the most
            important turn, hindsight return or credit).
        attributor: where importances come from: ``"rule"``, ``module:attribute``, an
            :class:`~sotopia_env.rewards.Attributor`, a function ``(episode, agent) -> importances``, or
            recorded ones, ``{key of the episode: {agent: importances}}``. Importances are one number in 0..s per own
            turn, ``{dimension: numbers}``, or ``None`` where they failed.
        levels: s, of a function's or of recorded importances; 3 by default.
        dimensions: ``{dimension: weight}``; only the ratios matter.
        judge: see :class:`~sotopia_env.rewards.Outcome`.
        scale: ``"unit"`` or ``"native"``.
        kind: ``"return"`` or ``"credit"``; by default the first of those the design allows.
        baseline: b of the centred design, in units of ``scale``: one number for all, or what :func:`mean_scores`
            measured. By default the native score 0, such as that of a relationship that stayed as it was: 0.5 on the
            unit scale.
        paper: take what Sotopia-RL does where it differs: scaled pays nothing in an episode without an important
            turn, and singular pays the first of several most important turns.
        name: what infos and stored episodes call it; by default design, dimensions and attributor where they are
            not the goal alone and the rule.

    Example:
        >>> reward = Attribution("scaled", dimensions={"goal": 1, "knowledge": 1})
        >>> reward.name, reward.kind, reward.timing
        ('scaled:goal,knowledge', 'return', 'hindsight')
    """

    design: str = "direct"
    attributor: Any = "rule"
    levels: float | None = None
    dimensions: Mapping[str, float] = field(default_factory=goal_alone)
    judge: Any = "rule"
    scale: Scale = "unit"
    kind: Any = None
    baseline: float | Baseline | None = None
    paper: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        """Check the arguments and fill in what the design decides."""
        check_design(self.design, ATTRIBUTION_DESIGNS)
        check_weights(self.dimensions, self.scale)
        kinds = ATTRIBUTION_DESIGNS[self.design].kinds
        if self.kind is None:
            object.__setattr__(self, "kind", kinds[0])
        if self.kind not in kinds:
            raise ValueError(f"kind: the {self.design} design is a {' or a '.join(kinds)}, not a {self.kind!r}")
        if self.baseline is not None and self.design != "direct-centred":
            raise ValueError(f"baseline: the {self.design} design has none; take 'direct-centred'")
        object.__setattr__(self, "judge", as_judge(self.judge))
        attributor = as_attributor(self.attributor, self.levels)
        object.__setattr__(self, "attributor", attributor)
        object.__setattr__(self, "levels", attributor.levels)
        if not self.name:
            source = "" if attributor.name == "rule" else f"@{attributor.name}"
            object.__setattr__(self, "name", f"{self.design}{suffix(self.dimensions)}{source}")

    @property
    def timing(self) -> Timing:  # type: ignore[override]
        """That of the design."""
        return ATTRIBUTION_DESIGNS[self.design].timing

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """What the attributor needs."""
        return tuple(self.attributor.needs)

    def rewards(self, episodes: Sequence[Episode]) -> list[TurnRewards]:
        """The design's numbers; of a running episode nothing is known."""
        finished = [i for i, episode in enumerate(episodes) if episode.ending is not None]
        dimensions = list(self.dimensions)
        attributed = self.attributor.importances([episodes[i] for i in finished], dimensions) if finished else []
        numbers: list[TurnRewards] = [{a: [None] * len(e.own_turns(a)) for a in e.agents} for e in episodes]
        for i, importances in zip(finished, attributed, strict=True):
            numbers[i] = {agent: self._spread(episodes[i], agent, importances[agent]) for agent in episodes[i].agents}
        return numbers

    def check(self, family: Family, tasks: Sequence[Task] | None = None) -> None:
        """Check the judge and the attributor, and whether the baseline knows the family."""
        super().check(family, tasks)
        self.attributor.check_dimensions(family, list(self.dimensions))
        if isinstance(self.baseline, Mapping):
            for name in {task.family for task in tasks} if tasks else {family.name}:
                if name not in self.baseline:
                    raise ValueError(f"baseline: nothing for the family {name!r}; measure it with mean_scores")

    def _spread(
        self, episode: Episode, agent: str, importances: Mapping[str, Sequence[float | None]]
    ) -> list[float | None]:
        scores = scores_of(self.judge.judgement_of(episode), episode.agents.index(agent))
        total = sum(self.dimensions.values())
        formula = ATTRIBUTION_DESIGNS[self.design].formula
        by_dimension = [
            formula(
                weighted_score(scores, {dimension: 1.0}, self.scale),
                importances[dimension],
                **self._options(episode, agent, dimension),
            )
            for dimension in self.dimensions
        ]
        weights = [weight / total for weight in self.dimensions.values()]
        return [combine(weights, values) for values in zip(*by_dimension, strict=True)]

    def _options(self, episode: Episode, agent: str, dimension: str) -> dict[str, Any]:
        if self.design == "scaled":
            return {"on_zero": "zero" if self.paper else "uniform"}
        if self.design == "singular":
            return {"ties": "first" if self.paper else "share"}
        if self.design == "direct":
            return {"levels": self.levels}
        return {"levels": self.levels, "baseline": self._baseline(episode.task.family, agent, dimension)}

    def _baseline(self, family: str, agent: str, dimension: str) -> float:
        if self.baseline is None:
            return to_unit(dimension, 0.0) if self.scale == "unit" and dimension in DIMENSIONS else 0.0
        if not isinstance(self.baseline, Mapping):
            return float(self.baseline)
        try:
            return self.baseline[family][agent][dimension]
        except KeyError:
            raise ValueError(
                f"baseline: nothing for {dimension!r} of {agent} in the family {family!r}; measure it with mean_scores"
            ) from None


def mean_scores(
    episodes: Sequence[Episode], dimensions: Sequence[str] = ("goal",), judge: Any = "rule", scale: Scale = "unit"
) -> Baseline:
    """The baseline b of the centred design: mean scores of each family, seat and dimension.

    Args:
        episodes: finished ones, played by whoever is to be the measure, such as the clone.
        dimensions: whose means are taken.
        judge: see :class:`~sotopia_env.rewards.Outcome`.
        scale: ``"unit"`` or ``"native"``.

    Returns:
        ``{family: {agent: {dimension: mean}}}``. Unknown scores are left out; where none is known, so is the mean.
    """
    check_weights(dict.fromkeys(dimensions, 1.0), scale)
    judge = as_judge(judge)
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    for episode in judged([episode for episode in episodes if episode.ending is not None], [judge]):
        for seat, agent in enumerate(episode.agents):
            scores = scores_of(judge.judgement_of(episode), seat)
            for dimension in dimensions:
                value = weighted_score(scores, {dimension: 1.0}, scale)
                if value is not None:
                    by_agent = found.setdefault(episode.task.family, {}).setdefault(agent, {})
                    by_agent.setdefault(dimension, []).append(value)
    return {
        family: {agent: {d: sum(v) / len(v) for d, v in values.items()} for agent, values in by_agent.items()}
        for family, by_agent in found.items()
    }
