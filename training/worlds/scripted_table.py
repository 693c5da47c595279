"""The published table of a world: what good is, measured with scripted policies.

Every scripted policy meets every other from both seats. Against each partner stands the best of many scripts (price
schedules with and without questions, courtesies and facts, drawn at random), chosen on some tasks and measured on
others: a policy above it has found something that scripts do not do.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sotopia_env.agents.scripted.traits import CLONED, PRESETS
from sotopia_env.families.resolve import as_family
from sotopia_env.progress import ProgressBar
from sotopia_env.rewards.dimensions import DIMENSIONS
from sotopia_env.rollouts.executors import Workers
from sotopia_env.storage.journal import replace_file
from sotopia_env.tables import Cell, Table, estimate, markdown, mean
from sotopia_env.tasks import Task
from sotopia_env.training.evaluation import Seats, draw_tasks, evaluate, file_name
from sotopia_env.training.results import Evaluation, Result, mean_goal, summarise
from sotopia_env.training.worlds.factorial import checked_world
from sotopia_env.training.worlds.probes import Additions, Probe, Schedule, template_attacker

_OTHERS = tuple(dimension for dimension in DIMENSIONS if dimension != "goal")
PARTNERS = (*(f"scripted:{name}" for name in PRESETS), "scripted:mixed")


@dataclass(frozen=True)
class TableSettings:
    """How large the table is.

    Args:
        tasks: each is played from both seats against every partner; as many others serve the search.
        scripts: tried against every partner.
        coupling: of all channels of the world.
        partners: names of policies.
        seed: of everything.
        world: name of its family, one of :data:`sotopia_env.training.worlds.factorial.WORLDS`.
        agreement: how agreements are made in it, ``"plain"`` or ``"formal"`` (:mod:`sotopia_env.families.formal`).
    """

    tasks: int = 50
    scripts: int = 60
    coupling: float = 1.0
    partners: tuple[str, ...] = PARTNERS
    seed: int = 0
    world: str = "bargain"
    agreement: str = "plain"


def scripted_table(
    settings: TableSettings | None = None,
    *,
    out: str | Path | None = None,
    processes: Workers = 1,
    progress: bool = False,
) -> dict[str, Any]:
    """Play the table.

    Args:
        settings: how large.
        out: folder for ``table.json`` and ``table.md``, and in ``played`` for the episodes: what stands there is not
            played again.
        processes: who shares the work, as in :func:`~sotopia_env.rollout`.
        progress: show a progress bar on stderr.

    Returns:
        ``rows`` by policy over all partners (summary, and the goal by seat), ``goals`` (mean goal of each policy
        against each partner), ``optimum`` (for each partner the best script and its row) and ``correlations`` of the
        seven dimensions over the rows of scripted policies.
    """
    settings = settings or TableSettings()
    version = checked_world(settings.world).version
    family = as_family(settings.world, {"coupling": settings.coupling, "agreement": settings.agreement})
    drawn = draw_tasks(family, 2 * settings.tasks, settings.seed)
    measuring, searching = drawn[: settings.tasks], drawn[settings.tasks :]
    policies: list[Any] = [*settings.partners, template_attacker()]
    played: dict[str, dict[str, tuple[Result, ...]]] = {}
    optimum = []

    def play(policy: Any, partner: str, tasks: Sequence[Task], seats: Seats = "both") -> Evaluation:
        name = f"{getattr(policy, 'name', policy)} against {partner}, {seats}"
        kept = None if out is None else Path(out) / "played" / f"{file_name(name)}.jsonl"
        return evaluate(
            policy, partner, tasks, seats=seats, family=family, seed=settings.seed, out=kept, processes=processes
        )

    total = len(settings.partners) * (len(policies) + settings.scripts)
    with ProgressBar("table", total, show=progress) as bar:
        for partner in settings.partners:
            for policy in policies:
                row = play(policy, partner, measuring)
                played.setdefault(row.policy, {})[partner] = row.results
                bar.advance()
            best = _search(partner, searching, settings, play, bar.advance)
            row = play(best, partner, measuring)
            played.setdefault("best script", {})[partner] = row.results
            found = {"partner": partner, "script": best.name, "goal": row.summary["goal"]}
            optimum.append(found | {key: row.summary[key] for key in ("deal_rate", "share_given_deal")})
    data = {
        "world": {
            "family": settings.world,
            "version": version,
            "coupling": settings.coupling,
            "agreement": settings.agreement,
        },
        "seed": settings.seed,
        "tasks": settings.tasks,
        "scripts": settings.scripts,
        "rows": [_row(name, by_partner) for name, by_partner in played.items()],
        "goals": {
            name: {partner: mean_goal(results).to_dict() for partner, results in by_partner.items()}
            for name, by_partner in played.items()
        },
        "optimum": optimum,
        "correlations": correlations(
            [r for name in settings.partners for results in played[name].values() for r in results]
        ),
    }
    if out is not None:
        replace_file(Path(out) / "table.json", [json.dumps(data, indent=1).encode(), b"\n"])
        replace_file(Path(out) / "table.md", [table_text(data).encode()])
    return data


def draw_scripts(number: int, seed: int) -> list[Probe]:
    """Scripts drawn at random: rate 0.05 to 0.6, anchor 0.25 to 2, patience 1 to 5, sentences at even odds."""
    generator = np.random.default_rng(seed)
    scripts = []
    for _ in range(number):
        rate, anchor = generator.uniform(0.05, 0.6), generator.uniform(0.25, 2.0)
        schedule = Schedule(round(float(rate), 2), round(float(anchor), 2), int(generator.integers(1, 6)))
        ask, courtesy, fact = (bool(draw) for draw in generator.integers(2, size=3))
        scripts.append(Probe(schedule, Additions(ask=ask, courtesy=courtesy, fact=fact)))
    return scripts


def correlations(results: Sequence[Result]) -> list[list[float | None]]:
    """Pearson correlations of the seven dimensions over episodes in which both values are known.

    ``None`` where one of the two never varies.
    """
    scores = np.array([[_number(result.score(d)) for d in DIMENSIONS] for result in results])
    matrix: list[list[float | None]] = []
    for i in range(len(DIMENSIONS)):
        matrix.append([])
        for j in range(len(DIMENSIONS)):
            both = scores[~np.isnan(scores[:, [i, j]]).any(axis=1)]
            varies = len(both) > 1 and both[:, i].std() > 0 and both[:, j].std() > 0
            matrix[i].append(float(np.corrcoef(both[:, i], both[:, j])[0, 1]) if varies else None)
    return matrix


def table_text(data: Mapping[str, Any]) -> str:
    """The table as Markdown.

    Args:
        data: of :func:`scripted_table`.
    """
    return markdown(*table_parts(data))


def table_parts(data: Mapping[str, Any]) -> list[str | Table]:
    """The paragraphs and tables of :func:`scripted_table`."""
    partners = [found["partner"] for found in data["optimum"]]
    rows = [
        [
            row["name"],
            estimate(row["summary"]["goal"], ".2f"),
            *(mean(goal) for goal in row["goal_by_seat"]),
            mean(row["summary"]["deal_rate"], ".0%"),
            mean(row["summary"]["share_given_deal"]),
            mean(row["summary"]["turns"], ".1f"),
            *(mean(row["summary"][d]) for d in _OTHERS),
        ]
        for row in data["rows"]
    ]
    headings = ["policy", "goal, 95 %", "first", "second", "deals", "share", "turns", *map(_spaced, _OTHERS)]
    goals = [[name, *(mean(by_partner[partner]) for partner in partners)] for name, by_partner in data["goals"].items()]
    best = [
        [f["partner"], f["script"], estimate(f["goal"], ".2f"), mean(f["deal_rate"], ".0%")] for f in data["optimum"]
    ]
    related = [
        [_spaced(name), *(Cell(value, "+.2f") for value in values)]
        for name, values in zip(DIMENSIONS, data["correlations"], strict=True)
    ]
    return [
        f"{data['tasks']} tasks from both seats against each of {len(partners)} partners, coupling "
        f"{data['world']['coupling']:g}, {data['world'].get('agreement', 'plain')} agreements. "
        f"Cloned: {', '.join(CLONED)}; the other presets are met only in evaluation. "
        "`first` and `second` are the goals of the seat that opens and of the other.",
        "## Policies against all partners",
        Table(headings, rows),
        "## Mean goal of each policy (row) against each partner (column)",
        Table(["", *(partner.removeprefix("scripted:") for partner in partners)], goals),
        "## Best of the scripts",
        f"The best of {data['scripts']} scripts against each partner, chosen on {data['tasks']} other tasks.",
        Table(["partner", "script", "goal, 95 %", "deals"], best),
        "## Correlations of the seven dimensions",
        "Over the episodes of the scripted policies.",
        Table(["", *map(_spaced, DIMENSIONS)], related),
    ]


def _search(
    partner: str,
    tasks: Sequence[Task],
    settings: TableSettings,
    play: Callable[..., Evaluation],
    progress: Callable[[], None],
) -> Probe:
    seated = [replace(task, evaluated_seat=i % task.num_seats) for i, task in enumerate(tasks)]

    def goal(script: Probe) -> float:
        row = play(script, partner, seated, "evaluated")
        progress()
        found = mean_goal(row.results).mean
        return -math.inf if found is None else found

    return max(draw_scripts(settings.scripts, settings.seed), key=goal)


def _row(name: str, by_partner: Mapping[str, Sequence[Result]]) -> dict[str, Any]:
    results = [result for results in by_partner.values() for result in results]
    by_seat = [summarise([r for r in results if r.seat == seat])["goal"] for seat in range(2)]
    return {"name": name, "summary": summarise(results), "goal_by_seat": by_seat}


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
