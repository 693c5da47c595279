"""The figures of the reward card."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sotopia_env.training.report_figures import COLOURS, STYLE, svg
from sotopia_env.training.reward_card_text import on_all

Row = Mapping[str, Any]

KINDS = {"siblings": "Between siblings", "between_turns": "Between turns of an episode", "pooled": "Pooled"}
"""The three fidelities, and the titles of their panels."""

_WIDEST = 3.0


def fidelity_figure(data: Mapping[str, Any]) -> str:
    """Correlation with the true advantage, three ways; dashed, what the exact truth would reach."""
    rows = data["rewards"]

    def draw(ax: Axes, kind: str) -> None:
        ceiling = on_all(data)["fidelity"][kind]["pearson"]["ceiling"]
        ax.axvline(0, color=COLOURS["muted"], linewidth=1)
        if ceiling is not None:
            ax.axvline(ceiling, color=COLOURS["muted"], linewidth=1, linestyle="--")
        for y, row in enumerate(rows):
            _point(ax, y, row["fidelity"][kind]["pearson"], "value", _colour(row))
        ax.set_xlim(-0.65, 1.05)
        ax.set_title(KINDS[kind])

    return _panels(rows, list(KINDS), draw, "fidelity", "correlation with the true advantage")


def exploit_figure(data: Mapping[str, Any]) -> str:
    """Scores of exploitation, one panel for each attack."""
    rows = [row for row in data["rewards"] if row["exploits"]]

    def draw(ax: Axes, attack: str) -> None:
        ax.axvline(0, color=COLOURS["muted"], linewidth=1)
        for y, row in enumerate(rows):
            exploit = next(exploit for exploit in row["exploits"] if exploit["attack"] == attack)
            score = {k: v if v is None else max(-_WIDEST, min(_WIDEST, v)) for k, v in exploit["score"].items()}
            _point(ax, y, score, "mean", COLOURS["baseline" if exploit["exploitable"] else "learner"])
        ax.set_xlim(-_WIDEST * 1.06, _WIDEST * 1.06)
        ax.set_title(attack)

    return _panels(rows, list(data["attacks"]), draw, "exploits", "score of exploitation by attack")


def price_figure(data: Mapping[str, Any]) -> str:
    """Variance of the gradient and seconds per 1,000 turns, both on logarithmic axes."""
    rows = data["rewards"]
    values: dict[str, Callable[[Row], float | None]] = {
        "Variance of the gradient (samples)": lambda row: row["fidelity"]["gradient"]["noise"],
        "Seconds per 1,000 turns": lambda row: row["cost"].get("seconds"),
    }

    def draw(ax: Axes, title: str) -> None:
        ax.set_xscale("log")
        for y, row in enumerate(rows):
            value = values[title](row)
            if value is not None and value > 0:
                ax.plot(value, y, "o", color=_colour(row), markersize=5)
        ax.set_title(title)

    return _panels(rows, list(values), draw, "price", "variance of the gradient and cost")


def _panels(
    rows: Sequence[Row], panels: Sequence[str], draw: Callable[[Axes, str], None], name: str, description: str
) -> str:
    """Panels side by side with one line for each reward, whose names stand at the left."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(12.0, 0.65 + 0.215 * len(rows)), layout="constrained")
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for ax, panel in zip(axes, panels, strict=True):
            draw(ax, panel)
            ax.set_ylim(len(rows) - 0.4, -0.6)
            ax.grid(visible=False, axis="y")
        axes[0].set_yticks(range(len(rows)), [row["name"] for row in rows])
        axes[0].tick_params(axis="y", labelcolor=COLOURS["ink"])
        return svg(figure, name, description)


def _point(ax: Axes, y: float, found: Mapping[str, Any], key: str, colour: str) -> None:
    if found[key] is None:
        return
    if found["low"] is not None and found["high"] is not None:
        ax.plot([found["low"], found["high"]], [y, y], color=colour, linewidth=2)
    ax.plot(found[key], y, "o", color=colour, markersize=5)


def _colour(row: Row) -> str:
    return COLOURS["baseline" if row["role"] == "control" else "learner"]
