"""The report as a page: its tables and figures, which the template ``report.html.j2`` puts among its sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sotopia_env.episodes import Episode
from sotopia_env.rewards.dimensions import DIMENSIONS
from sotopia_env.tables import Cell, Table, estimate
from sotopia_env.training import pages
from sotopia_env.training.checks import checks_table
from sotopia_env.training.comparison import BEHAVIOUR
from sotopia_env.training.report import figures
from sotopia_env.training.report.dialogues import dialogue
from sotopia_env.training.reward_modelling.report import report_table

NAMES = {"teacher": "teachers", "baseline": "clone", "learner": "learner", "difference": "learner − clone"}
"""What the rows of an evaluation are called."""

HEADINGS = {dimension: dimension.removeprefix("financial_and_").replace("_", " ") for dimension in DIMENSIONS}
"""What the dimensions are called."""

COMPONENTS = {
    "deal_rate": "deal rate",
    "share_given_deal": "share given a deal",
    "within_limit": "deals inside one's own limit",
    "validity": "validity of turns",
    "total": "total",
}

Rows = Mapping[str, Mapping[str, Any]]


def page(data: Mapping[str, Any], dialogues: Sequence[Episode] = ()) -> str:
    """The page.

    Args:
        data: the content of ``report.json``.
        dialogues: episodes to read.
    """
    rows: Rows = data["evaluation"]
    logged = data.get("curves") or {}
    drawn = {
        "learning": figures.curves(logged.get("grpo") or ()),
        "cloning": figures.curves(logged.get("cloning") or (), figures.LOSSES, "loss"),
        "modelling": figures.curves(logged.get("reward_model") or (), figures.LOSSES, "model-loss"),
    }
    gain = rows["difference"].get("decomposition")
    model, sharp, met = data.get("reward_model"), data.get("sharpening"), data.get("partners")
    headline: Mapping[str, Rows] = data.get("headline") or {}
    published = {
        name: row for name, row in (data.get("real_input") or {}).items() if isinstance(row, Mapping) and "goal" in row
    }
    sections = (
        ("result", "What the run shows", True),
        ("headline", "Against scripted partners that the clone never met", headline),
        ("curves", "Learning curves", any(drawn.values())),
        ("model", "What the reward model predicts", model),
        ("evaluation", "Against the frozen clone", True),
        ("gain", "What the gain is made of", gain),
        ("sharpening", "Sharpening alone", sharp),
        ("partners", "Scripted partners", met),
        ("real", "Published scenarios", published),
        ("dialogues", "Dialogues to read", dialogues),
        ("budget", "Time, versions, settings", True),
    )
    return pages.page(
        "report.html.j2",
        title=str(data.get("title", "Training report")),
        sections={anchor: heading for anchor, heading, shown in sections if shown},
        data=data,
        rows=rows,
        headline=headline,
        boxes=_boxes(data),
        checks=checks_table([{**check, "name": _capital(check["name"])} for check in data.get("checks", ())]),
        drawn=drawn,
        model=model and replace(report_table(model), title=""),
        scores=_scores,
        behaviour=_behaviour,
        gain=gain and _gain(gain),
        sharpening=sharp and _sharpening(sharp, rows["learner"]),
        partners=met and _partners(met),
        published=published,
        dialogues=[dialogue(episode, rows["learner"].get("policy")) for episode in dialogues],
        seconds=_seconds(data["seconds"]),
        settings={
            heading: Table(["", ""], [(str(k), str(v)) for k, v in data[key].items()])
            for heading, key in (("Settings", "configuration"), ("Versions", "versions"))
            if data.get(key)
        },
    )


def _boxes(data: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    goals = [
        (f"learner − clone, goal, {split}, partners not met in cloning", rows["difference"]["goal"])
        for split, rows in (data.get("headline") or {}).items()
    ]
    goals.append(("learner − clone, goal, against the clone", data["evaluation"]["difference"]["goal"]))
    cells = [(label, estimate(found)) for label, found in goals]
    took = ("the whole run took", pages.duration(data["seconds"]["total"]), "without the installation")
    notes = (f"{pages.typeset(cell.interval)} {cell.counted}".strip() for _, cell in cells)
    return [*((label, pages.typeset(cell.text), note) for (label, cell), note in zip(cells, notes, strict=True)), took]


def _scores(rows: Rows) -> Table:
    body = [
        [
            _row_name(name),
            row.get("episodes", ""),
            *(estimate(row.get(dimension), _form(name, ".2f")) for dimension in DIMENSIONS),
        ]
        for name, row in rows.items()
    ]
    return Table(["", "episodes", *(HEADINGS[dimension] for dimension in DIMENSIONS)], body)


def _behaviour(rows: Rows) -> Table:
    body = [
        [heading, *(estimate(row.get(key), _form(name, form)) for name, row in rows.items())]
        for key, heading, form in BEHAVIOUR
        if any((row.get(key) or {}).get("mean") is not None for row in rows.values())
    ]
    return Table(["", *(NAMES.get(name, name) for name in rows)], body)


def _gain(parts: Mapping[str, Any]) -> dict[str, Any]:
    lines = [(label, parts[key]) for key, label in COMPONENTS.items()]
    return {
        "figure": figures.dots([("learner", lines)], "part of the difference in goal", "gain", zero=True),
        "formula": parts["formula"],
        "table": Table([label for label, _ in lines], [[estimate(part) for _, part in lines]]),
    }


def _sharpening(rows: Sequence[Mapping[str, Any]], learner: Mapping[str, Any]) -> dict[str, Any]:
    groups = [("baseline", [(row["name"], row["goal"]) for row in rows]), ("learner", [("learner", learner["goal"])])]
    forms = {"goal": ".2f", "goal_strict": ".2f", "deal_rate": ".1%", "share_given_deal": ".2f", "invalid_rate": ".1%"}
    body = [
        [
            row["name"],
            row["episodes"],
            *(estimate(row[key], form) for key, form in forms.items()),
            estimate((row.get("difference") or {}).get("goal")),
        ]
        for row in rows
    ]
    heads = ["", "episodes", "goal", "goal, strict", "deal rate", "share given a deal", "invalid turns", "learner − it"]
    return {"figure": figures.dots(groups, "goal against the frozen clone", "sharpening"), "table": Table(heads, body)}


def _partners(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    single = [(row["partner"] + ("" if row["seen"] else " (unseen)"), row) for row in rows if "learner" in row]
    groups = [(name, [(label, row[name]["goal"]) for label, row in single]) for name in ("baseline", "learner")]
    seen = {True: "yes", False: "no", None: "both"}
    body = [
        [
            row["partner"],
            seen[row["seen"]],
            *(estimate(row.get(name, {}).get("goal"), ".2f") for name in ("learner", "baseline")),
            estimate(row["difference"]["goal"]),
            estimate(row["difference"]["goal_strict"]),
            row["difference"]["episodes"],
        ]
        for row in rows
    ]
    heads = ["partner", "seen in cloning", "learner", "clone", "learner − clone", "strict", "episodes"]
    return {"figure": figures.dots(groups, "goal", "partners"), "table": Table(heads, body)}


def _seconds(seconds: Mapping[str, float]) -> Table:
    total = seconds["total"]
    body: list[list[Any]] = [
        [stage, pages.duration(value), Cell(value / (total or 1), ".0%")]
        for stage, value in seconds.items()
        if stage != "total"
    ]
    last = [Cell(text, kind="total") for text in ("total", pages.duration(total), "")]
    return Table(["stage", "time", "share"], [*body, last])


def _row_name(name: str) -> Cell:
    return Cell(NAMES.get(name, name), kind=name if name in ("learner", "baseline") else "")


def _form(name: str, form: str) -> str:
    return f"+{form}" if name == "difference" else form


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
