"""Two evaluations side by side: paired differences, and what a gain in goal is made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import permutations
from typing import Any

import numpy as np

from sotopia_env.rewards.dimensions import DIMENSIONS
from sotopia_env.statistics import Estimate, FloatArray, bounds, cluster_totals, paired_difference, resampled_totals
from sotopia_env.tables import Table, estimate, mean
from sotopia_env.training.results import Evaluation, Result

Pair = tuple[Result, Result]

COMPONENTS = ("deal_rate", "share_given_deal", "within_limit", "validity")
"""What a gain in goal is split into (:func:`decompose`)."""

FORMULA = (
    "goal = Σ_z P(z) · P(deal | z) · P(within own limit | deal, z) · E[goal | such a deal, z], "
    "z = whether all own turns were valid; a deal's goal is 1 + 9 · share of the zone"
)


def difference(a: Evaluation | Sequence[Evaluation], b: Evaluation | Sequence[Evaluation]) -> dict[str, Any]:
    """``a - b``, paired over the same (partner, task, seat), with intervals over scenarios.

    Args:
        a: one evaluation, or several against different partners.
        b: the other policy's, with the same partners, judge and seed.

    Returns:
        ``{mean, low, high, known, of}`` for each of the seven dimensions, for ``goal_strict`` (deals outside the
        partner's limit scored as no deal), ``partner_goal``, ``deal_rate``, ``turns`` and ``words_per_turn``;
        ``episodes``, the number of pairs; ``missing`` by dimension; and ``decomposition`` (:func:`decompose`).

    Raises:
        ValueError: they have no episode in common, or differ in judge or seed.
    """
    pairs = pair_up(a, b)
    possible = [pair for pair in pairs if pair[0].feasible is not False]
    scores = {d: _paired(possible if d == "goal" else pairs, partial(Result.score, dimension=d)) for d in DIMENSIONS}
    others = {
        "goal_strict": _paired(possible, lambda r: r.goal_strict),
        "partner_goal": _paired(possible, lambda r: r.partner_goal),
        "deal_rate": _paired(possible, lambda r: r.deal),
        "turns": _paired(pairs, lambda r: r.turns),
        "words_per_turn": _paired(pairs, lambda r: r.words / r.turns if r.turns else None),
    }
    return {
        **{name: estimate.to_dict() for name, estimate in (scores | others).items()},
        "episodes": len(pairs),
        "missing": {dimension: estimate.missing for dimension, estimate in scores.items()},
        "decomposition": decompose(possible),
    }


def pair_up(a: Evaluation | Sequence[Evaluation], b: Evaluation | Sequence[Evaluation]) -> list[Pair]:
    """The results of two policies for the same partner, task and seat."""
    first, second = _by_place(a), _by_place(b)
    pairs = [(result, second[place]) for place, result in first.items() if place in second]
    if not pairs:
        raise ValueError(
            "difference: the evaluations have no (judge, seed, partner, task, seat) in common: "
            f"{_described(a)} against {_described(b)}"
        )
    return pairs


def decompose(pairs: Sequence[Pair]) -> dict[str, Any] | None:
    """Split the difference in mean goal into deal rate, share given a deal, own limit and validity, exactly.

    With z whether all own turns of an episode were valid, and goal 0 without a deal within one's own limit,

        mean goal = sum over z of P(z) P(deal | z) P(within own limit | deal, z) E[goal | such a deal, z].

    A component's part is its Shapley value: what replacing the second policy's factor by the first's changes, averaged
    over all orders of replacing the four (Shorrocks 2013, doi:10.1007/s10888-011-9214-z). The parts add up to the
    difference. A factor that one policy never reached (the deal rate of invalid episodes, where there are none) is
    taken from the other.

    Args:
        pairs: results of two policies on tasks where a deal was possible. Those with an unknown goal are left out.

    Returns:
        ``{mean, low, high, known, of}`` for each of :data:`COMPONENTS` and ``total``, the ``formula`` and the number of
        ``episodes``; ``None`` where it does not apply (a goal without a deal).
    """
    known = [pair for pair in pairs if all(r.deal is not None and r.score("goal") is not None for r in pair)]
    if not known or any(r.score("goal") and not _success(r) for pair in known for r in pair):
        return None
    rows = np.array([[*_counts(a), *_counts(b)] for a, b in known], dtype=np.float64)
    totals_CK = cluster_totals(rows, [a.scenario for a, _ in known])
    found = _shapley(totals_CK.sum(axis=0, keepdims=True))
    samples = _shapley(resampled_totals(totals_CK))
    parts = {}
    for name in (*COMPONENTS, "total"):
        low, high = bounds(samples[name], len(totals_CK))
        total = Estimate(float(found[name][0]), low, high, len(known), len(pairs) - len(known))
        parts[name] = total.to_dict()
    return {**parts, "formula": FORMULA, "episodes": len(known)}


def pooled(evaluations: Sequence[Evaluation], partner: str) -> Evaluation:
    """Evaluations of one policy against several partners, taken together as one row.

    Args:
        evaluations: of the same policy, judge and seed; at least one.
        partner: what the partners together are called.

    Raises:
        ValueError: they are of different policies, judges or seeds.
    """
    first = evaluations[0]
    for other in evaluations[1:]:
        if (other.policy, other.judge, other.seed) != (first.policy, first.judge, first.seed):
            raise ValueError(f"pooled: {_described([first])} and {_described([other])} are no rows of one policy")
    results = tuple(result for evaluation in evaluations for result in evaluation.results)
    training = sum(evaluation.training_episodes for evaluation in evaluations)
    return Evaluation(first.policy, first.policy, partner, first.judge, first.seed, results, training)


def against_partners(
    a: Sequence[Evaluation], b: Sequence[Evaluation], seen: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Rows of two policies against many partners, then all of them, and those unseen in cloning, taken together.

    Args:
        a: evaluations of one policy, one for each partner.
        b: those of the other, with the same partners.
        seen: names of the partners whose episodes were cloned.

    Returns:
        For each partner ``{"partner", "seen", "learner": summary, "baseline": summary, "difference"}``; the rows that
        take partners together have no summaries and ``seen`` is ``None`` for all, ``False`` for the unseen.
    """
    others = {evaluation.partner: evaluation for evaluation in b}
    missing = [evaluation.partner for evaluation in a if evaluation.partner not in others]
    if missing:
        raise ValueError(f"against_partners: the second policy has not met {missing[0]!r}")
    rows: list[dict[str, Any]] = [
        {
            "partner": evaluation.partner,
            "seen": evaluation.partner in seen,
            "learner": evaluation.summary,
            "baseline": others[evaluation.partner].summary,
            "difference": difference(evaluation, others[evaluation.partner]),
        }
        for evaluation in a
    ]
    unseen = [evaluation for evaluation in a if evaluation.partner not in seen]
    rows.append({"partner": "all partners", "seen": None, "difference": difference(a, b)})
    if unseen:
        rows.append({"partner": "all unseen partners", "seen": False, "difference": difference(unseen, b)})
    return rows


BEHAVIOUR: tuple[tuple[str, str, str], ...] = (
    ("goal_strict", "goal, strict", ".2f"),
    ("partner_goal", "partner's goal", ".2f"),
    ("deal_rate", "deal rate", ".1%"),
    ("uncertain_deals", "uncertain deals", ".1%"),
    ("unread", "unread turns", ".2f"),
    ("share_given_deal", "share given a deal", ".2f"),
    ("own_outside_limit", "outside own limit", ".1%"),
    ("partner_outside_limit", "outside partner's limit", ".1%"),
    ("empty_zone_deal_rate", "deals in empty zones", ".1%"),
    ("walk_away_rate", "walked away there", ".1%"),
    ("invalid_rate", "invalid turns", ".1%"),
    ("words_per_turn", "words a turn", ".1f"),
    ("turns", "own turns", ".1f"),
)
"""Key, heading and format of what is told beside the scores."""

_REPORTED_ONLY = ("partner_goal", "empty_zone_deal_rate", "walk_away_rate")


def table(rows: Sequence[Mapping[str, Any]], title: str = "") -> Table:
    """Summaries and differences as a table, intervals beside the goals.

    What no row knows has no column. Where nothing is known of deals, the other dimensions are what there is to tell.

    Args:
        rows: ``Evaluation.summary`` or :func:`difference` with a ``name``.
        title: above the table.
    """

    def known(key: str) -> bool:
        return any((row.get(key) or {}).get("mean") is not None for row in rows)

    beside = [figure for figure in BEHAVIOUR if figure[0] not in _REPORTED_ONLY and known(figure[0])]
    if not known("deal_rate"):
        others = (dimension for dimension in DIMENSIONS if dimension != "goal" and known(dimension))
        beside = [*((dimension, dimension.replace("_", " "), ".2f") for dimension in others), *beside]
    body = [
        [
            *(row.get(key, "") for key in ("name", "partner", "episodes")),
            estimate(row.get("goal"), ".2f"),
            *(mean(row.get(key), form) for key, _, form in beside),
        ]
        for row in rows
    ]
    return Table(["policy", "partner", "episodes", "goal", *(heading for _, heading, _ in beside)], body, title)


def _list(given: Evaluation | Sequence[Evaluation]) -> list[Evaluation]:
    return [given] if isinstance(given, Evaluation) else list(given)


def _by_place(given: Evaluation | Sequence[Evaluation]) -> dict[tuple[Any, ...], Result]:
    return {(e.judge, e.seed, e.partner, r.task, r.seat): r for e in _list(given) for r in e.results}


def _described(given: Evaluation | Sequence[Evaluation]) -> str:
    return "; ".join(
        f"{e.name!r} (partner {e.partner!r}, judge {e.judge!r}, seed {e.seed}, {len(e.results)} episodes)"
        for e in _list(given)
    )


def _paired(pairs: Sequence[Pair], value: Callable[[Result], float | None]) -> Estimate:
    return paired_difference([value(a) for a, _ in pairs], [value(b) for _, b in pairs], [a.scenario for a, _ in pairs])


def _success(result: Result) -> bool:
    return bool(result.deal) and not result.own_outside_limit


def _counts(result: Result) -> list[float]:
    # (2, 4): for episodes with an invalid turn and for those without, how many, deals, successes, goal.
    goal = result.score("goal") or 0.0
    own = [1.0, float(bool(result.deal)), float(_success(result)), goal if _success(result) else 0.0]
    nothing = [0.0] * 4
    return [*own, *nothing] if result.invalid_turns else [*nothing, *own]


def _shapley(totals_BK: FloatArray) -> dict[str, FloatArray]:
    counts = totals_BK.reshape(len(totals_BK), 2, 2, 4)  # samples, policies, z, (episodes, deals, successes, goal)
    episodes, deals, successes, goals = np.moveaxis(counts, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = np.stack(
            [deals / episodes, goals / successes, successes / deals, episodes / episodes.sum(axis=-1, keepdims=True)]
        )
    rates = np.where(np.isnan(rates), rates[:, :, ::-1], rates)  # what one policy never reached is the other's
    rates = np.nan_to_num(rates)
    parts = {name: np.zeros(len(totals_BK)) for name in COMPONENTS}
    for order in permutations(range(len(COMPONENTS))):
        factors = [rates[i, :, 1] for i in range(len(COMPONENTS))]
        before = np.prod(factors, axis=0).sum(axis=-1)
        for component in order:
            factors[component] = rates[component, :, 0]
            after = np.prod(factors, axis=0).sum(axis=-1)
            parts[COMPONENTS[component]] += (after - before) / math.factorial(len(COMPONENTS))
            before = after
    parts["total"] = np.sum([parts[name] for name in COMPONENTS], axis=0)
    return parts
