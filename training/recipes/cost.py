"""What stages cost: calls and their money, GPU-hours and memory, each by a formula that is said."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sotopia_env.training.recipes.schema import Machine, Price

_MILLION, _HOUR = 1_000_000, 3600.0
_SIZE = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)([BM])(?![\w.])")

FORMULAS = (
    "GPU-hours = (f x parameters x tokens trained on + 2 x parameters x tokens read) / (peak x utilisation) + tokens "
    "written / (dialogues side by side x bandwidth x its use / bytes of the weights), f = 4 for an adapter and 6 for "
    "all weights. Memory = 2 bytes a weight of each copy that is loaded, and 16 where all are trained (32-bit weight, "
    "gradient, two moments); adapters, activations and caches come on top."
)


@dataclass(frozen=True)
class Asked:
    """Questions to one model behind a server.

    Args:
        role: who is asked: ``"policy"``, ``"judge"`` or ``"attributor"``.
        calls: the fewest, ``None`` where unknown; a reply that cannot be used costs one more.
        read: tokens of prompts.
        written: tokens of replies.
    """

    role: str
    calls: float | None
    read: float | None
    written: float | None

    def money(self, price: Price | None) -> float | None:
        """What they cost; ``None`` without a price, or where tokens are unknown."""
        if price is None or self.read is None or self.written is None:
            return None
        return (self.read * price.read + self.written * price.written) / _MILLION


@dataclass(frozen=True)
class Computed:
    """What the model of the run computes, in tokens; ``None`` is unknown.

    Args:
        read: into caches, or to be scored.
        written: decoded.
        trained: forward and backward.
        whole: whether all weights are trained, and not an adapter.
        copies: of the model that are frozen and loaded besides.
    """

    read: float | None = 0.0
    written: float | None = 0.0
    trained: float | None = 0.0
    whole: bool = False
    copies: int = 0

    @property
    def nothing(self) -> bool:
        """Whether the model has no part in it."""
        return not any(value is None or value > 0 for value in (self.read, self.written, self.trained))

    def gpu_hours(self, parameters: float | None, machine: Machine | None) -> float | None:
        """By :data:`FORMULAS`; ``None`` where something in them is unknown."""
        if parameters is None or machine is None or None in (self.read, self.written, self.trained):
            return None
        factor = 6.0 if self.whole else 4.0
        operations = factor * parameters * (self.trained or 0.0) + 2.0 * parameters * (self.read or 0.0)
        speed = machine.in_flight * machine.bandwidth * 1e12 * machine.bandwidth_use / (2.0 * parameters)
        seconds = operations / (machine.tflops * 1e12 * machine.utilisation) + (self.written or 0.0) / speed
        return seconds / _HOUR

    def least_memory(self, parameters: float | None) -> float | None:
        """Bytes of weights and optimizer alone, by :data:`FORMULAS`.

        To be replaced by the formula of training memory, with activations, once the package has one.
        """
        if parameters is None:
            return None
        return parameters * ((16.0 if self.trained and self.whole else 2.0) + 2.0 * self.copies)


def parameters_of(model: str | None, given: float | None = None) -> float | None:
    """How many parameters a model has: by the headers of its files, else as given, else by its name.

    Args:
        model: a directory or a hub id.
        given: for a model that is not here.

    Returns:
        ``None`` where nothing tells it.
    """
    folder = None if model is None else Path(model).expanduser()
    if folder is not None and folder.is_dir():
        return _stored(sorted(folder.glob("*.safetensors")))
    if given is not None:
        return given
    found = _SIZE.search((model or "").rpartition("/")[2].replace("-", " ").replace("_", " "))
    return None if found is None else float(found[1]) * (1e9 if found[2] == "B" else 1e6)


def total(values: Iterable[float | None]) -> float | None:
    """The sum; unknown where one of them is."""
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)


def _stored(files: list[Path]) -> float | None:
    count = 0
    for file in files:
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            header = json.loads(opened.read(length))
        count += sum(math.prod(one["shape"]) for name, one in header.items() if name != "__metadata__")
    return float(count) if files else None
