"""Placebo dimensions: as dense and as varied as a real one, but without any causal role. A control for reward studies.

Does a reward of several dimensions help because the others matter to the goal, or because there are more numbers? A
placebo gives the numbers without the cause. It is fitted on reference episodes to one real dimension and then computed
from an agent's own words:

1. The words give a raw number, by one of two rules. ``"wording"`` (default): the share of the agent's sentences whose
   wording, numbers aside, a hash counts in. "How about $80?" may count and "Let us say $80." not: it can be learnt like
   courtesy can, but nobody reacts to the difference. Of 64 hashes that one is taken which goes least with any real
   dimension of the reference episodes. ``"noise"``: a hash of the whole talk, which cannot be learnt.
2. The raw number's place among those of the reference episodes, ties broken by a hash, is a quantile; the placebo is
   that quantile of the real dimension there.

So over episodes like the reference the placebo has the real dimension's own distribution, and it is unknown where the
real one is. It is a pure function of seed and text: no generator, the same in every process.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from sotopia_env.describe import Description, typed
from sotopia_env.episodes import Episode, Judgement
from sotopia_env.families.base import Family, UserFamily
from sotopia_env.tasks import Task

KINDS = ("wording", "noise")

PREFIX = "placebo_"
"""A placebo of ``relationship`` stands in judgements as ``placebo_relationship``."""

_HASHES = 64
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")
_NUMBER = re.compile(r"\d[\d.,]*")


@dataclass(frozen=True)
class Placebo:
    """One placebo dimension, fitted to a real one.

    Args:
        of: the real dimension.
        kind: one of :data:`KINDS`.
        seed: of the hashes.
        salt: which of the hashes of wordings was taken, for ``"wording"``.
        raw: of the reference episodes, ascending.
        values: of the real dimension there, ascending.
    """

    of: str
    kind: str
    seed: int
    salt: int
    raw: tuple[float, ...]
    values: tuple[float, ...]

    @property
    def name(self) -> str:
        """How it is called in judgements."""
        return f"{PREFIX}{self.of}"

    def value(self, episode: Episode, agent: str) -> float:
        """The placebo of one agent of an episode."""
        own, text = _texts(episode, agent)
        raw = _raw(own, text, self.kind, self.seed, self.salt)
        low, high = bisect_left(self.raw, raw), bisect_right(self.raw, raw)
        place = (low + _unit(f"{self.seed}/{self.of}/tie/{text}") * max(high - low, 0)) / len(self.raw)
        return self.values[min(int(place * len(self.values)), len(self.values) - 1)]


def fit_placebo(
    episodes: Sequence[Episode], of: str = "relationship", *, kind: str = "wording", seed: int = 0, judge: str = "rule"
) -> Placebo:
    """A placebo of a real dimension.

    Args:
        episodes: the reference, judged; some hundreds, played by policies like those of the study.
        of: the real dimension.
        kind: ``"wording"`` (can be learnt) or ``"noise"`` (cannot).
        seed: different seeds give independent placebos.
        judge: whose scores are the reference.

    Raises:
        ValueError: the kind is unknown, or the dimension is known in none of the episodes.
    """
    if kind not in KINDS:
        raise ValueError(f"kind: {kind!r} is none of {', '.join(KINDS)}")
    texts: list[tuple[str, str]] = []
    known: list[dict[str, float]] = []
    for episode in episodes:
        judgement = next((j for j in reversed(episode.judgements) if j.judge == judge), None)
        for seat, agent in enumerate(episode.agents if judgement is not None else ()):
            scores = {name: values[seat] for name, values in judgement.scores.items()} if judgement else {}
            known.append({name: float(value) for name, value in scores.items() if value is not None})
            texts.append(_texts(episode, agent))
    if not any(of in scores for scores in known):
        raise ValueError(f"of: no episode has a score of judge {judge!r} in {of!r}; judge the reference episodes first")
    salt = _least_related(texts, known, seed) if kind == "wording" else 0
    raw = [_raw(*text, kind, seed, salt) for text, scores in zip(texts, known, strict=True) if of in scores]
    return Placebo(of, kind, seed, salt, tuple(sorted(raw)), tuple(sorted(s[of] for s in known if of in s)))


def add_placebos(judgement: Judgement, episode: Episode, placebos: Sequence[Placebo]) -> Judgement:
    """A judgement with placebo dimensions beside the real ones; each is unknown where its real one is.

    Their range is that of the real dimension, but rewards know no such names: weigh them with ``scale="native"``.
    """
    scores, evidence = dict(judgement.scores), dict(judgement.evidence)
    for placebo in placebos:
        real = judgement.scores.get(placebo.of, [None] * episode.task.num_seats)
        values = [
            None if known is None else placebo.value(episode, agent)
            for known, agent in zip(real, episode.agents, strict=True)
        ]
        scores[placebo.name] = values
        evidence[placebo.name] = [[f"no cause: {placebo.kind} of seed {placebo.seed}"] for _ in values]
    return replace(judgement, scores=scores, evidence=evidence)


class PlaceboFamily(UserFamily):
    """A family whose judge gives placebo dimensions as well.

    Args:
        family: draws, watches and scores the tasks.
        placebos: fitted on episodes of that family.
    """

    def __init__(self, family: Family, placebos: Sequence[Placebo]) -> None:
        super().__init__(family)
        self.placebos = tuple(placebos)
        self.version = f"{family.version}+placebo"

    def generate(self, rng: np.random.Generator, split: str = "train") -> Task:
        """The family's own task, which says by its version that no other family judges it alike."""
        return replace(super().generate(rng, split), version=self.version)

    def describe(self) -> Description:
        """The family and the placebos."""
        return typed(self, family=self.source, placebos=self.placebos)

    def score(self, episode: Episode) -> Judgement:
        """The family's scores and the placebos."""
        return replace(add_placebos(super().score(episode), episode, self.placebos), version=self.version)


def _texts(episode: Episode, agent: str) -> tuple[str, str]:
    """What the agent said, and everything that was said: many an agent says no more than "accept"."""
    own = "\n".join(turn.text for turn in episode.own_turns(agent))
    return own, "\n".join([agent, *(turn.text for turn in episode.turns)])


def _raw(own: str, text: str, kind: str, seed: int, salt: int) -> float:
    if kind == "noise":
        return _unit(f"{seed}/noise/{text}")
    wordings = [_NUMBER.sub("#", sentence).strip().lower() for sentence in _SENTENCE.findall(own)]
    return sum(_counts(wording, seed, salt) for wording in wordings) / len(wordings) if wordings else 0.0


@lru_cache(maxsize=65536)
def _counts(wording: str, seed: int, salt: int) -> bool:
    return _unit(f"{seed}/{salt}/{wording}") < 0.5


def _least_related(texts: Sequence[tuple[str, str]], known: Sequence[Mapping[str, float]], seed: int) -> int:
    """The hash whose largest correlation with any real dimension is smallest."""
    names = sorted({name for scores in known for name in scores})
    scores = np.array([[given.get(name, np.nan) for name in names] for given in known])

    def relation(salt: int) -> float:
        raw = np.array([_raw(*text, "wording", seed, salt) for text in texts])
        related = [0.0]
        for column in scores.T:
            both = ~np.isnan(column)
            if both.sum() > 1 and column[both].std() > 0 and raw[both].std() > 0:
                related.append(abs(float(np.corrcoef(column[both], raw[both])[0, 1])))
        return max(related)

    return min(range(_HASHES), key=relation)


def _unit(text: str) -> float:
    """A number from 0 to 1 that follows from a text alone."""
    digest = hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
