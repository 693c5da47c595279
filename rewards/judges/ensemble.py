"""Several judges as one."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sotopia_env.episodes import Episode, Judgement
from sotopia_env.rewards.judges.base import Judge, as_judge

_MIDDLES: dict[str, Callable[[Sequence[float]], float]] = {"mean": statistics.fmean, "median": statistics.median}


@dataclass(frozen=True)
class EnsembleJudge(Judge):
    """The mean or median of several judges, dimension by dimension and seat by seat.

    How far they are apart, and what each of them found, stands in the evidence.

    Args:
        members: judges in any form :func:`~sotopia_env.rewards.judges.as_judge` takes.
        middle: ``"mean"`` or ``"median"``.
        quorum: how many scores are needed; with fewer the score is ``None``. By default all: a middle of those that
            happened to answer is another judge's.
        name: what it is called in judgements.

    Raises:
        ValueError: no member, an unknown middle, or a quorum that cannot be met.
    """

    members: Sequence[Any]
    middle: str = "mean"
    quorum: int | None = None
    name: str = ""

    def __post_init__(self) -> None:
        """Take the judges in any form."""
        if isinstance(self.members, str):
            raise ValueError(f"members: {self.members!r} is one judge; give a list")
        members = tuple(as_judge(member) for member in self.members)
        if self.middle not in _MIDDLES:
            raise ValueError(f"middle: {self.middle!r} is none of {', '.join(_MIDDLES)}")
        quorum = len(members) if self.quorum is None else self.quorum
        if not 1 <= quorum <= len(members):
            raise ValueError(f"quorum: {quorum} of {len(members)} judges cannot be met; give 1 to the number of judges")
        object.__setattr__(self, "members", members)
        object.__setattr__(self, "quorum", quorum)
        if not self.name:
            object.__setattr__(self, "name", f"{self.middle}({','.join(member.name for member in members)})")

    def judge(self, episodes: Sequence[Episode]) -> list[Judgement]:
        """Ask each member for the whole batch, one after the other."""
        by_member = [member.judge(episodes) for member in self.members]
        return [self._combined(episode, said) for episode, *said in zip(episodes, *by_member, strict=True)]

    def spec(self) -> dict[str, Any]:
        """Returns the fields of which :func:`~sotopia_env.rewards.judges.as_judge` makes an equal judge."""
        return {**super().spec(), "judge": "ensemble"}

    def _combined(self, episode: Episode, judgements: Sequence[Judgement]) -> Judgement:
        version_inputs = [self.middle, str(self.quorum), *(f"{said.judge} {said.version}" for said in judgements)]
        version = hashlib.sha256("\n".join(version_inputs).encode()).hexdigest()[:12]
        scores: dict[str, list[float | None]] = {}
        evidence: dict[str, list[list[str]]] = {}
        for dimension in dict.fromkeys(name for said in judgements for name in said.scores):
            pairs = [self._seat(dimension, seat, judgements) for seat in range(episode.task.num_seats)]
            scores[dimension] = [score for score, _ in pairs]
            evidence[dimension] = [findings for _, findings in pairs]
        return Judgement(self.name, version, scores, evidence)

    def _seat(self, dimension: str, seat: int, judgements: Sequence[Judgement]) -> tuple[float | None, list[str]]:
        given = [said.scores[dimension][seat] if dimension in said.scores else None for said in judgements]
        known = [score for score in given if score is not None]
        score = float(_MIDDLES[self.middle](known)) if known and len(known) >= (self.quorum or 0) else None
        shown = ", ".join("none" if one is None else f"{one:g}" for one in given)
        findings = [f"{self.middle} of {shown}" + (f"; apart by {max(known) - min(known):g}" if known else "")]
        if score is None:
            findings[0] = f"failed (quorum): {len(known)} of {len(given)} scores, and {self.quorum} are needed: {shown}"
        for said in judgements:
            by_seat = said.evidence.get(dimension)
            findings += [f"{said.judge}: {finding}" for finding in (by_seat[seat] if by_seat else [])]
        return score, findings
