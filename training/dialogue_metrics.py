"""What a batch of dialogues tells about a learner, as numbers to log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from sotopia_env.episodes import Episode, seat_of
from sotopia_env.rewards.learning import dialogue_value
from sotopia_env.statistics import known_mean
from sotopia_env.training.rollout_func import GroupMember

DEAL = "agreement"
"""The reason of an ending in which the parties came to terms."""

ENDINGS = (DEAL, "left", "stale", "max_cycles")
"""The reasons whose shares are logged; all others count as ``other``."""

Values = list[tuple[str, float | None]]
"""Names and numbers, one of each for every dialogue that has something to say about it (``unknown_turns`` for every
turn); ``None`` where unknown."""


def dialogue_values(dialogues: Sequence[GroupMember]) -> Values:
    """Rewards by part, scores, deals, endings, invalid turns, words and turns of the learner, dialogue by dialogue.

    Unknown scores and rewards are ``None``. ``unknown_rewards`` is the share of dialogues in which a number is unknown,
    ``unknown_turns`` the share of the learner's turns that move nothing for it. ``goal_given_deal`` is the goal of the
    dialogues that ended in a deal. What the judge found out about the world (``Judgement.latent``) is there too:
    ``latent/outside_limit`` and ``latent/partner/outside_limit`` say which deals the learner and its partner made
    outside their own limits.
    """
    return [value for dialogue in dialogues for value in _of_one(dialogue)]


def averages(values: Values) -> dict[str, float]:
    """The mean of each name, over the dialogues that say something about it.

    Where a value is unknown, the mean is over the others, and ``known/NAME`` is their share; where all are, there is
    none.
    """
    numbers: dict[str, list[float | None]] = defaultdict(list)
    for name, value in values:
        numbers[name].append(value)
    averaged = {}
    for name, given in sorted(numbers.items()):
        found = known_mean(given)
        if found.mean is None:
            continue
        averaged[name] = found.mean
        if found.missing:
            averaged[f"known/{name}"] = found.count / len(given)
    return averaged


def _of_one(dialogue: GroupMember) -> Iterable[tuple[str, float | None]]:
    episode, seat = dialogue.episode, seat_of(dialogue.agent)
    turns = episode.own_turns(dialogue.agent)
    reason = "" if episode.ending is None else episode.ending.reason
    for known in ENDINGS:
        yield f"endings/{known}", float(reason == known)
    yield "endings/other", float(reason not in ENDINGS)
    yield "deal_rate", float(reason == DEAL)
    yield "turns", float(len(turns))
    unknown = dialogue.unknown_turns
    yield "unknown_rewards", float(dialogue.total is None or any(unknown))
    yield from (("unknown_turns", float(turn)) for turn in unknown)
    if turns:
        yield "words_per_turn", float(np.mean([len(turn.text.split()) for turn in turns]))
        yield "invalid_rate", float(np.mean([turn.invalid is not None for turn in turns]))
        yield "truncated_turns", len(dialogue.row.truncated) / len(turns)
    for name, part in dialogue.parts.items():
        paid = dialogue_value(part)
        if turns:
            yield f"parts/{name}", None if np.isnan(paid) else paid
    yield f"reward/seat_{seat}", dialogue.total
    for dimension, scores in scores_of(episode).items():
        own = scores[seat]
        yield f"scores/{dimension}", own
        if dimension == "goal" and reason == DEAL:
            yield "goal_given_deal", own
        for other, score in enumerate(scores):
            if other != seat:
                yield f"scores/partner/{dimension}", score
    for judgement in episode.judgements:
        yield from _latent(judgement.latent, seat, episode.task.num_seats)


def scores_of(episode: Episode) -> dict[str, list[float | None]]:
    """All scores an episode holds, one value per seat; of two judges of one dimension the first counts."""
    scores: dict[str, list[float | None]] = {}
    for judgement in episode.judgements:
        scores = {**judgement.counted, **scores}
    return scores


def _latent(latent: Mapping[str, Any], seat: int, num_seats: int) -> Iterable[tuple[str, float]]:
    for name, value in latent.items():
        if isinstance(value, bool | int | float):
            yield f"latent/{name}", float(value)
        elif (
            isinstance(value, list)
            and len(value) == num_seats
            and all(isinstance(v, bool | int | float) for v in value)
        ):
            yield f"latent/{name}", float(value[seat])
            yield f"latent/partner/{name}", float(np.mean([v for other, v in enumerate(value) if other != seat]))
