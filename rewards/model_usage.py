"""The models that a reward asks: put in its place by name, found again, and estimated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from sotopia_env.agents.endpoint.call_log import CallLog
from sotopia_env.agents.endpoint.calls import CallEstimate
from sotopia_env.episodes import Episode, Judgement
from sotopia_env.rewards.attribution.llm import LLMAttributor
from sotopia_env.rewards.attribution.reward import Attribution
from sotopia_env.rewards.components import Component
from sotopia_env.rewards.credit.judge_reward import JudgeScores
from sotopia_env.rewards.credit.potentials import JudgePotential, StandingOffer
from sotopia_env.rewards.credit.progress import Progress
from sotopia_env.rewards.grader import GradeFailure
from sotopia_env.rewards.judges.base import Judge, judged
from sotopia_env.rewards.judges.llm import LLMJudge
from sotopia_env.rewards.reward import Reward, weighted_sum


def graded_by(
    reward: Reward,
    *,
    judge: Any = None,
    attributor: Any = None,
    dimensions: Mapping[str, float] | None = None,
) -> Reward:
    """The same reward with another judge, attributor or dimensions, in each of its parts that has one.

    Args:
        reward: a reward, or a sum of rewards.
        judge: in any form :func:`~sotopia_env.rewards.judges.as_judge` takes; ``None`` leaves it.
        attributor: what ``as_attributor`` takes; ``None`` leaves it.
        dimensions: ``{dimension: weight}``; ``None`` leaves them.

    Raises:
        ValueError: no part of the reward has what is to be replaced.
    """
    given = {"judge": judge, "attributor": attributor, "dimensions": dimensions}
    changes = {name: value for name, value in given.items() if value is not None}
    parts = [(weight, _changed(part, changes)) for weight, part in reward.parts()]
    for name in changes:
        if not any(name in _fields(part) for _, part in parts):
            raise ValueError(f"{name}: no part of the reward {reward.name!r} has one that could be replaced")
    return weighted_sum(parts)


def models_in(reward: Reward) -> list[LLMJudge | LLMAttributor]:
    """Returns the judges and attributors of a reward that ask a model, each once, judges first."""
    attributors = [one for one in reward.walk() if isinstance(one, LLMAttributor)]
    return [*models_of(reward), *attributors]


def models_of(component: Component) -> list[LLMJudge]:
    """Returns the judges that ask a model in a judge or reward: itself, or those it is made of, each once."""
    return [one for one in component.walk() if isinstance(one, LLMJudge)]


def estimates(reward: Reward, episodes: Sequence[Episode]) -> dict[str, CallEstimate]:
    """What scores and importances would take for these episodes, by who gives them. It makes no call.

    Scores are those of finished episodes, and of all the states of a talk that the reward has its judge read. What
    only a potential asks is told apart, as states. A potential that plays episodes on is not in the estimate.
    """
    finished = [episode for episode in episodes if episode.ending is not None]
    scoring = [model for judge in reward.judges() for model in models_of(judge)]
    read = {id(model): (model, f"scores by {model.name}", list(finished)) for model in scoring}
    for judge, states in _states(reward, episodes):
        for model in models_of(judge):
            read.setdefault(id(model), (model, f"states by {model.name}", []))[2].extend(states)
    found = {what: model.estimate(asked) for model, what, asked in read.values()}
    for attributor, dimensions in _attributions(reward):
        found[f"importances by {attributor.name}"] = attributor.estimate(finished, dimensions)
    return found


@dataclass(frozen=True)
class Told:
    """What became of the calls for some episodes, in the order of :func:`models_in`.

    Args:
        failures: of each model.
        logs: the calls of each, perhaps one log for several.
    """

    failures: list[list[GradeFailure]]
    logs: list[CallLog]


def tell_apart(reward: Reward) -> Told:
    """Have the models of a reward take down failures and calls in new lists and logs, and return these."""
    models = models_in(reward)
    logs = {id(log): CallLog(log.path) for log in (one.calls.endpoint.ledger for one in models)}
    told = Told([[] for _ in models], [logs[id(one.calls.endpoint.ledger)] for one in models])
    for one, failures, log in zip(models, told.failures, told.logs, strict=True):
        one.failures, one.calls.endpoint.ledger = failures, log
    return told


def take_down(reward: Reward, told: Told) -> None:
    """Add what the models of an equal reward in another process told to those of this one."""
    models = models_in(reward)
    for one, failures in zip(models, told.failures, strict=True):
        one.failures += failures
    for one, log in {id(log): (one, log) for one, log in zip(models, told.logs, strict=True)}.values():
        one.calls.endpoint.ledger.add(log)


def failures_of(reward: Reward) -> Counter[str]:
    """How many scores and importances the models of a reward could not give so far, by kind."""
    return Counter(failure.kind for one in models_in(reward) for failure in one.failures)


def out_of_budget(reward: Reward) -> set[str]:
    """Keys of episodes that were not wholly graded since the budget was used up."""
    return {failure.episode for one in models_in(reward) for failure in one.failures if failure.kind == "budget"}


def _changed(part: Reward, changes: Mapping[str, Any]) -> Reward:
    names = _fields(part)
    mine = {name: value for name, value in changes.items() if name in names}
    if not mine:
        return part
    if "attributor" in mine:
        # The scale is the new attributor's own.
        mine["levels"] = None
    if names.get("name") == "" and replace(part, name="").name == part.name:  # type: ignore[type-var]
        mine["name"] = ""
    return replace(part, **mine)  # type: ignore[type-var]


def _fields(part: Reward) -> dict[str, Any]:
    return {field.name: field.default for field in fields(part)} if is_dataclass(part) else {}


class _Listener(Judge):
    """Knows nothing, and keeps what it was asked about."""

    def __init__(self) -> None:
        self.name = "listener"
        self.asked: list[Episode] = []

    def judge(self, episodes: Sequence[Episode]) -> list[Judgement]:
        self.asked += episodes
        return [Judgement(self.name, "", {}) for _ in episodes]


def _states(reward: Reward, episodes: Sequence[Episode]) -> list[tuple[Judge, list[Episode]]]:
    """The judges that read talks before their end, and what they would read."""
    found: list[tuple[Judge, list[Episode]]] = []
    # Whole episodes are scored apart: here they are judged already.
    ready = judged(episodes, [_Listener()])
    for part in _paying(reward):
        listener = _Listener()
        if isinstance(part, JudgeScores) and models_of(part.judge):
            replace(part, judge=listener).rewards(ready)
            found.append((part.judge, listener.asked))
        if isinstance(part, Progress) and isinstance(part.potential, JudgePotential | StandingOffer):
            asking = part.potential.judge
            if models_of(asking):
                replace(part, judge=listener, potential=replace(part.potential, judge=listener)).rewards(ready)
                found.append((asking, listener.asked))
    return found


def _paying(reward: Reward) -> list[Reward]:
    """The parts of a reward, and below them the rewards they are made from."""
    found: list[Reward] = []
    for _, part in reward.parts():
        # What stands for a potential is asked what states are worth, and pays nothing.
        below = [] if isinstance(part, Progress) else [one for one in part.children() if isinstance(one, Reward)]
        found += [part, *(deeper for one in below for deeper in _paying(one))]
    return found


def _attributions(reward: Reward) -> list[tuple[LLMAttributor, list[str]]]:
    """The attributors that ask a model, and the dimensions that each is asked about."""
    return [
        (one, list(part.dimensions))
        for part in _paying(reward)
        if isinstance(part, Attribution)
        for one in part.attributor.walk()
        if isinstance(one, LLMAttributor)
    ]
