"""Several dimensions on one scale: normalizers that are fitted once and kept, and sums within a group of dialogues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

NormalizerKind = Literal["range", "min-max", "z-score", "paper"]
NORMALIZERS: tuple[NormalizerKind, ...] = get_args(NormalizerKind)

_SMALLEST_SPREAD = 1e-9


@dataclass(frozen=True)
class Normalizer:
    """x -> base + slope · (x - origin), fitted once and never changed afterwards.

    A dimension that was constant when it was fitted tells no turns apart: its slope is 0, so that whatever a model
    predicts for it adds the same number to every turn (the middle of the scale).

    Args:
        kind: ``"range"`` (the lowest and highest possible number become 0 and 1), ``"min-max"`` (the lowest and
            highest of the labels become 0 and 1), ``"z-score"`` (mean 0, standard deviation 1), or ``"paper"``
            (min-max times 10, as in Sotopia-RL, arXiv 2508.03905).
        origin: the number that becomes ``base``.
        slope: by how much the result grows with the number.
        base: see above.
    """

    kind: NormalizerKind
    origin: float
    slope: float
    base: float = 0.0

    def __call__(self, value: float | None) -> float | None:
        """The normalised number; what is unknown stays unknown."""
        return None if value is None else self.base + self.slope * (value - self.origin)

    def difference(self, change: float | None) -> float | None:
        """The normalised difference of two numbers."""
        return None if change is None else self.slope * change

    @property
    def constant(self) -> bool:
        """Whether the labels it was fitted to did not differ."""
        return self.slope == 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able data: ``Normalizer(**record)`` is equal."""
        return asdict(self)


def fit_normalizer(
    kind: NormalizerKind, labels: Sequence[float | None], limits: tuple[float, float] | None = None
) -> Normalizer:
    """The normalizer of one dimension.

    Args:
        kind: see :class:`Normalizer`.
        labels: of the training episodes; ``None`` is left out.
        limits: the lowest and highest number that is possible, for ``"range"``.

    Raises:
        ValueError: an unknown kind, no label that is known, or no limits where they are needed.
    """
    if kind not in NORMALIZERS:
        raise ValueError(f"normalizer: {kind!r} is none of {', '.join(NORMALIZERS)}")
    if kind == "range":
        if limits is None:
            raise ValueError("normalizer: 'range' needs the limits of the dimension; take 'min-max' or 'z-score'")
        low, high = limits
        return Normalizer(kind, float(low), 1.0 / (high - low))
    known = np.array([value for value in labels if value is not None], dtype=np.float64)
    if not known.size:
        raise ValueError("normalizer: no label is known, so there is nothing to fit it to")
    if kind == "z-score":
        spread = float(known.std())
        return Normalizer(kind, float(known.mean()), 0.0 if spread < _SMALLEST_SPREAD else 1.0 / spread)
    top = 10.0 if kind == "paper" else 1.0
    low, high = float(known.min()), float(known.max())
    if high - low < _SMALLEST_SPREAD:
        return Normalizer(kind, low, 0.0, top / 2)
    return Normalizer(kind, low, top / (high - low))


def normalise_then_sum(
    rewards_by_dimension: Mapping[str, ArrayLike], weights: Mapping[str, float]
) -> NDArray[np.float64]:
    """One reward per member of a group: each dimension is brought to mean 0 and deviation 1 first, then added up.

    Adding first would let the dimension that happens to spread most in this group decide alone.

    Args:
        rewards_by_dimension: for each dimension (G,) numbers of the members of one group, or (G, T) of their turns,
            normalised index by index; ``nan`` is unknown, or a turn that was not reached.
        weights: ``{dimension: weight}``; only the ratios matter.

    Returns:
        Numbers of the same shape: the weighted mean over dimensions, ``nan`` where one is unknown. A dimension on which
        the group does not differ adds 0.

    Raises:
        ValueError: a weight without its dimension, or shapes that differ.
    """
    missing = [dimension for dimension in weights if dimension not in rewards_by_dimension]
    if missing or not weights:
        raise ValueError(f"weights: {', '.join(missing) or 'none'} given; there are {', '.join(rewards_by_dimension)}")
    arrays = {d: np.asarray(rewards_by_dimension[d], dtype=np.float64) for d in weights}
    if len({array.shape for array in arrays.values()}) > 1:
        shapes = ", ".join(f"{d} {array.shape}" for d, array in arrays.items())
        raise ValueError(f"rewards_by_dimension: the shapes differ: {shapes}")
    total = sum(weights.values())
    parts = [weights[d] / total * _standardised(array) for d, array in arrays.items()]
    return np.asarray(np.sum(parts, axis=0), dtype=np.float64)


def _standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    known = ~np.isnan(values)
    count = np.maximum(known.sum(axis=0), 1)
    centred = values - np.where(known, values, 0.0).sum(axis=0) / count
    spread = np.sqrt(np.square(np.where(known, centred, 0.0)).sum(axis=0) / count)
    return np.where(spread < _SMALLEST_SPREAD, np.where(known, 0.0, np.nan), centred / np.maximum(spread, 1e-300))
