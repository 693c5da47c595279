"""The report as a page: one HTML file with its style and figures inside, which loads nothing and runs no script."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from sotopia_env.episodes import Episode
from sotopia_env.rewards.dimensions import DIMENSIONS
from sotopia_env.training import report_figures
from sotopia_env.training.report_dialogues import dialogue_section
from sotopia_env.training.report_style import STYLE

NAMES = {"teacher": "teachers", "baseline": "clone", "learner": "learner", "difference": "learner − clone"}
"""What the rows of an evaluation are called."""

HEADINGS = {
    "believability": "believability",
    "relationship": "relationship",
    "knowledge": "knowledge",
    "secret": "secret",
    "social_rules": "social rules",
    "financial_and_material_benefits": "material benefits",
    "goal": "goal",
}

BEHAVIOUR: tuple[tuple[str, str, str], ...] = (
    ("goal_strict", "goal, strict", ".2f"),
    ("partner_goal", "partner's goal", ".2f"),
    ("deal_rate", "deal rate", ".1%"),
    ("share_given_deal", "share given a deal", ".2f"),
    ("own_outside_limit", "outside own limit", ".1%"),
    ("partner_outside_limit", "outside partner's limit", ".1%"),
    ("empty_zone_deal_rate", "deals in empty zones", ".1%"),
    ("walk_away_rate", "walked away there", ".1%"),
    ("invalid_rate", "invalid turns", ".1%"),
    ("words_per_turn", "words a turn", ".1f"),
    ("turns", "own turns", ".1f"),
)
"""Key, heading and format of what is told beside the scores."""

COMPONENTS = {
    "deal_rate": "deal rate",
    "share_given_deal": "share given a deal",
    "within_limit": "deals inside one's own limit",
    "validity": "validity of turns",
    "total": "total",
}


def page(data: Mapping[str, Any], dialogues: Sequence[Episode] = ()) -> str:
    """The page.

    Args:
        data: the content of ``report.json``.
        dialogues: episodes to read.
    """
    sections = [
        ("result", "What the run shows", _result(data)),
        ("curves", "Learning curves", _curves(data)),
        ("model", "What the reward model predicts", _reward_model(data.get("reward_model"))),
        ("evaluation", "Evaluation against the frozen clone", _evaluation(data["evaluation"])),
        ("gain", "What the gain is made of", _gain(data["evaluation"]["difference"])),
        ("sharpening", "Sharpening alone", _sharpening(data)),
        ("partners", "Scripted partners", _partners(data.get("partners") or ())),
        ("real", "Published scenarios", _real_input(data.get("real_input"))),
        ("dialogues", "Dialogues to read", dialogue_section(dialogues, data["evaluation"]["learner"].get("policy"))),
        ("budget", "Time, versions, settings", _budget(data)),
    ]
    shown = [(anchor, heading, body) for anchor, heading, body in sections if body]
    links = "".join(f'<a href="#{anchor}">{escape(heading)}</a> ' for anchor, heading, _ in shown)
    bodies = "".join(
        f'<section id="{anchor}"><h2>{escape(heading)}</h2>{body}</section>\n' for anchor, heading, body in shown
    )
    title = str(data.get("title", "Training report"))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>\n"
        f'<h1>{escape(title)}</h1><p class="muted">{_subtitle(data)}</p><nav>{links}</nav>\n{bodies}'
        "</main></body></html>\n"
    )


def _subtitle(data: Mapping[str, Any]) -> str:
    row = data["evaluation"]["learner"]
    trained = row.get("training_episodes")
    where = f"<b>{int(trained)} of them on tasks of the training split</b>" if trained else "none on a training task"
    judge, seed = escape(str(row.get("judge"))), escape(str(data["seed"]))
    return f"{row.get('episodes')} episodes a row on {row.get('tasks')} tasks, {where} · judge: {judge} · seed {seed}"


def _result(data: Mapping[str, Any]) -> str:
    rows = data["evaluation"]
    cards = [
        (
            "learner − clone, goal",
            _number(rows["difference"]["goal"], "+.2f"),
            _range(rows["difference"]["goal"], "+.2f"),
        ),
        ("learner, goal", _number(rows["learner"]["goal"], ".2f"), _range(rows["learner"]["goal"], ".2f")),
        ("clone, goal", _number(rows["baseline"]["goal"], ".2f"), _range(rows["baseline"]["goal"], ".2f")),
        ("the whole run took", _duration(data["seconds"]["total"]), "without the installation"),
    ]
    boxes = "".join(
        f'<div class="card"><span class="muted">{escape(label)}</span><strong>{escape(value)}</strong>'
        f'<span class="muted">{escape(note)}</span></div>'
        for label, value, note in cards
    )
    verdicts = {True: '<span class="met">met</span>', False: '<span class="missed">not met</span>', None: "unknown"}
    checks = _table(
        ("claim", "bar", "found", ""),
        (
            (escape(c["name"][:1].upper() + c["name"][1:]), escape(c["bar"]), escape(c["value"]), verdicts[c["met"]])
            for c in data.get("checks", ())
        ),
        kind="text",
    )
    return (
        f'<div class="cards">{boxes}</div>{checks}<p class="muted">Brackets hold 95 % intervals: bootstrap over '
        "scenarios, paired over the same task and seat for differences. They tell how sure the figure is for this "
        "trained policy, not how another training run would have come out.</p>"
    )


def _curves(data: Mapping[str, Any]) -> str:
    rows = data.get("curves") or {}
    learning = report_figures.curves(rows.get("grpo") or ())
    cloning = report_figures.curves(rows.get("cloning") or (), report_figures.LOSSES, "loss")
    shown = ""
    if learning:
        shown += _figure(
            learning, "GRPO against the frozen clone, on training tasks: each step faint, the running mean strong; "
            "points are evaluations on held-out tasks.",
        )  # fmt: skip
    if cloning:
        shown += _figure(cloning, "Behaviour cloning.")
    modelling = report_figures.curves(rows.get("reward_model") or (), report_figures.LOSSES, "model-loss")
    if modelling:
        shown += _figure(modelling, "Reward model: squared error over all dimensions, each in its own deviations.")
    return shown


def _reward_model(report: Mapping[str, Any] | None) -> str:
    if not report:
        return ""
    held_out = report["held_out"]
    read = "dialogues" if report["target"] == "episode" else "turns"
    columns = ("rmse", "rmse_of_mean", "slope", "spearman", "among_siblings")
    body = (
        [
            escape(HEADINGS.get(dimension, dimension)),
            *("-" if row.get(key) is None else f"{row[key]:.3f}" for key in columns),
        ]
        for dimension, row in report["dimensions"].items()
    )
    return (
        f"<p>{held_out['turns']} {read} of {held_out['scenarios']} scenarios it was not trained on; what it predicts: "
        f"{escape(report['target'])}. Errors are in units of the labels.</p>"
        + _table(("", "error", "error of the mean", "slope", "rank correlation", "correlation among siblings"), body)
    )


def _evaluation(rows: Mapping[str, Mapping[str, Any]]) -> str:
    partner = escape(str(rows["learner"].get("partner")))
    return (
        f"<p>Everyone plays both seats of the same tasks against the same partner, <b>{partner}</b>. Ranges are "
        "Sotopia's own: goal, knowledge and believability 0 to 10, relationship and material benefits −5 to 5, secret "
        "and social rules −10 to 0.</p>"
        + _score_table(rows)
        + "<h3>Beside the scores</h3>"
        + _behaviour_table(rows)
        + '<p class="muted">Goal, deal rate and shares are over the tasks where a deal within both limits was '
        "possible. “Strict” scores a deal that the partner accepted outside its own limit as no deal; a share above 1 "
        "is such a deal. A gain may not rest on them.</p>"
    )


def _gain(gain: Mapping[str, Any]) -> str:
    parts = gain.get("decomposition")
    if not parts:
        return ""
    lines = [(label, parts[key]) for key, label in COMPONENTS.items()]
    chart = report_figures.dots([("learner", lines)], "part of the difference in goal", "gain", zero=True)
    return (
        "<p>Four factors make the mean goal. Each part is what changing that factor alone changes, averaged "
        "over all orders of changing them (its Shapley value); the parts add up to the difference exactly.</p>"
        + _figure(chart, parts["formula"])
        + _table([label for label, _ in lines], [[_estimate(e, "+.2f") for _, e in lines]])
    )


def _sharpening(data: Mapping[str, Any]) -> str:
    rows = data.get("sharpening")
    if not rows:
        return ""
    learner = data["evaluation"]["learner"]
    chart = report_figures.dots(
        [("baseline", [(row["name"], row["goal"]) for row in rows]), ("learner", [("learner", learner["goal"])])],
        "goal against the frozen clone",
        "sharpening",
    )
    body = (
        [
            escape(row["name"]),
            str(row["episodes"]),
            _estimate(row["goal"], ".2f"),
            _estimate(row["goal_strict"], ".2f"),
            _estimate(row["deal_rate"], ".1%"),
            _estimate(row["share_given_deal"], ".2f"),
            _estimate(row["invalid_rate"], ".1%"),
            _estimate((row.get("difference") or {}).get("goal"), "+.2f"),
        ]
        for row in rows
    )
    heads = ("", "episodes", "goal", "goal, strict", "deal rate", "share given a deal", "invalid turns", "learner − it")
    return (
        "<p>A policy can gain by drawing its likelier tokens more often, without having learnt anything. So the clone "
        "plays at other temperatures, and from more or fewer of its tokens, too, against itself as usual.</p>"
        + _figure(chart, "Goal of the clone however it is sampled, and of the learner.")
        + _table(heads, body)
    )


def _partners(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    single = [row for row in rows if "learner" in row]
    labels = {row["partner"]: row["partner"] + ("" if row["seen"] else " (unseen)") for row in single}
    chart = report_figures.dots(
        [
            ("baseline", [(labels[row["partner"]], row["baseline"]["goal"]) for row in single]),
            ("learner", [(labels[row["partner"]], row["learner"]["goal"]) for row in single]),
        ],
        "goal",
        "partners",
    )
    seen = {True: "yes", False: "no", None: "both"}
    body = (
        [
            escape(row["partner"]),
            seen[row["seen"]],
            _estimate(row.get("learner", {}).get("goal"), ".2f"),
            _estimate(row.get("baseline", {}).get("goal"), ".2f"),
            _estimate(row["difference"]["goal"], "+.2f"),
            _estimate(row["difference"]["goal_strict"], "+.2f"),
            str(row["difference"]["episodes"]),
        ]
        for row in rows
    )
    heads = ("partner", "seen in cloning", "learner", "clone", "learner − clone", "strict", "episodes")
    legend = f"{_swatch('learner')}learner &nbsp; {_swatch('baseline')}clone"
    return (
        "<p>Beating a gullible clone is not social skill. Here both meet scripted partners; the clone has never seen "
        "episodes of those marked unseen.</p>" + _figure(chart, legend, plain=False) + _table(heads, body)
    )


def _real_input(rows: Mapping[str, Any] | None) -> str:
    if not rows:
        return ""
    played = {name: row for name, row in rows.items() if isinstance(row, Mapping) and "goal" in row}
    return (
        "<p>The same policies on Sotopia's published craigslist pairings, both seats. Goal is read from the prices in "
        "the scenarios' text: 7 at one's target, 1 more or less for each tenth of the list price, 0 without a deal. "
        "The targets are soft; in half of the scenarios the buyer's lies below the seller's. What these texts do not "
        "tell is shown as -.</p>" + _score_table(played) + _behaviour_table(played)
    )


def _budget(data: Mapping[str, Any]) -> str:
    seconds = data["seconds"]
    stages = [(stage, value) for stage, value in seconds.items() if stage != "total"]
    body = [(escape(stage), _duration(value), f"{value / (seconds['total'] or 1):.0%}") for stage, value in stages]
    shown = "<h3>Where the time went</h3>" + _table(
        ("stage", "time", "share"), [*body, ("<b>total</b>", f"<b>{_duration(seconds['total'])}</b>", "")]
    )
    if data.get("command"):
        shown += f"<h3>The same again</h3><pre>{escape(str(data['command']))}</pre>"
    for heading, key in (("Settings", "configuration"), ("Versions", "versions")):
        values = data.get(key) or {}
        if values:
            lines = _table(("", ""), ((escape(str(k)), escape(str(v))) for k, v in values.items()), kind="text")
            shown += f"<details><summary>{heading}</summary>{lines}</details>"
    return shown


def _score_table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    heads = ["", "episodes", *(HEADINGS[d] for d in DIMENSIONS)]
    body = (
        [
            _row_name(name),
            str(row.get("episodes", "")),
            *(_estimate(row.get(d), _form(name, ".2f")) for d in DIMENSIONS),
        ]
        for name, row in rows.items()
    )
    partly = {
        name: ", ".join(
            f"{HEADINGS[d]} {n}" for d, n in row.get("missing", {}).items() if n and row[d]["mean"] is not None
        )
        for name, row in rows.items()
    }
    notes = "; ".join(f"{NAMES.get(name, name)}: {counts}" for name, counts in partly.items() if counts)
    note = f'<p class="muted">Unknown scores, left out of the means: {escape(notes)}.</p>' if notes else ""
    return _table(heads, body) + note


def _behaviour_table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    body = [
        [escape(heading), *(_estimate(row.get(key), _form(name, form)) for name, row in rows.items())]
        for key, heading, form in BEHAVIOUR
        if any((row.get(key) or {}).get("mean") is not None for row in rows.values())
    ]
    return _table(["", *(NAMES.get(name, name) for name in rows)], body)


def _row_name(name: str) -> str:
    mark = _swatch(name) if name in ("learner", "baseline") else ""
    return mark + escape(NAMES.get(name, name))


def _form(name: str, form: str) -> str:
    return f"+{form}" if name == "difference" else form


def _swatch(name: str) -> str:
    return f'<span class="swatch" style="background: var(--{name})"></span>'


def _table(heads: Sequence[str], body: Iterable[Sequence[str]], kind: str = "") -> str:
    """A table; cells are HTML already, headings are text."""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    rows = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in body)
    top = f"<thead><tr>{head}</tr></thead>" if any(heads) else ""
    return f'<div class="wide"><table class="{kind}">{top}<tbody>{rows}</tbody></table></div>'


def _figure(svg: str, caption: str, *, plain: bool = True) -> str:
    return f"<figure>{svg}<figcaption>{escape(caption) if plain else caption}</figcaption></figure>" if svg else ""


def _estimate(estimate: Mapping[str, Any] | None, form: str) -> str:
    if not estimate or estimate.get("mean") is None:
        return "-"
    between = _range(estimate, form)
    return escape(_number(estimate, form)) + (f"<small>{escape(between)}</small>" if between else "")


def _number(estimate: Mapping[str, Any], form: str) -> str:
    return "unknown" if estimate["mean"] is None else _plain(estimate["mean"], form)


def _range(estimate: Mapping[str, Any], form: str) -> str:
    if estimate.get("low") is None or estimate.get("high") is None:
        return ""
    return f"[{_plain(estimate['low'], form)}, {_plain(estimate['high'], form)}]"


def _plain(value: float, form: str) -> str:
    text = format(value, form)
    zero = format(0.0, form)
    return zero.lstrip("+") if text.lstrip("+-") == zero.lstrip("+") else text.replace("-", "−")


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{int(seconds // 60)} min {int(seconds % 60)} s"
