"""Reward designs as formulas: how the score of an episode becomes one number per own turn.

A formula takes the score G of one agent (``None`` = unknown) and the number T of its own turns, and returns T numbers.
Nothing is known of single turns here; designs that weigh turns by their importance need an attribution.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Kind = Literal["return", "credit"]
Timing = Literal["causal", "hindsight"]


def at_the_end(score: float | None, num_turns: int) -> list[float | None]:
    """r_t = G at the last own turn, 0 before it, whatever G is: the terminal reward of the episode."""
    return [score if t == num_turns - 1 else 0.0 for t in range(num_turns)]


def uniform(score: float | None, num_turns: int) -> list[float | None]:
    """r_t = G / T. Used as a return it sums to the terminal reward; used as credit it punishes long episodes."""
    return [None if score is None else score / num_turns for _ in range(num_turns)]


def broadcast(score: float | None, num_turns: int) -> list[float | None]:
    """r_t = G at every own turn, which Sotopia-RL's published code calls "uniform" (arXiv 2508.03905).

    As the label of a reward model it makes the model regress Q of whoever played.
    """
    return [score] * num_turns


def discounted(score: float | None, num_turns: int, gamma: float = 0.9) -> list[float | None]:
    """r_t = G · γ^(T-1-t): the γ-return of the terminal reward, counted in own turns."""
    return [None if score is None else score * gamma ** (num_turns - 1 - t) for t in range(num_turns)]


@dataclass(frozen=True)
class Design:
    """A formula and what its numbers mean.

    Args:
        formula: ``(G, T) -> T numbers``.
        kinds: what they may be used as, the default first: a ``"return"`` may be summed, a ``"credit"`` already
            holds the long-term effect.
        timing: ``"causal"`` where a number is known once the partner has replied, ``"hindsight"`` where it needs the
            end.
    """

    formula: Callable[..., list[float | None]]
    kinds: tuple[Kind, ...]
    timing: Timing


DESIGNS = MappingProxyType(
    {
        "episode": Design(at_the_end, ("return",), "causal"),
        "uniform": Design(uniform, ("return", "credit"), "hindsight"),
        "broadcast": Design(broadcast, ("credit",), "hindsight"),
        "discounted": Design(discounted, ("credit",), "hindsight"),
    }
)
"""The designs that need the score alone."""


Importances = Sequence[float | None]
"""One importance a_t ≥ 0 for each own turn, the greatest possible one being the scale s; ``None`` is unknown."""


def direct(score: float | None, importances: Importances, levels: float = 3.0) -> list[float | None]:
    """r_t = a_t / s · G: the attribution Sotopia-RL trains on (arXiv 2508.03905, equation 3). No sum is kept.

    Args:
        score: G.
        importances: a_t in 0..s.
        levels: s, the importance of a decisive turn: 3, 5 or 10.
    """
    return direct_centred(score, importances, levels)


def direct_centred(
    score: float | None, importances: Importances, levels: float = 3.0, baseline: float = 0.0
) -> list[float | None]:
    """r_t = a_t / s · (G - b): an important turn of an episode that went as usual earns nothing.

    Args:
        score: G.
        importances: a_t in 0..s.
        levels: s.
        baseline: b, the score to be expected of that family and seat.
    """
    if score is None:
        return [None] * len(importances)
    return [None if a is None else a / levels * (score - baseline) for a in importances]


def scaled(
    score: float | None, importances: Importances, on_zero: Literal["uniform", "zero"] = "uniform"
) -> list[float | None]:
    """r_t = a_t / Σa · G, which sums to G (arXiv 2508.03905, equation 7).

    Args:
        score: G.
        importances: a_t ≥ 0, on any scale.
        on_zero: what an episode without an important turn gives: ``"uniform"`` G / T at every turn, so that the sum
            stays G; ``"zero"`` 0 at every turn, as Sotopia-RL's published code.
    """
    known = [a for a in importances if a is not None]
    if score is None or len(known) < len(importances):
        return [None] * len(importances)
    greatest = max(known, default=0.0)
    if greatest == 0:
        return uniform(score, len(known)) if on_zero == "uniform" else [0.0] * len(known)
    # Divided by the greatest one first, so that importances near the smallest of all floats do not vanish.
    shares = [a / greatest for a in known]
    total = sum(shares)
    return [share / total * score for share in shares]


def singular(
    score: float | None, importances: Importances, ties: Literal["share", "first"] = "share"
) -> list[float | None]:
    """r_t = G at the key turn, the most important one, and 0 elsewhere (arXiv 2508.03905, equation 8). Sums to G.

    Args:
        score: G.
        importances: a_t ≥ 0, on any scale.
        ties: what several most important turns get: ``"share"`` equal parts of G (G / T where no turn matters),
            ``"first"`` G for the first of them, for there is one key utterance in Sotopia-RL.
    """
    known = [a for a in importances if a is not None]
    if score is None or len(known) < len(importances):
        return [None] * len(importances)
    greatest = max(known, default=0.0)
    keys = [t for t, a in enumerate(known) if a == greatest]
    if ties == "first":
        keys = keys[:1]
    return [score / len(keys) if t in keys else 0.0 for t in range(len(known))]


ATTRIBUTION_DESIGNS = MappingProxyType(
    {
        "scaled": Design(scaled, ("return", "credit"), "hindsight"),
        "singular": Design(singular, ("return", "credit"), "hindsight"),
        "direct": Design(direct, ("credit",), "hindsight"),
        "direct-centred": Design(direct_centred, ("credit",), "hindsight"),
    }
)
"""The designs that need the score and an importance of every own turn."""


def check_design(design: str, known: Mapping[str, Design]) -> None:
    """Refuses a design that is not among those a reward knows, and says where another reward has it.

    Args:
        design: its name.
        known: :data:`DESIGNS` or :data:`ATTRIBUTION_DESIGNS`.

    Raises:
        ValueError: it is not known.
    """
    if design in known:
        return
    where = ""
    if design in DESIGNS:
        where = f"; it needs no importances: take Outcome({design!r}), in play RewardWrapper(env, {design!r})"
        where += " or EpisodeReward(env)" if design == "episode" else ""
    elif design in ATTRIBUTION_DESIGNS:
        where = f"; it needs importances: take Attribution({design!r}), in play AttributionReward(env, {design!r})"
    raise ValueError(f"design: {design!r} is none of {', '.join(known)}{where}")


def importances_of_credit(credit: Importances, levels: float = 3.0) -> list[float | None]:
    """Monte-Carlo credit as importances: a_t = round(s · clip(Â_t / max|Â|, 0, 1)), all 0 where no turn mattered.

    Args:
        credit: Â_t, one for each own turn; the greatest is taken among the known ones.
        levels: s.
    """
    greatest = max((abs(value) for value in credit if value is not None), default=0.0)
    if greatest == 0:
        return [None if value is None else 0.0 for value in credit]
    return [None if value is None else float(round(levels * max(0.0, value / greatest))) for value in credit]
