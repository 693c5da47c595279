"""What the viewer's page holds: a row for each episode, to be filtered and sorted, and the episodes themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from sotopia_env.episodes import Episode, Judgement
from sotopia_env.policies import TokenTrace
from sotopia_env.showing.episode import ShownEpisode, ShownTurn, seat_names, shown
from sotopia_env.showing.runs import Run
from sotopia_env.storage.traces import Traces

Decoder = Callable[[str, Sequence[int]], list[str]]
"""From the name of a policy and token ids to the text of each."""

_DIGITS = 6
"""Significant digits of the numbers on the page."""


def index_of(runs: Sequence[Run]) -> dict[str, Any]:
    """The rows of all episodes, in the order of the runs.

    Returns:
        ``runs`` (names), ``measures`` (what a row has values of: the scores of every judge, and what every reward pays
        in all) and ``rows``: of each episode the number of its ``run``, ``key``, ``task``, ``family``, ``ending``,
        ``policies``, ``turns`` and ``invalid`` ones, for each measure one value per seat (``None``: unknown;
        ``values`` holds ``None`` in place of a measure that it has not), and in ``equal`` a number that it shares with
        the episodes of other runs to be put beside it.
    """
    episodes = [episode for run in runs for episode in run.episodes]
    several = len({judgement.judge for episode in episodes for judgement in episode.judgements}) > 1
    values = [_values(episode, several) for episode in episodes]
    measures = list(dict.fromkeys(name for found in values for name in found))
    rest = zip(values, equal_tasks(runs), strict=True)
    rows = []
    for number, run in enumerate(runs):
        for episode in run.episodes:
            found, equal = next(rest)
            rows.append(
                {
                    "run": number,
                    "key": episode.key,
                    "task": episode.task.id,
                    "family": episode.task.family,
                    "ending": "running" if episode.ending is None else episode.ending.reason,
                    "policies": [episode.policies.get(agent, "") for agent in episode.agents],
                    "names": seat_names(episode.task),
                    "turns": len(episode.turns),
                    "invalid": sum(turn.invalid is not None for turn in episode.turns),
                    "values": [found.get(measure) for measure in measures],
                    "equal": equal,
                }
            )
    return {"runs": [run.name for run in runs], "measures": measures, "rows": rows}


def equal_tasks(runs: Sequence[Run]) -> list[int]:
    """For each episode, run after run, a number that it shares with the equal one of every other run.

    Equal are episodes of one task with the same key; failing that, those of one task and seed, in the order in which
    they stand in their runs.
    """
    by_key = Counter(place for run in runs for place in {(e.task.id, e.key) for e in run.episodes})
    numbers: dict[tuple[Any, ...], int] = {}
    found = []
    for run in runs:
        met: Counter[tuple[Any, ...]] = Counter()
        for episode in run.episodes:
            place: tuple[Any, ...] = (episode.task.id, episode.key)
            if by_key[place] < 2:
                seeded = (episode.task.id, episode.seed)
                place = (*seeded, met[seeded])
                met[seeded] += 1
            found.append(numbers.setdefault(place, len(numbers)))
    return found


def record_of(episode: Episode, traces: Traces | None = None, decode: Decoder | None = None) -> dict[str, Any]:
    """An episode as plain data for the page.

    Args:
        episode: running or finished.
        traces: token traces of its run, whose probabilities are shown.
        decode: what makes texts of their tokens; without it they are shown as numbers.
    """
    found = shown(episode)
    rewards = list(episode.rewards)
    record = {
        "key": episode.key,
        "situation": episode.task.scenario.situation,
        "facts": found.facts,
        "seats": [vars(seat) for seat in found.seats],
        "rewards": rewards,
        "turns": [_turn(turn, rewards) for turn in found.turns],
        "ending": found.ending,
        "judgements": [_judgement(judgement) for judgement in episode.judgements],
    }
    tokens = {} if not traces else _tokens(found, traces, decode)
    return {**record, "tokens": tokens} if tokens else record


def _values(episode: Episode, several: bool) -> dict[str, list[float | None]]:
    """Every score of every judge, and what every reward pays each seat in all.

    Args:
        episode: judged and paid by whomever.
        several: whether there are several judges, so that names tell whose a score is.
    """
    values = {}
    for judgement in episode.judgements:
        for dimension, scores in judgement.scores.items():
            name = _words(dimension)
            values[f"{name} ({judgement.judge})" if several else name] = [_rounded(score) for score in scores]
    for reward, by_agent in episode.rewards.items():
        values[f"reward {reward}"] = [_sum(by_agent.get(agent)) for agent in episode.agents]
    return values


def _sum(paid: Sequence[float | None] | None) -> float | None:
    """What is paid in all; unknown where it is for one turn."""
    known = [value for value in paid or () if value is not None]
    return None if paid is None or len(known) < len(paid) else _rounded(sum(known))


def _turn(found: ShownTurn, rewards: Sequence[str]) -> dict[str, Any]:
    """A turn; what is usual is left out."""
    turn = found.turn
    record: dict[str, Any] = {"seat": turn.seat, "index": turn.global_index, "type": turn.type, "text": turn.text}
    besides = {"raw": turn.raw, "invalid": turn.invalid, "to": found.to}
    record |= {name: value for name, value in besides.items() if value is not None}
    if found.offers is not None:
        record["offers"] = found.offers
    if found.rewards:
        # A reward that has no number for the turn is left out; one whose number is unknown is not.
        record["paid"] = {
            place: _rounded(found.rewards[name]) for place, name in enumerate(rewards) if name in found.rewards
        }
    return record


def _judgement(judgement: Judgement) -> dict[str, Any]:
    return {
        "judge": f"{judgement.judge} {judgement.version}",
        "scores": [[_words(name), [_rounded(score) for score in scores]] for name, scores in judgement.scores.items()],
        "evidence": [[_words(name), found] for name, found in judgement.evidence.items() if any(found)],
        "latent": [[_words(name), value] for name, value in judgement.latent.items()],
    }


def _tokens(found: ShownEpisode, traces: Traces, decode: Decoder | None) -> dict[int, list[list[Any]]]:
    """For each turn with a trace its tokens: ``[text, log-probability or None]``."""
    tokens = {}
    for seat in found.seats:
        own = traces.get((found.episode.key, seat.agent), ())
        for turn, trace in zip(found.episode.own_turns(seat.agent), own, strict=False):
            tokens[turn.global_index] = _traced(trace, seat.policy, decode)
    return tokens


def _traced(trace: TokenTrace, policy: str, decode: Decoder | None) -> list[list[Any]]:
    texts = [f"⟨{index}⟩" for index in trace.ids] if decode is None else decode(policy, trace.ids)
    logprobs: Sequence[float | None] = trace.logprobs or [None] * len(trace.ids)
    return [[text, _rounded(value)] for text, value in zip(texts, logprobs, strict=True)]


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_DIGITS}g}") + 0.0


def _words(dimension: str) -> str:
    return dimension.removeprefix("financial_and_").replace("_", " ")
