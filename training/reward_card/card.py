"""The reward card: what rewards are worth, measured in about a minute and without any training.

Fidelity to the true advantage, variance of the gradient, exploitability and cost, for each reward and for controls
whose place is known beforehand.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

import sotopia_env
from sotopia_env.agents.endpoint.calls import Usage
from sotopia_env.describe import differences, digest, told
from sotopia_env.episodes import Episode
from sotopia_env.errors import reason_of
from sotopia_env.families.base import Family
from sotopia_env.families.formal import all_with_agreement, told_modes
from sotopia_env.make import parallel_env
from sotopia_env.policies import Policy
from sotopia_env.resolve import family_and_tasks, make_policy
from sotopia_env.rewards import designs
from sotopia_env.rewards.attribution.measured import MonteCarloAttributor
from sotopia_env.rewards.attribution.reward import Attribution, mean_scores
from sotopia_env.rewards.audit.attackers import ATTACKS, PLAIN
from sotopia_env.rewards.audit.collect import AuditedTurn, collect_audit
from sotopia_env.rewards.audit.exploitability import exploitability, play_attacks
from sotopia_env.rewards.audit.fidelity import fidelity
from sotopia_env.rewards.audit.numbers import Numbers, numbers_of, split_audit, true_advantages
from sotopia_env.rewards.credit.monte_carlo import MonteCarlo
from sotopia_env.rewards.credit.shapley import Shapley
from sotopia_env.rewards.judges.base import RuleJudge
from sotopia_env.rewards.model_usage import models_in
from sotopia_env.rewards.resolve import get_reward, name_with_use, reward_names, uses_of
from sotopia_env.rewards.reward import Reward, weighted_sum
from sotopia_env.rewards.reward_model.reward import RewardModel
from sotopia_env.rollouts.manifest import as_stored, describe_run, redacted
from sotopia_env.seeds import episode_seed
from sotopia_env.storage.journal import replace_file
from sotopia_env.tasks import Task
from sotopia_env.training.evaluation import draw_tasks
from sotopia_env.training.reward_card.controls import (
    checks,
    labelled_twice,
    length_only,
    random_reward,
    sibling_difference,
)
from sotopia_env.training.reward_card.page import card_page
from sotopia_env.training.reward_card.text import card_text

DESIGNS = (*designs.DESIGNS, *designs.ATTRIBUTION_DESIGNS, "progress", "progress-paper", "monte-carlo")
PENALTIES = ("length", "repetition", "secret", "format")
"""What is compared where nothing is named: the designs, with the rule attributor, and the penalties."""

_PLAYING_ON: Mapping[str, Callable[..., Reward]] = {"monte-carlo": MonteCarlo, "shapley": partial(Shapley, k=2)}
_PLAYS, _AUDIT, _CONTINUATIONS = range(3)
_COSTLY_LABELS = 2

Record = dict[str, Any]


@dataclass(frozen=True)
class CardSettings:
    """How a card is made.

    Args:
        tasks: a family with its split, or a file of tasks.
        policy: plays all seats; by default another scripted character every turn.
        dimension: of the truth.
        attacked: how many tasks the attacks are played on, from every seat.
        turns: audited turns.
        candidates: siblings of each, the one played among them.
        continuations: k, behind each true value.
        labels: r, finished episodes from which each hindsight label is read.
        costly_tasks: so many tasks for rewards that play on or ask a server.
        costly_turns: so many audited turns, likewise, where the label needs the whole episode.
        seed: of everything.
        agreement: how agreements are made, ``"plain"`` or ``"formal"`` (:mod:`sotopia_env.families.formal`); ``None``
            takes the tasks as they are.
    """

    tasks: str = "bargain:test"
    policy: str = "scripted:changing"
    dimension: str = "goal"
    attacked: int = 100
    turns: int = 80
    candidates: int = 4
    continuations: int = 64
    labels: int = 8
    costly_tasks: int = 6
    costly_turns: int = 24
    seed: int = 0
    agreement: str | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that make no card."""
        least = {"attacked": 2, "turns": 2, "candidates": 2, "continuations": 4, "labels": 2}
        least |= {"costly_tasks": 2, "costly_turns": 2}
        for name, smallest in least.items():
            if getattr(self, name) < smallest:
                raise ValueError(f"{name}: {getattr(self, name)} is less than {smallest}")


@dataclass(frozen=True)
class _Ground:
    """What all rewards are measured on."""

    plays: dict[str, list[list[Episode]]]
    audit: list[AuditedTurn]
    settings: CardSettings
    shown: Callable[[str], None]


def reward_card(
    rewards: Sequence[Any] = (),
    settings: CardSettings | None = None,
    *,
    out: str | Path | None = None,
    progress: bool = False,
    command: Sequence[str] = (),
) -> dict[str, Any]:
    """Measure rewards.

    Args:
        rewards: names or objects (:func:`~sotopia_env.rewards.get_reward`); by default all designs and penalties. The
            name of a design that may be used as a return and as credit is a row for either use.
        settings: how.
        out: folder for ``card.json``, ``card.md``, ``card.html``, and for what was played, which the next card of the
            same settings uses again, whichever rewards it compares.
        progress: show on stderr what is being done.
        command: what the user typed, for the page.

    Returns:
        The content of ``card.json``.

    Raises:
        ValueError: names that are no rewards, all of them, rewards that these tasks can never be given, a dimension
            that they are not scored in, or ``out`` holds a card of other settings; the error says what differs.
    """
    settings = settings or CardSettings()
    policy = make_policy(settings.policy)
    named = read_rewards(rewards or (*DESIGNS, *PENALTIES), policy, settings)
    family = family_and_tasks(settings.tasks, "test")[0]
    drawn = draw_tasks(settings.tasks, settings.attacked, settings.seed)
    tasks = list(all_with_agreement(drawn, settings.agreement, family))
    named = [reward.for_family(family) for reward in named]
    for reward in named:
        reward.check(family, tasks)
    RuleJudge().check_dimensions(family, (settings.dimension,))
    _check_dimension(settings.dimension, family, tasks[0])
    world = {"family": family.name, "version": family.version, "tasks": settings.tasks}
    world["agreement"] = told_modes(tasks, family)
    if out is not None:
        _check_card(Path(out), {"world": world, "policy": policy.name, "settings": asdict(settings)})
    began, shown = time.perf_counter(), _teller(progress)
    cache = None if out is None else _cache(Path(out), tasks, family, policy, settings)
    ground = _prepare(tasks, family, policy, settings, cache, shown, progress)
    prepared = time.perf_counter() - began
    fitted = [_with_baseline(reward, ground.plays[PLAIN][0]) for reward in named]
    measured = [_row(reward, "reward", ground) for reward in fitted]
    rows = [row for row, _ in measured]
    controls, twice = _controls(fitted[0], measured[0][1], ground)
    data = {
        "title": "Reward card",
        "version": sotopia_env.__version__,
        "world": world,
        "policy": policy.name,
        "settings": asdict(settings),
        "audited": {"turns": len(ground.audit), "tasks": len({turn.before.task.id for turn in ground.audit})},
        "attacks": {name: {"against": a.against, "description": a.description} for name, a in ATTACKS.items()},
        "rewards": [*rows, *controls],
        "twice": twice,
        "seconds": {"prepared": prepared, "total": time.perf_counter() - began},
        "command": redacted(shlex.join(command)),
    }
    data["checks"] = [check.to_dict() for check in checks(data)]
    if out is not None:
        write_card(data, Path(out))
    return data


def _check_card(out: Path, made: Mapping[str, Any]) -> None:
    """Refuse a folder that holds a card of other settings, which would be lost."""
    path = out / "card.json"
    if not path.is_file():
        return
    try:
        before = json.loads(path.read_bytes())
        found = differences({name: before[name] for name in made}, as_stored(made))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no reward card that this version can read; give another out") from error
    if found:
        raise ValueError(f"{path} was made with other {told(found)}; give another out, or remove it")


def write_card(data: dict[str, Any], out: Path) -> None:
    """Write ``card.json``, ``card.md`` and ``card.html``."""
    replace_file(out / "card.json", [json.dumps(data, indent=1).encode(), b"\n"])
    replace_file(out / "card.md", [card_text(data).encode()])
    replace_file(out / "card.html", [card_page(data).encode()])


def read_rewards(given: Sequence[Any], policy: Policy, settings: CardSettings) -> list[Reward]:
    """Rewards from names; ``monte-carlo`` and ``shapley`` alone play on with the policy of the card.

    Raises:
        ValueError: names that are no rewards: all of them, each with its reason.
    """
    found: list[tuple[Any, Reward]] = []
    wrong: list[str] = []
    for name in given:
        try:
            if isinstance(name, str) and name in _PLAYING_ON:
                found.append((name, _PLAYING_ON[name]([policy], seed=episode_seed(settings.seed, _CONTINUATIONS))))
            elif isinstance(name, str) and name in (*designs.DESIGNS, *designs.ATTRIBUTION_DESIGNS):
                found += [(name, reward) for reward in uses_of(get_reward(name))]
            else:
                found.append((name, get_reward(name)))
        except (ValueError, TypeError, OSError) as error:
            said = reason_of(error) if isinstance(error, OSError) else str(error)
            reason = "" if said.startswith("unknown reward") else f" ({said})"
            wrong.append(f"{name!r}{reason}" if isinstance(name, str) else said)
    if wrong:
        raise ValueError(
            f"no rewards: {', '.join(wrong)}; one of {', '.join([*reward_names(), *_PLAYING_ON])}, or module:attribute"
        )
    names = [reward.name for _, reward in found]
    # Two reward models are told apart by their folders.
    read = [
        replace(reward, name=name)
        if isinstance(reward, RewardModel) and isinstance(name, str) and names.count(reward.name) > 1
        else reward
        for name, reward in found
    ]
    names = [name_with_use(reward) for reward in read]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"several rewards are called {', '.join(map(repr, twice))}; name each once")
    return read


def _check_dimension(dimension: str, family: Family, task: Task) -> None:
    """Refuse a dimension that the family has no score for, before anything is played."""
    env = parallel_env([task], reward=None, family=family)
    env.reset(seed=0)
    scored = family.score(env.unwrapped.episode).scores
    if dimension not in scored:
        raise ValueError(f"dimension: {dimension!r} is none of {', '.join(scored)}")


def _prepare(
    tasks: Sequence[Task],
    family: Family,
    policy: Policy,
    settings: CardSettings,
    cache: Path | None,
    shown: Callable[[str], None],
    progress: bool,
) -> _Ground:
    """Play the attacks, and audit turns on those of the tasks on which the truth can be known."""
    plays = play_attacks(
        tasks,
        policy,
        seed=episode_seed(settings.seed, _PLAYS),
        family=family,
        out=None if cache is None else cache / "plays",
        played=lambda name: shown(f"played: {name}"),
    )
    dimension = settings.dimension
    scored = [episode.judgements[0].scores for episode in plays[PLAIN][0]]
    known = [task for task, scores in zip(tasks, scored, strict=True) if None not in scores[dimension]]
    if not known:
        raise ValueError(f"tasks: the rule judge knows {dimension!r} in none of {len(tasks)} tasks of {settings.tasks}")
    shown("audit: the truth, by playing on")
    audit = collect_audit(
        known,
        policy,
        num_turns=settings.turns,
        candidates=settings.candidates,
        continuations=settings.continuations,
        label_continuations=settings.labels,
        seed=episode_seed(settings.seed, _AUDIT),
        out=None if cache is None else cache / "audit.jsonl",
        progress=progress,
        family=family,
    )
    return _Ground(plays, audit, settings, shown)


def _cache(out: Path, tasks: Sequence[Task], family: Family, policy: Policy, settings: CardSettings) -> Path:
    """A folder of its own for whatever decides what is played."""
    env = parallel_env(list(tasks), reward=None, family=family)
    described = describe_run(env, {"agent_0": policy}, seed=settings.seed, traces=False)
    settled = {name: getattr(settings, name) for name in ("dimension", "candidates", "continuations", "labels")}
    attacks = [attack.description for attack in ATTACKS.values()]
    folder = out / f"played-{digest(sotopia_env.__version__, described, settled, attacks)}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _with_baseline(reward: Reward, plain: Sequence[Episode]) -> Reward:
    """Centred attribution without a baseline gets that of the plain episodes; without one it would be ``direct``."""
    parts = []
    for weight, part in reward.parts():
        if isinstance(part, Attribution) and part.design == "direct-centred" and part.baseline is None:
            baseline = mean_scores(plain, list(part.dimensions), part.judge, part.scale)
            part = replace(part, baseline=baseline, name=part.name)
        parts.append((weight, part))
    return weighted_sum(parts)


def _row(reward: Reward, role: str, ground: _Ground) -> tuple[Record, Numbers]:
    """All that is measured of one reward, and its numbers for the audited turns."""
    ground.shown(name_with_use(reward))
    settings = ground.settings
    costly = bool(reward.needs) or bool(_usages(reward))
    whole = any(flags != ("credit", "causal") for flags in reward.by_flags())
    audit = _smaller(ground.audit, settings.costly_turns) if costly and whole else ground.audit
    numbers = numbers_of(reward, audit)
    measured = fidelity(audit, numbers, settings.dimension)
    tasks = settings.costly_tasks if costly else None
    # Of what is computed here other processes take no share; a server's replies are waited for.
    clock = time.perf_counter if _usages(reward) else time.process_time
    before, began = _calls(reward), clock()
    attacked = exploitability(reward, ground.plays, settings.dimension, tasks=tasks)
    seconds, calls = clock() - began, _calls(reward)
    plays = [plays[seat] for name, plays in ground.plays.items() for seat in range(1 if name == PLAIN else len(plays))]
    turns = sum(len(episode.turns) for episodes in plays for episode in episodes[:tasks])
    per_turn = _continuations(reward)
    row = {
        "name": name_with_use(reward),
        "role": role,
        "smaller": {"turns": len(audit) if audit is not ground.audit else None, "tasks": tasks},
        "flags": [[str(kind), str(timing)] for kind, timing in reward.by_flags()],
        "fidelity": measured.to_dict(),
        "exploits": [exploit.to_dict() for exploit in attacked],
        "cost": {
            "seconds": 1000 * seconds / turns,
            "continuations": None if per_turn is None else 1000 * per_turn,
            **{name: 1000 * (calls[name] - before[name]) / turns if _usages(reward) else None for name in calls},
            "turns": turns,
        },
    }
    return row, numbers


def _controls(first: Reward, numbers: Numbers, ground: _Ground) -> tuple[list[Record], Record]:
    """The rows of the controls, and how the first reward, of which the numbers are known, agrees with itself."""
    settings = ground.settings
    truth, labels = split_audit(ground.audit)
    best = replace(true_advantages(labels, settings.dimension), name="oracle")
    oracle = fidelity(truth, best, settings.dimension)
    costly = bool(first.needs) or bool(_usages(first))
    audit = _smaller(ground.audit, settings.costly_turns) if costly else ground.audit
    played = None if numbers.played is None else numbers.played[: len(audit)]
    numbers = replace(numbers, candidates=numbers.candidates[: len(audit)], played=played)
    one, other = labelled_twice(first, audit, numbers)
    again = fidelity(audit, replace(other, name=f"A/A: {name_with_use(first)}"), settings.dimension)
    bare = {"role": "control", "flags": [], "exploits": [], "cost": {}, "smaller": {"turns": None, "tasks": None}}
    smaller = {"turns": len(audit) if audit is not ground.audit else None, "tasks": None}
    rows = [
        {**bare, "name": "oracle", "fidelity": oracle.to_dict()},
        {**bare, "name": again.name, "fidelity": again.to_dict(), "smaller": smaller},
        _row(random_reward(settings.seed), "control", ground)[0],
        _row(length_only(), "control", ground)[0],
    ]
    # What says the same twice because nothing in it is drawn has not been checked.
    deterministic = one is other
    difference = None if deterministic else sibling_difference(audit, one, other, settings.dimension)
    return rows, {"reward": name_with_use(first), "deterministic": deterministic, "difference": difference}


def _smaller(audit: Sequence[AuditedTurn], turns: int) -> list[AuditedTurn]:
    """Few turns with few labels, for rewards that would take hours."""
    return [
        replace(t, candidates=tuple(replace(c, finished=c.finished[:_COSTLY_LABELS]) for c in t.candidates))
        for t in audit[:turns]
    ]


def _usages(reward: Reward) -> list[Usage]:
    """What the judges and attributors that ask a server have used; those that share a ledger count once."""
    ledgers = {id(asking.calls.endpoint.ledger): asking.calls.endpoint.ledger for asking in models_in(reward)}
    return [ledger.usage for ledger in ledgers.values()]


def _calls(reward: Reward) -> dict[str, int]:
    usages = _usages(reward)
    return {
        "calls": sum(usage.calls for usage in usages),
        "tokens": sum(usage.prompt_tokens + usage.completion_tokens for usage in usages),
    }


def _continuations(reward: Reward) -> int | None:
    """Continuations a turn; ``None`` where a reward plays on in a way of its own."""
    total = 0
    for _, part in reward.parts():
        credit = part
        if isinstance(part, Attribution) and isinstance(part.attributor, MonteCarloAttributor):
            credit = part.attributor.credit
        if isinstance(credit, MonteCarlo):
            total += credit.k
        elif part.needs:
            return None
    return total


def _teller(show: bool) -> Callable[[str], None]:
    """Says on stderr what is being done, and since when."""
    if not show:
        return lambda what: None
    console, began = Console(stderr=True), time.perf_counter()
    return lambda what: console.print(f"{time.perf_counter() - began:5.0f} s  {what}", highlight=False, markup=False)
