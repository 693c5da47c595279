"""The world gates: does a world do what its dial says? Manipulation checks, never findings.

1. A factorial of what a probe says (:mod:`sotopia_env.training.worlds.factorial`) at every coupling: asking and
   courtesy raise its goal at 1 and do nothing at 0, courtesy hurts below 0, and filler of the same length does nothing
   anywhere.
2. Matched worlds: the scripted policies reach about the same goal among themselves at every coupling.
3. Survival of the couplings in a clone, where one is given (:mod:`sotopia_env.training.worlds.clone_gate`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sotopia_env.families.formal import MODES
from sotopia_env.progress import ProgressBar
from sotopia_env.rollouts.executors import Workers
from sotopia_env.statistics import paired_difference
from sotopia_env.storage.journal import replace_file
from sotopia_env.training.checks import Check
from sotopia_env.training.evaluation import Evaluation, draw_tasks, evaluate
from sotopia_env.training.model_card import told_fact
from sotopia_env.training.results import summarise
from sotopia_env.training.worlds.clone_gate import clone_gate
from sotopia_env.training.worlds.factorial import CELLS, PARTNER, checked_world, factorial
from sotopia_env.training.worlds.gates_page import gates_text
from sotopia_env.training.worlds.probes import Schedule

MARGIN = 0.3
"""Two goals that differ by less count as the same: a 90 % interval inside it shows equivalence at the level of 5 %."""

KEPT = 0.5
"""A clone that shows less than this share of an effect has not kept the coupling, and studies use scripted partners."""


@dataclass(frozen=True)
class GateSettings:
    """How large the gates are.

    Args:
        tasks: measured on at every coupling, from both seats; half as many others serve to choose prices.
        world: name of its family, one of :data:`sotopia_env.training.worlds.factorial.WORLDS`.
        agreement: how agreements are made in it, ``"plain"`` or ``"formal"`` (:mod:`sotopia_env.families.formal`).
        couplings: to be tried; the gates speak of -0.5, 0 and 1. The world's own by default.
        schedules: of offers in the factorial; the world's own by default.
        states: states of play at which the clone is forked.
        clone_draws: samples of the partner's replies at each state and insertion.
        seed: of everything.
    """

    tasks: int = 500
    couplings: tuple[float, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    states: int = 600
    clone_draws: int = 2
    seed: int = 0
    world: str = "bargain"
    agreement: str = "plain"


def run_gates(
    settings: GateSettings | None = None,
    *,
    clone: str | Path | None = None,
    out: str | Path | None = None,
    processes: Workers = 1,
    progress: bool = False,
) -> dict[str, Any]:
    """Measure everything and say what was met.

    Args:
        settings: how large.
        clone: directory of a cloned model; it is forked where agreements are made as in what it learnt from.
        out: folder for ``gates.json`` and ``gates.md``, and in ``played`` for the episodes: what stands there is not
            played again.
        processes: who shares the work, as in :func:`~sotopia_env.rollout`.
        progress: show a progress bar on stderr.

    Returns:
        ``factorial`` and ``matched`` (a list over couplings each), ``clone`` (``None`` where there is none) and
        ``gates``: a :class:`~sotopia_env.training.checks.Check` each, as plain data.
    """
    settings = settings or GateSettings()
    world = checked_world(settings.world)
    settings = replace(settings, couplings=settings.couplings or world.couplings)
    if clone is not None and settings.world != "bargain":
        raise ValueError(f"clone: the couplings of a clone are measured in bargain, not in {settings.world}")
    if isinstance(clone, str | Path) and ":" not in str(clone) and not Path(clone).is_dir():
        raise ValueError(f"clone: there is no folder {str(clone)!r}; give that of a cloned model")
    if isinstance(clone, str | Path) and Path(clone).is_dir() and not _holds_a_model(Path(clone)):
        # It is loaded last of all, when everything else has been played.
        raise ValueError(
            f"clone: {clone} is no model: it holds neither config.json, nor adapter_config.json, nor a GGUF file"
        )
    if settings.tasks < 2:
        raise ValueError(f"tasks: {settings.tasks} is too few for an interval; give 2 or more, 500 for the gates")
    played = None if out is None else Path(out) / "played"
    steps = len(settings.couplings) * (len(CELLS) + 1) + (clone is not None)
    with ProgressBar("gates", steps, show=progress) as bar:
        measured = [
            factorial(
                coupling,
                settings.tasks,
                seed=settings.seed,
                world=settings.world,
                schedules=settings.schedules,
                agreement=settings.agreement,
                out=None if played is None else played / f"coupling {coupling:g}",
                processes=processes,
                progress=bar.advance,
            )
            for coupling in settings.couplings
        ]
        data: dict[str, Any] = {
            "world": {"family": settings.world, "version": world.version, "agreement": settings.agreement},
            "seed": settings.seed,
            "partner": PARTNER,
            "schedules": [schedule.label for schedule in settings.schedules or world.schedules],
            "factorial": measured,
            "matched": matched_worlds(settings, bar.advance, out=played, processes=processes),
            "clone": None,
        }
        if clone is not None:
            data["clone"] = clone_gate(
                clone,
                settings.states,
                draws=settings.clone_draws,
                seed=settings.seed,
                agreement=_learnt_in(clone) or settings.agreement,
                out=None if played is None else played / "clone",
                processes=processes,
            )
            bar.advance()
    data["gates"] = [check.to_dict() for check in verdicts(data)]
    if out is not None:
        replace_file(Path(out) / "gates.json", [json.dumps(data, indent=1).encode(), b"\n"])
        replace_file(Path(out) / "gates.md", [gates_text(data).encode()])
    return data


def _holds_a_model(folder: Path) -> bool:
    described = any((folder / name).is_file() for name in ("config.json", "adapter_config.json"))
    return described or any(folder.glob("*.gguf"))


def matched_worlds(
    settings: GateSettings,
    progress: Callable[[], None] = lambda: None,
    *,
    out: Path | None = None,
    processes: Workers = 1,
) -> list[dict[str, Any]]:
    """Goal of the scripted policies among themselves at every coupling, and its difference to coupling 0.

    What one seat gains the other loses, so the mean over both tells of deals missed; hence also the goal by seat.
    """
    rows = [_self_play(0.0, settings, out, processes)]
    for coupling in settings.couplings:
        rows.append(rows[0] if coupling == 0 else _self_play(coupling, settings, out, processes))
        progress()
    zero, *others = rows
    return [
        {
            "coupling": coupling,
            "difference": _goal_difference(row, zero).to_dict(),
            "goal_by_seat": [summarise([r for r in row.results if r.seat == seat])["goal"] for seat in range(2)],
            **{key: row.summary[key] for key in ("goal", "deal_rate", "turns", "knowledge", "episodes")},
        }
        for coupling, row in zip(settings.couplings, others, strict=True)
    ]


def verdicts(data: Mapping[str, Any]) -> list[Check]:
    """What the world must show, each with what it did show.

    Args:
        data: of :func:`run_gates`.
    """
    found = []
    for row in data["factorial"]:
        coupling, effects = row["coupling"], row["effects"]
        if coupling == 1:
            found += [_above(f"{factor} raises the goal at 1", effects[factor]) for factor in ("ask", "courtesy")]
        if coupling == 0:
            found += [_same(f"{factor} does nothing at 0", effects[factor]) for factor in ("ask", "courtesy")]
        if coupling < 0:
            found.append(_below(f"courtesy hurts at {coupling:g}", effects["courtesy"]))
        found.append(_same(f"filler does nothing at {coupling:g}", effects["filler"]))
    for row in data["matched"]:
        if row["coupling"] != 0:
            found.append(_within(f"the world at {row['coupling']:g} is matched to that at 0", row["difference"]))
    if data["clone"] is not None:
        found += [_kept(row) for row in data["clone"]["effects"] if row["coupled"]]
    return found


def _learnt_in(clone: str | Path) -> str | None:
    """How the agreements were made that a clone learnt from, where its card says so."""
    learnt = told_fact(Path(str(clone).removeprefix("local:")), "agreements")
    return learnt if learnt in MODES else None


def _self_play(coupling: float, settings: GateSettings, out: Path | None, processes: Workers) -> Evaluation:
    family = checked_world(settings.world).family(coupling, agreement=settings.agreement)
    tasks = draw_tasks(family, settings.tasks, settings.seed)
    kept = None if out is None else out / f"self-play, coupling {coupling:g}.jsonl"
    return evaluate(PARTNER, PARTNER, tasks, family=family, seed=settings.seed, out=kept, processes=processes)


def _goal_difference(a: Evaluation, b: Evaluation) -> Any:
    goals = [[result.score("goal") for result in row.results] for row in (a, b)]
    return paired_difference(goals[0], goals[1], [result.scenario for result in a.results], level=0.90)


def _above(name: str, effect: Mapping[str, Any]) -> Check:
    low = effect["interval_95"]["low"]
    return Check(name, "95 % interval above 0", effect["interval_95"], None if low is None else low > 0)


def _below(name: str, effect: Mapping[str, Any]) -> Check:
    high = effect["interval_95"]["high"]
    return Check(name, "95 % interval below 0", effect["interval_95"], None if high is None else high < 0)


def _same(name: str, effect: Mapping[str, Any]) -> Check:
    return _within(name, effect["interval_90"])


def _within(name: str, estimate: Mapping[str, Any]) -> Check:
    low, high = estimate["low"], estimate["high"]
    inside = None if low is None or high is None else low > -MARGIN and high < MARGIN
    return Check(name, f"90 % interval within ±{MARGIN:g}", estimate, inside)


def _kept(row: Mapping[str, Any]) -> Check:
    """Met or missed only where both partners were measured finely enough to tell."""
    name = f"the clone keeps the effect of a {row['insertion']} on {row['outcome']}"
    scripted, ratio = row["scripted"], row["ratio"]
    met = None
    if ratio["low"] is not None and (scripted["low"] > 0 or scripted["high"] < 0):
        if ratio["mean"] >= KEPT and ratio["low"] > 0:
            met = True
        elif ratio["mean"] < KEPT and ratio["high"] < 1:
            met = False
    return Check(name, f"clone / scripted ≥ {KEPT:g}", ratio, met)
