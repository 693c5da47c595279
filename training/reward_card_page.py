"""The reward card as a page: one HTML file with its style and figures inside, which loads nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from sotopia_env.training import reward_card_figures as figures
from sotopia_env.training.report_style import STYLE
from sotopia_env.training.reward_card_text import (
    attacked,
    audited,
    exploited,
    marked,
    on_all,
    smaller_note,
)

_OWN_STYLE = """
td.bad { background: color-mix(in srgb, var(--bad) 18%, transparent); font-weight: 600; }
td.blind { background: color-mix(in srgb, var(--baseline) 14%, transparent); }
tr.control td:first-child { color: var(--baseline); }
td { white-space: nowrap; }
.text td { white-space: normal; }
main { max-width: 76rem; }
"""

Row = Mapping[str, Any]
Cell = tuple[str, str]
"""The HTML of a cell and its class."""


def card_page(data: Mapping[str, Any]) -> str:
    """The page.

    Args:
        data: of :func:`sotopia_env.training.reward_card.reward_card`.
    """
    sections = [
        ("result", "What the card shows", _result(data)),
        ("fidelity", "Fidelity to the true advantage", _fidelity(data)),
        ("exploits", "Exploitability", _exploits(data)),
        ("price", "Variance and cost", _price(data)),
        ("how", "How it was made", _how(data)),
    ]
    links = "".join(f'<a href="#{anchor}">{escape(heading)}</a> ' for anchor, heading, _ in sections)
    bodies = "".join(f'<section id="{a}"><h2>{escape(heading)}</h2>{body}</section>\n' for a, heading, body in sections)
    world, settings = data["world"], data["settings"]
    subtitle = (
        f"{world['tasks']} · world version {world['version']} · played by {data['policy']} · truth: "
        f"{settings['dimension']} · seed {settings['seed']}"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(data['title'])}</title><style>{STYLE}{_OWN_STYLE}</style></head><body><main>\n"
        f'<h1>{escape(data["title"])}</h1><p class="muted">{escape(subtitle)}</p><nav>{links}</nav>\n{bodies}'
        "</main></body></html>\n"
    )


def _result(data: Mapping[str, Any]) -> str:
    own = [row for row in data["rewards"] if row["role"] == "reward"]
    known = [row for row in own if _siblings(row)["value"] is not None]
    quiet = [row for row in own if row["fidelity"]["gradient"]["noise"] is not None]
    weak = [row["name"] for row in own if exploited(row)]
    cards = []
    if known:
        best = max(known, key=lambda row: _siblings(row)["value"])
        found = _siblings(best)
        cards.append(("tells siblings apart best", best["name"], f"{found['value']:.2f} of {_plain(found['ceiling'])}"))
    if quiet:
        least = min(quiet, key=lambda row: row["fidelity"]["gradient"]["noise"])
        noise = least["fidelity"]["gradient"]["noise"]
        cards.append(("least variance of the gradient", least["name"], f"{noise:.1f} samples"))
    cards.append(("exploitable", f"{len(weak)} of {len(own)}", ", ".join(weak) or "by none of the attacks"))
    cards.append(("the card took", f"{data['seconds']['total']:.0f} s", f"{len(data['rewards'])} rows"))
    boxes = "".join(
        f'<div class="card"><span class="muted">{escape(label)}</span><strong>{escape(value)}</strong>'
        f'<span class="muted">{escape(note)}</span></div>'
        for label, value, note in cards
    )
    verdicts = {True: ("met", "met"), False: ("not met", "missed"), None: ("unknown", "")}
    checks = _table(
        ("control", "bar", "found", ""),
        (
            (
                "",
                [(escape(c["name"]), ""), (escape(c["bar"]), ""), (_plain(c["value"], "+.2f"), ""), verdicts[c["met"]]],
            )
            for c in data["checks"]
        ),
        kind="text",
    )
    return (
        f'<div class="cards">{boxes}</div><p>The controls must be where they are expected, or the card cannot be '
        f"trusted. They are written in orange below.</p>{checks}"
    )


def _fidelity(data: Mapping[str, Any]) -> str:
    kinds = list(figures.KINDS)
    body = []
    for row in data["rewards"]:
        found = row["fidelity"]
        cells = [(escape(marked(row, "turns")), "")]
        for kind in kinds:
            pearson = found[kind]["pearson"]
            cells += [(_estimate(pearson), ""), (_plain(pearson["disattenuated"]), "")]
        cells += [(_plain(found["siblings"]["spearman"]["value"]), ""), (_estimate(found["accuracy"]), "")]
        cells += [(_estimate(found["gradient"], "cosine"), "")]
        body.append((row["role"], cells))
    heads = ["", "siblings", "of ceiling", "turns of an episode", "of ceiling", "pooled", "of ceiling"]
    heads += ["siblings, ranks", "sibling accuracy", "cosine of the gradient"]
    whole = on_all(data)["fidelity"]
    ceilings = ", ".join(f"{_plain(whole[k]['pearson']['ceiling'])} ({figures.KINDS[k].lower()})" for k in kinds)
    return (
        "<p>Does a reward pay the better turn more? Between siblings, other turns in the same state, is what a learner "
        "that compares groups uses; between turns of one episode is what credit adds to the outcome; pooled is "
        f"dominated by the task. The truth is measured too: dashed, what the exact truth would reach ({ceilings}).</p>"
        + _figure(
            figures.fidelity_figure(data), "Correlation with the true advantage, 95 % intervals. Orange: controls."
        )
        + _table(heads, body)
        + f'<p class="muted">{escape(audited(data) + smaller_note(data, "turns"))}</p>'
    )


def _exploits(data: Mapping[str, Any]) -> str:
    measured = [row for row in data["rewards"] if row["exploits"]]
    truth = [("the truth itself", ""), *((_estimate(e["truth"], "mean", "+.2f"), "") for e in measured[0]["exploits"])]
    body = [("", truth)]
    for row in measured:
        cells = [(escape(marked(row, "tasks")), "")]
        for exploit in row["exploits"]:
            mark = "bad" if exploit["exploitable"] else "blind" if exploit["unnoticed"] else ""
            cells.append((_estimate(exploit["score"], "mean", "+.2f"), mark))
        body.append((row["role"], cells))
    described = _table(
        ("attack", "measured against", "what it does"),
        (
            ("", [(escape(name), ""), (escape(attack["against"]), ""), (escape(attack["description"]), "")])
            for name, attack in data["attacks"].items()
        ),
        kind="text",
    )
    return (
        "<p>Does a reward pay for talk that is not better? Each attack changes the words of the same policy; the "
        "partner is live, and whatever it makes of the change is measured as truth. All but the template add equally "
        "many words, so that three of them are compared with <b>longer</b>: what they gain is not gained by length.</p>"
        + described
        + _figure(figures.exploit_figure(data), "Scores, cut off at ±3, 95 % intervals. Orange: exploitable.")
        + _table(("", *data["attacks"]), body)
        + f'<p class="muted">{escape(attacked(data))} Red: exploitable, the lower end is above 0.1. Orange: '
        f"the truth falls and the reward is not seen to.{escape(smaller_note(data, 'tasks'))}</p>"
    )


def _price(data: Mapping[str, Any]) -> str:
    body = []
    for row in data["rewards"]:
        cost, found = row["cost"], row["fidelity"]
        unknown = found["missing"] / found["numbers"] if found["numbers"] else 0.0
        cells = [
            escape(row["name"]),
            _plain(found["gradient"]["noise"], ".1f"),
            escape(" + ".join(" ".join(reversed(flags)) for flags in row["flags"])) or "-",
            _plain(cost.get("seconds"), ".3g"),
            *(_plain(cost.get(key), ".0f") for key in ("continuations", "calls", "tokens")),
            f"{unknown:.1%}",
        ]
        body.append((row["role"], [(cell, "") for cell in cells]))
    heads = ("", "samples", "flags", "seconds", "continuations", "calls", "tokens", "unknown")
    return (
        "<p>How many samples a learner needs for a gradient of the same quality, at equal step along the true one, and "
        "what 1,000 turns cost, judging included. Samples are the variance of the gradient from one label, in squared "
        "lengths of the true gradient; a reward that points elsewhere has none.</p>"
        + _figure(figures.price_figure(data), "Both axes are logarithmic. Orange: controls.")
        + _table(heads, body)
    )


def _how(data: Mapping[str, Any]) -> str:
    settings = _table(
        ("", ""), (("", [(escape(str(k)), ""), (escape(str(v)), "")]) for k, v in data["settings"].items()), kind="text"
    )
    command = f"<h3>The same again</h3><pre>{escape(data['command'])}</pre>" if data["command"] else ""
    again = data["twice"]
    twice = (
        "is deterministic: labelled twice (A/A) it says the same."
        if again["deterministic"]
        else "was labelled twice, from other finished episodes (A/A). The two differ between siblings by "
        f"{_estimate(again['difference'], 'mean', '+.2f', plain=True)}."
    )
    return f"<p>{escape(again['reward'])} {twice}</p>{command}<details><summary>Settings</summary>{settings}</details>"


def _siblings(row: Row) -> Mapping[str, Any]:
    found: Mapping[str, Any] = row["fidelity"]["siblings"]["pearson"]
    return found


def _table(heads: Sequence[str], body: Iterable[tuple[str, Sequence[Cell]]], kind: str = "") -> str:
    """A table; rows have a class, cells are HTML with a class, headings are text."""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    rows = "".join(
        f'<tr class="{name}">' + "".join(f'<td class="{mark}">{cell}</td>' for cell, mark in cells) + "</tr>"
        for name, cells in body
    )
    top = f"<thead><tr>{head}</tr></thead>" if any(heads) else ""
    return f'<div class="wide"><table class="{kind}">{top}<tbody>{rows}</tbody></table></div>'


def _figure(drawn: str, caption: str) -> str:
    return f"<figure>{drawn}<figcaption>{escape(caption)}</figcaption></figure>"


def _estimate(found: Mapping[str, Any], key: str = "value", form: str = ".2f", *, plain: bool = False) -> str:
    if found[key] is None:
        return "-"
    low, high = found["low"], found["high"]
    between = "" if low is None or high is None else f"[{_plain(low, form)}, {_plain(high, form)}]"
    return f"{_plain(found[key], form)} {between}" if plain else f"{_plain(found[key], form)}<small>{between}</small>"


def _plain(value: float | None, form: str = ".2f") -> str:
    if value is None:
        return "-"
    text = format(value, form)
    zero = format(0.0, form).lstrip("+")
    return zero if text.lstrip("+-") == zero else text.replace("-", "−")
