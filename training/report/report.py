"""The report of a run: ``report.json`` for programs, and ``report.html``, one page that needs nothing else, to read."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from sotopia_env.episodes import Episode
from sotopia_env.families import FAMILIES
from sotopia_env.rewards.dimensions import DIMENSIONS
from sotopia_env.storage.journal import replace_file
from sotopia_env.tables import estimate
from sotopia_env.training.checks import Check
from sotopia_env.training.report.page import page

ROWS = ("teacher", "baseline", "learner", "difference")
"""What ``data["evaluation"]`` must hold."""

PACKAGES = (
    "sotopia-env",
    "numpy",
    "gymnasium",
    "pettingzoo",
    "torch",
    "transformers",
    "trl",
    "peft",
    "accelerate",
    "datasets",
)


def write_report(out_dir: str | Path, data: Mapping[str, Any], dialogues: Sequence[Episode] = ()) -> Path:
    """Write ``report.json`` and ``report.html``.

    Args:
        out_dir: where; made where it does not exist.
        data: plain data:

            * ``evaluation``: ``teacher``, ``baseline`` (the clone), ``learner`` (each an ``Evaluation.summary``) and
              ``difference`` (learner - baseline, as :func:`~sotopia_env.training.comparison.difference` gives it);
            * ``seed`` and ``seconds`` (``{stage: seconds}``; ``total`` is their sum where it is not given);
            * optional: ``headline`` (``{split: rows}``: rows like ``evaluation``, against scripted partners that the
              clone never met, taken together), ``trained`` (what was trained, in words), ``too_short`` (whether nothing
              can have been learnt), ``versions`` (:func:`versions` by default), ``command``, ``configuration``,
              ``curves`` (``{"cloning": rows, "reward_model": rows, "grpo": rows}`` of ``metrics.jsonl``),
              ``reward_model`` (the report of :func:`~sotopia_env.training.train_reward_model`, where
              such a model paid the learner),
              ``sharpening`` (summaries of the clone sampled in other ways, each with ``difference``, learner - it),
              ``partners`` (as :func:`~sotopia_env.training.comparison.against_partners` gives them), and
              ``real_input`` (like ``evaluation``, on published tasks).
        dialogues: episodes to read, chosen by a seed.

    Returns:
        The path of the page.

    Raises:
        ValueError: a row or a dimension is missing; the message names it.
    """
    _check(data)
    seconds = dict(data["seconds"])
    seconds.setdefault("total", sum(seconds.values()))
    full = {
        **data,
        "seconds": seconds,
        "versions": data.get("versions") or versions(),
        "checks": [check.to_dict() for check in checks(data)],
    }
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    known = _finite(full)
    record = json.dumps(known, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    replace_file(folder / "report.json", [record.encode()])
    path = folder / "report.html"
    replace_file(path, [page(known, dialogues).encode()])
    return path


def versions() -> dict[str, str]:
    """Versions of Python, of the packages that are installed, and of the worlds."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found | {f"world {name}": family.version for name, family in FAMILIES.items()}


def checks(data: Mapping[str, Any]) -> list[Check]:
    """What the run must show, each with what it did show.

    Args:
        data: as in :func:`write_report`.
    """
    teacher, clone, learner, gain = (data["evaluation"][row] for row in ROWS)
    found = [
        _check_ratio("the clone's deal rate is at least 85 % of its teachers'", clone, teacher, "deal_rate"),
        _check_ratio("the clone's goal is at least 85 % of its teachers'", clone, teacher, "goal"),
        _check_rate("at most 2 % of the clone's turns are invalid", clone, "invalid_rate"),
        _check_rate("at most 2 % of the clone's deals lie outside its own limit", clone, "own_outside_limit"),
    ]
    for split, rows in (data.get("headline") or {}).items():
        name = f"against {rows['learner']['partner']} the learner's goal is higher than the clone's ({split})"
        found.append(_check_above(name, rows["difference"]["goal"]))
    found.append(_check_above("against the clone the learner's goal is higher than the clone's", gain["goal"]))
    found.append(_check_above("so it is with deals outside the partner's limit scored as no deal", gain["goal_strict"]))
    if data.get("reward_model"):
        found.append(_check_words(learner, clone))
    sharpest = strongest(data.get("sharpening") or ())
    if sharpest is not None:
        name = f"the learner's goal is higher than the clone's, however that is sampled ({sharpest['name']})"
        found.append(_check_above(name, sharpest["difference"]["goal"]))
    smallest = min(row["episodes"] for row in (teacher, clone, learner))
    found.append(Check("every row rests on 200 episodes or more", "≥ 200", str(smallest), smallest >= 200))
    return found


def strongest(sharpening: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The row with the highest goal: the hardest to beat."""
    known = [row for row in sharpening if row["goal"]["mean"] is not None and "difference" in row]
    return max(known, key=lambda row: row["goal"]["mean"], default=None)


def _check_ratio(name: str, clone: Mapping[str, Any], teacher: Mapping[str, Any], key: str) -> Check:
    ratio = _ratio(clone[key]["mean"], teacher[key]["mean"])
    shown = _known(ratio, ".0%", _counted(clone[key], teacher[key]))
    return Check(name, "≥ 85 %", shown, None if ratio is None else ratio >= 0.85)


def _check_rate(name: str, row: Mapping[str, Any], key: str) -> Check:
    rate = row[key]["mean"]
    return Check(name, "≤ 2 %", _known(rate, ".1%", _counted(row[key])), None if rate is None else rate <= 0.02)


def _check_above(name: str, gain: Mapping[str, Any]) -> Check:
    return Check(name, "interval above 0", _shown(gain), None if gain["low"] is None else gain["low"] > 0)


def _check_words(learner: Mapping[str, Any], clone: Mapping[str, Any]) -> Check:
    ratio = _ratio(learner["words_per_turn"]["mean"], clone["words_per_turn"]["mean"])
    name = "the learner's turns are not much longer than the clone's"
    return Check(name, "≤ 1.3 times", _known(ratio, ".2f", " times the words"), None if ratio is None else ratio <= 1.3)


def _ratio(have: float | None, want: float | None) -> float | None:
    return None if have is None or not want else have / want


def _known(value: float | None, form: str, unit: str = "") -> str:
    return "unknown" if value is None else format(value, form) + unit


def _counted(*found: Mapping[str, Any]) -> str:
    """Of how many values means are, where some are unknown."""
    return "".join(dict.fromkeys(f" {counted}" for one in found if (counted := estimate(one).counted)))


def _shown(found: Mapping[str, float | None]) -> str:
    return "unknown" if found["mean"] is None else str(estimate(found))


def _check(data: Mapping[str, Any]) -> None:
    for key in ("evaluation", "seconds", "seed"):
        if key not in data:
            raise ValueError(f"write_report: data has no {key!r}")
    for row in ROWS:
        if row not in data["evaluation"]:
            raise ValueError(f"write_report: data['evaluation'] has no {row!r}; it needs {', '.join(ROWS)}")
        for dimension in (*DIMENSIONS, "goal_strict"):
            estimate = data["evaluation"][row].get(dimension)
            if not isinstance(estimate, Mapping) or not {"mean", "low", "high"} <= set(estimate):
                raise ValueError(
                    f"write_report: data['evaluation'][{row!r}][{dimension!r}] is no {{mean, low, high}}; "
                    "give Evaluation.summary, or what difference() returns"
                )


def _finite(value: Any) -> Any:
    # What is unknown is null: nan is no JSON.
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
