"""The rules of a judge."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sotopia_env.episodes import Episode, Judgement
from sotopia_env.families.base import OpenEnded
from sotopia_env.rewards.dimensions import DIMENSIONS
from sotopia_env.rewards.judges.base import Judge, as_judge
from sotopia_env.testing.comparing import check_json, check_name, close_lists, is_number, repeatable, unchanged
from sotopia_env.testing.material import HostilePolicy, dialogues, family_behind, open_ended_task
from sotopia_env.testing.processes import check_processes
from sotopia_env.testing.reports import NotApplicable, Report, Rule, Violation, run_rules


def check_judge(
    judge: Any,
    *,
    tasks: Any = "bargain",
    episodes: int = 6,
    seed: int = 0,
    tolerance: float = 0.0,
    deterministic: bool = True,
) -> Report:
    """Check that a judge keeps the rules that rewards and tables build on.

    Args:
        judge: a name such as ``"rule"``, a ``Judge``, an object with ``score(episode, agent)``, or a function.
        tasks: what it is to judge: whatever ``parallel_env`` takes.
        episodes: how many dialogues it judges, scripted, random and hostile ones each.
        seed: of the dialogues.
        tolerance: of the comparisons, relative and absolute; 0 asks for equal numbers.
        deterministic: ``False`` for judges that cannot repeat themselves, such as a remote model without a cache.

    Returns:
        The report of a judge that keeps them all.

    Raises:
        ConformanceError: it breaks one; the text says which, where and what to do.
        ValueError: it refuses these tasks.
    """
    made = as_judge(judge)
    family, fixed = family_behind(tasks)
    made.check(family, fixed)
    made = made.for_family(family)
    played = dialogues(tasks, episodes, seed)
    # Whoever changes an episode may have done so before its rule is checked.
    untouched = copy.deepcopy(played)

    def hostile() -> str:
        harmful = dialogues(tasks, episodes, seed, talk=[HostilePolicy()], max_stale=99)
        _judgements(made, harmful)
        return f"{len(harmful)} episodes"

    def repeats() -> None:
        if not deterministic:
            raise NotApplicable("the judge is said not to repeat itself")
        repeatable("judge", lambda: [judgement.scores for judgement in made.judge(played)])

    def equal(what: str, others: Sequence[Judgement], remedy: str) -> None:
        if not deterministic:
            raise NotApplicable("the judge is said not to repeat itself")
        for episode, first, second in zip(played, made.judge(played), others, strict=True):
            check_scores_equal(first, second, tolerance, what, episode, remedy)

    rules = [
        Rule("it has a name", lambda: check_name(made, "name", "the judge"), essential=True),
        Rule("scores are one number or None per seat", lambda: _judged(made, played), essential=True),
        Rule("judgements can be stored and found again", lambda: _storable(made, played)),
        Rule("a version stands in every judgement", lambda: _version(made, played)),
        Rule(
            "episodes stay as they are", lambda: unchanged("judge", untouched, lambda: made.judge(untouched)) and None
        ),
        Rule("equal calls give equal scores", repeats),
        Rule(
            "scores do not depend on the batch",
            lambda: equal(
                "depends on the other episodes of the batch",
                [made.judge([episode])[0] for episode in played],
                "Judge each episode by itself; a ranking is no judge for step",
            ),
        ),
        Rule(
            "it does not know who played",
            lambda: equal(
                "depends on key, seed, policies or rewards of the episode",
                made.judge([anonymous(episode) for episode in played]),
                "Read task and turns alone, or a policy's name decides how good it was",
            ),
        ),
        Rule("any text is coped with", hostile),
        Rule("tasks it cannot judge are refused", lambda: _refusal(made)),
        Rule("every process says the same", lambda: check_processes("judge", judge, tasks, seed, deterministic)),
    ]
    return run_rules("judge", made.name, rules)


def check_judgement(judgement: Any, episode: Episode) -> None:
    """Check the shape of one judgement.

    Raises:
        Violation: a score is neither a number nor ``None``, is out of the range of a known dimension, or a seat has
            none.
    """
    where = f"episode {episode.key} of task {episode.task.id}"
    if not isinstance(judgement, Judgement):
        raise Violation(f"a {type(judgement).__name__} is no Judgement", where=where, remedy="Return a Judgement")
    if not judgement.scores:
        raise Violation("no dimension is scored", where=where, remedy="Score one, or give it None where it is unknown")
    for dimension, values in judgement.scores.items():
        at = f"{where}, {dimension}"
        if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != episode.task.num_seats:
            raise Violation(
                f"{values!r:.80} is not one value for each of {episode.task.num_seats} seats",
                where=at,
                remedy="Give a list with a number or None for each seat",
            )
        low, high = DIMENSIONS.get(dimension, (float("-inf"), float("inf")))
        for value in values:
            if value is None:
                continue
            if not is_number(value):
                raise Violation(
                    f"{value!r:.80} is no number",
                    where=at,
                    remedy="What is unknown or has failed is None, never nan or 0",
                )
            if not low <= value <= high:
                remedy = f"{dimension} runs from {low:g} to {high:g}; score something else under another name"
                raise Violation(f"{value:g} is out of range", where=at, remedy=remedy)
    check_json(f"the judgement of {where}", {"evidence": judgement.evidence, "latent": judgement.latent})


def check_scores_equal(
    first: Judgement, second: Judgement, tolerance: float, what: str, episode: Episode, remedy: str
) -> None:
    """Raise a violation where two judgements of one episode differ."""
    for dimension in {**first.scores, **second.scores}:
        one, other = (list(judgement.scores.get(dimension, [])) for judgement in (first, second))
        if not close_lists(one, other, tolerance):
            raise Violation(
                f"{dimension} {what}: {one} and {other}",
                where=f"episode {episode.key} of task {episode.task.id}",
                remedy=remedy,
            )


def anonymous(episode: Episode) -> Episode:
    """The same dialogue under another key, with nothing said of who played it or what was paid."""
    return replace(episode, key="anonymous", seed=None, policies={}, rewards={}, judgements=())


def _judgements(judge: Judge, episodes: Sequence[Episode]) -> list[Judgement]:
    made = judge.judge(episodes)
    if not isinstance(made, Sequence) or len(made) != len(episodes):
        got = f"{len(made)} results" if isinstance(made, Sequence) else f"a {type(made).__name__}"
        raise Violation(
            f"judge returned {got} for {len(episodes)} episodes",
            remedy="Return a list with one Judgement for each episode, in their order",
        )
    for judgement, episode in zip(made, episodes, strict=True):
        check_judgement(judgement, episode)
    return list(made)


def _judged(judge: Judge, episodes: Sequence[Episode]) -> str:
    made = _judgements(judge, episodes)
    if judge.judge([]):
        raise Violation("judge does not return an empty list for no episodes", remedy="Return [] for an empty batch")
    values = [value for judgement in made for scores in judgement.scores.values() for value in scores]
    unknown = sum(value is None for value in values)
    return f"{len(episodes)} episodes, {len(values)} scores" + (f", {unknown} unknown" if unknown else "")


def _storable(judge: Judge, episodes: Sequence[Episode]) -> None:
    for episode, judgement in zip(episodes, judge.judge(episodes), strict=True):
        if judgement.judge != judge.name_in(episode):
            raise Violation(
                f"a judgement is signed {judgement.judge!r}, not {judge.name_in(episode)!r}",
                where=f"episode {episode.key}",
                remedy="Sign judgements with the judge's name; rewards look for it",
            )
        record = json.loads(json.dumps(episode.with_judgement(judgement).to_dict(), allow_nan=False))
        found = judge.judgement_of(Episode.from_dict(record))
        check_scores_equal(judgement, found, 0.0, "changed on its way through a file", episode, "Use plain numbers")


def _version(judge: Judge, episodes: Sequence[Episode]) -> str:
    versions = {judgement.version for judgement in judge.judge(episodes)}
    if not all(isinstance(version, str) for version in versions):
        raise Violation(f"a version is no text: {versions!r:.80}", remedy="Make the version a text")
    if "" in versions:
        return "none is given; with one, scores of another rubric are told apart"
    return ", ".join(sorted(versions))


def _refusal(judge: Judge) -> str:
    task = open_ended_task()
    try:
        judge.check(OpenEnded(), [task])
    except ValueError as error:
        if not str(error):
            raise Violation("check raised a ValueError without a text", remedy="Say which tasks and why") from error
        return "open-ended tasks are refused"
    return "open-ended tasks are taken"
