"""The figures of the report, as SVG that takes its colours and font from the page around it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from io import StringIO
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = {"ink": "#010101", "muted": "#020202", "grid": "#030303", "learner": "#040404", "baseline": "#050505"}
"""What is drawn in these colours becomes ``var(--ink)`` and so on, so that one page serves light and dark."""

PANELS: tuple[tuple[str, str, str], ...] = (
    ("reward", "reward", "Reward"),
    ("scores/goal", "goal", "Goal"),
    ("deal_rate", "deal_rate", "Deal rate"),
    ("latent/shares", "share_given_deal", "Share of the zone, given a deal"),
    ("latent/partner/outside_limit", "partner_outside_limit", "Deals outside the partner's limit"),
    ("invalid_rate", "invalid_rate", "Invalid turns"),
    ("words_per_turn", "words_per_turn", "Words per turn"),
    ("turns", "turns", "Own turns"),
    ("kl_to_reference", "", "KL to the clone"),
    ("entropy", "", "Entropy"),
    ("zero_spread_groups", "", "Groups with zero spread"),
)
"""Name of a metric in training, its name in evaluations, and the title of its panel. What was not logged has none."""

LOSSES: tuple[tuple[str, str, str], ...] = (("loss", "", "Loss"), ("eval_loss", "", "Held-out loss"))

STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": COLOURS["ink"],
    "axes.labelcolor": COLOURS["muted"],
    "axes.edgecolor": COLOURS["grid"],
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": COLOURS["grid"],
    "grid.linewidth": 0.6,
    "xtick.color": COLOURS["muted"],
    "ytick.color": COLOURS["muted"],
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
}
"""Settings of matplotlib for every figure."""


def curves(
    rows: Sequence[Mapping[str, Any]], panels: Sequence[tuple[str, str, str]] = PANELS, name: str = "curves"
) -> list[Markup]:
    """Metrics against steps: the logged values, faint, with their running mean.

    Args:
        rows: one mapping for each log, with ``step``; ``evaluation/NAME`` is drawn as points in its panel.
        panels: metrics, their names in evaluations, and titles.
        name: of the figure, unique in the page.

    Returns:
        A panel for each metric that was logged.
    """
    return [
        panel(
            f"{name}-{metric.replace('/', '-')}",
            title,
            (3.35, 1.75),
            partial(_curve, rows, metric, evaluated),
            f"{title} against training steps",
        )
        for metric, evaluated, title in panels
        if len(_series(rows, metric)[0]) > 1
    ]


def dots(
    groups: Sequence[tuple[str, Sequence[tuple[str, Mapping[str, Any]]]]],
    label: str,
    name: str,
    *,
    zero: bool = False,
) -> list[Markup]:
    """Means with their intervals, one line for each label.

    Args:
        groups: ``(colour, [(line, {mean, low, high}), ...])``; colours as in :data:`COLOURS`. A line that two groups
            share shows both.
        label: of the horizontal axis.
        name: of the figure, unique in the page.
        zero: draw a line at 0, for differences.

    Returns:
        One panel, or none where there is nothing to draw.
    """
    known = [(colour, [(line, e) for line, e in items if e.get("mean") is not None]) for colour, items in groups]
    lines = list(dict.fromkeys(line for _, items in known for line, _ in items))
    if not lines:
        return []

    def draw(ax: Axes) -> None:
        if zero:
            ax.axvline(0, color=COLOURS["muted"], linewidth=1)
        for place, (colour, items) in enumerate(known):
            shift = (place - (len(known) - 1) / 2) * 0.26 if len(known) > 1 and _overlap(known) else 0.0
            for line, found in items:
                point(ax, lines.index(line) + shift, found, "mean", COLOURS[colour])
        name_lines(ax, lines)
        ax.set_xlabel(label)

    return [panel(name, "", (4.2, 0.55 + 0.26 * len(lines)), draw, f"{label}: {', '.join(lines)}")]


def name_lines(ax: Axes, names: Sequence[str]) -> None:
    """Write the names of lines at the left, the first one on top."""
    ax.set_yticks(range(len(names)), names)
    ax.tick_params(axis="y", labelcolor=COLOURS["ink"])
    ax.set_ylim(len(names) - 0.45, -0.55)
    ax.grid(visible=False, axis="y")


def point(ax: Axes, y: float, found: Mapping[str, Any], key: str, colour: str) -> None:
    """A value, where it is known, with its interval."""
    if found[key] is None:
        return
    if found["low"] is not None and found["high"] is not None:
        ax.plot([found["low"], found["high"]], [y, y], color=colour, linewidth=2)
    ax.plot(found[key], y, "o", color=colour, markersize=5)


def _overlap(groups: Sequence[tuple[str, Sequence[tuple[str, Any]]]]) -> bool:
    seen = [line for _, items in groups for line, _ in items]
    return len(seen) > len(set(seen))


def _curve(rows: Sequence[Mapping[str, Any]], metric: str, evaluated: str, ax: Axes) -> None:
    steps, values = _series(rows, metric)
    window = max(1, len(values) // 12)
    ax.plot(steps, values, color=COLOURS["learner"], linewidth=0.9, alpha=0.3 if window > 1 else 1)
    if window > 1:
        ax.plot(steps, _running_mean(values, window), color=COLOURS["learner"], linewidth=1.8)
    points = _series(rows, f"evaluation/{evaluated}")
    if points[0]:
        ax.plot(*points, "o", color=COLOURS["baseline"], markersize=4)
    ax.margins(x=0.02)
    ax.locator_params(axis="both", nbins=5)


def _series(rows: Sequence[Mapping[str, Any]], metric: str) -> tuple[list[float], list[float]]:
    known = [(row["step"], row[metric]) for row in rows if isinstance(row.get(metric), int | float) and "step" in row]
    return [float(step) for step, _ in known], [float(value) for _, value in known]


def _running_mean(values: Sequence[float], window: int) -> list[float]:
    return [float(np.mean(values[max(0, i - window) : i + window + 1])) for i in range(len(values))]


def panel(
    name: str, title: str, size: tuple[float, float], draw: Callable[[Axes], None], description: str = ""
) -> Markup:
    """One pair of axes as SVG for a page; it grows and shrinks with its place.

    Args:
        name: unique in the page.
        title: above the axes.
        size: width and height in inches, as everywhere in matplotlib.
        draw: draws on the axes, in the colours of :data:`COLOURS`.
        description: for those who cannot see it; the title by default.
    """
    text = StringIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=size, layout="constrained")
        ax = figure.subplots()
        draw(ax)
        ax.set_title(title)
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    drawn = text.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    # Inside a page neither namespaces nor a fixed size are needed, and two figures must not share an id.
    width, height = (72 * inches for inches in size)
    box = f'viewBox="0 0 {width:g} {height:g}" style="max-width: {1.15 * width:g}pt"'
    start = f'<svg role="img" aria-label="{escape(description or title)}" {box}>'
    drawn = re.sub(r"<svg [^>]*>", lambda _: start, drawn, count=1)
    for place in ('id="', "url(#", 'href="#'):
        drawn = drawn.replace(place, f"{place}{name}-")
    for colour, value in COLOURS.items():
        drawn = drawn.replace(value, f"var(--{colour})")
    return Markup(drawn)
