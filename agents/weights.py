"""Whether a model's weights are still what they were."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Watch:
    """Tells when the weights of a model have changed, or are another model's.

    Fused optimizers leave a tensor's version as it was, so a few of the values are compared too.

    Args:
        model: any module; it may be replaced.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self._seen: tuple[list[tuple[int, int]], Tensor] | None = None

    def changed(self) -> bool:
        """Returns whether they have since it was asked last; the first time they have."""
        parameters = list(self.model.parameters())
        versions = [(parameter.data_ptr(), parameter._version) for parameter in parameters]
        values = torch.cat([_sample(parameter).float() for parameter in parameters])
        same = self._seen is not None and self._seen[0] == versions and torch.equal(self._seen[1], values)
        self._seen = (versions, values)
        return not same


def _sample(parameter: Tensor) -> Tensor:
    flat = parameter.detach().reshape(-1)
    return flat[:: max(1, len(flat) // 8)]
