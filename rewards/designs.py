"""Reward designs as formulas: how the score of an episode becomes one number per own turn.

A formula takes the score G of one agent (``None`` = unknown) and the number T of its own turns, and returns T numbers.
Nothing is known of single turns here; designs that weigh turns by their importance need an attribution.
"""

from __future__ import annotations

from collections.abc import Callable
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
